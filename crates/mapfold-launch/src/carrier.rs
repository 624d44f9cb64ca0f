//! What every carrier does.

use crate::error::LaunchError;
use crate::membership::Membership;
use mapfold_wire::Token;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A member to be started. It has no `Debug`: it holds the token.
#[derive(Clone)]
pub struct MemberSpec {
    /// Who it is.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The carrier does not know: its host is gone, say.
    Unknown,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(signal) => write!(f, "killed by signal {signal}{}", signal_name(*signal)),
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

    /// The next exit that was not reported yet, or `None` when `until` has come.
    fn next_exit(&self, until: Instant) -> Option<Exit>;
}
