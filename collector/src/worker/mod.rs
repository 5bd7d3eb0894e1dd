//! What the collector does by itself: evaluate at every tick, send what is due, hand
//! numbers on.
//!
//! Holds: each is load, pure call, save; stopping anywhere and starting again comes to the same.

pub mod dispatch;
pub mod evaluate;
pub mod remote_write;
