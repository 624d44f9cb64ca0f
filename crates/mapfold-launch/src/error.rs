//! What can go wrong when a member is started.

use std::path::PathBuf;

/// Errors of the launch room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A member's log cannot be written.
    #[error("cannot write a member's log {}: {source}", path.display())]
    Log {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// This program does not know where it is.
    #[error("cannot find the program that runs: {source}")]
    NoProgram {
        /// Why not.
        source: std::io::Error,
    },
    /// No thread for the carrier.
    #[error("cannot start a thread: {source}")]
    NoThread {
        /// Why not.
        source: std::io::Error,
    },
    /// The line to the launcher, or to its end on another host.
    #[error("the line between the launcher and its end on this host broke: {source}")]
    Line {
        /// Why.
        source: std::io::Error,
    },
    /// Another host is of no use.
    #[error("{host}: {what}")]
    Host {
        /// Which.
        host: String,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The hidden option is damaged.
    #[error("\"{text}\" is no membership: {why}; this option is for mapfold's own use")]
    BadMembership {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
}

impl LaunchError {
    /// What the user can do, where that is known.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            LaunchError::Host { remedy, .. } => Some(remedy),
            _ => None,
        }
    }
}
