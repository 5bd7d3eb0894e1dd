//! What the collector does by itself: evaluate at every tick, send what is due, repeat what is open, hand
//! numbers on.
//!
//! Holds: each is load, pure call, save; stopping anywhere and starting again comes to the same.

mod agreed;
pub mod dispatch;
pub mod evaluate;
pub mod load;
pub mod remote_write;
pub mod repeat;
pub mod turn;
pub mod watch;
