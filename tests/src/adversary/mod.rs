//! The adversary: forgeries, damage and stubbornness against the real code and the real programs.
//!
//! Holds: everything is drawn from a seed; what an attack did is counted by class, and an attack
//! that had any effect is a failure with its first example.

pub mod bitflip;
pub mod bomb;
pub mod certificate;
pub mod clones;
pub mod content;
pub mod device;
pub mod draw;
pub mod forge;
pub mod mitm;
pub mod netns;
pub mod passport;
pub mod plan;
pub mod stall;
pub mod suite;
pub mod tally;
pub mod vector;
