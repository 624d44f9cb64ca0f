//! Members on other hosts, by the user's own `ssh`.
//!
//! One session a host and job. It brings the program there unless the host has it (`stage`), starts it as the
//! launcher's end on that host ([`crate::serve_host`]) and is the lifeline of all members there: when it ends, they do.
//! A host whose session ends is down; its members are reported as ended in an unknown way, and who is started next goes
//! to another host. When none is left, those that are down are tried again.
//!
//! Why `ssh` itself and not a library: users have keys, agents, jump hosts and aliases in its configuration.
//! Deliberately absent: supervision; who dies is replaced by the coordinator, through [`Carrier::start`].

mod fault;
mod hosts;
mod session;
mod stage;

use crate::carrier::{Carrier, Ended, Exit, MemberSpec, Room, Slot};
use crate::error::LaunchError;
use crate::membership::Membership;
use crate::target::SshHost;
use crate::told::{Order, Report};
use mapfold_wire::Token;
use session::{Session, Setup};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use hosts::{share, spread};
pub use stage::Staged;

/// A host that went down is not tried again before.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two signs of life to hosts.
const ALIVE: Duration = Duration::from_secs(15);
/// Memory of a host that members may have together, of what it says that they may: more of them come when another host
/// is down.
const LEAST_MEMORY: u64 = 128 << 20;

/// What an SSH carrier needs to know.
pub struct SshOptions {
    /// The hosts.
    pub hosts: Vec<SshHost>,
    /// The command before its options, from `MAPFOLD_SSH`: `ssh`, or `ssh -F FILE`.
    pub command: Vec<String>,
    /// The program that runs there.
    pub program: Staged,
    /// The job's secret.
    pub token: Token,
    /// Folder of members' logs on this host; it exists.
    pub logs: PathBuf,
    /// Variables for the members' environment.
    pub environment: Vec<(String, String)>,
}

/// Starts members on other hosts. When it is dropped, or this process dies, they are gone.
pub struct Ssh {
    shared: Arc<Shared>,
    exits: Mutex<Receiver<Exit>>,
    /// Dropped with the carrier: then nobody says any more that it lives.
    _alive: Sender<()>,
}

struct Shared {
    hosts: Vec<SshHost>,
    setup: Setup,
    logs: PathBuf,
    state: Mutex<State>,
    said: Sender<Exit>,
}

#[derive(Default)]
struct State {
    next: u64,
    sessions: BTreeMap<usize, Session>,
    /// When a host was last found down.
    down: BTreeMap<usize, Instant>,
    running: BTreeMap<Slot, Running>,
    /// Members that each host is to have while all are up, and what one may use there.
    shares: Vec<(u32, Option<Room>)>,
    over: bool,
}

#[derive(Clone, Copy)]
struct Running {
    host: usize,
    index: u32,
    room: Option<Room>,
}

impl Ssh {
    /// Connects to all hosts at once and brings the program where it is not.
    ///
    /// # Errors
    /// [`LaunchError::Host`] for the first host that is of no use; the others are told to the log.
    pub fn open(options: SshOptions) -> Result<Ssh, LaunchError> {
        let SshOptions { hosts, command, program, token, logs, environment } = options;
        let (said, exits) = channel();
        let setup = Setup { command, program, token, environment };
        let shared = Arc::new(Shared { hosts, setup, logs, state: Mutex::default(), said });
        let opening: Vec<_> = (0..shared.hosts.len())
            .map(|host| {
                let shared = shared.clone();
                std::thread::spawn(move || shared.open(host))
            })
            .collect();
        let opened: Vec<Result<(), LaunchError>> = opening
            .into_iter()
            .map(|o| o.join().unwrap_or_else(|_| Err(LaunchError::Line { source: std::io::Error::other("a panic") })))
            .collect();
        let mut failed = opened.into_iter().filter_map(Result::err);
        if let Some(first) = failed.next() {
            failed.for_each(|e| tracing::warn!("{e}"));
            shared.end();
            return Err(first);
        }
        let (alive, ended) = channel::<()>();
        let telling = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            while ended.recv_timeout(ALIVE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let Some(shared) = telling.upgrade() else { return };
                shared.state().sessions.values().for_each(|s| s.order(&Order::Alive));
            }
        });
        Ok(Ssh { shared, exits: Mutex::new(exits), _alive: alive })
    }

    /// What all members of each host together may use, by host.
    pub fn rooms(&self) -> Vec<Room> {
        self.shared.state().sessions.values().map(|s| s.room).collect()
    }

    /// The addresses by which the hosts see this machine, each once.
    pub fn seen(&self) -> Vec<IpAddr> {
        let all: BTreeSet<IpAddr> = self.shared.state().sessions.values().filter_map(|s| s.seen).collect();
        all.into_iter().collect()
    }

    /// Each host is to have so many members, of which each may use so much.
    pub fn plan(&self, shares: Vec<(u32, Option<Room>)>) {
        self.shared.state().shares = shares;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Shared>, host: usize) -> Result<(), LaunchError> {
        let (reports, ended) = (self.clone(), self.clone());
        let hear = move |report| reports.hear(host, report);
        let session = Session::open(&self.hosts[host], &self.setup, hear, move |why| ended.down(host, &why))?;
        let mut state = self.state();
        if session.is_open() && !state.over {
            state.down.remove(&host);
            state.sessions.insert(host, session);
        }
        Ok(())
    }

    /// A report of a host's end of the launcher.
    fn hear(&self, _host: usize, report: Report) {
        match report {
            Report::Ready { .. } => {}
            Report::Wrote { slot, bytes } => self.wrote(Slot(slot), &bytes),
            Report::NotStarted { slot, why } => self.ended(Slot(slot), Ended::Unknown, why, Vec::new()),
            Report::Ended { slot, ended, tail, notes } => self.ended(Slot(slot), ended, tail, notes),
        }
    }

    fn log(&self, index: u32) -> PathBuf {
        self.logs.join(format!("member-{index}.log"))
    }

    /// Losing lines of a log loses no result.
    fn wrote(&self, slot: Slot, bytes: &[u8]) {
        let Some(running) = self.state().running.get(&slot).copied() else { return };
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.log(running.index));
        if let Err(e) = log.and_then(|mut log| log.write_all(bytes)) {
            tracing::debug!("the log of member {}: {e}", running.index);
        }
    }

    fn ended(&self, slot: Slot, ended: Ended, tail: String, notes: Vec<u8>) {
        let Some(running) = self.state().running.remove(&slot) else { return };
        let (index, host) = (running.index, Some(self.hosts[running.host].to_string()));
        let _ = self.said.send(Exit { slot, index, ended, log: Some(self.log(index)), tail, notes, host });
    }

    /// A session has ended, and all members there with it.
    fn down(&self, host: usize, why: &str) {
        let lost: Vec<Slot> = {
            let mut state = self.state();
            state.sessions.remove(&host);
            state.down.insert(host, Instant::now());
            if !state.over {
                tracing::warn!("{}: {why}; its members are started elsewhere", self.hosts[host]);
            }
            state.running.iter().filter(|(_, r)| r.host == host).map(|(slot, _)| *slot).collect()
        };
        lost.into_iter().for_each(|slot| self.ended(slot, Ended::Unknown, why.to_owned(), Vec::new()));
    }

    /// Tries hosts that are down once more, if their time has come; says why none came up.
    fn reopen(self: &Arc<Shared>) -> Result<(), LaunchError> {
        let down: Vec<usize> = {
            let state = self.state();
            let since = |host: &usize| state.down.get(host).is_none_or(|since| since.elapsed() >= AGAIN);
            (0..self.hosts.len()).filter(|h| !state.sessions.contains_key(h)).filter(since).collect()
        };
        let mut last = Ok(());
        for host in down {
            last = self.open(host);
            match &last {
                Ok(()) => return Ok(()),
                Err(_) => drop(self.state().down.insert(host, Instant::now())),
            }
        }
        last
    }

    fn end(&self) {
        let sessions = {
            let mut state = self.state();
            state.over = true;
            std::mem::take(&mut state.sessions)
        };
        let sessions: Vec<Session> = sessions.into_values().collect();
        sessions.iter().for_each(Session::hang_up);
        drop(sessions); // Waits for them.
    }
}

impl State {
    /// The host that has the most places left; when all are taken, the one that has the fewest members for its places.
    fn pick(&self) -> Option<usize> {
        let load = |host: &usize| {
            let members = self.running.values().filter(|r| r.host == *host).count() as u64;
            let places = u64::from(self.shares.get(*host).map_or(1, |(n, _)| *n).max(1));
            (members * 1000 / places, *host)
        };
        self.sessions.keys().copied().min_by_key(load)
    }

    /// What a new member may use there: its share, or what the others have left when there are more than planned.
    fn room(&self, host: usize) -> Option<Room> {
        let share = self.shares.get(host).and_then(|(_, room)| *room)?;
        let all = self.sessions.get(&host)?.room.memory;
        let given = self.running.values().filter(|r| r.host == host).filter_map(|r| r.room).map(|r| r.memory);
        let left = (all / 7 * 9).saturating_sub(given.sum()); // It says 70 % of what it has; 90 % are the most.
        Some(Room { memory: share.memory.min(left.max(LEAST_MEMORY)), ..share })
    }
}

/// Where a host finds a coordinator that listens at any address: at the one by which the host sees this machine.
fn reached(meet: &str, seen: Option<IpAddr>) -> String {
    match (meet.parse::<SocketAddr>(), seen) {
        (Ok(any), Some(seen)) if any.ip().is_unspecified() => SocketAddr::new(seen, any.port()).to_string(),
        _ => meet.to_owned(),
    }
}

impl Carrier for Ssh {
    fn start(&self, spec: &MemberSpec) -> Result<Slot, LaunchError> {
        if self.shared.state().sessions.is_empty() {
            self.shared.reopen()?;
        }
        let mut state = self.shared.state();
        let Some(host) = state.pick() else {
            let host = self.shared.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let (what, remedy) = ("no host is left that ssh reaches", "look at the hosts, then --resume");
            return Err(LaunchError::Host { host, what: what.to_owned(), remedy: remedy.to_owned() });
        };
        state.next += 1;
        let (slot, index, room) = (Slot(state.next), spec.place.index, state.room(host));
        state.running.insert(slot, Running { host, index, room });
        let text = |a: &std::ffi::OsString| a.to_string_lossy().into_owned();
        let arguments = spec.arguments.iter().map(text).collect();
        if let Some(session) = state.sessions.get(&host) {
            let meet = reached(&spec.place.meet, session.seen);
            let binary = Some(self.shared.setup.program.hash.clone());
            let place = Membership { meet, binary, folder: None, ..spec.place.clone() };
            session.order(&Order::Start { slot: slot.0, place: place.to_string(), arguments });
        }
        drop(state);
        self.shared.wrote(slot, b""); // A member that says nothing has a log too.
        Ok(slot)
    }

    fn stop(&self, slot: Slot, grace: Duration) {
        let state = self.shared.state();
        let session = state.running.get(&slot).and_then(|r| state.sessions.get(&r.host));
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        session.iter().for_each(|s| s.order(&Order::Stop { slot: slot.0, grace_ms }));
    }

    fn room(&self, slot: Slot) -> Option<Room> {
        self.shared.state().running.get(&slot)?.room
    }

    fn next_exit(&self, until: Instant) -> Option<Exit> {
        let exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        exits.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.shared.end();
    }
}
