-- Points in columns; see `column.rs`.
-- What a device told since it was last packed, and the newest point of each of its series.
CREATE TABLE fresh (
    device   BLOB NOT NULL UNIQUE,
    since_us INTEGER NOT NULL, -- when the first of the batches was committed
    points   INTEGER NOT NULL, -- in them
    batches  BLOB NOT NULL,    -- their positions
    newest   BLOB NOT NULL,
    thinned  INTEGER NOT NULL  -- the days before this one are there thin too
);
-- All points of a device and a day, or some of 32 days; the next piece begins where one is full.
CREATE TABLE packed (
    device  BLOB NOT NULL,
    grain   INTEGER NOT NULL,
    stretch INTEGER NOT NULL,
    piece   INTEGER NOT NULL,
    points  BLOB NOT NULL,
    UNIQUE (device, grain, stretch, piece)
);
CREATE INDEX series_number ON series (probe, name);

-- What came before stands in the stream: the projection starts again.
DROP TABLE sample;
DELETE FROM series;
DELETE FROM check_state;
DELETE FROM probe_run;
DELETE FROM device_seen;
DELETE FROM heartbeat_run;
DELETE FROM fact;
DELETE FROM currency_report;
DELETE FROM failed_push;
DELETE FROM revision;
UPDATE checkpoint SET position = 0 WHERE name = 'project';
