//! Bugs that the simulator plants to find out whether its oracle would see them.
//!
//! Holds: without the cargo feature `planted` there is no field, no branch and no way to plant
//! one; with it, nothing is planted until a test says so. No program that ships enables it.

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planted {
    /// An acknowledgement releases whatever its number covers, whatever hash it names.
    ReleaseUnchecked,
    /// The records of a stub wait again, to be sent under another link.
    StubKeepsRecords,
    /// The state is saved before the engine has what it speaks of.
    StateFirst,
    /// Ids are used without having been reserved.
    IdsUnreserved,
    /// Making room takes records that are cut.
    EvictsPinned,
    /// A declared loss is forgotten when it is cut, not when it is acknowledged.
    GapDroppedAtCut,
    /// A device that is behind its own chain goes on.
    BehindGoesOn,
}

impl Planted {
    pub const ALL: [Self; 7] = [
        Self::ReleaseUnchecked,
        Self::StubKeepsRecords,
        Self::StateFirst,
        Self::IdsUnreserved,
        Self::EvictsPinned,
        Self::GapDroppedAtCut,
        Self::BehindGoesOn,
    ];
}

/// Where a bug can be planted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Soil {
    #[cfg(feature = "planted")]
    bug: Option<Planted>,
}

impl Soil {
    #[cfg(feature = "planted")]
    pub(crate) fn plant(&mut self, bug: Planted) {
        self.bug = Some(bug);
    }

    #[cfg(feature = "planted")]
    pub(crate) fn grows(self, bug: Planted) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the same shape with and without the feature")]
    pub(crate) const fn grows(self, _: Planted) -> bool {
        false
    }
}
