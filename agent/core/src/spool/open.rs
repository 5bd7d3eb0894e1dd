//! Opening: everything is read through its CRC, compared with the state, and made whole.
//!
//! Holds: after it, every id up to the highest reserved one is waiting, cut, declared or settled,
//! in exactly one place; which copy wins where there are two is in the head of [`super`]. What is
//! missing without a trace is declared [`GapReason::SpoolLost`]; ids that were reserved and, as
//! far as store, state and the last id noted show, never used are [`GapReason::NeverIssued`]. A store of an earlier epoch
//! of the same device is migrated, one of another chain is not touched.
//!
//! Does not: decide what to do with a store that cannot be read at all; the shell's ladder does.

use super::{
    Room, Spool, SpoolError,
    cut::Stored,
    durable::{DurableSpool, Unsaved},
    engine::{Engine, Op, Pair, StateStore},
    frame::{self, Place, Space},
    gaps::{self, Gaps},
    migrate::{self, Kinship},
    pack::{Pack, Packs},
    runs::RunSet,
    state::{ChainStart, SpoolLink, SpoolState},
};
use crate::{
    invariant::{self, Census},
    planted::Soil,
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};
use tenken_common::{
    batch::{Gap, GapReason, RecRun, runs_of},
    codec,
    envelope::Payload,
    id::{Hash, RecId, Seq},
    limit,
    observation::Class,
    wire::v1::{ReceivedBatch, RecordV1},
};

const PAGE: usize = 256;

/// What a whole read of the engine found.
#[derive(Default)]
pub(super) struct Survey {
    anything: bool,
    pub(super) state: Option<SpoolState>,
    state_chunks: u32,
    pub(super) links: BTreeMap<Seq, SpoolLink>,
    /// Keys of all chunks of links and bodies, by number.
    chunk_keys: BTreeMap<u64, Vec<(Space, Vec<u8>)>>,
    pub(super) gaps: Vec<Gap>,
    /// Of the waiting records, packed ones included.
    pub(super) records: RunSet,
    pub(super) packs: Packs,
    /// How often the records wait that wait more than once.
    copies: BTreeMap<RecId, u32>,
    /// Damaged records.
    pub(super) corrupt: BTreeSet<RecId>,
    /// From the first to the last id of each damaged pack.
    corrupt_packs: Vec<RecRun>,
    /// Keys of what is damaged or was never ours.
    pub(super) garbage: Vec<Vec<u8>>,
    waiting: u64,
    urgent_count: u64,
    record_bytes: u64,
    loose_bytes: u64,
}

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// Opens the chain's spool, or makes it; takes a store that lost something as it is and
    /// declares what is missing.
    pub fn open(engine: E, states: S, start: ChainStart, room: impl Into<Room>) -> Result<Self, SpoolError> {
        let survey = Survey::of(&engine)?;
        Self::open_surveyed(engine, states, start, room.into(), survey)
    }

    /// The same, but refuses a store that is behind the state, before anything is written to it.
    pub fn open_whole(
        engine: E,
        mut states: S,
        start: ChainStart,
        room: impl Into<Room>,
    ) -> Result<Self, SpoolError> {
        let survey = Survey::of(&engine)?;
        if survey.is_behind(states.load()?.as_ref()) {
            return Err(SpoolError::Behind);
        }
        Self::open_surveyed(engine, states, start, room.into(), survey)
    }

    fn open_surveyed(
        mut engine: E,
        mut states: S,
        start: ChainStart,
        room: Room,
        mut survey: Survey,
    ) -> Result<Self, SpoolError> {
        let mut file = states.load()?;
        let kinship = |state: Option<&SpoolState>| state.map(|s| Kinship::of(&s.start, &start));
        let mut migrated = false;
        match (kinship(file.as_ref()), kinship(survey.state.as_ref())) {
            (Some(Kinship::Other), _) | (_, Some(Kinship::Other)) => return Err(SpoolError::OtherChain),
            (None | Some(Kinship::Same), None | Some(Kinship::Same)) => {}
            // The store fell back behind a migration: whatever it holds has other ids by now.
            (Some(Kinship::Same), Some(Kinship::Earlier)) => {
                engine.renew(&[])?;
                survey = Survey::of(&engine)?;
            }
            (Some(Kinship::Earlier), Some(Kinship::Same)) => (file, migrated) = (None, true),
            (Some(Kinship::Earlier), None | Some(Kinship::Earlier)) | (None, Some(Kinship::Earlier)) => {
                migrate::migrate(&mut engine, file.take(), &survey, start, room.loose_bytes)?;
                survey = Survey::of(&engine)?;
                migrated = true;
            }
        }
        let survey = &survey;
        if file.is_none() && !survey.anything {
            // The one time that the state comes first: a store without state would look like a
            // lost state file.
            states.save(&SpoolState::new(start))?;
        }
        let mut spool = Self {
            engine,
            states,
            state: SpoolState::new(start),
            gaps: Gaps::default(),
            next_id: RecId(1),
            waiting: survey.waiting,
            urgent: survey.urgent_count,
            record_bytes: survey.record_bytes,
            loose_bytes: survey.loose_bytes,
            packs: survey.packs.clone(),
            room,
            state_chunks: survey.state_chunks,
            halted: Cell::new(false),
            unsaved: Unsaved::Nothing,
            violations: 0,
            soil: Soil::default(),
        };
        spool.reconcile(file, survey, migrated)?;
        Ok(spool)
    }

    fn reconcile(
        &mut self,
        file: Option<SpoolState>,
        survey: &Survey,
        migrated: bool,
    ) -> Result<(), SpoolError> {
        let mut ops: Vec<Op> = survey.garbage.iter().cloned().map(Op::Delete).collect();
        let state_lost = file.is_none() && survey.anything && !migrated;
        let behind = survey.is_behind(file.as_ref());
        let nothing_known = file.is_none() && survey.state.is_none();
        let file_links = file.as_ref().map(|f| f.links.clone()).unwrap_or_default();
        let newest = file.into_iter().chain(survey.state.clone()).max_by_key(|s| s.generation);
        if let Some(newest) = newest {
            self.state = newest;
        }
        self.join_links(survey, file_links, &mut ops)?;
        self.restore_gaps(survey, &mut ops);

        let mut elsewhere = self.state.settled();
        elsewhere
            .extend(self.state.links.iter().flat_map(|link| link.records.iter().chain(&link.gaps)).copied());
        elsewhere.extend(self.gaps.ids().runs());
        let blurred = RecRun { from: RecId(1), to: self.state.blurred_to };
        let doubtful: RunSet = if behind { [blurred].into_iter().collect() } else { RunSet::default() };
        self.drop_doubles(survey, &elsewhere, &doubtful, &mut ops)?;
        elsewhere.extend(self.gaps.ids().runs());
        let waiting = survey.records.without(&elsewhere);
        let mut held = elsewhere;
        held.extend(waiting.runs());
        self.declare_losses(survey, held, behind, nothing_known, &mut ops);
        let census = self.census(waiting);
        self.check(invariant::every_id_is_in_one_place(&census));
        let placed = self.state.links.iter().all(SpoolLink::is_placed);
        let whole = invariant::the_chain_is_whole(self.state.acked_hash, &self.state.links);
        self.check(whole || !placed);

        self.state.awaiting_resume |= state_lost || !placed;
        self.commit_with_state(ops)
    }

    fn census(&self, waiting: RunSet) -> Census {
        let links = &self.state.links;
        let mut declared = self.gaps.ids();
        declared.extend(links.iter().flat_map(|link| link.gaps.iter().copied()));
        Census {
            waiting,
            cut: links.iter().flat_map(|link| link.records.iter().copied()).collect(),
            declared,
            settled: self.state.settled(),
            blurred_to: self.state.blurred_to,
            last: self.last_id(),
        }
    }

    /// The chain from both sources, without a hole. A body that is not whole is found out when
    /// its turn comes.
    fn join_links(
        &mut self,
        survey: &Survey,
        file: Vec<SpoolLink>,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        let mut links: BTreeMap<Seq, SpoolLink> = survey.links.clone();
        for link in file {
            let stubbed = link.stub.is_some();
            let inside = links.entry(link.seq).or_insert_with(|| link.clone());
            if stubbed && inside.stub.is_none() {
                *inside = link;
            }
        }
        if self.state.generation == 0
            && let Some(first) = links.values().next()
        {
            self.state.acked_seq = Seq(first.seq.0.saturating_sub(1));
            self.state.acked_hash = first.prev;
        }
        let acked = self.state.acked_seq;
        links.retain(|seq, _| *seq > acked);
        if let Some(last) = links.values().next_back().filter(|last| last.seq > self.state.head_seq) {
            self.state.head_seq = last.seq;
            self.state.head_hash = last.hash;
        }
        self.state.head_seq = self.state.head_seq.max(acked);
        let mut hash = self.state.head_hash;
        let mut chain = Vec::new();
        for seq in ((acked.0 + 1)..=self.state.head_seq.0).rev().map(Seq) {
            let link = match links.remove(&seq) {
                Some(link) => link,
                None => self.lost_link(seq, hash, &links)?,
            };
            hash = link.prev;
            chain.push(link);
        }
        chain.reverse();
        for link in &chain {
            let keys = survey.chunk_keys.get(&link.seq.0).into_iter().flatten();
            let stale = |space| space == Space::Link || link.stub.is_some();
            if survey.links.get(&link.seq) != Some(link) {
                ops.extend(keys.filter(|(space, _)| stale(*space)).map(|(_, key)| Op::Delete(key.clone())));
                let bytes = link.encode().map_err(SpoolError::Encode)?;
                frame::put_long(Space::Link, link.seq.0, &bytes, ops);
            }
        }
        let known: BTreeSet<u64> = chain.iter().map(|link| link.seq.0).collect();
        self.state.links = chain;
        let leftover = survey.chunk_keys.iter().filter(|(number, _)| !known.contains(number));
        ops.extend(leftover.flat_map(|(_, keys)| keys.iter().map(|(_, key)| Op::Delete(key.clone()))));
        Ok(())
    }

    /// A link that neither source has: out of its body, if that is whole; else only its place,
    /// as far as its neighbours tell it.
    fn lost_link(
        &self,
        seq: Seq,
        hash: Hash,
        below: &BTreeMap<Seq, SpoolLink>,
    ) -> Result<SpoolLink, SpoolError> {
        let before = Seq(seq.0 - 1);
        let neighbour = (before == self.state.acked_seq).then_some(self.state.acked_hash);
        let prev = neighbour.or_else(|| below.get(&before).map(|link| link.hash)).unwrap_or(Hash::ZERO);
        let mut link =
            SpoolLink { seq, prev, hash, body_bytes: 0, records: vec![], gaps: vec![], stub: None };
        if let Stored::Whole(body) = self.body_of(&link)?
            && let Ok(received) = ReceivedBatch::decode(&body)
        {
            link.prev = received.batch.prev;
            link.body_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
            link.records = runs_of(received.record_ids());
            link.gaps = received.batch.gaps.iter().map(|gap| gap.run).collect();
        }
        Ok(link)
    }

    fn drop_doubles(
        &mut self,
        survey: &Survey,
        elsewhere: &RunSet,
        doubtful: &RunSet,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        let doubled = |run: &RecRun| elsewhere.meets(*run) || doubtful.meets(*run);
        if survey.copies.is_empty() && !survey.records.runs().iter().any(doubled) {
            return Ok(());
        }
        for class in Class::ALL {
            let mut from = None;
            loop {
                let page = self.page(class, from, PAGE)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                for record in page.into_iter().filter(|w| w.record.is_some()) {
                    let double = elsewhere.contains(record.id);
                    if !double && !doubtful.contains(record.id) {
                        continue;
                    }
                    if !double {
                        self.gaps.add(RecRun::one(record.id), GapReason::SpoolLost, ops);
                    }
                    self.forget(&record);
                    ops.push(Op::Delete(record.key));
                }
            }
        }
        let mut copies = survey.copies.clone();
        for pack in survey.packs.values() {
            let mut taken = BTreeSet::new();
            for id in pack.ids() {
                let again = copies.get_mut(&id).filter(|copies| **copies > 1);
                if doubtful.contains(id) && !elsewhere.contains(id) {
                    self.gaps.add(RecRun::one(id), GapReason::SpoolLost, ops);
                } else if let Some(copies) = again {
                    *copies -= 1;
                } else if !elsewhere.contains(id) {
                    continue;
                }
                taken.insert(id);
            }
            if !taken.is_empty() {
                self.take_from_pack(&pack.key, &taken, ops)?;
            }
        }
        Ok(())
    }

    fn restore_gaps(&mut self, survey: &Survey, ops: &mut Vec<Op>) {
        let settled = self.state.settled();
        for gap in &survey.gaps {
            if settled.missing_in(gap.run).is_empty() {
                ops.push(Op::Delete(frame::gap_key(gap.run.from)));
            } else {
                self.gaps.restore(*gap);
            }
        }
        for link in &self.state.links {
            self.gaps.pin(&link.gaps, true);
        }
    }

    fn declare_losses(
        &mut self,
        survey: &Survey,
        mut held: RunSet,
        behind: bool,
        nothing_known: bool,
        ops: &mut Vec<Op>,
    ) {
        let reserved_to = self.state.reserved_to;
        let start = self.state.start;
        let noted = self.states.noted().filter(|n| (n.device, n.epoch) == (start.device, start.epoch));
        let noted = noted.map_or(RecId(0), |noted| noted.id);
        let highest = held.last().unwrap_or_default().max(self.state.last_id).max(noted);
        let reserved_to = reserved_to.max(highest);
        for id in &survey.corrupt {
            // A damaged key can name an id that was never given out.
            if *id > RecId(0) && *id <= reserved_to && !held.contains(*id) {
                self.state.corrupt += 1;
                self.gaps.add(RecRun::one(*id), GapReason::Corrupt, ops);
                held.insert(RecRun::one(*id));
            }
        }
        // Below, what is nowhere counts as settled.
        held.insert(RecRun { from: RecId(1), to: self.state.blurred_to });
        for ids in &survey.corrupt_packs {
            // The key of a damaged pack can say anything, too.
            let ids = RecRun { from: ids.from.max(RecId(1)), to: ids.to.min(highest) };
            let lost = if ids.is_empty() { Vec::new() } else { held.missing_in(ids) };
            for run in lost {
                self.state.corrupt += self.gaps.add(run, GapReason::Corrupt, ops);
                held.insert(run);
            }
        }
        let used = RecRun { from: RecId(1), to: highest };
        if nothing_known {
            // Without any state nobody here knows what was acknowledged; resume will tell.
            self.state.settle(&held.missing_in(used));
        } else {
            for run in held.missing_in(used) {
                self.gaps.add(run, GapReason::SpoolLost, ops);
            }
        }
        let highest = highest.max(self.gaps.ids().last().unwrap_or_default());
        let unused = RecRun { from: highest.next(), to: reserved_to };
        if !unused.is_empty() {
            let reason = if behind { GapReason::SpoolLost } else { GapReason::NeverIssued };
            self.gaps.add(unused, reason, ops);
        }
        self.state.reserved_to = reserved_to;
        self.next_id = reserved_to.next();
    }
}

impl Survey {
    /// The engine is written first: where it knows less than the state file, it lost something.
    pub(super) fn is_behind(&self, file: Option<&SpoolState>) -> bool {
        let age = |state: &SpoolState| (state.start.epoch, state.generation);
        file.is_some_and(|f| self.state.as_ref().is_none_or(|inside| age(inside) < age(f)))
    }

    pub(super) fn of<E: Engine>(engine: &E) -> Result<Self, SpoolError> {
        let mut survey = Self::default();
        let mut state: Vec<Pair> = Vec::new();
        let mut links: BTreeMap<u64, Vec<Pair>> = BTreeMap::new();
        let (mut from, to) = frame::all();
        loop {
            let page = engine.scan(&from, &to, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = frame::after(last);
            survey.anything = true;
            for (key, value) in page {
                match frame::place(&key) {
                    Some(Place::Record(class, id)) => survey.record(class, id, key, &value),
                    Some(Place::Gap(from)) => survey.gap(from, key, &value),
                    Some(Place::Pack(ids)) => survey.pack(ids, key, &value),
                    Some(Place::Chunk { space: Space::State, .. }) => state.push((key, value)),
                    Some(Place::Chunk { space, number, .. }) => {
                        survey.chunk_keys.entry(number).or_default().push((space, key.clone()));
                        if space == Space::Link {
                            links.entry(number).or_default().push((key, value));
                        }
                    }
                    None => survey.garbage.push(key),
                }
            }
        }
        survey.state_chunks = u32::try_from(state.len()).unwrap_or(u32::MAX);
        survey.state = frame::join(&state).and_then(|bytes| SpoolState::decode(&bytes).ok());
        for (number, pairs) in links {
            let link = frame::join(&pairs).and_then(|bytes| SpoolLink::decode(&bytes).ok());
            if let Some(link) = link.filter(|link| link.seq.0 == number) {
                survey.links.insert(link.seq, link);
            }
        }
        Ok(survey)
    }

    fn record(&mut self, class: Class, id: RecId, key: Vec<u8>, value: &[u8]) {
        let good = frame::unseal(&key, value)
            .and_then(|payload| codec::from_slice::<RecordV1>(payload, limit::SPOOL_VALUE_BYTES_MAX).ok())
            .is_some_and(|record| record.id() == id);
        if !good {
            self.corrupt.insert(id);
            self.garbage.push(key);
            return;
        }
        self.records.insert(RecRun::one(id));
        self.waiting += 1;
        let bytes = (key.len() + value.len()) as u64;
        self.record_bytes += bytes;
        match class {
            Class::Urgent => self.urgent_count += 1,
            Class::Ordinary => self.loose_bytes += bytes,
        }
    }

    /// Packs come after all loose records.
    fn pack(&mut self, ids: RecRun, key: Vec<u8>, value: &[u8]) {
        let Some(pack) = Pack::read(&key, value) else {
            self.corrupt_packs.push(ids);
            self.garbage.push(key);
            return;
        };
        if pack.runs.iter().any(|run| self.records.meets(*run)) {
            for id in pack.ids().filter(|id| self.records.contains(*id)) {
                *self.copies.entry(id).or_insert(1) += 1;
            }
        }
        self.records.extend(pack.runs.iter().copied());
        self.waiting += pack.count();
        self.record_bytes += pack.bytes;
        self.packs.insert(pack.key.clone(), pack);
    }

    fn gap(&mut self, from: RecId, key: Vec<u8>, value: &[u8]) {
        match frame::unseal(&key, value).and_then(|payload| gaps::decode(from, payload)) {
            Some(gap) => self.gaps.push(gap),
            None => self.garbage.push(key),
        }
    }
}
