//! The terminal that is drawn on.
//!
//! Holds: it draws on the terminal's second page, and whatever ends the program, the first page is
//! there again as it was, with its cursor.

use crate::screen::Room;
use std::io::{self, Write};

/// See the module's head.
pub struct Terminal(io::Stdout);

impl Terminal {
    pub fn enter() -> io::Result<Self> {
        let mut out = io::stdout();
        write!(out, "\x1b[?1049h\x1b[?25l")?;
        out.flush()?;
        Ok(Self(out))
    }

    /// Draws over what is there, without flickering.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        write!(self.0, "\x1b[H{}\x1b[K\x1b[J", text.replace('\n', "\x1b[K\r\n"))?;
        self.0.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = write!(self.0, "\x1b[?25h\x1b[?1049l").and_then(|()| self.0.flush());
    }
}

/// Its size, asked anew at each drawing.
pub fn room() -> Room {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return Room { columns: size.ws_col.into(), rows: Some(size.ws_row.into()) };
    }
    Room::PAPER
}
