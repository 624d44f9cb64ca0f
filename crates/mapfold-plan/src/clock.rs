//! Seconds by phase on one compute thread.

use std::cell::Cell;
use std::time::Instant;

/// What a compute thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for bytes that were asked for ahead.
    Read,
    /// Decompressing and converting.
    Decode,
    /// User closures.
    Compute,
    /// Partitioning and moving records.
    Exchange,
    /// Compressing.
    Encode,
    /// Handing encoded bytes to the store.
    Write,
    /// Anything else.
    Other,
}

/// Adds up wall nanoseconds by [`Phase`]; entering a phase ends the one before.
pub struct Clock {
    nanos: [Cell<u64>; 7],
    now: Cell<Phase>,
    since: Cell<Instant>,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { nanos: Default::default(), now: Cell::new(Phase::Other), since: Cell::new(Instant::now()) }
    }
}

impl Clock {
    /// Ends the present phase and begins `phase`; gives the one before.
    pub fn enter(&self, phase: Phase) -> Phase {
        let (t, old) = (Instant::now(), self.now.replace(phase));
        let spent = &self.nanos[old as usize];
        spent.set(spent.get() + t.duration_since(self.since.replace(t)).as_nanos() as u64);
        old
    }

    /// Nanoseconds of each phase, in the order of the enum; the present phase is closed first.
    pub fn take(&self) -> [u64; 7] {
        self.enter(Phase::Other);
        std::array::from_fn(|i| self.nanos[i].take())
    }
}
