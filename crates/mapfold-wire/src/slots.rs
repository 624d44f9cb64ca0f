//! A bounded number of handshakes at a time, in which the newest always has a place.
//!
//! Refusing newcomers while all places are taken would let a few silent connections keep everybody out for as long as
//! their limit lasts. So the oldest goes: an honest peer needs a millisecond, and must only outlive as many newcomers
//! as there are places.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct Slots {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// By age: a second handle of each socket, so that it can be closed from outside.
    open: BTreeMap<u64, TcpStream>,
    /// Threads that run, among them those whose socket was closed and that are about to notice.
    running: usize,
    next: u64,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for `socket`. Closes the oldest if all `most` are taken, and waits until its thread has ended.
    pub(crate) fn enter(&self, socket: TcpStream, most: usize) -> u64 {
        let mut state = self.lock();
        while state.running >= most {
            if let Some((_, oldest)) = state.open.pop_first() {
                let _ = oldest.shutdown(Shutdown::Both); // it may be gone already
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.running += 1;
        state.next += 1;
        let slot = state.next;
        state.open.insert(slot, socket);
        slot
    }

    /// Gives the place back. False if it was taken away meanwhile: then the socket is closed.
    pub(crate) fn leave(&self, slot: u64) -> bool {
        let mut state = self.lock();
        state.running -= 1;
        self.freed.notify_all();
        state.open.remove(&slot).is_some()
    }

    /// Ends all handshakes.
    pub(crate) fn clear(&self) {
        for (_, socket) in std::mem::take(&mut self.lock().open) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
