//! What a disk may hold after a power cut, by five models.
//!
//! | model | content | names |
//! |---|---|---|
//! | `lost` | only what was synced | only what a sync of their folder covered |
//! | `pieces` | of the rest, each page of 4 KiB in any of its versions | as they were at some moment since |
//! | `ranges` | as `lost`, and what `sync_file_range` covered | as `lost` |
//! | `metadata` | what was not synced is zeros of the right length | all |
//! | `torn` | all, the write under way broken off at any byte | all |
//!
//! Holds: what was synced is there under every model, and nothing from after the cut is. A sync
//! covers what had ended when it began.

use super::{
    dice::Dice,
    recording::{Change, Node, Place, ROOT, Recording},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

const PAGE: u64 = 4096;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Lost,
    Pieces,
    Ranges,
    Metadata,
    Torn,
}

impl Model {
    pub const ALL: [Self; 5] = [Self::Lost, Self::Pieces, Self::Ranges, Self::Metadata, Self::Torn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Pieces => "pieces",
            Self::Ranges => "ranges",
            Self::Metadata => "metadata",
            Self::Torn => "torn",
        }
    }
}

/// A recording with what its syncs covered.
pub struct Film {
    pub recording: Recording,
    /// For each change, the sync that made it durable.
    synced: Vec<Option<usize>>,
    /// The same, with `sync_file_range` taken for a sync.
    ranged: Vec<Option<usize>>,
}

/// Files and folders that a cut left.
pub struct Image {
    nodes: Vec<Content>,
}

#[derive(Debug, Clone)]
enum Content {
    Missing,
    File(Vec<u8>),
    Folder(BTreeMap<String, Node>),
}

impl Film {
    pub fn new(recording: Recording) -> Self {
        let mut synced = vec![None; recording.changes.len()];
        let mut ranged = synced.clone();
        let mut open: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
        for (at, change) in recording.changes.iter().enumerate() {
            match change {
                Change::Sync { node, began } => {
                    let waiting = open.entry(*node).or_default();
                    let (covered, left) = waiting.iter().partition::<Vec<_>, _>(|c| **c < *began);
                    *waiting = left;
                    for change in covered {
                        note(&mut synced, change, at);
                        note(&mut ranged, change, at);
                    }
                }
                Change::SyncRange { node, from, to, began } => {
                    for change in open.entry(*node).or_default().iter().filter(|c| **c < *began) {
                        if let Some(Change::Write { at: start, bytes, .. }) = recording.changes.get(*change)
                            && *start >= *from
                            && start + bytes.len() as u64 <= *to
                        {
                            note(&mut ranged, *change, at);
                        }
                    }
                }
                Change::Make { place, .. } | Change::Remove { place } | Change::Move { to: place, .. } => {
                    open.entry(place.folder).or_default().push(at);
                }
                Change::Write { node, .. } | Change::Resize { node, .. } => {
                    open.entry(*node).or_default().push(at);
                }
                Change::Said(_) => {}
            }
        }
        Self { recording, synced, ranged }
    }

    /// What the program had said before the cut.
    pub fn said_before(&self, cut: usize) -> impl Iterator<Item = &[u8]> {
        self.recording.changes.iter().take(cut).filter_map(|change| match change {
            Change::Said(bytes) => Some(bytes.as_slice()),
            Change::Make { .. }
            | Change::Move { .. }
            | Change::Remove { .. }
            | Change::Write { .. }
            | Change::Resize { .. }
            | Change::Sync { .. }
            | Change::SyncRange { .. } => None,
        })
    }

    /// The disk as it was, with nothing lost.
    pub fn whole(&self, cut: usize) -> Image {
        let mut image = Image::empty(self.recording.nodes);
        self.recording.changes.iter().take(cut).for_each(|change| image.apply(change));
        image
    }

    /// The disk after a power cut, just before change `cut`.
    pub fn after(&self, cut: usize, model: Model, dice: &mut Dice) -> Image {
        let mut image = Image::empty(self.recording.nodes);
        // Names are kept in order: what comes later does not survive without what came before.
        let names_until = match model {
            Model::Lost | Model::Ranges => 0,
            Model::Pieces => dice.between(0, cut),
            Model::Metadata | Model::Torn => cut,
        };
        let by = if model == Model::Ranges { &self.ranged } else { &self.synced };
        let mut versions = Versions { of: BTreeMap::new(), cut };
        for (at, change) in self.recording.changes.iter().enumerate().take(cut) {
            let durable = by.get(at).copied().flatten().is_some_and(|sync| sync < cut);
            if durable || model == Model::Torn {
                image.apply(change);
                continue;
            }
            match change {
                Change::Make { .. } | Change::Move { .. } | Change::Remove { .. } | Change::Resize { .. } => {
                    if at < names_until {
                        image.apply(change);
                    }
                }
                Change::Write { node, at: start, bytes } if model == Model::Pieces => {
                    for (from, piece) in pages(*start, bytes) {
                        if at < versions.until(*node, from / PAGE, dice) {
                            image.write(*node, from, piece);
                        }
                    }
                }
                Change::Write { node, at: start, bytes } if model == Model::Metadata => {
                    image.grow(*node, start + bytes.len() as u64);
                }
                Change::Write { .. } | Change::Sync { .. } | Change::SyncRange { .. } | Change::Said(_) => {}
            }
        }
        if model == Model::Torn
            && let Some(Change::Write { node, at, bytes }) = self.recording.changes.get(cut)
        {
            image.write(*node, *at, bytes.get(..dice.below(bytes.len())).unwrap_or_default());
        }
        for node in &self.recording.noise {
            if let Some(Content::File(bytes)) = image.nodes.get_mut(*node) {
                dice.fill(bytes);
            }
        }
        image
    }

    /// A moment for a cut under a model, from `first` on; for [`Model::Torn`] while something is
    /// written.
    pub fn cut(&self, first: usize, model: Model, dice: &mut Dice) -> usize {
        let drawn = dice.between(first, self.recording.changes.len());
        let is_write = |at: &usize| matches!(self.recording.changes.get(*at), Some(Change::Write { .. }));
        match model {
            Model::Torn => (drawn..self.recording.changes.len()).find(is_write).unwrap_or(drawn),
            Model::Lost | Model::Pieces | Model::Ranges | Model::Metadata => drawn,
        }
    }
}

fn note(covered: &mut [Option<usize>], change: usize, sync: usize) {
    if let Some(place) = covered.get_mut(change)
        && place.is_none()
    {
        *place = Some(sync);
    }
}

/// How far each page got, drawn when it is first asked for.
struct Versions {
    of: BTreeMap<(Node, u64), usize>,
    cut: usize,
}

impl Versions {
    /// Changes below this one are in the page.
    fn until(&mut self, node: Node, page: u64, dice: &mut Dice) -> usize {
        let cut = self.cut;
        *self.of.entry((node, page)).or_insert_with(|| match dice.below(5) {
            0 | 1 => 0,
            2 | 3 => cut,
            _ => dice.between(0, cut),
        })
    }
}

/// A write in pieces that end where pages end.
fn pages(start: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut pieces, mut at, mut rest) = (Vec::new(), start, bytes);
    while !rest.is_empty() {
        let room = usize::try_from(PAGE - at % PAGE).expect("a page is small");
        let (piece, after) = rest.split_at(room.min(rest.len()));
        pieces.push((at, piece));
        at += piece.len() as u64;
        rest = after;
    }
    pieces
}

impl Image {
    fn empty(nodes: usize) -> Self {
        let mut nodes = vec![Content::Missing; nodes.max(1)];
        if let Some(root) = nodes.get_mut(ROOT) {
            *root = Content::Folder(BTreeMap::new());
        }
        Self { nodes }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Make { place, node, folder } => {
                let content =
                    if *folder { Content::Folder(BTreeMap::new()) } else { Content::File(Vec::new()) };
                // Its content may have become durable before its name did.
                if let Some(there @ Content::Missing) = self.nodes.get_mut(*node) {
                    *there = content;
                }
                self.put(place, *node);
            }
            Change::Move { from, to } => {
                if let Some(node) = self.take(from) {
                    self.put(to, node);
                }
            }
            Change::Remove { place } => drop(self.take(place)),
            Change::Write { node, at, bytes } => self.write(*node, *at, bytes),
            Change::Resize { node, len } => {
                let len = usize::try_from(*len).expect("a file in memory");
                self.file(*node).resize(len, 0);
            }
            Change::Sync { .. } | Change::SyncRange { .. } | Change::Said(_) => {}
        }
    }

    fn names(&mut self, folder: Node) -> &mut BTreeMap<String, Node> {
        let node = self.nodes.get_mut(folder).expect("every node of a recording has its place");
        if !matches!(node, Content::Folder(_)) {
            *node = Content::Folder(BTreeMap::new());
        }
        let Content::Folder(names) = node else { unreachable!("it was made a folder") };
        names
    }

    fn file(&mut self, node: Node) -> &mut Vec<u8> {
        let node = self.nodes.get_mut(node).expect("every node of a recording has its place");
        if !matches!(node, Content::File(_)) {
            *node = Content::File(Vec::new());
        }
        let Content::File(bytes) = node else { unreachable!("it was made a file") };
        bytes
    }

    fn put(&mut self, place: &Place, node: Node) {
        self.names(place.folder).insert(place.name.clone(), node);
    }

    fn take(&mut self, place: &Place) -> Option<Node> {
        self.names(place.folder).remove(&place.name)
    }

    fn grow(&mut self, node: Node, len: u64) {
        let len = usize::try_from(len).expect("a file in memory");
        let file = self.file(node);
        if file.len() < len {
            file.resize(len, 0);
        }
    }

    fn write(&mut self, node: Node, at: u64, bytes: &[u8]) {
        self.grow(node, at + bytes.len() as u64);
        let at = usize::try_from(at).expect("a file in memory");
        let file = self.file(node);
        file.get_mut(at..at + bytes.len()).expect("it has just grown").copy_from_slice(bytes);
    }

    /// Every file by its path, in order; folders are there with a path and no content.
    pub fn paths(&self) -> Vec<(PathBuf, Option<&[u8]>)> {
        let mut found = Vec::new();
        self.walk(ROOT, Path::new(""), &mut found);
        found
    }

    fn walk<'a>(&'a self, folder: Node, at: &Path, found: &mut Vec<(PathBuf, Option<&'a [u8]>)>) {
        let Some(Content::Folder(names)) = self.nodes.get(folder) else { return };
        for (name, node) in names {
            let path = at.join(name);
            match self.nodes.get(*node) {
                Some(Content::File(bytes)) => found.push((path, Some(bytes))),
                Some(Content::Folder(_)) => {
                    found.push((path.clone(), None));
                    self.walk(*node, &path, found);
                }
                Some(Content::Missing) | None => {}
            }
        }
    }

    /// Makes it in a folder.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for (path, content) in self.paths() {
            match content {
                Some(bytes) => fs::write(folder.join(path), bytes)?,
                None => fs::create_dir(folder.join(path))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Node = 1;

    /// `new` is written, synced, renamed to `f`, and the folder synced; then it grows by a page.
    fn film() -> Film {
        let place = |name: &str| Place { folder: ROOT, name: name.to_owned() };
        let write = |at, byte| Change::Write { node: FILE, at, bytes: vec![byte; 4096] };
        let changes = vec![
            Change::Make { place: place("new"), node: FILE, folder: false },
            write(0, 1),
            Change::Sync { node: FILE, began: 2 },
            Change::Move { from: place("new"), to: place("f") },
            Change::Sync { node: ROOT, began: 4 },
            Change::Said(b"safe".to_vec()),
            write(4096, 2),
            Change::SyncRange { node: FILE, from: 0, to: u64::MAX, began: 7 },
            write(0, 3),
        ];
        Film::new(Recording { changes, nodes: 2, noise: Vec::new() })
    }

    /// Names, and the first byte of each page.
    fn left(cut: usize, model: Model, seed: u64) -> Vec<(String, Vec<u8>)> {
        let image = film().after(cut, model, &mut Dice::new([seed, 0, 0, 0]));
        let firsts = |bytes: &[u8]| bytes.chunks(4096).map(|page| page[0]).collect();
        let named =
            |(path, bytes): (PathBuf, Option<&[u8]>)| (path.display().to_string(), firsts(bytes.unwrap()));
        image.paths().into_iter().map(named).collect()
    }

    #[test]
    fn only_what_was_synced_is_there_for_certain() {
        let f = |pages: &[u8]| vec![("f".to_owned(), pages.to_vec())];
        assert_eq!(left(4, Model::Lost, 0), []);
        assert_eq!(left(5, Model::Lost, 0), f(&[1]));
        assert_eq!(left(9, Model::Lost, 0), f(&[1]));
        assert_eq!(left(9, Model::Ranges, 0), f(&[1, 2]));
        assert_eq!(left(9, Model::Metadata, 0), f(&[1, 0]));
        assert_eq!(left(2, Model::Metadata, 0), [("new".to_owned(), vec![0])]);
        assert_eq!(film().said_before(5).count() + film().said_before(6).count(), 1);
    }

    #[test]
    fn pieces_survive_each_by_itself_and_a_torn_write_in_part() {
        let mut seen: Vec<_> = (0..200).map(|seed| left(9, Model::Pieces, seed).remove(0).1).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, [vec![1], vec![1, 2], vec![3], vec![3, 2]]);
        let torn: Vec<_> = (0..20).map(|seed| left(8, Model::Torn, seed).remove(0).1).collect();
        assert!(torn.iter().any(|pages| pages == &[3, 2]) && torn.iter().all(|pages| pages.len() == 2));
    }

    #[test]
    fn a_sync_does_not_cover_what_came_while_it_ran() {
        let changes = vec![
            Change::Make { place: Place { folder: ROOT, name: "f".into() }, node: FILE, folder: false },
            Change::Sync { node: ROOT, began: 1 },
            Change::Write { node: FILE, at: 0, bytes: vec![1] },
            Change::Sync { node: FILE, began: 2 },
        ];
        let film = Film::new(Recording { changes, nodes: 2, noise: Vec::new() });
        let image = film.after(4, Model::Lost, &mut Dice::new([0; 4]));
        assert_eq!(image.paths(), [(PathBuf::from("f"), Some(&b""[..]))]);
    }
}
