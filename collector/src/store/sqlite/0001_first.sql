-- The truth: append-only, never updated, never deleted.
CREATE TABLE stream (
    position     INTEGER PRIMARY KEY,
    kind         INTEGER NOT NULL,
    committed_us INTEGER NOT NULL,
    device       BLOB,
    body         BLOB NOT NULL
);

-- How far each consumer of the stream is.
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO checkpoint VALUES ('applied', 0), ('project', 0), ('evaluate', 0);

-- Derived in the transaction that appends.
CREATE TABLE hospital (
    id       TEXT PRIMARY KEY,
    key      BLOB NOT NULL,
    key_id   BLOB NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE contract (position INTEGER PRIMARY KEY, loaded_us INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE slot (
    id         BLOB PRIMARY KEY,
    hospital   TEXT NOT NULL REFERENCES hospital (id),
    label      TEXT NOT NULL,
    grp        TEXT,
    proof_key  BLOB NOT NULL,
    expires_us INTEGER NOT NULL,
    filed_us   INTEGER NOT NULL,
    device     BLOB,
    redeemed_us INTEGER
) WITHOUT ROWID;
CREATE TABLE device (
    id          BLOB PRIMARY KEY,
    hospital    TEXT NOT NULL REFERENCES hospital (id),
    slot        BLOB NOT NULL,
    label       TEXT NOT NULL,
    grp         TEXT,
    key         BLOB NOT NULL,
    key_id      BLOB NOT NULL,
    facts       BLOB NOT NULL,
    granted     BLOB NOT NULL,
    enrolled_us INTEGER NOT NULL,
    approved_us INTEGER,
    revoked_us  INTEGER
) WITHOUT ROWID;
CREATE INDEX device_key_id ON device (key_id);
CREATE TABLE device_certificate (
    sha256 BLOB PRIMARY KEY,
    device BLOB NOT NULL REFERENCES device (id),
    issued_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE consent (
    hospital TEXT NOT NULL REFERENCES hospital (id),
    scope    TEXT NOT NULL,
    version  INTEGER NOT NULL,
    filed_us INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (hospital, scope, version)
) WITHOUT ROWID;
CREATE TABLE ledger (
    device     BLOB PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    genesis    BLOB NOT NULL,
    boots      BLOB NOT NULL,
    quarantine INTEGER,
    clone_suspected_us INTEGER,
    batches    INTEGER NOT NULL
) WITHOUT ROWID;
-- The newest 1,024 hashes: a ring by `slot = seq % 1024`.
CREATE TABLE ledger_hash (
    device BLOB NOT NULL,
    slot   INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    PRIMARY KEY (device, slot)
) WITHOUT ROWID;
CREATE TABLE coverage (device BLOB PRIMARY KEY, records INTEGER NOT NULL, runs BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE gap (
    device   BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    from_id  INTEGER NOT NULL,
    to_id    INTEGER NOT NULL,
    reason   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, from_id, to_id, reason, position)
) WITHOUT ROWID;
CREATE TABLE fork_evidence (position INTEGER PRIMARY KEY, device BLOB NOT NULL, found_us INTEGER NOT NULL);

-- Derived later, by the projection.
CREATE TABLE series (
    id      INTEGER PRIMARY KEY,
    device  BLOB NOT NULL,
    subject TEXT NOT NULL,
    probe   TEXT NOT NULL,
    name    TEXT NOT NULL,
    unit    INTEGER NOT NULL,
    UNIQUE (device, subject, probe, name, unit)
);
CREATE TABLE sample (
    series INTEGER NOT NULL,
    at_us  INTEGER NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (series, at_us)
) WITHOUT ROWID;
CREATE TABLE check_state (
    device   BLOB NOT NULL,
    probe    TEXT NOT NULL,
    subject  TEXT NOT NULL,
    category INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    PRIMARY KEY (device, probe, subject)
) WITHOUT ROWID;
CREATE TABLE probe_run (
    device      BLOB NOT NULL,
    probe       TEXT NOT NULL,
    state       INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    at_us       INTEGER NOT NULL,
    PRIMARY KEY (device, probe)
) WITHOUT ROWID;
CREATE TABLE device_seen (
    device         BLOB PRIMARY KEY,
    received_us    INTEGER NOT NULL,
    recorded_us    INTEGER,
    offset_ms      INTEGER NOT NULL,
    uncertainty_ms INTEGER NOT NULL,
    clock_source   INTEGER NOT NULL,
    boot           BLOB NOT NULL,
    agent_version  TEXT NOT NULL,
    unknown        INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE heartbeat_run (first_us INTEGER PRIMARY KEY, last_us INTEGER NOT NULL);

-- Derived by the evaluation.
CREATE TABLE evaluation (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incident (id INTEGER PRIMARY KEY, open INTEGER NOT NULL, updated_us INTEGER NOT NULL, json TEXT NOT NULL);
CREATE INDEX incident_open ON incident (open, updated_us);
CREATE TABLE forecast (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;

-- Not derived: what was sent stays sent through a rebuild.
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY,
    notice_id       BLOB NOT NULL,
    channel         TEXT NOT NULL,
    notice          TEXT NOT NULL,
    state           INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_us INTEGER NOT NULL,
    delivered_us    INTEGER,
    last_error      TEXT,
    UNIQUE (notice_id, channel)
);
CREATE INDEX outbox_due ON outbox (state, next_attempt_us);
