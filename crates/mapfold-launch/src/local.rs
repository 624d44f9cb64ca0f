//! Members as child processes on this machine.
//!
//! One thread starts them all and lives as long as the carrier (why: `with_parent`); one thread per member waits for
//! its end. A member's number is in the table exactly while it is safe to signal it.

use crate::carrier::{Carrier, Exit, MemberSpec, Slot};
use crate::error::LaunchError;
use crate::{process, tail};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Starts members as children of this process. When it is dropped, or this process dies, they are gone.
pub struct Local {
    program: PathBuf,
    logs: PathBuf,
    environment: Vec<(String, String)>,
    table: Arc<Table>,
    exits: Mutex<Receiver<Exit>>,
    said: Sender<Exit>,
    orders: Option<Sender<Order>>,
    starter: Option<JoinHandle<()>>,
}

/// A start, for the thread that starts.
struct Order {
    spec: MemberSpec,
    program: PathBuf,
    environment: Vec<(String, String)>,
    log: std::fs::File,
    answer: Sender<std::io::Result<Child>>,
}

#[derive(Default)]
struct Table {
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Default)]
struct Running {
    pids: BTreeMap<Slot, Pid>,
    notes: BTreeMap<Slot, PathBuf>,
    next: u64,
}

impl Local {
    /// Members run this very program; their logs are kept in `logs`, a folder that exists.
    ///
    /// # Errors
    /// [`LaunchError::NoProgram`], [`LaunchError::NoThread`].
    pub fn new(logs: impl Into<PathBuf>) -> Result<Local, LaunchError> {
        let program = std::env::current_exe().map_err(|source| LaunchError::NoProgram { source })?;
        Local::of(program, logs)
    }

    /// Members run `program`.
    ///
    /// # Errors
    /// [`LaunchError::NoThread`].
    pub fn of(program: impl Into<PathBuf>, logs: impl Into<PathBuf>) -> Result<Local, LaunchError> {
        let (orders, starts) = channel::<Order>();
        let (said, exits) = channel();
        let starter = thread::Builder::new().name("launch:start".to_owned());
        let starter = starter
            .spawn(move || {
                for order in starts {
                    let child = process::spawn(&order.program, &order.spec, order.environment, order.log);
                    let _ = order.answer.send(child);
                }
            })
            .map_err(|source| LaunchError::NoThread { source })?;
        let (program, logs, exits) = (program.into(), logs.into(), Mutex::new(exits));
        let table = Arc::default();
        let (orders, starter, environment) = (Some(orders), Some(starter), Vec::new());
        Ok(Local { program, logs, environment, table, exits, said, orders, starter })
    }

    /// With these variables in the environment of members, beside those of this process.
    #[must_use]
    pub fn with_environment(mut self, environment: Vec<(String, String)>) -> Local {
        self.environment = environment;
        self
    }

    /// Where the log of a member is.
    pub fn log(&self, index: u32) -> PathBuf {
        self.logs.join(format!("member-{index}.log"))
    }

    /// Has the starting thread start a process.
    fn order(&self, spec: &MemberSpec, log: std::fs::File) -> std::io::Result<Child> {
        let gone = || std::io::Error::other("the carrier has ended");
        let (answer, answered) = channel();
        let (spec, program, environment) = (spec.clone(), self.program.clone(), self.environment.clone());
        let order = Order { spec, program, environment, log, answer };
        self.orders.as_ref().ok_or_else(gone)?.send(order).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

impl Carrier for Local {
    fn start(&self, spec: &MemberSpec) -> Result<Slot, LaunchError> {
        let path = self.log(spec.place.index);
        let (log, begin) = process::open_log(&path)?;
        let failed = |source| LaunchError::Start { program: self.program.clone(), source };
        let mut child = self.order(spec, log).map_err(failed)?;
        let notes = spec.place.notes();
        let slot = self.table.add(process::pid(&child), notes.clone());
        let (table, said, index) = (self.table.clone(), self.said.clone(), spec.place.index);
        let waiting = thread::Builder::new().name(format!("launch:wait-{index}"));
        let waited = waiting.spawn(move || {
            let ended = table.wait(slot, &mut child);
            let tail = tail::tail(&path, begin);
            let notes = read_notes(notes.as_deref());
            let _ = said.send(Exit { slot, index, ended, log: Some(path), tail, notes, host: None });
        });
        // Without a thread nobody would report its end: it must not run. Its number stays taken, by this process.
        waited.map(|_| slot).map_err(|source| {
            self.table.kill(slot);
            LaunchError::NoThread { source }
        })
    }

    fn stop(&self, slot: Slot, grace: Duration) {
        let table = self.table.clone();
        let stopping = thread::Builder::new().name("launch:stop".to_owned());
        if stopping.spawn(move || table.end(slot, grace)).is_err() {
            self.table.kill(slot); // no thread, no grace
        }
    }

    fn notes(&self, slot: Slot) -> Vec<u8> {
        let notes = self.table.lock().notes.get(&slot).cloned();
        read_notes(notes.as_deref())
    }

    fn next_exit(&self, until: Instant) -> Option<Exit> {
        let exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        exits.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}

impl Drop for Local {
    /// Ends all members by force and waits until they are gone.
    fn drop(&mut self) {
        let slots: Vec<Slot> = self.table.lock().pids.keys().copied().collect();
        slots.iter().for_each(|slot| self.table.kill(*slot));
        self.table.until_gone(&slots, Duration::from_secs(10)); // a process in an uninterruptible read outlives that
        self.orders = None;
        if let Some(starter) = self.starter.take() {
            let _ = starter.join();
        }
    }
}

/// A file that was never made says nothing.
fn read_notes(path: Option<&Path>) -> Vec<u8> {
    path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default()
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, pid: Pid, notes: Option<PathBuf>) -> Slot {
        let mut running = self.lock();
        running.next += 1;
        let slot = Slot(running.next);
        running.pids.insert(slot, pid);
        running.notes.extend(notes.map(|path| (slot, path)));
        slot
    }

    /// Signals a slot that has not ended.
    fn signal(&self, slot: Slot, signal: Signal) {
        if let Some(pid) = self.lock().pids.get(&slot) {
            process::signal(*pid, signal);
        }
    }

    fn kill(&self, slot: Slot) {
        self.signal(slot, Signal::KILL);
    }

    fn end(&self, slot: Slot, grace: Duration) {
        self.signal(slot, Signal::TERM);
        self.until_gone(&[slot], grace);
        self.kill(slot);
    }

    /// Waits until none of `slots` runs, or until `limit` is over.
    fn until_gone(&self, slots: &[Slot], limit: Duration) {
        let runs = |running: &mut Running| slots.iter().any(|slot| running.pids.contains_key(slot));
        let _ = self.changed.wait_timeout_while(self.lock(), limit, runs);
    }

    /// Waits for the end of a member, clears away what it started and left, and frees its number.
    fn wait(&self, slot: Slot, child: &mut Child) -> crate::carrier::Ended {
        let pid = process::pid(child);
        process::wait_for_end(pid);
        let mut running = self.lock();
        process::signal(pid, Signal::KILL);
        running.pids.remove(&slot);
        running.notes.remove(&slot);
        let ended = process::reap(child); // at once: it has ended
        self.changed.notify_all();
        ended
    }
}
