//! The sent journal: what left this device, byte for byte, for the hospital to read.
//!
//! ```text
//! <state>/sent/000001     segments of at most 1 MiB, the oldest go first
//! entry = length:u32 crc32c:u32 MessagePack[ at, seq, type:str, body:bin ]
//! ```
//!
//! Holds: a body is here, synced, before it is sent for the first time. A torn tail is never
//! written behind: the next entry begins another segment, so one fault hides one segment's rest
//! at most, and the reader says so. All segments together stay under [`limit::SENT_BYTES_MAX`].
//!
//! Does not: stop the delivery. Where the disk is full the delivery goes on and `status` says
//! since when the journal does not.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tenken_common::{
    codec,
    file::sync_folder,
    id::{Hash, Seq},
    limit,
    telemetry::ErrorChain,
    time::Timestamp,
};

const FOLDER: &str = "sent";
const SEGMENTS_MAX: usize = 8;
const SEGMENT_BYTES_MAX: u64 = limit::SENT_BYTES_MAX / SEGMENTS_MAX as u64;
/// A body with its time, number and type.
const ENTRY_BYTES_MAX: usize = limit::ENVELOPE_BYTES_MAX;
const HEAD_BYTES: usize = 8;
/// Bodies that are known to be written down already: more than are ever in flight.
const REMEMBERED: usize = 4 * limit::EXPORT_LINKS_MAX;

/// A body that left, or was about to when the device stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentEntry {
    pub at: Timestamp,
    pub seq: Seq,
    pub payload_type: String,
    pub body: Vec<u8>,
}

type EntryWire = (Timestamp, Seq, String, serde_bytes::ByteBuf);

/// What a look into the journal finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Entry(SentEntry),
    /// So many bytes of a segment cannot be read: cut off by a power cut, or damaged.
    Unreadable {
        segment: u64,
        bytes: u64,
    },
}

/// The journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SentError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the entry could not be encoded")]
    Encode(#[source] codec::CodecError),
}

/// The journal as the delivery holds it.
#[derive(Debug)]
pub struct Sent {
    journal: Arc<Mutex<SentJournal>>,
    failure: RefCell<Option<String>>,
}

impl Sent {
    pub fn new(state_dir: &Path) -> Self {
        Self { journal: Arc::new(Mutex::new(SentJournal::new(state_dir))), failure: RefCell::default() }
    }

    /// Writes down what is about to leave. A failure is remembered and stops nothing.
    pub async fn note(&self, seq: Seq, payload_type: &str, body: &[u8], at: Timestamp) {
        let journal = Arc::clone(&self.journal);
        let entry = SentEntry { at, seq, payload_type: payload_type.to_owned(), body: body.to_vec() };
        // Off this thread: a slow disk must not keep the probes waiting.
        let written = tokio::task::spawn_blocking(move || {
            journal.lock().unwrap_or_else(PoisonError::into_inner).record(&entry)
        });
        let failure = match written.await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(ErrorChain(&e).to_string()),
            Err(e) => Some(e.to_string()),
        };
        if let Some(why) = &failure
            && self.failure.borrow().is_none()
        {
            tracing::warn!(reason = %why, "what is sent is not written down");
        }
        self.failure.replace(failure);
    }

    /// Why what was sent last is not in the journal.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct SentJournal {
    dir: PathBuf,
    /// The segment that is written, with its length; `None` before the first entry and after a
    /// failure.
    open: Option<(File, u64)>,
    /// Hashes of the newest bodies; `None` before the journal was looked at.
    known: Option<VecDeque<Hash>>,
}

impl SentJournal {
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(FOLDER), open: None, known: None }
    }

    /// Appends an entry, unless its body is among the newest already.
    pub fn record(&mut self, entry: &SentEntry) -> Result<(), SentError> {
        let hash = Hash::of(&entry.body);
        if self.known()?.contains(&hash) {
            return Ok(());
        }
        let frame = frame(entry)?;
        let (mut file, length) = self.segment(frame.len() as u64)?;
        let written = file.write_all(&frame).and_then(|()| file.sync_data());
        if let Err(source) = written {
            // What was half written must not stand before the next entry.
            let _ = file.set_len(length).and_then(|()| file.sync_data());
            return Err(SentError::Write { path: self.dir.clone(), source });
        }
        self.open = Some((file, length + frame.len() as u64));
        let known = self.known()?;
        known.push_back(hash);
        while known.len() > REMEMBERED {
            known.pop_front();
        }
        Ok(())
    }

    fn known(&mut self) -> Result<&mut VecDeque<Hash>, SentError> {
        if self.known.is_none() {
            let mut known = VecDeque::new();
            for found in read(&self.dir)? {
                if let Found::Entry(entry) = found? {
                    known.push_back(Hash::of(&entry.body));
                    if known.len() > REMEMBERED {
                        known.pop_front();
                    }
                }
            }
            self.known = Some(known);
        }
        Ok(self.known.get_or_insert_default())
    }

    /// A segment with room for so many bytes, and its length; taken out until the write succeeds.
    fn segment(&mut self, room: u64) -> Result<(File, u64), SentError> {
        let fits = |length: u64| length + room <= SEGMENT_BYTES_MAX;
        if let Some((file, length)) = self.open.take().filter(|(_, length)| fits(*length)) {
            return Ok((file, length));
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SentError::Write { path, source }
        };
        fs::create_dir_all(&self.dir).map_err(failed(&self.dir))?;
        let numbers = segments(&self.dir)?;
        let newest = numbers.last().copied().unwrap_or(0);
        let path = segment_path(&self.dir, newest);
        if newest > 0 && self.is_whole(newest)? {
            let file = OpenOptions::new().append(true).open(&path).map_err(failed(&path))?;
            let length = file.metadata().map_err(failed(&path))?.len();
            if fits(length) {
                return Ok((file, length));
            }
        }
        let excess = (numbers.len() + 1).saturating_sub(SEGMENTS_MAX);
        for number in numbers.iter().take(excess) {
            let path = segment_path(&self.dir, *number);
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        let path = segment_path(&self.dir, newest + 1);
        let file = private().create_new(true).open(&path).map_err(failed(&path))?;
        sync_folder(&self.dir).map_err(failed(&self.dir))?;
        Ok((file, 0))
    }

    fn is_whole(&self, number: u64) -> Result<bool, SentError> {
        let mut all = Segment::open(&self.dir, number)?;
        Ok(all.all(|found| matches!(found, Found::Entry(_))))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn frame(entry: &SentEntry) -> Result<Vec<u8>, SentError> {
    let body = serde_bytes::ByteBuf::from(entry.body.clone());
    let payload: EntryWire = (entry.at, entry.seq, entry.payload_type.clone(), body);
    let payload = codec::to_vec(&payload).map_err(SentError::Encode)?;
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    Ok([&length.to_be_bytes()[..], &crc32c::crc32c(&payload).to_be_bytes(), &payload].concat())
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:06}"))
}

/// Numbers of the segments, oldest first.
fn segments(dir: &Path) -> Result<Vec<u64>, SentError> {
    let failed = |source| SentError::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry.map_err(failed)?.file_name().to_str().and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Everything in the journal of a state folder, oldest first, a segment at a time in memory.
pub fn journal(
    state_dir: &Path,
) -> Result<impl Iterator<Item = Result<Found, SentError>> + use<>, SentError> {
    read(&state_dir.join(FOLDER))
}

fn read(dir: &Path) -> Result<impl Iterator<Item = Result<Found, SentError>> + use<>, SentError> {
    let dir = dir.to_owned();
    Ok(segments(&dir)?.into_iter().flat_map(move |number| match Segment::open(&dir, number) {
        Ok(segment) => segment.map(Ok).collect(),
        // Removed since it was listed: the agent that runs beside needed its room.
        Err(SentError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => vec![Err(e)],
    }))
}

/// A segment being read.
struct Segment {
    number: u64,
    content: Vec<u8>,
    at: usize,
}

impl Segment {
    fn open(dir: &Path, number: u64) -> Result<Self, SentError> {
        let path = segment_path(dir, number);
        let mut content = Vec::new();
        let read = File::open(&path).and_then(|f| f.take(SEGMENT_BYTES_MAX).read_to_end(&mut content));
        read.map_err(|source| SentError::Read { path, source })?;
        Ok(Self { number, content, at: 0 })
    }

    /// The entry at this place and where the next begins.
    fn entry(&self) -> Option<(SentEntry, usize)> {
        let rest = self.content.get(self.at..)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let payload = rest.get(..length)?;
        if crc32c::crc32c(payload) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (at, seq, payload_type, body): EntryWire = codec::from_slice(payload, ENTRY_BYTES_MAX).ok()?;
        let entry = SentEntry { at, seq, payload_type, body: body.into_vec() };
        Some((entry, self.at + HEAD_BYTES + length))
    }
}

impl Iterator for Segment {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.at >= self.content.len() {
            return None;
        }
        if let Some((entry, next)) = self.entry() {
            self.at = next;
            return Some(Found::Entry(entry));
        }
        let bytes = (self.content.len() - self.at) as u64;
        self.at = self.content.len();
        Some(Found::Unreadable { segment: self.number, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, size: usize) -> SentEntry {
        let mut body = vec![7; size];
        body.extend(number.to_be_bytes());
        let at = Timestamp::from_secs(i64::try_from(number).unwrap());
        SentEntry { at, seq: Seq(number), payload_type: "t".into(), body }
    }

    fn found(dir: &Path) -> Vec<Found> {
        journal(dir).unwrap().map(Result::unwrap).collect()
    }

    fn seqs(dir: &Path) -> Vec<u64> {
        let seq = |f: Found| if let Found::Entry(e) = f { Some(e.seq.0) } else { None };
        found(dir).into_iter().filter_map(seq).collect()
    }

    #[test]
    fn a_body_is_written_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let mut journal = SentJournal::new(dir.path());
            for number in [1, 2, 1, 2] {
                journal.record(&entry(number, 100)).unwrap();
            }
        }
        assert_eq!(found(dir.path()), [Found::Entry(entry(1, 100)), Found::Entry(entry(2, 100))]);
    }

    #[test]
    fn the_oldest_go_first_and_the_cap_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = SentJournal::new(dir.path());
        for number in 1..=100 {
            journal.record(&entry(number, 200_000)).unwrap();
            let files = fs::read_dir(dir.path().join(FOLDER)).unwrap();
            let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
            assert!(bytes <= limit::SENT_BYTES_MAX, "{bytes}");
        }
        let kept = seqs(dir.path());
        assert!(kept.len() > 30 && kept.is_sorted() && kept.last() == Some(&100), "{kept:?}");
    }

    #[test]
    fn every_torn_tail_is_told_and_what_follows_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = SentJournal::new(dir.path());
        for number in [1, 2] {
            journal.record(&entry(number, 50)).unwrap();
        }
        let path = segment_path(&dir.path().join(FOLDER), 1);
        let whole = fs::read(&path).unwrap();
        for cut in whole.len() / 2 + 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            SentJournal::new(dir.path()).record(&entry(3, 50)).unwrap();
            let bytes = (cut - whole.len() / 2) as u64;
            let expected = [
                Found::Entry(entry(1, 50)),
                Found::Unreadable { segment: 1, bytes },
                Found::Entry(entry(3, 50)),
            ];
            assert_eq!(found(dir.path()), expected, "cut at {cut}");
            fs::remove_file(segment_path(&dir.path().join(FOLDER), 2)).unwrap();
        }
        for bit in 0..whole.len() * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &altered).unwrap();
            let read = found(dir.path());
            assert!(read.iter().any(|f| matches!(f, Found::Unreadable { .. })), "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_stops_nothing_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FOLDER), b"a file in its place").unwrap();
        let sent = Sent::new(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let note = || runtime.block_on(sent.note(Seq(1), "t", b"body", Timestamp::EPOCH));
        note();
        assert!(sent.failure().unwrap().contains("sent"));
        fs::remove_file(dir.path().join(FOLDER)).unwrap();
        note();
        assert_eq!((sent.failure(), seqs(dir.path())), (None, vec![1]));
    }
}
