-- What devices say of their own state, derived by the projection; see `project/fact.rs`.
-- The newest of each kind, subject and probe.
CREATE TABLE fact (
    device  BLOB NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    probe   TEXT NOT NULL,
    at_us   INTEGER NOT NULL,
    json    TEXT NOT NULL,
    PRIMARY KEY (device, kind, subject, probe)
) WITHOUT ROWID;
-- Every report of patches and pattern files, as the SLA judges it.
CREATE TABLE currency_report (
    device   BLOB NOT NULL,
    at_us    INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    source   TEXT NOT NULL,
    state    INTEGER NOT NULL,
    since_us INTEGER NOT NULL, -- 0 where the state has none
    PRIMARY KEY (device, at_us, kind, source, state, since_us)
) WITHOUT ROWID;
-- When a device could not deliver, told once it was over.
CREATE TABLE failed_push (
    device  BLOB NOT NULL,
    from_us INTEGER NOT NULL,
    to_us   INTEGER NOT NULL,
    PRIMARY KEY (device, from_us, to_us)
) WITHOUT ROWID;
-- The first and the last report of each version, as long as no other came between.
CREATE TABLE revision (
    device  BLOB NOT NULL,
    subject TEXT NOT NULL,
    probe   TEXT NOT NULL,
    at_us   INTEGER NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (device, subject, probe, at_us, version)
) WITHOUT ROWID;

-- What came before stands in the stream: the projection starts again.
DELETE FROM sample;
DELETE FROM series;
DELETE FROM check_state;
DELETE FROM probe_run;
DELETE FROM device_seen;
DELETE FROM heartbeat_run;
UPDATE checkpoint SET position = 0 WHERE name = 'project';
