//! Frozen wire shapes, one file a version. A new version is a new file named after its reason;
//! old ones stay readable for ever.

pub mod v1;
