//! How a world's devices live, and how it heals and comes to its end.

use super::*;

impl World<'_> {
    pub(super) fn probe(&mut self, place: usize) {
        if self.healed {
            return;
        }
        let count = self.dice.between(1, self.plan.observations_max);
        let observations = (0..count).map(|_| self.observe(place)).collect();
        if self.devices[place].is_up() {
            let mut cx = cx!(self);
            let urgent = self.devices[place].record(&mut cx, observations);
            if self.devices[place].disk.is_dead() {
                self.power_lost(place, self.plan.interval / 3);
            } else if urgent && !self.devices[place].is_asking() {
                self.soon(place, 0);
            }
        }
        let every = self.plan.probe_every;
        let next = self.now + every / 2 + self.dice.below(every);
        self.at(next, Event::Probe { place });
    }

    pub(super) fn observe(&mut self, place: usize) -> Observation {
        self.tags += 1;
        let kind = if self.dice.chance(self.plan.poison) { POISON } else { "r" };
        let name = |text: &str| Name::new(text).expect("letters, digits and dots are a name");
        let state = if self.dice.chance(self.plan.urgent) { CheckState::Critical } else { CheckState::Ok };
        Observation {
            at: self.devices[place].clock.at(self.now),
            category: self.dice.pick(&CATEGORIES),
            subject: name(&format!("{kind}.{place}.{}", self.tags)),
            body: Body::CheckResult(CheckResult { probe: name("sim"), state }),
        }
    }

    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.trace.say(self.now, || "-- the world heals".to_owned());
        self.net.heal();
        self.crash_at = None;
        self.collector.set_full(false);
        self.collector.start();
        let consent = self.sign_consent(Consent::Full);
        for place in 0..self.devices.len() {
            if self.devices[place].disk.is_dead() {
                self.devices[place].crash();
            }
            self.devices[place].disk.work();
            self.file(place, consent.clone());
            if !self.devices[place].is_up() {
                self.boot(place, None, true);
            }
            // A device that has nothing to say would not notice that its collector was restored.
            let last = vec![self.observe(place)];
            let mut cx = cx!(self);
            self.devices[place].record(&mut cx, last);
        }
        self.at(self.now + self.plan.interval, Event::Look);
    }

    /// A clone may have asked for its device where the collector stands, or a copy of a question
    /// came so late that nobody waited for its answer: what is missing is then declared when the
    /// device starts the next time. True where one does.
    fn start_again(&mut self, honest: &[usize]) -> bool {
        let mut any = false;
        for place in honest.iter().copied() {
            let device = self.devices[place].device();
            if (self.oracle.doubled.contains(&device) || self.oracle.is_unheard(device))
                && self.collector.misses(device)
                && self.started_again.insert(place)
            {
                self.devices[place].stop();
                self.up(place);
                any = true;
            }
        }
        any
    }

    /// Whether everything has come to rest; if so, or if it takes too long, the account is made.
    pub(super) fn look(&mut self) -> bool {
        let quarantined = self.collector.quarantined();
        let (mut honest, mut restless) = (Vec::new(), Vec::new());
        for place in 0..self.devices.len() {
            let mut cx = cx!(self);
            let device = &mut self.devices[place];
            let id = device.device();
            let (violations, evicted) = device.counted();
            cx.oracle.device_counts(place, violations);
            if evicted > 0 {
                cx.rows.note(Row::Evicted);
            }
            let epoch = self.collector.epoch(id);
            // A second writer whose epoch was closed, or that nobody has approved, stays outside.
            let outside = quarantined.contains(&id)
                || epoch > Some(device.start.epoch)
                || (device.halted() == Some(Halt::DeviceBehind)
                    && !self.approved.contains_key(&(place, device.start.epoch)));
            // A collector that was restored to before a rejoin knows nothing of it.
            let unknown = epoch < Some(device.start.epoch);
            if unknown || (outside && cx.oracle.doubled.contains(&id)) {
                continue;
            }
            honest.push(place);
            if !device.is_drained(&mut cx) || device.halted().is_some() {
                let standing = device.standing(&mut cx);
                restless.push(format!("device {place} does not come to rest: {standing}"));
            }
        }
        if restless.is_empty() && self.start_again(&honest) {
            self.at(self.now + self.plan.interval, Event::Look);
            return false;
        }
        let late = self.now > self.plan.span + 12 * self.plan.interval + 24 * 3_600_000;
        if !restless.is_empty() && !late {
            self.at(self.now + self.plan.interval / 2, Event::Look);
            return false;
        }
        for what in restless {
            self.oracle.fail_at_rest(what);
        }
        self.oracle.account(&self.collector.log, &honest);
        true
    }
}
