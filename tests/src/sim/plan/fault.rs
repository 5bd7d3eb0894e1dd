//! The kinds of things that happen in a world.

use super::{Target, Weather};

/// How a disk is damaged while its device is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    StateLost,
    StateOld { by: usize },
    SetBack { commits: usize },
    EngineLost,
    Bit { target: Target, pick: u64 },
}

/// A consent file that the administrator puts in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The file is taken away.
    Gone,
    /// The hospital signs a manifest without any category.
    Empty,
    /// Some categories only.
    Narrow {
        mask: u64,
    },
    Full,
    /// One that was in force before.
    Older,
    /// All, for a while only.
    Short {
        life_ms: u64,
    },
}

/// When the collector's power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMoment {
    AtOnce,
    /// With the next links in its queue, before they are stored.
    BeforeCommit,
    /// When the next links are stored, before they are answered.
    BeforeAnswer,
}

/// Something that happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Weather {
        until: u64,
        weather: Weather,
    },
    CutOff {
        place: usize,
        until: u64,
    },
    Crash {
        place: usize,
        down: u64,
        reboot: bool,
    },
    Stop {
        place: usize,
        down: u64,
    },
    PowerCut {
        place: usize,
        writes: u32,
        kept: bool,
    },
    RefusedWrite {
        place: usize,
        writes: u32,
    },
    DiskFull {
        place: usize,
        until: u64,
    },
    Damage {
        place: usize,
        down: u64,
        damage: Damage,
    },
    Rot {
        place: usize,
        target: Target,
        pick: u64,
    },
    ClockJump {
        place: usize,
        offset_us: i64,
    },
    BootBack {
        place: usize,
        down: u64,
    },
    CollectorCrash {
        down: u64,
        moment: CrashMoment,
    },
    CollectorFull {
        until: u64,
    },
    BackUp,
    CollectorRestore {
        down: u64,
    },
    Consent {
        place: usize,
        consent: Consent,
    },
    Image {
        place: usize,
    },
    PutBack {
        place: usize,
        down: u64,
    },
    Clone {
        place: usize,
    },
    /// A request of long ago arrives once more.
    Replay {
        place: usize,
    },
    /// Links go by a medium that is carried; the first one may be lost with it.
    Medium {
        place: usize,
        torn: bool,
    },
    /// The disk was put into another machine.
    OtherHost {
        place: usize,
    },
    /// A broken agent sends links that follow nothing.
    Rogue {
        place: usize,
    },
}

impl Fault {
    /// The device that it happens to.
    pub fn place(&self) -> Option<usize> {
        match *self {
            Self::CutOff { place, .. }
            | Self::Crash { place, .. }
            | Self::Stop { place, .. }
            | Self::PowerCut { place, .. }
            | Self::RefusedWrite { place, .. }
            | Self::DiskFull { place, .. }
            | Self::Damage { place, .. }
            | Self::Rot { place, .. }
            | Self::ClockJump { place, .. }
            | Self::BootBack { place, .. }
            | Self::Consent { place, .. }
            | Self::Image { place }
            | Self::PutBack { place, .. }
            | Self::Clone { place }
            | Self::Replay { place }
            | Self::Medium { place, .. }
            | Self::OtherHost { place }
            | Self::Rogue { place } => Some(place),
            Self::Weather { .. }
            | Self::CollectorCrash { .. }
            | Self::CollectorFull { .. }
            | Self::BackUp
            | Self::CollectorRestore { .. } => None,
        }
    }
}
