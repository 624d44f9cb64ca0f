//! What both ends of a connection say of themselves, and must agree on.
//!
//! All members of a generation build the same dataflow in the same order, or numbers arrive in the wrong operator. So a
//! process of an older generation, or one that planned something else, is refused by name before it can do harm.

use crate::token::Token;
use std::fmt;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The process that holds the split table.
    Coordinator,
    /// A member, by its index.
    Member(u32),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Coordinator => f.write_str("the coordinator"),
            Who::Member(index) => write!(f, "member {index}"),
        }
    }
}

/// What a connection is for. It is part of what is proven: a proof for one purpose is worth nothing for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Leases, grants, heartbeats, events.
    Control,
    /// The exchange of records between members.
    Mesh,
}

/// What protects the bytes once both ends are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nothing: on loopback only.
    Plain,
    /// TLS 1.3, bound to the proof of the token.
    Tls,
}

/// What must be equal at both ends (all but `who`). What a connection does not depend on is zero at both.
///
/// ```
/// use mapfold_wire::{Facts, Mismatch, Who};
/// let mine = Facts { job: 7, plan: 1, generation: 3, members: 4, who: Who::Member(0) };
/// let theirs = Facts { generation: 2, who: Who::Member(1), ..mine };
/// assert_eq!(mine.differs(&theirs), Some(Mismatch::Generation { here: 3, there: 2 }));
/// assert_eq!(mine.differs(&Facts { who: Who::Member(3), ..mine }), None);
/// assert_eq!(mine.differs(&Facts { who: Who::Member(4), ..mine }), Some(Mismatch::NoSuchMember { index: 4, members: 4 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The job.
    pub job: u128,
    /// The fingerprint of its plan.
    pub plan: u128,
    /// The generation of its process group.
    pub generation: u32,
    /// How many members there are; zero where that may change.
    pub members: u32,
    /// Who speaks.
    pub who: Who,
}

/// Length of [`Facts`] on the wire.
pub(crate) const FACTS_BYTES: usize = 44;
const COORDINATOR: u32 = u32::MAX;

impl Facts {
    /// The first thing in which the other end's facts do not fit these.
    pub fn differs(&self, other: &Facts) -> Option<Mismatch> {
        let (here, there) = (self, other);
        if here.job != there.job {
            return Some(Mismatch::Job { here: here.job, there: there.job });
        }
        if here.generation != there.generation {
            return Some(Mismatch::Generation { here: here.generation, there: there.generation });
        }
        if here.members != there.members {
            return Some(Mismatch::Members { here: here.members, there: there.members });
        }
        if here.plan != there.plan {
            return Some(Mismatch::Plan { here: here.plan, there: there.plan });
        }
        match there.who {
            Who::Member(index) if here.members > 0 && index >= here.members => {
                Some(Mismatch::NoSuchMember { index, members: here.members })
            }
            who if who == here.who => Some(Mismatch::Myself { who }),
            _ => None,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; FACTS_BYTES] {
        let who = match self.who {
            Who::Coordinator => COORDINATOR,
            Who::Member(index) => index,
        };
        let mut out = [0; FACTS_BYTES];
        out[..16].copy_from_slice(&self.job.to_le_bytes());
        out[16..32].copy_from_slice(&self.plan.to_le_bytes());
        out[32..36].copy_from_slice(&self.generation.to_le_bytes());
        out[36..40].copy_from_slice(&self.members.to_le_bytes());
        out[40..].copy_from_slice(&who.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8; FACTS_BYTES]) -> Facts {
        let wide = |at: usize| u128::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let narrow = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let who = match narrow(40) {
            COORDINATOR => Who::Coordinator,
            index => Who::Member(index),
        };
        Facts { job: wide(0), plan: wide(16), generation: narrow(32), members: narrow(36), who }
    }
}

/// In what two proven ends do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Two jobs share a token, which they should not.
    #[error("it works for job {there:032x}, this is job {here:032x}")]
    Job {
        /// Here.
        here: u128,
        /// At the other end.
        there: u128,
    },
    /// One end was started before a restart of the group.
    #[error("it is of generation {there}, this is generation {here}")]
    Generation {
        /// Here.
        here: u32,
        /// At the other end.
        there: u32,
    },
    /// The ends were told different sizes of the group.
    #[error("it counts {there} members, here are {here}")]
    Members {
        /// Here.
        here: u32,
        /// At the other end.
        there: u32,
    },
    /// The ends planned different things: other code, parameters or inputs.
    #[error(
        "its plan is {there:032x}, here it is {here:032x}; both ends must be the same program with the same inputs"
    )]
    Plan {
        /// Here.
        here: u128,
        /// At the other end.
        there: u128,
    },
    /// An index beyond the group.
    #[error("it says to be member {index} of {members}")]
    NoSuchMember {
        /// As it says.
        index: u32,
        /// How many there are.
        members: u32,
    },
    /// A connection to oneself, or two processes that were given one index.
    #[error("it says to be {who}, which is this process")]
    Myself {
        /// As it says.
        who: Who,
    },
}

/// All that one end brings to a handshake.
#[derive(Clone)]
pub struct Identity {
    /// The job's secret.
    pub token: Token,
    /// What it says of itself.
    pub facts: Facts,
    /// What the connections are for.
    pub purpose: Purpose,
    /// How they are protected; the same at both ends.
    pub cover: Cover,
}
