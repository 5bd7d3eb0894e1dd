//! What the collector does by itself: evaluate at every tick, and send what is due.
//!
//! Holds: each is load, pure call, save; stopping anywhere and starting again comes to the same.

mod agreed;
pub mod dispatch;
pub mod evaluate;
