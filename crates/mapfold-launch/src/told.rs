//! What the launcher and its end on another host say to each other, as frames on the standard streams of `ssh`.

use crate::carrier::Ended;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Largest frame either end believes: a piece of a log, or the notes of a member.
pub(crate) const FRAME_CAP: u32 = 4 << 20;
/// The line before the first frame: what a shell prints before it is skipped.
pub(crate) const GREETING: &str = "mapfold-host-1";

/// To the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first: where members work, and what is in their environment.
    Begin {
        /// The launcher's folder. Members work there if the host has it too, so that relative names mean the same.
        folder: String,
        /// Variables that say how stores are reached. They may hold secrets: not for logs.
        environment: Vec<(String, String)>,
    },
    /// Start a member.
    Start {
        /// The launcher's number of this start.
        slot: u64,
        /// Its membership as text.
        place: String,
        /// The job's own arguments.
        arguments: Vec<String>,
    },
    /// End a member.
    Stop {
        /// Which start.
        slot: u64,
        /// By force after so many milliseconds.
        grace_ms: u64,
    },
    /// The launcher lives.
    Alive,
}

/// From the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The first: what all members together may use there.
    Ready {
        /// Compute threads.
        threads: u32,
        /// Bytes of memory.
        memory: u64,
        /// The address from which the host sees the launcher come.
        seen: Option<IpAddr>,
    },
    /// A member could not be started.
    NotStarted {
        /// Which start.
        slot: u64,
        /// Why.
        why: String,
    },
    /// A member wrote this to its log.
    Wrote {
        /// Which start.
        slot: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A member has ended.
    Ended {
        /// Which start.
        slot: u64,
        /// How.
        ended: Ended,
        /// The end of its log.
        tail: String,
        /// What it had noted.
        notes: Vec<u8>,
    },
}
