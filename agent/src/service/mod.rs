//! The agent as a service of its system: systemd's unit, or a service of Windows.
//!
//! Holds: installing again changes what is there into what this version installs; nothing here
//! touches records, keys or consent, neither does uninstalling.
//!
//! Does not: start a service that was only installed; the device may not be enrolled yet.

mod supervisor;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(windows)]
mod windows;

pub use supervisor::Supervisor;
#[cfg(target_os = "linux")]
pub use systemd::{ServiceError, Target, UNIT, execute};
#[cfg(windows)]
pub use windows::{ServiceError, Target, execute, serve};

use std::io::{self, Write};
use tenken_common::message::{Language, ServiceText};

/// What is to be done with the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Install(Target),
    Uninstall,
    Start,
    Stop,
    Status,
}

/// Whom it is told how that went.
pub struct Listener<'a> {
    pub out: &'a mut dyn Write,
    pub language: Language,
}

impl Listener<'_> {
    fn say(&mut self, text: ServiceText, values: &[(&str, &str)]) -> io::Result<()> {
        writeln!(self.out, "{}", text.fill(self.language, values))
    }
}
