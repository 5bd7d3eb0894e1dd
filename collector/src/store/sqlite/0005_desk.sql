-- Of which incident a notice is, so that none overtakes another of the same.
ALTER TABLE outbox ADD COLUMN incident INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET incident = json_extract(notice, '$.incident');
CREATE INDEX outbox_waiting ON outbox (channel, incident, id) WHERE state = 0;

-- Why a device was in quarantine, and until when somebody else was suspected to have its identity.
-- What follows from the stream at once is emptied here: opening the store applies the stream again.
ALTER TABLE quarantine ADD COLUMN reason INTEGER NOT NULL DEFAULT 1;
ALTER TABLE closed_epoch ADD COLUMN clone_suspected_us INTEGER;
DELETE FROM sealed_month;
DELETE FROM evidence;
DELETE FROM quarantine;
DELETE FROM closed_epoch;
DELETE FROM rejoin_approval;
DELETE FROM collector_lost;
DELETE FROM gap;
DELETE FROM coverage;
DELETE FROM ledger_hash;
DELETE FROM ledger;
DELETE FROM consent;
DELETE FROM device_certificate;
DELETE FROM device;
DELETE FROM slot;
DELETE FROM contract;
DELETE FROM hospital;
UPDATE checkpoint SET position = 0 WHERE name = 'applied';
