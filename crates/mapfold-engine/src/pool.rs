//! The compute pool: threads that decode, run user code and encode.
//!
//! The pool is bounded by its users (leases), not by itself. Each thread keeps rooms for reuse (decoders, encoders) from
//! split to split. A second pool, of one thread or a few, writes granted parts: what is encoded leaves memory at once,
//! instead of waiting until a compute thread has finished another split.

use crate::guard;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a thread keeps for reuse.
pub type Rooms = RefCell<HashMap<TypeId, Box<dyn Any>>>;

type Work = Box<dyn FnOnce(&Rooms) + Send>;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// The number of this thread in its pool.
pub fn thread_index() -> usize {
    INDEX.get()
}

#[derive(Default)]
struct Queues {
    waiting: VecDeque<Work>,
    running: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
    idle: Condvar,
}

/// Threads that compute. Dropping the pool waits for what is running and forgets what is queued.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads (at least one), named for debuggers and profilers.
    pub fn new(name: &str, threads: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let spawn = |i: usize| {
            let shared = shared.clone();
            let named = std::thread::Builder::new().name(format!("{name}-{i}"));
            named.spawn(move || serve(&shared, i)).expect("the system starts a thread")
        };
        Pool { threads: (0..threads.max(1)).map(spawn).collect(), shared }
    }

    /// Queues work.
    pub fn submit(&self, work: impl FnOnce(&Rooms) + Send + 'static) {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back(Box::new(work));
        self.shared.wake.notify_one();
    }

    /// Waits until nothing is queued and nothing runs.
    pub fn wait_idle(&self) {
        let mut q = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        while !q.waiting.is_empty() || q.running > 0 {
            q = self.shared.idle.wait(q).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn serve(shared: &Shared, index: usize) {
    INDEX.set(index);
    guard::mark_engine_thread();
    let rooms = Rooms::default();
    loop {
        let mut q = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let work = loop {
            if q.closed {
                return;
            }
            if let Some(work) = q.waiting.pop_front() {
                break work;
            }
            q = shared.wake.wait(q).unwrap_or_else(PoisonError::into_inner);
        };
        q.running += 1;
        drop(q);
        work(&rooms);
        shared.queues.lock().unwrap_or_else(PoisonError::into_inner).running -= 1;
        shared.idle.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.wake.notify_all();
        // The last handle of a job may be dropped by one of its own threads, which cannot wait for itself.
        let me = std::thread::current().id();
        for t in self.threads.drain(..).filter(|t| t.thread().id() != me) {
            let _ = t.join();
        }
    }
}
