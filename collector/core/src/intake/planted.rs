//! The rules of the intake that can be broken on purpose, so that the simulator shows that it
//! would find each of them broken.
//!
//! Holds: without the cargo feature `planted` no rule can be broken; with it none is, unless a
//! caller of the `.._with` functions says which.

/// A rule, by what goes wrong without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// A duplicate is counted as new.
    DuplicateIsNew,
    /// The hash of the link before is not compared.
    PrevUnchecked,
    /// The hash of an old seq is not compared: a fork passes for a duplicate.
    OldHashUnchecked,
    /// A link of a closed epoch is taken.
    StaleEpochTaken,
    /// A link beyond the next is taken as the next.
    HoleSkipped,
    /// A resume moves the chain forward without an acknowledgement.
    ResumeWithoutProof,
    /// A stub that comes after its body takes the body's records away.
    StubOverridesBody,
    /// A held link is applied without its prev being compared.
    HeldUnchecked,
}

impl Planted {
    pub const ALL: [Self; 8] = [
        Self::DuplicateIsNew,
        Self::PrevUnchecked,
        Self::OldHashUnchecked,
        Self::StaleEpochTaken,
        Self::HoleSkipped,
        Self::ResumeWithoutProof,
        Self::StubOverridesBody,
        Self::HeldUnchecked,
    ];
}

/// Which rule is broken; none in production.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    #[cfg(feature = "planted")]
    broken: Option<Planted>,
}

impl Rules {
    #[cfg(feature = "planted")]
    pub(crate) fn with(broken: Option<Planted>) -> Self {
        Self { broken }
    }

    #[cfg(feature = "planted")]
    pub(crate) fn breaks(self, rule: Planted) -> bool {
        self.broken == Some(rule)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(crate) fn breaks(self, _: Planted) -> bool {
        false
    }
}
