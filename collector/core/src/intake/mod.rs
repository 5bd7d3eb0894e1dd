//! What may be believed of a device: whether it is heard from at all.

pub mod device_state;
