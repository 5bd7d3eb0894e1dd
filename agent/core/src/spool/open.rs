//! Opening: everything is read through its CRC, compared with the state, and made whole.
//!
//! Holds: after it, every id up to the highest reserved one is waiting, cut, declared or settled,
//! in exactly one place. What is missing without a trace is declared [`GapReason::SpoolLost`];
//! ids that were reserved and, as far as the store shows, never used are
//! [`GapReason::NeverIssued`].
//!
//! Does not: decide what to do with a store that cannot be read at all; the shell's ladder does.

use super::{
    SpoolError,
    durable::DurableSpool,
    engine::{Engine, Op, Pair, StateStore},
    frame::{self, Place, Space},
    gaps::{self, Gaps},
    runs::RunSet,
    state::{ChainStart, SpoolLink, SpoolState},
};
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    batch::{Gap, GapReason, RecRun},
    codec,
    id::{Hash, RecId, Seq},
    limit,
    observation::Class,
    wire::v1::RecordV1,
};

const PAGE: usize = 256;

/// What a whole read of the engine found.
#[derive(Default)]
struct Survey {
    anything: bool,
    state: Option<SpoolState>,
    state_chunks: u32,
    links: BTreeMap<Seq, SpoolLink>,
    /// Keys of all chunks of links and bodies, by number.
    chunk_keys: BTreeMap<u64, Vec<Vec<u8>>>,
    gaps: Vec<Gap>,
    records: RunSet,
    /// Damaged records.
    corrupt: BTreeSet<RecId>,
    /// Keys of what is damaged or was never ours.
    garbage: Vec<Vec<u8>>,
    waiting: u64,
    urgent_count: u64,
    record_bytes: u64,
}

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// Opens the chain's spool, or makes it; takes a store that lost something as it is and
    /// declares what is missing. `cap_bytes` is for the engine's files.
    pub fn open(engine: E, states: S, start: ChainStart, cap_bytes: u64) -> Result<Self, SpoolError> {
        let survey = Survey::of(&engine)?;
        Self::open_surveyed(engine, states, start, cap_bytes, &survey)
    }

    /// The same, but refuses a store that is behind the state, before anything is written to it.
    pub fn open_whole(
        engine: E,
        mut states: S,
        start: ChainStart,
        cap_bytes: u64,
    ) -> Result<Self, SpoolError> {
        let survey = Survey::of(&engine)?;
        if survey.is_behind(states.load()?.as_ref()) {
            return Err(SpoolError::Behind);
        }
        Self::open_surveyed(engine, states, start, cap_bytes, &survey)
    }

    fn open_surveyed(
        engine: E,
        mut states: S,
        start: ChainStart,
        cap_bytes: u64,
        survey: &Survey,
    ) -> Result<Self, SpoolError> {
        let file = states.load()?;
        if file.iter().chain(&survey.state).any(|state| state.start != start) {
            return Err(SpoolError::OtherChain);
        }
        if file.is_none() && !survey.anything {
            // The one time that the state comes first: a store without state would look like a
            // lost state file.
            states.save(&SpoolState::new(start))?;
        }
        let mut spool = Self {
            engine,
            states,
            state: SpoolState::new(start),
            lost: BTreeSet::new(),
            gaps: Gaps::default(),
            next_id: RecId(1),
            waiting: survey.waiting,
            urgent: survey.urgent_count,
            record_bytes: survey.record_bytes,
            cap_bytes,
            state_chunks: survey.state_chunks,
            halted: false,
            unsaved: false,
        };
        spool.reconcile(file, survey)?;
        Ok(spool)
    }

    fn reconcile(&mut self, file: Option<SpoolState>, survey: &Survey) -> Result<(), SpoolError> {
        let mut ops: Vec<Op> = survey.garbage.iter().cloned().map(Op::Delete).collect();
        let state_lost = file.is_none() && survey.anything;
        let behind = survey.is_behind(file.as_ref());
        let nothing_known = file.is_none() && survey.state.is_none();
        let file_links = file.as_ref().map(|f| f.links.clone()).unwrap_or_default();
        let newest = file.into_iter().chain(survey.state.clone()).max_by_key(|s| s.generation);
        if let Some(newest) = newest {
            self.state = newest;
        }
        self.join_links(survey, file_links, &mut ops)?;
        let intact = |lost: &BTreeSet<Seq>, link: &&SpoolLink| !lost.contains(&link.seq);

        // Where the store fell back to before a cut or an acknowledgement, records are there twice.
        let mut elsewhere = self.state.settled();
        for link in self.state.links.iter().filter(|link| intact(&self.lost, link)) {
            link.records.iter().for_each(|run| elsewhere.insert(*run));
        }
        self.drop_doubles(survey, &elsewhere, &mut ops)?;

        let mut held = elsewhere;
        survey.records.runs().into_iter().for_each(|run| held.insert(run));
        self.restore_gaps(survey, &mut ops);
        self.gaps.ids().runs().into_iter().for_each(|run| held.insert(run));
        for link in &self.state.links {
            link.records.iter().for_each(|run| held.insert(*run));
            if !self.lost.contains(&link.seq) {
                link.gaps.iter().for_each(|run| held.insert(*run));
            }
        }
        self.declare_losses(survey, held, behind, nothing_known, &mut ops);

        self.state.awaiting_resume |= state_lost || !self.lost.is_empty();
        self.commit_with_state(ops)
    }

    /// The chain from both sources, without a hole; bodies that are not whole are lost.
    fn join_links(
        &mut self,
        survey: &Survey,
        file: Vec<SpoolLink>,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        let mut links: BTreeMap<Seq, SpoolLink> = file.into_iter().map(|link| (link.seq, link)).collect();
        for (seq, link) in &survey.links {
            links.entry(*seq).or_insert_with(|| link.clone());
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
        let mut next_prev = self.state.head_hash;
        let mut chain = Vec::new();
        for seq in ((acked.0 + 1)..=self.state.head_seq.0).rev().map(Seq) {
            let link = links.remove(&seq).unwrap_or_else(|| {
                let prev = links.get(&Seq(seq.0 - 1)).map_or(Hash::ZERO, |before| before.hash);
                SpoolLink { seq, prev, hash: next_prev, body_bytes: 0, records: vec![], gaps: vec![] }
            });
            next_prev = link.prev;
            if self.body_of(&link)?.is_none() {
                self.lost.insert(seq);
            }
            if !survey.links.contains_key(&seq) {
                frame::put_long(Space::Link, seq.0, &link.encode().map_err(SpoolError::Encode)?, ops);
            }
            chain.push(link);
        }
        chain.reverse();
        let known: BTreeSet<u64> = chain.iter().map(|link| link.seq.0).collect();
        self.state.links = chain;
        let leftover = survey.chunk_keys.iter().filter(|(number, _)| !known.contains(number));
        ops.extend(leftover.flat_map(|(_, keys)| keys.iter().cloned().map(Op::Delete)));
        Ok(())
    }

    fn drop_doubles(
        &mut self,
        survey: &Survey,
        elsewhere: &RunSet,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        let twice = survey.records.runs().iter().any(|run| {
            let alone: u64 = elsewhere.missing_in(*run).iter().map(RecRun::len).sum();
            alone < run.len()
        });
        if !twice {
            return Ok(());
        }
        for class in Class::ALL {
            let mut from = None;
            loop {
                let page = self.page(class, from, PAGE)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                for record in page.into_iter().filter(|w| w.record.is_some() && elsewhere.contains(w.id)) {
                    self.forget(&record);
                    ops.push(Op::Delete(record.key));
                }
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
        let highest = held.last().unwrap_or_default().max(self.state.last_id);
        let reserved_to = reserved_to.max(highest);
        for id in &survey.corrupt {
            // A damaged key can name an id that was never given out.
            if *id > RecId(0) && *id <= reserved_to && !held.contains(*id) {
                self.state.corrupt += 1;
                self.gaps.add(RecRun::one(*id), GapReason::Corrupt, ops);
                held.insert(RecRun::one(*id));
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
    fn is_behind(&self, file: Option<&SpoolState>) -> bool {
        file.is_some_and(|f| self.state.as_ref().is_none_or(|inside| inside.generation < f.generation))
    }

    fn of<E: Engine>(engine: &E) -> Result<Self, SpoolError> {
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
                    Some(Place::Chunk { space: Space::State, .. }) => state.push((key, value)),
                    Some(Place::Chunk { space, number, .. }) => {
                        survey.chunk_keys.entry(number).or_default().push(key.clone());
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
        self.urgent_count += u64::from(class == Class::Urgent);
        self.record_bytes += (key.len() + value.len()) as u64;
    }

    fn gap(&mut self, from: RecId, key: Vec<u8>, value: &[u8]) {
        match frame::unseal(&key, value).and_then(|payload| gaps::decode(from, payload)) {
            Some(gap) => self.gaps.push(gap),
            None => self.garbage.push(key),
        }
    }
}
