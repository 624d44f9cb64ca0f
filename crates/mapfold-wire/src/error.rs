//! What can go wrong between two processes, by what the user can do about it.

use crate::facts::{Mismatch, Who};
use std::net::SocketAddr;

/// Errors of making a connection. Those of frames are [`crate::FrameError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// A token cannot be read.
    #[error("no job token in {place}: {why}")]
    BadToken {
        /// File or descriptor.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The listening socket cannot be made.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// An address that others can reach, without TLS.
    #[error("{address} is not on this host's loopback: connections to other hosts need TLS (--tls)")]
    OffHost {
        /// The address.
        address: SocketAddr,
    },
    /// The name of a host means nothing.
    #[error("cannot find {address}: {source}")]
    NoSuchHost {
        /// As given.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody there, or gone during the handshake.
    #[error("{address}: {doing}: {source}")]
    Broken {
        /// The other end.
        address: SocketAddr,
        /// The step.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// TLS was not agreed on.
    #[error("{address}: no TLS connection: {source}")]
    Tls {
        /// The other end.
        address: SocketAddr,
        /// Why.
        source: rustls::Error,
    },
    /// The other end does not prove that it knows the token.
    #[error("{address}: {why}")]
    Unproven {
        /// The other end.
        address: SocketAddr,
        /// What it did.
        why: &'static str,
    },
    /// A proven end that does not fit.
    #[error("refused {who} at {address}: {mismatch}")]
    Unfit {
        /// Who, as proven.
        who: Who,
        /// Where.
        address: SocketAddr,
        /// In what.
        mismatch: Mismatch,
    },
    /// A proven end, but another one than was dialled.
    #[error("dialled {expected} at {address}, but {found} answered")]
    Other {
        /// Who was dialled.
        expected: Who,
        /// Who answered.
        found: Who,
        /// Where.
        address: SocketAddr,
    },
    /// Time is over.
    #[error("no connection to {who} at {address} after {tries} tries; the last one: {last}")]
    TooLate {
        /// Who was dialled.
        who: Who,
        /// Where.
        address: String,
        /// How often.
        tries: u32,
        /// How the last try ended.
        last: String,
    },
}

impl WireError {
    /// Will another try end the same way? A proven end does not change its mind.
    pub(crate) fn is_final(&self) -> bool {
        use WireError::{Bind, NoRandomness, OffHost, Other, TooLate, Unfit};
        matches!(self, NoRandomness | Bind { .. } | OffHost { .. } | Unfit { .. } | Other { .. } | TooLate { .. })
    }
}
