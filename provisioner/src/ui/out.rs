//! The one place where bytes leave the program.

use std::io::{ErrorKind, Write};

/// A writer that goes quiet once nobody reads any more: `lamp plan | head` is no error, and a run
/// whose listener went away is still carried through.
pub(super) struct Out {
    to: Box<dyn Write + Send>,
    closed: bool,
}

impl Out {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Out { to, closed: false }
    }

    /// Writes all of it at once, so that a screen never shows half a frame.
    pub(super) fn write(&mut self, text: &str) {
        if self.closed || text.is_empty() {
            return;
        }
        if let Err(err) = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            self.closed = true;
            if err.kind() != ErrorKind::BrokenPipe {
                // The other channel may still work; if not, there is nobody left to tell.
                let _ = writeln!(std::io::stderr(), "error: cannot write the output: {err}");
            }
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }
}
