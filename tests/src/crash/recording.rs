//! A run of a program as what it did to its disk: every write, rename, removal and sync, and what
//! it said in between.
//!
//! Holds: only calls below one folder count, and every call that changes something there is
//! understood, or the recording fails: a write that nobody noticed would make every cut look
//! better than it is. What the program says (to the file beside the disk) stands at its place
//! among the changes, so it is known what a power cut came after.
//!
//! Does not: see writes through shared memory. SQLite maps its index of the write-ahead log that
//! way, which is not needed after a crash and is filled with noise; any other file is an error.

use super::trace::{Call, calls};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file or folder, whatever it is called.
pub type Node = usize;
pub const ROOT: Node = 0;

/// Where a name stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub folder: Node,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Make {
        place: Place,
        node: Node,
        folder: bool,
    },
    Move {
        from: Place,
        to: Place,
    },
    Remove {
        place: Place,
    },
    Write {
        node: Node,
        at: u64,
        bytes: Vec<u8>,
    },
    Resize {
        node: Node,
        len: u64,
    },
    /// Of a file its content, of a folder its names: all that ended before change `began`.
    Sync {
        node: Node,
        began: usize,
    },
    /// `sync_file_range`, which promises nothing; see [`super::model::Model::Ranges`].
    SyncRange {
        node: Node,
        from: u64,
        to: u64,
        began: usize,
    },
    Said(Vec<u8>),
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Recording {
    pub changes: Vec<Change>,
    /// How many nodes there are; their numbers are below.
    pub nodes: usize,
    /// Files that are written through shared memory and are not needed after a crash.
    pub noise: Vec<Node>,
}

/// Everything that can change a file, a folder, or what a descriptor means. What is understood is
/// in [`Reader::take`].
const TRACED: &str = "trace=open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,write,writev,\
    pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,\
    symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,sync_file_range,sync,syncfs,msync,mmap,\
    copy_file_range,sendfile,splice,io_uring_setup,chdir,fchdir";
/// The only file that may be written through memory.
const SHARED_MEMORY: &str = "-shm";

/// Runs a program under strace: `disk` is its disk, `said` the file that it says things to.
pub fn record(program: &mut Command, disk: &Path, said: &Path) -> Result<Recording, String> {
    let trace = disk.with_extension("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-xx", "-s", "8388608", "-e", "signal=none", "-e", TRACED]);
    strace.arg("-o").arg(&trace).arg(program.get_program()).args(program.get_args());
    let output = strace.output().map_err(|e| format!("strace does not start: {e}"))?;
    if !output.status.success() {
        let (error, kept) = (String::from_utf8_lossy(&output.stderr), disk.display());
        return Err(format!("the recorded program failed ({}), disk {kept}: {error}", output.status));
    }
    let text = fs::read_to_string(&trace).map_err(|e| format!("no trace: {e}"))?;
    fs::remove_file(&trace).map_err(|e| format!("trace: {e}"))?;
    Recording::read(&text, disk, said)
}

impl Recording {
    /// Of the text of a trace. `disk` was empty at its start.
    pub fn read(text: &str, disk: &Path, said: &Path) -> Result<Self, String> {
        let mut reader = Reader::new(disk, said);
        // How many changes there were when so many calls had ended.
        let mut changes_at = vec![0];
        for call in calls(text)? {
            let began = changes_at.get(call.began).copied().unwrap_or_default();
            reader.take(&call, began)?;
            changes_at.push(reader.recording.changes.len());
        }
        Ok(reader.recording)
    }
}

/// An open descriptor below the disk, or the one that is spoken to.
#[derive(Debug, Clone)]
struct Opened {
    node: Node,
    /// Where the next plain write goes; `None` where a read may have moved it.
    at: Option<u64>,
    append: bool,
    said: bool,
}

struct Reader {
    disk: PathBuf,
    said: PathBuf,
    recording: Recording,
    names: BTreeMap<Place, Node>,
    lens: BTreeMap<Node, u64>,
    open: BTreeMap<i64, Opened>,
}

impl Reader {
    fn new(disk: &Path, said: &Path) -> Self {
        Self {
            disk: disk.to_owned(),
            said: said.to_owned(),
            recording: Recording { nodes: 1, ..Recording::default() },
            names: BTreeMap::new(),
            lens: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    fn take(&mut self, call: &Call, began: usize) -> Result<(), String> {
        let Some(result) = call.result else { return self.lost(call) };
        match call.name.as_str() {
            "open" => self.opened(call, Some(result), (None, 0)),
            "openat" => self.opened(call, Some(result), (call.folder(0)?, 1)),
            "close" => {
                self.open.remove(&call.number(0)?);
                Ok(())
            }
            "dup" | "dup2" | "dup3" => self.doubled(call, result),
            "fcntl" if call.args.get(1).is_some_and(|c| c.starts_with("F_DUPFD")) => {
                self.doubled(call, result)
            }
            "fcntl" | "sync" | "chdir" | "fchdir" => Ok(()),
            "lseek" => {
                if let Some(opened) = self.open.get_mut(&call.number(0)?) {
                    opened.at = u64::try_from(result).ok();
                }
                Ok(())
            }
            "fsync" | "fdatasync" => {
                let Some(opened) = self.opened_as(call)? else { return Ok(()) };
                self.push(Change::Sync { node: opened.node, began });
                Ok(())
            }
            "sync_file_range" => {
                let Some(opened) = self.opened_as(call)? else { return Ok(()) };
                let (from, len) = (call.offset(1)?, call.offset(2)?);
                let to = if len == 0 { u64::MAX } else { from + len };
                self.push(Change::SyncRange { node: opened.node, from, to, began });
                Ok(())
            }
            "mmap" => self.mapped(call),
            _ => self.changed(call),
        }
    }

    /// A call whose process ended in its middle: its change stands after all others, where no sync
    /// covers it, so that a cut comes before it or after it. What it would have promised, it did not.
    fn lost(&mut self, call: &Call) -> Result<(), String> {
        match call.name.as_str() {
            "open" => self.opened(call, None, (None, 0)),
            "openat" => self.opened(call, None, (call.folder(0)?, 1)),
            "close" | "dup" | "dup2" | "dup3" | "fcntl" | "sync" | "chdir" | "fchdir" | "lseek" | "fsync"
            | "fdatasync" | "sync_file_range" | "mmap" => Ok(()),
            _ => self.changed(call),
        }
    }

    /// What changes a file or a folder.
    fn changed(&mut self, call: &Call) -> Result<(), String> {
        match call.name.as_str() {
            "write" => self.written(call),
            "pwrite64" => {
                let Some(opened) = self.opened_as(call)? else { return Ok(()) };
                let (at, bytes) = (call.offset(3)?, taken(call)?);
                self.write(opened.node, at, bytes);
                Ok(())
            }
            "ftruncate" => {
                let Some(opened) = self.opened_as(call)? else { return Ok(()) };
                self.resize(opened.node, call.offset(1)?);
                Ok(())
            }
            "fallocate" => {
                let Some(opened) = self.opened_as(call)? else { return Ok(()) };
                if call.args.get(1).is_none_or(|mode| mode != "0") {
                    return Err(format!("this kind of fallocate is not understood: {:?}", call.args));
                }
                let len = call.offset(2)? + call.offset(3)?;
                if len > self.lens.get(&opened.node).copied().unwrap_or_default() {
                    self.resize(opened.node, len);
                }
                Ok(())
            }
            "mkdir" => self.made(&call.path(0)?, None, true).map(drop),
            "mkdirat" => self.made(&call.path(1)?, call.folder(0)?, true).map(drop),
            "rename" => self.renamed((&call.path(0)?, None), (&call.path(1)?, None)),
            "renameat" | "renameat2" => {
                self.renamed((&call.path(1)?, call.folder(0)?), (&call.path(3)?, call.folder(2)?))
            }
            "unlink" | "rmdir" => self.removed(&call.path(0)?, None),
            "unlinkat" => self.removed(&call.path(1)?, call.folder(0)?),
            _ => self.must_be_elsewhere(call),
        }
    }

    fn push(&mut self, change: Change) {
        self.recording.changes.push(change);
    }

    /// Calls that are not understood may only happen outside of the disk.
    fn must_be_elsewhere(&self, call: &Call) -> Result<(), String> {
        let on_disk = call.args.iter().enumerate().any(|(at, arg)| {
            let descriptor = arg.parse().is_ok_and(|fd: i64| self.open.contains_key(&fd));
            let path = call.path(at).is_ok_and(|path| Path::new(&path).starts_with(&self.disk));
            descriptor || path
        });
        if on_disk {
            Err(format!("{} on the disk is not understood: {:?}", call.name, call.args))
        } else {
            Ok(())
        }
    }

    fn opened_as(&self, call: &Call) -> Result<Option<Opened>, String> {
        Ok(self.open.get(&call.number(0)?).filter(|opened| !opened.said).cloned())
    }

    fn doubled(&mut self, call: &Call, result: i64) -> Result<(), String> {
        match self.open.get(&call.number(0)?).cloned() {
            Some(opened) => drop(self.open.insert(result, opened)),
            None => drop(self.open.remove(&result)),
        }
        Ok(())
    }

    /// The place of a path below the disk.
    fn place(&self, path: &str, at: Option<i64>) -> Result<Option<Place>, String> {
        let (mut folder, inside) = match (at, Path::new(path).is_absolute()) {
            (_, true) => match Path::new(path).strip_prefix(&self.disk) {
                Ok(inside) => (ROOT, inside.to_owned()),
                Err(_) => return Ok(None),
            },
            (Some(at), false) => match self.open.get(&at) {
                Some(opened) => (opened.node, PathBuf::from(path)),
                None => return Ok(None),
            },
            // The working folder is not on the disk.
            (None, false) => return Ok(None),
        };
        let mut names = inside.components().map(|c| c.as_os_str().to_string_lossy().into_owned());
        let Some(mut name) = names.next() else {
            return Ok(Some(Place { folder: ROOT, name: String::new() }));
        };
        for next in names {
            let place = Place { folder, name };
            folder =
                *self.names.get(&place).ok_or_else(|| format!("{path} was opened before it was made"))?;
            name = next;
        }
        Ok(Some(Place { folder, name }))
    }

    fn made(&mut self, path: &str, at: Option<i64>, folder: bool) -> Result<Option<Node>, String> {
        let Some(place) = self.place(path, at)? else { return Ok(None) };
        let node = self.recording.nodes;
        self.recording.nodes += 1;
        self.names.insert(place.clone(), node);
        self.push(Change::Make { place, node, folder });
        Ok(Some(node))
    }

    /// `result` is the descriptor, `None` where nobody has ever had it.
    fn opened(
        &mut self,
        call: &Call,
        result: Option<i64>,
        (at, path_at): (Option<i64>, usize),
    ) -> Result<(), String> {
        let path = call.path(path_at)?;
        let flag = |flag| call.has_flag(path_at + 1, flag);
        result.map(|result| self.open.remove(&result));
        if Path::new(&path) == self.said {
            let said = Opened { node: ROOT, at: None, append: true, said: true };
            result.map(|result| self.open.insert(result, said));
            return Ok(());
        }
        let Some(place) = self.place(&path, at)? else { return Ok(()) };
        let known = if place.name.is_empty() { Some(ROOT) } else { self.names.get(&place).copied() };
        let node = match known {
            Some(node) => node,
            None if flag("O_CREAT")? => self.made(&path, at, false)?.unwrap_or(ROOT),
            // Asked for, and not told whether it is there.
            None if result.is_none() => return Ok(()),
            None => return Err(format!("{path} was opened before it was made")),
        };
        if flag("O_TRUNC")? && self.lens.get(&node).is_some_and(|len| *len > 0) {
            self.resize(node, 0);
        }
        let (start, append) = (flag("O_WRONLY")?.then_some(0), flag("O_APPEND")?);
        let opened = Opened { node, at: start, append, said: false };
        result.map(|result| self.open.insert(result, opened));
        Ok(())
    }

    fn written(&mut self, call: &Call) -> Result<(), String> {
        let fd = call.number(0)?;
        let Some(opened) = self.open.get(&fd).cloned() else { return Ok(()) };
        let bytes = taken(call)?;
        if opened.said {
            self.push(Change::Said(bytes));
            return Ok(());
        }
        let end = self.lens.get(&opened.node).copied().unwrap_or_default();
        let at = if opened.append { Some(end) } else { opened.at };
        let at = at.ok_or("a plain write to a file that is also read: its place is not known")?;
        if let Some(opened) = self.open.get_mut(&fd) {
            opened.at = Some(at + bytes.len() as u64);
        }
        self.write(opened.node, at, bytes);
        Ok(())
    }

    fn write(&mut self, node: Node, at: u64, bytes: Vec<u8>) {
        let len = self.lens.entry(node).or_default();
        *len = (*len).max(at + bytes.len() as u64);
        self.push(Change::Write { node, at, bytes });
    }

    fn resize(&mut self, node: Node, len: u64) {
        self.lens.insert(node, len);
        self.push(Change::Resize { node, len });
    }

    fn renamed(&mut self, from: (&str, Option<i64>), to: (&str, Option<i64>)) -> Result<(), String> {
        match (self.place(from.0, from.1)?, self.place(to.0, to.1)?) {
            (Some(from), Some(to)) => {
                let node = self.names.remove(&from).ok_or("a name moved that was not there")?;
                self.names.insert(to.clone(), node);
                self.push(Change::Move { from, to });
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), None) | (None, Some(_)) => Err("a file moved onto the disk or off it".to_owned()),
        }
    }

    fn removed(&mut self, path: &str, at: Option<i64>) -> Result<(), String> {
        if let Some(place) = self.place(path, at)? {
            self.names.remove(&place);
            self.push(Change::Remove { place });
        }
        Ok(())
    }

    fn mapped(&mut self, call: &Call) -> Result<(), String> {
        if !call.has_flag(3, "MAP_SHARED")? || !call.has_flag(2, "PROT_WRITE")? {
            return Ok(());
        }
        let Some(opened) = call.number(4).ok().and_then(|fd| self.open.get(&fd)) else { return Ok(()) };
        let name = self.names.iter().find(|(_, node)| **node == opened.node).map(|(place, _)| &place.name);
        match name {
            Some(name) if name.ends_with(SHARED_MEMORY) => {
                self.recording.noise.push(opened.node);
                Ok(())
            }
            name => Err(format!("{name:?} is written through memory, which is not recorded")),
        }
    }
}

/// As much as the system took of what a write was given; all of it where it never said.
fn taken(call: &Call) -> Result<Vec<u8>, String> {
    let mut bytes = call.bytes(1)?;
    if let Some(result) = call.result {
        bytes.truncate(usize::try_from(result).map_err(|_| "a write with a negative result")?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x(text: &str) -> String {
        text.bytes().map(|b| format!("\\x{b:02x}")).collect()
    }

    fn read(lines: &[String]) -> Result<Recording, String> {
        Recording::read(&lines.join("\n"), Path::new("/disk"), Path::new("/said"))
    }

    #[test]
    fn what_happens_on_the_disk_is_kept_and_nothing_else() {
        let recording = read(&[
            format!("1 mkdir(\"{}\", 0777) = 0", x("/disk/a")),
            format!("1 openat(AT_FDCWD, \"{}\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4", x("/disk/a/f")),
            format!("1 openat(AT_FDCWD, \"{}\", O_WRONLY|O_CREAT|O_APPEND, 0666) = 5", x("/said")),
            format!("1 write(4, \"{}\", 2) = 2", x("ab")),
            format!("1 write(4, \"{}\", 2) = 1", x("cd")),
            format!("1 write(1, \"{}\", 2) = 2", x("no")),
            "1 fsync(4 <unfinished ...>".to_owned(),
            format!("2 pwrite64(4, \"{}\", 1, 9) = 1", x("e")),
            "1 <... fsync resumed>) = 0".to_owned(),
            format!("1 write(5, \"{}\", 3) = 3", x("yes")),
            format!("1 openat(AT_FDCWD, \"{}\", O_RDONLY|O_DIRECTORY) = 6", x("/disk/a")),
            format!("1 unlinkat(6, \"{}\", 0) = 0", x("f")),
            format!("1 rename(\"{}\", \"{}\") = 0", x("/disk/a"), x("/disk/b")),
        ])
        .unwrap();
        let place = |folder, name: &str| Place { folder, name: name.to_owned() };
        let expected = [
            Change::Make { place: place(ROOT, "a"), node: 1, folder: true },
            Change::Make { place: place(1, "f"), node: 2, folder: false },
            Change::Write { node: 2, at: 0, bytes: b"ab".to_vec() },
            Change::Write { node: 2, at: 2, bytes: b"c".to_vec() },
            Change::Write { node: 2, at: 9, bytes: b"e".to_vec() },
            Change::Sync { node: 2, began: 4 },
            Change::Said(b"yes".to_vec()),
            Change::Remove { place: place(1, "f") },
            Change::Move { from: place(ROOT, "a"), to: place(ROOT, "b") },
        ];
        assert_eq!(recording.changes, expected);
    }

    #[test]
    fn a_call_that_never_came_back_stands_at_the_end_and_promises_nothing() {
        let recording = read(&[
            format!("1 openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT, 0666) = 4", x("/disk/f")),
            "2 fsync(4 <unfinished ...>".to_owned(),
            format!("3 pwrite64(4, \"{}\", 2, 8 <unfinished ...>", x("ab")),
            format!("1 pwrite64(4, \"{}\", 1, 0) = 1", x("c")),
            "1 exit_group(0) = ?".to_owned(),
            "2 <... fsync resumed>) = ?".to_owned(),
        ])
        .unwrap();
        let expected = [
            Change::Write { node: 1, at: 0, bytes: b"c".to_vec() },
            Change::Write { node: 1, at: 8, bytes: b"ab".to_vec() },
        ];
        assert_eq!(recording.changes[1..], expected);
    }

    #[test]
    fn what_is_not_understood_is_no_recording() {
        let open = format!("1 openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT, 0666) = 4", x("/disk/f"));
        let with = |line: &str| read(&[open.clone(), line.to_owned()]);
        for line in [
            "1 pwritev(4, [{iov_base=\"\\x61\", iov_len=1}], 1, 0) = 1",
            "1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 4, 0) = 0x7f00",
            "1 fallocate(4, FALLOC_FL_PUNCH_HOLE, 0, 5) = 0",
            "1 write(4, \"\\x61\", 1) = 1",
        ] {
            assert!(with(line).is_err(), "{line}");
        }
        assert!(with("1 pwritev(9, [{iov_base=\"\\x61\", iov_len=1}], 1, 0) = 1").is_ok());
        assert!(with("1 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4, 0) = 0x7f00").is_ok());
    }
}
