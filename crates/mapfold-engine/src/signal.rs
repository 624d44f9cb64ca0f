//! Stopping a run from outside: Ctrl-C, TERM, or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Stops a run. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicUsize>);

impl Cancel {
    /// Asks the run to stop: `signal` is 2 for Ctrl-C, 15 for TERM.
    pub fn cancel(&self, signal: usize) {
        self.0.store(signal, SeqCst);
    }

    /// The signal that asked to stop, 0 when none did.
    pub fn signal(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Lets Ctrl-C and TERM ask this run to stop; a second Ctrl-C ends the process at once.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn on_signals(&self) -> std::io::Result<()> {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let second = Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, second.clone())?;
            signal_hook::flag::register(signal, second)?;
            signal_hook::flag::register_usize(signal, self.0.clone(), signal as usize)?;
        }
        Ok(())
    }
}
