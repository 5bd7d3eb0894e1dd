//! Every maximum of the protocol, in one place, with its reason.
//!
//! Holds: a queue, body, batch or loop that crosses the wire is bounded by one of these.

use std::time::Duration;

/// A batch's compressed body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// A batch's decompressed body.
pub const PLAIN_BYTES_MAX: usize = 1024 * 1024;
/// Decompressed to compressed size: what a zstd bomb is cut off at.
pub const PLAIN_RATIO_MAX: usize = 20;
/// An envelope on the wire: body, type, signatures and their framing.
pub const ENVELOPE_BYTES_MAX: usize = BODY_BYTES_MAX + 4 * 1024;
/// A sealed month in a collector's journal: its pages in both languages.
pub const SEALED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A statement, enrollment or resume message on the wire.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Nesting of MessagePack arrays and maps.
pub const DEPTH_MAX: usize = 16;
/// One value of the spool; sled moves larger ones to files it never syncs.
pub const SPOOL_VALUE_BYTES_MAX: usize = 8 * 1024;
/// One encoded record, so that it fits a spool value with its frame.
pub const RECORD_BYTES_MAX: usize = SPOOL_VALUE_BYTES_MAX - 64;
/// Records in one batch.
pub const BATCH_RECORDS_MAX: usize = 1_000;
/// Gap ranges in one batch; the rest waits in the spool.
pub const BATCH_GAPS_MAX: usize = 512;
/// Batches cut and not yet acknowledged.
pub const IN_FLIGHT_MAX: usize = 4;
/// Record ids reserved at once in the state file.
pub const REC_ID_BLOCK: u64 = 1_024;
/// The spool's directory, quarantine included, unless configured otherwise.
pub const SPOOL_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Ordinary records that wait in the spool each under its own key; where there are more, the
/// oldest are packed. A device that is online has less.
pub const SPOOL_LOOSE_BYTES_MAX: u64 = 512 * 1024;
/// Newest batch hashes the collector keeps for a device to tell a duplicate from a fork.
pub const LEDGER_HASHES: usize = 1_024;
/// Links beyond a hole that the collector holds for one device; an honest one has no more.
pub const HELD_LINKS_MAX: usize = IN_FLIGHT_MAX - 1;
/// The same for all devices together.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Times that a device sends the same link beyond a hole again before the hole is unexplained.
pub const HOLE_STRIKES_MAX: u8 = 3;
/// Evidence of a second chain that is kept of one device; beyond it only counted.
pub const EVIDENCE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long people may keep incidents from being told, from when they say so.
pub const SILENCE_MAX: Duration = Duration::from_hours(31 * 24);
/// Why they do, in characters.
pub const SILENCE_REASON_CHARS_MAX: usize = 200;
/// How long a signed time serves as a challenge.
pub const CHALLENGE_LIFE: Duration = Duration::from_mins(5);
/// Trust documents in one answer; a device that is further behind asks again.
pub const TRUST_DOCUMENTS_MAX: usize = 16;
/// Roots that one trust document names.
pub const TRUST_ROOTS_MAX: usize = 8;
/// Batches in one file for removable media.
pub const EXPORT_LINKS_MAX: usize = 64;
/// A file for removable media: its batches, and room for its manifest.
pub const EXPORT_BYTES_MAX: usize = EXPORT_LINKS_MAX * ENVELOPE_BYTES_MAX + MESSAGE_BYTES_MAX;
/// Statements in one file; nobody succeeds a key more often while a device lives.
pub const STATEMENTS_MAX: usize = 16;
/// What an agent remembers of the bodies it sent, for the hospital to read.
pub const SENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Lines of one table of jobs or accesses that is imported: more than a large contract has in a month.
pub const IMPORT_LINES_MAX: usize = 5_000;
/// Quantities in one sample.
pub const QUANTITIES_MAX: usize = 128;
/// Series of one device that a collector watches for what is unusual; each takes 2 KiB there.
pub const WATCHED_SERIES_MAX: usize = 512;
/// How far a `Retry-After` is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// The life of an enrollment slot.
pub const SLOT_LIFE_MAX: Duration = Duration::from_hours(72);
/// The life of a device's TLS certificate, renewed at two thirds of it.
pub const DEVICE_CERTIFICATE_LIFE: Duration = Duration::from_hours(720);
/// Wall clock against signed server time: beyond it one finding is raised.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(1);
