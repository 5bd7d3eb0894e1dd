//! The real programs against real peers, on real files, on loopback.
