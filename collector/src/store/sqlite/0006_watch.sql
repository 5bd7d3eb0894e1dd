-- What the evaluation knows of series, derived by it; see `worker/watch.rs`.
-- A detector's state for each series that is watched, kept now and then.
CREATE TABLE detector (
    device   BLOB NOT NULL,
    subject  TEXT NOT NULL,
    probe    TEXT NOT NULL,
    quantity TEXT NOT NULL,
    unit     INTEGER NOT NULL,
    state    BLOB NOT NULL,
    UNIQUE (device, subject, probe, quantity, unit)
);
-- Every anomaly that was told, for good.
CREATE TABLE anomaly (
    rule         TEXT NOT NULL,
    device       BLOB NOT NULL,
    at_us        INTEGER NOT NULL,
    subject      TEXT NOT NULL,
    probe        TEXT NOT NULL,
    quantity     TEXT NOT NULL,
    began_us     INTEGER NOT NULL,
    committed_us INTEGER NOT NULL,
    json         TEXT NOT NULL,
    PRIMARY KEY (rule, device, at_us, subject, probe, quantity)
) WITHOUT ROWID;
CREATE INDEX anomaly_committed ON anomaly (rule, committed_us);
-- What alerts foretold, and what came of it.
CREATE TABLE prediction (
    incident   INTEGER NOT NULL,
    alerted_us INTEGER NOT NULL,
    pending    INTEGER NOT NULL,
    json       TEXT NOT NULL,
    PRIMARY KEY (incident, alerted_us)
) WITHOUT ROWID;
CREATE INDEX prediction_pending ON prediction (pending);
