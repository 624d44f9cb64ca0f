//! The carrier in the coordinator of a YARN application: members are containers, which the application master starts.
//!
//! The application master is the parent of this process. Orders go to it over standard output, what happened comes over
//! standard input, as lines whose fields are separated by tabs (`cluster/yarn-am/src/mapfold/yarn/Master.java` has the
//! list). So nothing else may print there: [`Yarn::enter`] is called before anything else and puts the job's own output
//! into a file. When standard input ends, the application master is gone, and with it everything that this process could
//! still do: it ends.

use super::error::YarnError;
use super::words;
use crate::carrier::{Carrier, Exit, MemberSpec, Slot};
use crate::error::LaunchError;
use crate::membership::Membership;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The variable that says that this process was started by an application master.
pub const WITHIN: &str = "MAPFOLD_WITHIN";
/// Where what the job prints goes.
const STDOUT: &str = "MAPFOLD_STDOUT";
/// What a container has beyond the memory that its member plans with: a tenth, or this (in MiB) if that is more.
const LEAST_OVERHEAD: u64 = 384;
/// The exit code of a coordinator whose application master is gone.
const ORPHANED: i32 = 75;

/// The memory of a container, in MiB, for a member that plans with so many bytes.
///
/// ```
/// assert_eq!(mapfold_launch::yarn::container_mib(1 << 30), 1024 + 384);
/// assert_eq!(mapfold_launch::yarn::container_mib(10 << 30), 11 * 1024);
/// ```
pub fn container_mib(limit: u64) -> u64 {
    let limit = limit.div_ceil(1 << 20);
    limit + LEAST_OVERHEAD.max(limit.div_ceil(10))
}

/// Where a coordinator's pages are served, and who passes them on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// This node's address, as the cluster reaches it.
    pub host: IpAddr,
    /// The cluster's web proxies.
    pub proxies: Vec<IpAddr>,
}

/// In a coordinator whose cluster has a web proxy: where it may serve its pages, and to whom.
pub fn proxied() -> Option<Proxied> {
    let proxies = std::env::var("MAPFOLD_PROXIES").ok().filter(|_| Yarn::is_within())?;
    let proxies: Vec<IpAddr> = proxies.split(',').filter_map(|ip| ip.parse().ok()).collect();
    let host = host()?;
    (!proxies.is_empty()).then_some(Proxied { host, proxies })
}

/// This node's address, as the other nodes reach it: the NodeManager's.
pub fn host() -> Option<IpAddr> {
    let name = std::env::var("MAPFOLD_HOST").ok()?;
    (name.as_str(), 0).to_socket_addrs().ok()?.map(|a| a.ip()).next()
}

/// The line to the application master, taken out of the way of what the job prints.
static LINE: OnceLock<Mutex<File>> = OnceLock::new();

/// Whether this process is a member in a container of its own, where files are localised for it.
pub fn is_member() -> bool {
    std::env::var_os(WITHIN).is_some_and(|v| v == "yarn-member")
}

/// Says something to the application master; where there is none, to nobody.
fn say(fields: &[&str]) -> std::io::Result<()> {
    let Some(line) = LINE.get() else { return Ok(()) };
    let clean = |field: &&str| field.replace(['\t', '\n', '\r'], " ");
    let text = fields.iter().map(clean).collect::<Vec<_>>().join("\t") + "\n";
    lock(line).write_all(text.as_bytes())
}

/// Tells where people see the job.
pub fn tell_tracking(url: &str) {
    let _ = say(&["tracking", url]);
}

/// Tells how far the job is, from 0 to 1.
pub fn tell_progress(done: f64) {
    let _ = say(&["progress", &format!("{done:.4}")]);
}

/// Tells in one sentence how the job ended.
pub fn tell_end(words: &str) {
    let _ = say(&["end", words]);
}

/// Starts members in containers.
pub struct Yarn {
    exits: Mutex<Receiver<Exit>>,
    starts: Arc<Mutex<Starts>>,
    size: (u64, usize),
}

#[derive(Default)]
struct Starts {
    next: u64,
    /// By slot.
    running: BTreeMap<u64, Start>,
}

struct Start {
    /// Which member it is.
    index: u32,
    /// Its node, once it has one.
    host: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Yarn {
    /// Whether an application master has started this process as its job's coordinator.
    pub fn is_within() -> bool {
        LINE.get().is_some()
    }

    /// To be called first of all in a program that may be a coordinator: keeps standard output for the application
    /// master, and lets what is printed go to a file. Does nothing where no application master is.
    ///
    /// # Errors
    /// [`YarnError::NotWithin`] when the environment says so but the rest of it is not there.
    pub fn enter() -> Result<(), YarnError> {
        if std::env::var_os(WITHIN).is_none_or(|v| v != "yarn") || LINE.get().is_some() {
            return Ok(());
        }
        let bad = |why: String| YarnError::NotWithin(why);
        let path = std::env::var_os(STDOUT).map(PathBuf::from).ok_or_else(|| bad(format!("{STDOUT} is not set")))?;
        let line = std::io::stdout().as_fd().try_clone_to_owned().map_err(|e| bad(e.to_string()))?;
        let file = File::create(&path).map_err(|e| bad(format!("{}: {e}", path.display())))?;
        rustix::stdio::dup2_stdout(file).map_err(|e| bad(e.to_string()))?;
        let _ = LINE.set(Mutex::new(File::from(line)));
        Ok(())
    }

    /// The carrier, for containers with this memory (in MiB) and so many cores. Once in a process.
    ///
    /// # Errors
    /// [`YarnError::NotWithin`].
    pub fn open(mib: u64, cores: usize) -> Result<Yarn, YarnError> {
        if !Yarn::is_within() {
            return Err(YarnError::NotWithin("no application master is there".into()));
        }
        let (said, exits) = channel();
        let starts: Arc<Mutex<Starts>> = Arc::default();
        let heard = starts.clone();
        let carrier = Yarn { exits: Mutex::new(exits), starts, size: (mib, cores) };
        let reader = std::thread::Builder::new().name("launch:yarn".to_owned());
        reader.spawn(move || hear(&said, &heard)).map_err(|e| YarnError::NotWithin(e.to_string()))?;
        Ok(carrier)
    }
}

impl Carrier for Yarn {
    fn start(&self, spec: &MemberSpec) -> Result<Slot, LaunchError> {
        let slot = {
            let mut starts = lock(&self.starts);
            starts.next += 1;
            let slot = starts.next;
            starts.running.insert(slot, Start { index: spec.place.index, host: None });
            slot
        };
        // Its folder is its container's; its program is localised with the container.
        let place = Membership { folder: None, binary: None, ..spec.place.clone() };
        let (mib, cores) = self.size;
        let (slot_text, mib, cores) = (slot.to_string(), mib.to_string(), cores.to_string());
        let asked = say(&["ask", &slot_text, &mib, &cores, &place.to_string()]);
        asked.map_err(|source| LaunchError::Start { program: "the application master".into(), source })?;
        Ok(Slot(slot))
    }

    /// YARN has a grace of its own between asking and killing (`yarn.nodemanager.sleep-delay-before-sigkill.ms`).
    fn stop(&self, slot: Slot, _grace: Duration) {
        if lock(&self.starts).running.contains_key(&slot.0) {
            let _ = say(&["stop", &slot.0.to_string()]);
        }
    }

    fn next_exit(&self, until: Instant) -> Option<Exit> {
        let exits = lock(&self.exits);
        let mut exit = exits.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
        let start = lock(&self.starts).running.remove(&exit.slot.0)?;
        (exit.index, exit.host) = (start.index, start.host);
        Some(exit)
    }
}

/// Hears the application master until it is gone, and then ends this process: another attempt may have begun already.
fn hear(said: &Sender<Exit>, starts: &Mutex<Starts>) {
    for line in BufReader::new(std::io::stdin()).lines().map_while(Result::ok) {
        tracing::info!("application master: {}", line.replace('\t', " "));
        if let Some(exit) = exit_of(&line) {
            let _ = said.send(exit);
        }
        note_host(&line, &mut lock(starts));
    }
    tracing::warn!("the application master is gone: this coordinator ends");
    std::process::exit(ORPHANED);
}

/// `started SLOT HOST CONTAINER`: where a member is.
fn note_host(line: &str, starts: &mut Starts) {
    let mut fields = line.split('\t');
    if fields.next() != Some("started") {
        return;
    }
    let slot = fields.next().and_then(|n| n.parse().ok());
    if let Some(start) = slot.and_then(|slot: u64| starts.running.get_mut(&slot)) {
        start.host = fields.next().map(str::to_string);
    }
}

/// `ended SLOT STATUS WORDS`; which member it was is looked up later.
fn exit_of(line: &str) -> Option<Exit> {
    let mut fields = line.splitn(4, '\t');
    if fields.next()? != "ended" {
        return None;
    }
    let slot = Slot(fields.next()?.parse().ok()?);
    let ended = words::ended(fields.next()?.parse().ok()?);
    let tail = fields.next().unwrap_or_default().replace("\\n", "\n");
    Some(Exit { slot, index: 0, ended, log: None, tail, notes: Vec::new(), host: None })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::carrier::Ended;

    #[test]
    fn an_exit_is_read_from_a_line() {
        let exit = exit_of("ended\t7\t137\tContainer killed.\\nsecond\tline").unwrap();
        assert_eq!((exit.slot, exit.ended), (Slot(7), Ended::Signal(9)));
        assert_eq!(exit.tail, "Container killed.\nsecond\tline");
        assert!(exit_of("started\t7\thost\tcontainer_1").is_none() && exit_of("ended\tx\t1\t").is_none());
    }
}
