//! What a shown device says of its own state: antivirus products and sources of patches.

use super::AS_OF;
use crate::evaluation::FactInput;
use serde::{Deserialize, Serialize};
use tenken_common::{
    config::HumanDuration,
    fact::{Fact, PatchSource, PatchState, PatchStatus, PatternFileStatus, PatternSource, PatternState},
    id::Name,
};

/// An antivirus product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPatternFile {
    pub product: Name,
    #[serde(default = "known_pattern")]
    pub state: PatternState,
    /// How long ago its definitions were made; it cannot tell where it is not named.
    #[serde(default)]
    pub made: Option<HumanDuration>,
    /// How long ago it said so.
    #[serde(default)]
    pub age: HumanDuration,
}

/// A source of patches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPatches {
    pub source: PatchSource,
    #[serde(default = "known_patches")]
    pub state: PatchState,
    /// Security patches that are offered and not installed.
    pub security: u32,
    /// Since when the oldest of them is offered.
    #[serde(default)]
    pub oldest: Option<HumanDuration>,
    #[serde(default)]
    pub age: HumanDuration,
}

fn known_pattern() -> PatternState {
    PatternState::Known
}

fn known_patches() -> PatchState {
    PatchState::Known
}

impl ShownPatternFile {
    pub(super) fn shown(&self) -> FactInput {
        let status = PatternFileStatus {
            probe: Name::of_outside("pattern_files"),
            source: PatternSource::FileDate,
            state: self.state,
            engine: None,
            version: None,
            defined_at: self.made.map(|ago| AS_OF.minus(ago.0)),
        };
        let (subject, at) = (self.product.clone(), AS_OF.minus(self.age.0));
        FactInput { subject, at, fact: Fact::PatternFileStatus(status) }
    }
}

impl ShownPatches {
    pub(super) fn shown(&self) -> FactInput {
        let status = PatchStatus {
            probe: Name::of_outside("patches"),
            source: self.source,
            state: self.state,
            pending: Some(self.security),
            security: Some(self.security),
            oldest_at: self.oldest.map(|ago| AS_OF.minus(ago.0)),
            index_at: None,
            applied_at: None,
            reboot_needed: None,
            system: Name::of_outside("system"),
            build: None,
        };
        let (subject, at) = (super::device(), AS_OF.minus(self.age.0));
        FactInput { subject, at, fact: Fact::PatchStatus(status) }
    }
}
