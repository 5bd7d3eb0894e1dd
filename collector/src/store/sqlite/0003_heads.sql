-- The heads of the stream; see `heads.rs`. Opening the store derives them.
CREATE TABLE chain_head (part TEXT PRIMARY KEY, hash BLOB NOT NULL) WITHOUT ROWID;
-- As they were before the first heartbeat of each day in Japan.
CREATE TABLE head_mark (
    position INTEGER NOT NULL, -- of that heartbeat
    at_us    INTEGER NOT NULL,
    part     TEXT NOT NULL,
    hash     BLOB NOT NULL,
    PRIMARY KEY (position, part)
) WITHOUT ROWID;
INSERT INTO checkpoint VALUES ('heads', 0);
-- Where each sealed month stands in the stream.
CREATE TABLE sealed_month (
    contract TEXT NOT NULL,
    month    TEXT NOT NULL,
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (contract, month, revision)
) WITHOUT ROWID;
-- Entries that are neither messages nor heartbeats are few, and are read by their kind.
CREATE INDEX stream_rare ON stream (kind, position) WHERE kind > 2;
