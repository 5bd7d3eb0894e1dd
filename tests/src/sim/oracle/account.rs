//! The account that is made of a world at rest: where every record is; and what a collector asked
//! its devices for, which that account needs.

use super::*;

impl Oracle {
    /// The ledger was moved for this question of a device.
    pub fn answers(&mut self, device: DeviceId, question: Nonce) {
        self.unheard.insert(device, question);
    }

    /// A device took the answer to this question.
    pub fn heard(&mut self, device: DeviceId, question: Nonce) {
        if self.unheard.get(&device) == Some(&question) {
            self.unheard.remove(&device);
        }
    }

    pub fn is_unheard(&self, device: DeviceId) -> bool {
        self.unheard.contains_key(&device)
    }

    /// What a device that resumes is told is missing.
    pub fn asked_for(&mut self, device: DeviceId, epoch: Epoch, missing: &[RecRun]) {
        self.asked.entry((device, epoch)).or_default().extend(missing.iter().copied());
    }

    /// I1 over everything that the collector has, for the writers at these places.
    pub fn account(&mut self, log: &[LogEntry], honest: &[usize]) {
        let books = Books::of(log);
        for wrong in &books.wrong {
            self.fail(Invariant::I1, wrong.clone());
        }
        let mut wrong = Vec::new();
        for entry in log {
            let chain = (entry.link.device, entry.link.epoch);
            for record in &entry.records {
                let subject = &record.observation.subject;
                let same = self.observed.get(subject) == Some(&record.observation);
                let known = self.known.get(&chain).and_then(|known| known.get(&record.id));
                let own =
                    known.map_or(entry.link.epoch > Epoch(1), |known| known.contains(&record.observation));
                if !same || !own {
                    wrong.push(format!("record {} of {} was altered", record.id, chain.0));
                }
            }
        }
        for &place in honest {
            wrong.extend(self.lost_of(place, &books));
        }
        for what in wrong {
            self.fail(Invariant::I1, what);
        }
    }

    fn lost_of(&self, place: usize, books: &Books) -> Vec<String> {
        let writer = &self.writers[place];
        let chain = (writer.device, writer.epoch);
        let (stored, declared) = (books.stored.get(&chain), books.declared.get(&chain));
        let own = self.own_words(writer, books);
        let mut wrong = Vec::new();
        for id in writer.appended.keys() {
            let here = stored.is_some_and(|stored| stored.contains(id));
            let gone = declared.is_some_and(|declared| declared.contains(*id));
            match (here, gone) {
                (false, false) => wrong.push(format!("record {id} of device {place} is lost silently")),
                (true, true) if !writer.damaged && own.losses.contains(*id) => {
                    wrong.push(format!("record {id} of device {place} is stored and declared lost"));
                }
                (false, true) if !writer.damaged && own.unissued.contains(*id) => {
                    wrong.push(format!("record {id} of device {place} is declared as never issued"));
                }
                (true | false, _) => {}
            }
        }
        // What had another id in the epoch before has to be somewhere, unless the new one declares
        // losses, of which nobody can say what they were.
        let losses = declared.is_some_and(|declared| !declared.runs().is_empty());
        if self.keeps_all && !writer.damaged && !losses {
            let nowhere = writer
                .moved
                .iter()
                .filter(|subject| !books.subjects.contains(&(writer.device, (*subject).clone())));
            wrong.extend(nowhere.map(|subject| format!("{subject} of device {place} did not come along")));
        }
        wrong
    }

    /// Of two lives of one device each speaks for itself: what the other one calls never issued or
    /// lost, this one may have had all the same.
    fn own_words(&self, writer: &Writer, books: &Books) -> OwnWords {
        let chain = (writer.device, writer.epoch);
        let mut own = OwnWords::default();
        let asked_before = self.asked_before.get(&chain).cloned().unwrap_or_default();
        for (link, gap) in books.gaps.get(&chain).into_iter().flatten() {
            if writer.chain.get(&link.seq) != Some(&link.hash) {
                continue;
            }
            if gap.reason == GapReason::NeverIssued {
                own.unissued.insert(gap.run);
            }
            if gap.reason == GapReason::CollectorLost {
                // The collector may have it by now from another backup: then stored wins.
                own.losses.extend(asked_before.missing_in(gap.run));
                continue;
            }
            own.losses.insert(gap.run);
        }
        own
    }
}

/// What a writer itself declares.
#[derive(Default)]
struct OwnWords {
    /// All but what a collector asked for and truly did not have, before it was restored once more.
    losses: RunSet,
    unissued: RunSet,
}

/// What a log holds, by chain.
#[derive(Default)]
struct Books {
    stored: BTreeMap<(DeviceId, Epoch), BTreeSet<RecId>>,
    declared: BTreeMap<(DeviceId, Epoch), RunSet>,
    gaps: BTreeMap<(DeviceId, Epoch), Vec<(Link, Gap)>>,
    subjects: BTreeSet<(DeviceId, Name)>,
    wrong: Vec<String>,
}

impl Books {
    fn of(log: &[LogEntry]) -> Self {
        let mut books = Self::default();
        let mut last: BTreeMap<(DeviceId, Epoch), (Seq, Hash)> = BTreeMap::new();
        let mut subjects = BTreeSet::new();
        for entry in log {
            let chain = (entry.link.device, entry.link.epoch);
            let ids = books.stored.entry(chain).or_default();
            for record in &entry.records {
                let subject = record.observation.subject.clone();
                if !ids.insert(record.id) || !subjects.insert((chain, subject.clone())) {
                    books.wrong.push(format!("record {} of {} is stored twice", record.id, chain.0));
                }
                books.subjects.insert((chain.0, subject));
            }
            for gap in &entry.gaps {
                books.declared.entry(chain).or_default().insert(gap.run);
                books.gaps.entry(chain).or_default().push((entry.link, *gap));
            }
            let before = last.insert(chain, (entry.link.seq, entry.link.hash));
            if let Some((seq, hash)) = before
                && entry.link.seq == seq.next()
                && entry.link.prev != hash
            {
                books.wrong.push(format!("the stored chain of {} breaks after {seq}", chain.0));
            }
        }
        books
    }
}
