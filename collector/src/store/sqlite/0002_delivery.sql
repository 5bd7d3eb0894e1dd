-- Epochs, evidence, rejoins. What follows from the stream at once is emptied here: opening the
-- store applies the stream again.
ALTER TABLE hospital ADD COLUMN succession BLOB; -- SHA-256 of the statement that named this key
ALTER TABLE slot ADD COLUMN replaces BLOB;
ALTER TABLE device ADD COLUMN rejoined BLOB; -- the newest rejoin grant, an envelope
ALTER TABLE device ADD COLUMN facts_changed_us INTEGER;
ALTER TABLE ledger ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN evidence_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE check_state ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0;

DROP TABLE coverage;
CREATE TABLE coverage (
    device  BLOB NOT NULL,
    epoch   INTEGER NOT NULL,
    records INTEGER NOT NULL,
    runs    BLOB NOT NULL,
    PRIMARY KEY (device, epoch)
) WITHOUT ROWID;
DROP TABLE fork_evidence;
CREATE TABLE evidence (
    position INTEGER PRIMARY KEY,
    device   BLOB NOT NULL,
    found_us INTEGER NOT NULL,
    hash     BLOB NOT NULL
);
CREATE INDEX evidence_hash ON evidence (device, hash);
CREATE TABLE quarantine (
    device  BLOB NOT NULL,
    from_us INTEGER NOT NULL,
    to_us   INTEGER,
    PRIMARY KEY (device, from_us)
) WITHOUT ROWID;
CREATE TABLE closed_epoch (
    device     BLOB NOT NULL,
    epoch      INTEGER NOT NULL,
    key        BLOB NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    top_record INTEGER NOT NULL,
    closed_us  INTEGER NOT NULL,
    PRIMARY KEY (device, epoch)
) WITHOUT ROWID;
CREATE TABLE rejoin_approval (
    device      BLOB NOT NULL,
    epoch       INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    filed_us    INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, fingerprint)
) WITHOUT ROWID;
CREATE TABLE collector_lost (
    position INTEGER PRIMARY KEY,
    device   BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq   INTEGER NOT NULL,
    found_us INTEGER NOT NULL
);
CREATE INDEX collector_lost_device ON collector_lost (device);

DELETE FROM gap;
DELETE FROM ledger_hash;
DELETE FROM ledger;
DELETE FROM consent;
DELETE FROM device_certificate;
DELETE FROM device;
DELETE FROM slot;
DELETE FROM contract;
DELETE FROM hospital;
UPDATE checkpoint SET position = 0 WHERE name = 'applied';
