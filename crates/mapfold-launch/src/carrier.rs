//! What every carrier does.

use crate::error::LaunchError;
use crate::membership::Membership;
use mapfold_wire::Token;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A member to be started. It has no `Debug`: it holds the token.
#[derive(Clone)]
pub struct MemberSpec {
    /// Who it is. A carrier to other hosts says itself what its folder and its program there are.
    pub place: Membership,
    /// The job's secret, to be handed over where nobody else can read.
    pub token: Token,
    /// The job's own arguments; the carrier adds the hidden ones after them.
    pub arguments: Vec<OsString>,
}

/// One start of one member. A second start of the same index is another slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its container ended in a way that is the cluster's, by this status.
    Container(i32),
    /// The carrier does not know: its host is gone, say.
    Unknown,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(signal) => write!(f, "killed by signal {signal}{}", signal_name(*signal)),
            Ended::Container(status) => write!(f, "{} (YARN's status {status})", crate::yarn::container_words(*status)),
            Ended::Unknown => f.write_str("ended in a way that nobody saw"),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL; the kernel does that when memory runs out)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// A member that has ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Which start.
    pub slot: Slot,
    /// Of which member.
    pub index: u32,
    /// How.
    pub ended: Ended,
    /// All that it wrote to its standard output and error, where the carrier keeps it on this host.
    pub log: Option<PathBuf>,
    /// The end of that, at most [`crate::TAIL_BYTES`], from the beginning of a line.
    pub tail: String,
    /// What it had noted in [`Membership::notes`], where that could still be read.
    pub notes: Vec<u8>,
    /// The host, where that is another one.
    pub host: Option<String>,
}

/// What one member may use where it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Compute threads.
    pub threads: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// Starts and stops processes, and reports exits.
pub trait Carrier: Send + Sync {
    /// Starts a member. That it started does not mean that it works: it may have ended already, and another thread may
    /// have taken its exit.
    ///
    /// # Errors
    /// [`LaunchError`] when there is nothing that could end.
    fn start(&self, spec: &MemberSpec) -> Result<Slot, LaunchError>;

    /// Asks a member to end, and ends it by force after `grace`. Returns at once; the exit is reported as any other.
    /// Of a slot that has ended nothing is asked.
    fn stop(&self, slot: Slot, grace: Duration);

    /// What a member that has not ended has noted so far; nothing where that cannot be read.
    fn notes(&self, _slot: Slot) -> Vec<u8> {
        Vec::new()
    }

    /// What a member may use, where the carrier knows it: its host's share. `None`: as much as the run was told.
    fn room(&self, _slot: Slot) -> Option<Room> {
        None
    }

    /// The next exit that was not reported yet, or `None` when `until` has come.
    fn next_exit(&self, until: Instant) -> Option<Exit>;
}
