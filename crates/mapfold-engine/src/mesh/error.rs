//! How a mesh fails.

use mapfold_wire::WireError;
use std::fmt;
use std::time::Duration;

/// The exit code of a member that ends because another one died: not the cause, and worth another try.
pub const EXIT_MEMBER_DIED: i32 = 75;

/// Errors of the mesh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The list of addresses does not fit what this member was told of itself.
    #[error("this is {who} of a group of {members}, but {addresses} addresses were given")]
    BadGroup {
        /// This end.
        who: mapfold_wire::Who,
        /// As told.
        members: u32,
        /// As given.
        addresses: usize,
    },
    /// Some did not come in time.
    #[error("after {} s the group is not complete: {}", limit.as_secs_f32(), list(absent))]
    Missing {
        /// Who.
        absent: Vec<Absent>,
        /// How long was waited.
        limit: Duration,
    },
    /// A member does not fit, and never will.
    #[error("the group cannot be made: {0}")]
    Refused(#[from] WireError),
    /// Another member died; the first of which that was noticed here.
    #[error("stopped because member {member} died")]
    MemberDied {
        /// Its index.
        member: u32,
    },
    /// Timely cannot start.
    #[error("timely cannot start: {why}")]
    Start {
        /// Why not.
        why: String,
    },
    /// This member's worker ended by a panic, which was printed where it happened.
    #[error("this member's timely worker stopped: {why}")]
    Worker {
        /// As timely says.
        why: String,
    },
}

impl MeshError {
    /// What a member that fails so exits with.
    pub fn exit_code(&self) -> i32 {
        match self {
            MeshError::MemberDied { .. } => EXIT_MEMBER_DIED,
            _ => 1,
        }
    }
}

/// A member that did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its index.
    pub member: u32,
    /// Where it was to be.
    pub address: String,
    /// What is known.
    pub why: String,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} at {} ({})", self.member, self.address, self.why)
    }
}

fn list(absent: &[Absent]) -> String {
    absent.iter().map(Absent::to_string).collect::<Vec<_>>().join(", ")
}
