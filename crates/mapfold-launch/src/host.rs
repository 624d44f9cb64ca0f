//! The launcher's end on another host: the same program, started there by `ssh` with one hidden option.
//!
//! It starts members as children of its own ([`Local`]), so that exit codes, signals, the ends of logs and the notes of
//! the dead are known exactly, which `ssh` by itself would not tell. Its standard input is the lifeline: when that ends,
//! whatever ended it, all members here end, their folder goes, and so does this process. If it is killed itself, its
//! children are too, by the kernel.
//!
//! Deliberately absent: any decision. It knows neither jobs nor plans.

use crate::carrier::{Carrier, Exit, MemberSpec, Room, Slot};
use crate::error::LaunchError;
use crate::local::Local;
use crate::membership::Membership;
use crate::tail::Follower;
use crate::told::{FRAME_CAP, GREETING, Order, Report};
use mapfold_wire::{Token, read_frame, write_frame};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The hidden option that makes a program the launcher's end on its host.
pub const HOST_OPTION: &str = "--mapfold-host";
/// Between two looks at what members have written.
const LOOK: Duration = Duration::from_millis(250);
/// Without members, the launcher is gone after this silence: it says every few seconds that it lives.
const ALONE: Duration = Duration::from_secs(90);
/// A program that nobody has used for so long is removed from the cache.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// Serves a launcher until it is gone; `room` is what all members together may use here.
///
/// # Errors
/// When standard input is no launcher's, or there is no place for the members' logs.
pub fn serve_host(room: Room) -> Result<(), LaunchError> {
    let broken = |source: std::io::Error| LaunchError::Line { source };
    // Not `std::io::stdin` and `stdout`, which buffer.
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(broken)?);
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned().map_err(broken)?);
    let token = Token::read_from(&mut input).map_err(|e| broken(std::io::Error::other(e)))?;
    writeln!(output, "{GREETING}").map_err(broken)?;
    let Ok(Some(Order::Begin { folder, environment })) = read_frame(&mut input, FRAME_CAP) else {
        return Err(broken(std::io::Error::other("the launcher has gone")));
    };
    let _ = std::env::set_current_dir(&folder); // Where the host does not have it, only full names mean the same.
    prune();
    let own = Own::make().map_err(|source| LaunchError::Log { path: std::env::temp_dir(), source })?;
    let carrier = Local::new(&own.0)?.with_environment(environment);
    // sshd's own variable: "client port server port".
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let seen = connection.split(' ').next().and_then(|ip| ip.parse().ok());
    let ready = Report::Ready { threads: room.threads, memory: room.memory, seen };
    write_frame(&mut output, &ready, FRAME_CAP).map_err(|e| broken(std::io::Error::other(e)))?;
    let host = Arc::new(Host { carrier, token, folder: own.0.clone(), state: Mutex::default(), gone: false.into() });
    let hearing = host.clone();
    std::thread::spawn(move || hearing.hear(input));
    host.tell(output);
    host.state().slots.keys().for_each(|slot| host.carrier.stop(*slot, Duration::ZERO));
    while !host.state().slots.is_empty() {
        match host.carrier.next_exit(Instant::now() + Duration::from_secs(5)) {
            Some(exit) => drop(host.state().slots.remove(&exit.slot)),
            None => break, // One that hangs in the kernel: it is killed when this process ends.
        }
    }
    Ok(())
}

/// A folder of this process, gone with it.
struct Own(PathBuf);

const OWN: &str = "mapfold-host-";

impl Own {
    fn make() -> std::io::Result<Own> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{OWN}{}-{:x}", std::process::id(), now.as_nanos());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Own(path))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // What stays is found by `prune`.
    }
}

/// Removes what killed ones of this user left behind, and programs that nobody has used for long.
fn prune() {
    let me = rustix::process::geteuid().as_raw();
    let dead = |name: &str| {
        let pid = name.strip_prefix(OWN).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let owned = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == me);
        if owned && entry.file_name().to_str().is_some_and(dead) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let Ok(me) = std::env::current_exe() else { return };
    let Some(cache) = me.parent().filter(|folder| folder.ends_with("mapfold/bin")) else { return };
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let used = entry.metadata().and_then(|m| m.modified());
        if entry.path() != me && used.is_ok_and(|used| used.elapsed().is_ok_and(|unused| unused > KEPT)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

struct Host {
    carrier: Local,
    token: Token,
    folder: PathBuf,
    state: Mutex<State>,
    gone: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The launcher's number of each start, and how far its log was sent.
    slots: BTreeMap<Slot, (u64, Follower)>,
    /// Starts that failed.
    failed: Vec<(u64, String)>,
    heard: Option<Instant>,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the launcher says until it is gone.
    fn hear(&self, mut input: File) {
        while let Ok(Some(order)) = read_frame::<Order>(&mut input, FRAME_CAP) {
            self.state().heard = Some(Instant::now());
            match order {
                Order::Start { slot, place, arguments } => self.start(slot, &place, arguments),
                Order::Stop { slot, grace_ms } => self.stop(slot, Duration::from_millis(grace_ms)),
                Order::Begin { .. } | Order::Alive => {}
            }
        }
        self.gone.store(true, SeqCst);
    }

    fn start(&self, number: u64, place: &str, arguments: Vec<String>) {
        let mut state = self.state(); // Held, so that an exit finds its number.
        let started = place.parse::<Membership>().and_then(|place| {
            let (index, token) = (place.index, self.token.clone());
            let place = Membership { folder: Some(self.folder.clone()), ..place };
            let arguments = arguments.into_iter().map(Into::into).collect();
            Ok((self.carrier.start(&MemberSpec { place, token, arguments })?, index))
        });
        match started {
            Ok((slot, index)) => {
                state.slots.insert(slot, (number, Follower::new(self.carrier.log(index))));
            }
            Err(e) => state.failed.push((number, e.to_string())),
        }
    }

    fn stop(&self, number: u64, grace: Duration) {
        let state = self.state();
        let slot = state.slots.iter().find(|(_, (n, _))| *n == number).map(|(slot, _)| *slot);
        slot.iter().for_each(|slot| self.carrier.stop(*slot, grace));
    }

    /// Tells the launcher what happens until it is gone.
    fn tell(&self, mut output: File) {
        while !self.gone.load(SeqCst) && !self.is_alone() {
            let exit = self.carrier.next_exit(Instant::now() + LOOK);
            let mut reports = self.news();
            reports.extend(exit.and_then(|exit| self.ended(exit)));
            if reports.iter().any(|report| write_frame(&mut output, report, FRAME_CAP).is_err()) {
                return;
            }
        }
    }

    fn is_alone(&self) -> bool {
        let state = self.state();
        state.slots.is_empty() && state.heard.is_some_and(|heard| heard.elapsed() > ALONE)
    }

    /// What members have written, and who could not be started.
    fn news(&self) -> Vec<Report> {
        let mut state = self.state();
        let failed = std::mem::take(&mut state.failed);
        let failed = failed.into_iter().map(|(slot, why)| Report::NotStarted { slot, why });
        let wrote = state.slots.values_mut().filter_map(|(slot, log)| {
            let bytes = log.read();
            (!bytes.is_empty()).then_some(Report::Wrote { slot: *slot, bytes })
        });
        let wrote: Vec<Report> = wrote.collect();
        failed.chain(wrote).collect()
    }

    fn ended(&self, exit: Exit) -> Option<Report> {
        let (slot, _) = self.state().slots.remove(&exit.slot)?;
        let (ended, tail, mut notes) = (exit.ended, exit.tail, exit.notes);
        notes.truncate(FRAME_CAP as usize / 2);
        Some(Report::Ended { slot, ended, tail, notes })
    }
}
