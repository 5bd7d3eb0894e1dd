//! Forged, replayed, cross-device, reordered and re-sealed messages of every kind, at least so
//! many of each, against a running collector, a running agent, and the code that files statements.
//!
//! Holds: an attacker here sees everything that travels and owns an enrolled device, the TLS root
//! and a hospital of its own; what it lacks are the device's key, the acknowledgement key, the
//! vendor's offline key and the hospital's key. Afterwards the honest ones deliver everything
//! exactly once.

mod agent;
mod collector;
mod open_door;
mod statement;

pub use agent::against_agent;
pub use collector::against_collector;
pub use statement::statements;
