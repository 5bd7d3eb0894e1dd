-- With what a notice may go in one message (its hospital; without one it goes alone), and the message
-- that it became part of; see `outbox.rs`.
ALTER TABLE outbox ADD COLUMN grouping TEXT;
ALTER TABLE outbox ADD COLUMN message BLOB;
