//! The compute pool: threads that decode, run user code and encode.
//!
//! Two queues: storing granted parts goes before computing new ones, because it frees memory. The pool is bounded by
//! its users (leases), not by itself. Each thread keeps rooms for reuse (decoders, encoders) from split to split.

use crate::guard;
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a thread keeps for reuse.
pub type Rooms = RefCell<HashMap<TypeId, Box<dyn Any>>>;

type Work = Box<dyn FnOnce(&Rooms) + Send>;

#[derive(Default)]
struct Queues {
    urgent: VecDeque<Work>,
    normal: VecDeque<Work>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

/// Threads that compute. Dropping the pool waits for what is running and forgets what is queued.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads (at least one).
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let spawn = |i: usize| {
            let shared = shared.clone();
            let named = std::thread::Builder::new().name(format!("compute-{i}"));
            named.spawn(move || serve(&shared)).expect("the system starts a thread")
        };
        Pool { threads: (0..threads.max(1)).map(spawn).collect(), shared }
    }

    /// Queues work.
    pub fn submit(&self, work: impl FnOnce(&Rooms) + Send + 'static) {
        self.push(Box::new(work), false);
    }

    /// Queues work that goes before all that is not urgent.
    pub fn submit_urgent(&self, work: impl FnOnce(&Rooms) + Send + 'static) {
        self.push(Box::new(work), true);
    }

    fn push(&self, work: Work, urgent: bool) {
        let mut q = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if urgent {
            q.urgent.push_back(work)
        } else {
            q.normal.push_back(work)
        }
        drop(q);
        self.shared.wake.notify_one();
    }
}

fn serve(shared: &Shared) {
    guard::mark_engine_thread();
    let rooms = Rooms::default();
    loop {
        let mut q = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let work = loop {
            if q.closed {
                return;
            }
            let next = q.urgent.pop_front().or_else(|| q.normal.pop_front());
            if let Some(work) = next {
                break work;
            }
            q = shared.wake.wait(q).unwrap_or_else(PoisonError::into_inner);
        };
        drop(q);
        work(&rooms);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.wake.notify_all();
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}
