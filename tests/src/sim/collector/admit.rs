//! What the collector makes of a link.

use super::*;

impl Collector {
    pub(super) fn admit(&mut self, cx: &mut Cx<'_>, link: &Link, arrival: Arrival) -> Option<Verdict> {
        let device = link.device;
        self.load(cx, device, link.epoch, link.seq)?;
        let book = self.book.get(&device)?;
        let decision = accept_with(book, link, cx.broken());
        let stub = matches!(arrival, Arrival::Stub(_));
        let (decision, said) = self.judged(cx, link, decision, &arrival);
        let need = match decision {
            IngestDecision::New { next, clone_suspected } => {
                if clone_suspected {
                    cx.rows.note(Row::BootBack);
                    cx.oracle.clone_suspected(device);
                }
                if stub {
                    cx.rows.note(Row::Stub);
                }
                self.store(cx, link, &arrival, *next);
                self.store_held(cx, device);
                None
            }
            IngestDecision::Fork(_) => {
                self.quarantine(device, QuarantineReason::Fork);
                None
            }
            IngestDecision::Hole { need } => {
                if self.hold(cx, link, arrival) {
                    return Some(Verdict { row: Row::HoleUnexplained, need: None });
                }
                Some(need)
            }
            IngestDecision::Duplicate => {
                self.again(cx, link, &arrival);
                None
            }
            IngestDecision::StaleEpoch { clone_suspected, .. } => {
                if clone_suspected {
                    cx.rows.note(Row::StaleClone);
                    cx.oracle.clone_suspected(device);
                }
                None
            }
            IngestDecision::EpochAhead { .. } | IngestDecision::Quarantined(_) => None,
        };
        if let Some(book) = self.book.get_mut(&device) {
            book.trim(HASHES_IN_MEMORY);
        }
        Some(Verdict { row: said, need })
    }

    /// What the chain says to a link, and then its records; and the row of the table that this is,
    /// told to the oracle.
    fn judged(
        &self,
        cx: &mut Cx<'_>,
        link: &Link,
        decision: IngestDecision,
        arrival: &Arrival,
    ) -> (IngestDecision, Row) {
        if let Some(before) = self.book.get(&link.device) {
            let after = if let IngestDecision::New { next, .. } = &decision { next } else { before };
            for broken in invariant::violated(before, link, &decision, after) {
                cx.oracle.product_says(broken.as_str());
            }
        }
        let is_next = matches!(decision, IngestDecision::New { .. });
        let decision = match self.stored.rows.get(&link.device) {
            Some(row) => decision.unless_repeated(&row.coverage, link, arrival),
            None => decision,
        };
        let committed = self.stored.rows.get(&link.device).map_or(Seq(0), |row| row.seq);
        let old = link.seq.0 + limit::LEDGER_HASHES as u64 <= committed.0;
        let said = match &decision {
            IngestDecision::New { .. } => Row::New,
            IngestDecision::Duplicate if old => Row::DuplicateOld,
            IngestDecision::Duplicate => Row::Duplicate,
            IngestDecision::Hole { .. } => Row::Hole,
            IngestDecision::Fork(_) if is_next => Row::ForkRecord,
            IngestDecision::Fork(_) if link.seq > committed => Row::ForkPrev,
            IngestDecision::Fork(_) => Row::ForkStored,
            IngestDecision::StaleEpoch { .. } => Row::StaleEpoch,
            IngestDecision::EpochAhead { .. } => Row::EpochAhead,
            IngestDecision::Quarantined(_) => Row::Quarantined,
        };
        cx.rows.note(said);
        cx.oracle.decided(link, said);
        cx.trace.say(cx.now, || format!("collector: seq {} of {}: {}", link.seq, link.device, said.as_str()));
        (decision, said)
    }

    pub(super) fn store(&mut self, cx: &mut Cx<'_>, link: &Link, arrival: &Arrival, next: DeviceLedger) {
        let records = arrival.batch().map(|received| received.batch.records.clone()).unwrap_or_default();
        self.log.push(LogEntry { link: *link, records, gaps: arrival.gaps() });
        if let Some(row) = self.stored.rows.get_mut(&link.device) {
            let row = Rc::make_mut(row);
            row.take_over(&next);
            row.hashes.insert(link.seq.0 % limit::LEDGER_HASHES as u64, (link.seq, link.hash));
            let before = row.coverage.clone();
            row.coverage.add(arrival);
            if !invariant::nothing_is_lost(&before, arrival, &row.coverage) {
                cx.oracle.product_says("I1");
            }
        }
        self.book.insert(link.device, next);
        cx.oracle.committed(link);
    }

    /// Held links whose turn has come.
    pub(super) fn store_held(&mut self, cx: &mut Cx<'_>, device: DeviceId) {
        while let Some(ledger) = self.book.get(&device) {
            let Some((decision, link, arrival)) = self.held.follow_with(ledger, cx.broken()) else { return };
            cx.rows.note(Row::HeldTaken);
            match self.judged(cx, &link, decision, &arrival).0 {
                IngestDecision::New { next, clone_suspected } => {
                    if clone_suspected {
                        cx.oracle.clone_suspected(device);
                    }
                    self.store(cx, &link, &arrival, *next);
                }
                IngestDecision::Fork(_) => return self.quarantine(device, QuarantineReason::Fork),
                IngestDecision::Duplicate
                | IngestDecision::Hole { .. }
                | IngestDecision::StaleEpoch { .. }
                | IngestDecision::EpochAhead { .. }
                | IngestDecision::Quarantined(_) => return,
            }
        }
    }

    /// True where the hole is unexplained from now on.
    pub(super) fn hold(&mut self, cx: &mut Cx<'_>, link: &Link, arrival: Arrival) -> bool {
        let Some(ledger) = self.book.get(&link.device) else { return false };
        let holding = self.held.hold(ledger, link, arrival, 1_000);
        match holding {
            Holding::Held => cx.rows.note(Row::HoleHeld),
            Holding::Again { .. } => cx.rows.note(Row::HoleAgain),
            Holding::Dropped => {}
            Holding::Unexplained => {
                cx.rows.note(Row::HoleUnexplained);
                cx.oracle.unexplained(link);
                self.quarantine(link.device, QuarantineReason::Hole);
            }
        }
        holding == Holding::Unexplained
    }

    /// A link that is stored comes again, maybe in its other form: without effect.
    pub(super) fn again(&mut self, cx: &mut Cx<'_>, link: &Link, arrival: &Arrival) {
        let Arrival::Stub(stub) = arrival else { return };
        let body = self.log.iter().rposition(|entry| {
            entry.link.hash == link.hash && entry.link.device == link.device && !entry.records.is_empty()
        });
        let Some(at) = body else { return };
        cx.rows.note(Row::StubAfterBody);
        if cx.broken() == Some(Planted::StubOverridesBody)
            && let Some(row) = self.stored.rows.get_mut(&link.device)
        {
            Rc::make_mut(row).coverage.override_by(stub);
            self.log[at].gaps.extend(stub.gaps());
        }
    }

    pub(super) fn quarantine(&mut self, device: DeviceId, reason: QuarantineReason) {
        self.held.drop_device(device);
        if let Some(row) = self.stored.rows.get_mut(&device) {
            Rc::make_mut(row).quarantine = Some(reason);
        }
        if let Some(book) = self.book.get_mut(&device) {
            book.quarantine = Some(reason);
        }
    }
}
