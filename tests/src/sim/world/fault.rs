//! What happens to a world's devices, its net and its collector.

use super::*;

impl World<'_> {
    pub(super) fn fault(&mut self, fault: Fault) {
        // A clone that was never made meets nothing.
        if fault.place().is_some_and(|place| place >= self.devices.len()) {
            return;
        }
        match fault {
            Fault::Weather { until, weather } => self.net.weather(until, weather),
            Fault::CutOff { place, until } => self.net.cut_off(place, until),
            Fault::Crash { place, down, reboot } => {
                self.devices[place].crash();
                self.at(self.now + down, Event::Up { place, boot: None, reboot });
            }
            Fault::Stop { place, down } => {
                self.devices[place].stop();
                self.at(self.now + down, Event::Up { place, boot: None, reboot: false });
            }
            Fault::PowerCut { place, writes, kept } => self.devices[place].disk.cut_after(writes, kept),
            Fault::RefusedWrite { place, writes } => self.devices[place].disk.refuse_after(writes),
            Fault::DiskFull { place, until } => {
                self.devices[place].disk.fill();
                self.at(until, Event::Room { place });
            }
            Fault::Damage { place, down, damage } => self.damage(place, down, damage),
            Fault::Rot { place, target, pick } => {
                if self.devices[place].disk.damage(target, pick) {
                    self.oracle.writers[place].damaged = true;
                    self.rows.note(Row::Damaged);
                }
            }
            Fault::ClockJump { place, offset_us } => {
                self.devices[place].clock.wall_offset_us = offset_us;
            }
            Fault::BootBack { place, down } => self.boot_back(place, down),
            Fault::CollectorCrash { down, moment: CrashMoment::AtOnce } => {
                self.collector.crash();
                self.at(self.now + down, Event::CollectorUp);
            }
            Fault::CollectorCrash { down, moment } => self.crash_at = Some((moment, down)),
            Fault::CollectorFull { until } => {
                self.collector.set_full(true);
                self.at(until, Event::CollectorRoom);
            }
            Fault::BackUp => self.collector.back_up(),
            Fault::CollectorRestore { down } => {
                let mut cx = cx!(self);
                if self.collector.restore(&mut cx) {
                    self.rows.note(Row::CollectorRestored);
                    self.approve_again(down);
                }
                // What was filed since the backup is filed again.
                for (place, _) in self.approved.clone().into_keys() {
                    self.at(self.now + down + self.plan.interval, Event::Approve { place });
                }
                self.at(self.now + down, Event::CollectorUp);
            }
            Fault::Consent { place, consent } => {
                let envelope = self.sign_consent(consent);
                self.file(place, envelope);
            }
            Fault::Image { place } => {
                let image = (self.devices[place].image(), self.oracle.image(place));
                self.images.insert(place, image);
            }
            Fault::PutBack { place, down } => {
                if let Some((image, writer)) = self.images.get(&place).cloned() {
                    self.devices[place].crash();
                    self.devices[place].restore(&image);
                    self.oracle.restored(place, writer);
                    self.at(self.now + down, Event::Up { place, boot: None, reboot: true });
                }
            }
            Fault::Clone { place } => {
                if let Some((image, writer)) = self.images.get(&place).cloned() {
                    self.clone_of(place, &image, writer);
                }
            }
            Fault::Replay { place } => self.replay(place),
            Fault::Medium { place, torn } => self.medium(place, torn),
            Fault::OtherHost { place } => {
                self.devices[place].facts.machine = Hash(self.dice.bytes());
                self.devices[place].crash();
                self.at(self.now + 60_000, Event::Up { place, boot: None, reboot: true });
            }
            Fault::Rogue { place } => self.rogue(place),
        }
    }

    pub(super) fn damage(&mut self, place: usize, down: u64, damage: Damage) {
        // Of its two stores a disk loses one at a time; both at once are a restored image.
        if !self.devices[place].is_up() {
            return;
        }
        self.devices[place].crash();
        let disk = self.devices[place].disk.clone();
        let (lossy, row) = match damage {
            Damage::StateLost => {
                disk.lose_state();
                (false, Some(Row::StateLost))
            }
            Damage::StateOld { by } => {
                disk.age_state(by);
                (false, None)
            }
            Damage::SetBack { commits } => (disk.set_back(commits) > 0, None),
            Damage::EngineLost => {
                disk.lose_engine();
                (true, None)
            }
            Damage::Bit { target, pick } => (disk.damage(target, pick), Some(Row::Damaged)),
        };
        self.oracle.writers[place].damaged |= lossy;
        if let Some(row) = row {
            self.rows.note(row);
        }
        self.at(self.now + down, Event::Up { place, boot: None, reboot: true });
    }

    /// A machine that was put to sleep wakes up on a disk that went on without it.
    pub(super) fn boot_back(&mut self, place: usize, down: u64) {
        let earlier = self.boots[place].iter().rev().find(|boot| **boot != self.devices[place].clock.boot);
        let earlier = earlier.copied();
        self.devices[place].crash();
        if earlier.is_some() {
            self.oracle.doubled.insert(self.devices[place].device());
        }
        self.at(self.now + down, Event::Up { place, boot: earlier, reboot: true });
    }

    pub(super) fn clone_of(&mut self, place: usize, image: &DeviceImage, writer: Writer) {
        let twin = self.oracle.cloned(writer);
        let boot = BootId(self.dice.bytes());
        let original = &self.devices[place];
        let clock = SimClock { boot, booted_at: self.now, wall_offset_us: original.clock.wall_offset_us };
        let (start, key) = (original.start, original.key.clone());
        let settings = self.settings();
        let mut device = Device::new(twin, start, key, clock, settings);
        device.restore(image);
        self.add(device);
        self.up(twin);
        let offset = self.dice.below(self.plan.probe_every);
        self.at(self.now + offset, Event::Probe { place: twin });
    }

    pub(super) fn replay(&mut self, place: usize) {
        let Some(sent) = self.sent.get(&place).filter(|sent| !sent.is_empty()) else { return };
        // One of the oldest is as likely as any.
        let of = if self.dice.chance(400) { sent.len().min(12) } else { sent.len() };
        let ask = sent[self.dice.index(of)].clone();
        self.at(self.now, Event::Arrive(ask));
    }

    /// Everything that waits goes on a medium, and arrives in some other order.
    pub(super) fn medium(&mut self, place: usize, torn: bool) {
        let mut cx = cx!(self);
        let mut envelopes = self.devices[place].export(&mut cx);
        if self.devices[place].disk.is_dead() {
            return self.power_lost(place, self.plan.interval / 3);
        }
        let carried = self.now + self.dice.between(1, self.plan.interval);
        self.trace.say(self.now, || format!("device {place} exports {} links", envelopes.len()));
        if torn && !envelopes.is_empty() {
            envelopes.remove(0);
        }
        for bytes in envelopes {
            let ask = Self::ask_of_nobody(place, bytes);
            let at = carried + self.dice.below(60_000);
            self.at(at, Event::Arrive(ask));
        }
        self.at(carried + 120_000, Event::AckFile { place });
    }

    /// A request whose answer nobody waits for.
    pub(super) fn ask_of_nobody(place: usize, bytes: Vec<u8>) -> Ask {
        Ask {
            place,
            life: u32::MAX,
            number: 0,
            path: Path::Batch,
            bytes: bytes.into(),
            nonce: Nonce([0; 16]),
            certificate: None,
        }
    }

    /// A broken agent sends a link that is none of its chain, again and again.
    pub(super) fn rogue(&mut self, place: usize) {
        let prev = Hash(self.dice.bytes());
        let device = &self.devices[place];
        let head = self.collector.head(device.device());
        let seq = match self.dice.below(4) {
            0 => Seq(head.0 + 1_000),
            1 => head.next(),
            2 => Seq(head.0.max(1)),
            _ => Seq(head.0.saturating_sub(30).max(1)),
        };
        let stub = Stub {
            device: device.device(),
            epoch: device.start.epoch,
            seq,
            prev,
            body_hash: Hash(self.dice.bytes()),
            records: Vec::new(),
            reason: GapReason::Corrupt,
        };
        let envelope = Envelope::seal(&stub, &device.key).expect("a stub always encodes");
        self.oracle.doubled.insert(device.device());
        for number in 0..6 {
            let ask = Self::ask_of_nobody(place, envelope.to_bytes());
            self.at(self.now + number * 500, Event::Arrive(ask));
        }
    }

    /// The hospital approves one of two that say they are the same device.
    pub(super) fn approved_device(&self, place: usize) -> bool {
        let (device, epoch) = (self.devices[place].device(), self.devices[place].start.epoch);
        let other =
            |(p, e): &(usize, Epoch)| *p != place && *e == epoch && self.devices[*p].device() == device;
        self.approved.keys().any(other)
    }

    /// The hospital signs for the key that a device shows, if it has one to show.
    pub(super) fn approve(&mut self, place: usize) {
        let device = &self.devices[place];
        if let Some(key) = &device.pending
            && self.collector.epoch(device.device()) == Some(device.start.epoch)
        {
            let (id, epoch) = (device.device(), device.start.epoch.next());
            self.collector.approve(id, epoch, key.public().fingerprint());
        }
    }

    /// The hospital has what it signed, and files it again at a collector that lost it.
    fn approve_again(&mut self, down: u64) {
        let places: BTreeSet<usize> = self.approved.keys().map(|(place, _)| *place).collect();
        for place in places {
            let later = down + self.dice.between(1, self.plan.interval);
            self.at(self.now + later, Event::Approve { place });
        }
    }

    pub(super) fn sign_consent(&mut self, consent: Consent) -> Option<Envelope> {
        let all = || CATEGORIES.iter().map(|category| category.code()).collect();
        let (categories, valid_to) = match consent {
            Consent::Gone => return None,
            Consent::Older => {
                let older = self.dice.index(self.consents.len());
                return self.consents.get(older).cloned();
            }
            Consent::Empty => (std::collections::BTreeSet::default(), Timestamp::MAX),
            Consent::Narrow { mask } => {
                let kept = CATEGORIES.iter().filter(|c| mask >> c.code() & 1 == 1);
                (kept.map(|category| category.code()).collect(), Timestamp::MAX)
            }
            Consent::Full => (all(), Timestamp::MAX),
            Consent::Short { life_ms } => (all(), server_at(self.now + life_ms)),
        };
        self.consent_version += 1;
        let manifest = ConsentManifest {
            hospital: "minato".parse().expect("a plain word is a name"),
            scope: Scope::Hospital,
            categories,
            interval_floor_s: 1,
            valid_from: Timestamp::EPOCH,
            valid_to,
            version: self.consent_version,
            heartbeat: true,
        };
        let envelope = Envelope::seal(&manifest, &self.hospital).expect("a manifest always encodes");
        self.consents.push(envelope.clone());
        Some(envelope)
    }

    pub(super) fn file(&mut self, place: usize, envelope: Option<Envelope>) {
        let mut cx = cx!(self);
        self.devices[place].file_consent(&mut cx, envelope);
        if self.devices[place].disk.is_dead() {
            self.power_lost(place, self.plan.interval / 3);
        } else if self.devices[place].is_up() && !self.devices[place].is_asking() {
            self.soon(place, 0);
        }
    }
}
