//! Who owns an output.
//!
//! Whether the owner lives is seen where it can be ([`Process::alive`]); nothing depends on it, because a takeover
//! fences the former owner anyway. It only makes the message right and stops a user from starting the same job twice by
//! accident.

use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::process::Process;

/// The process that claimed an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimer {
    pub job: JobId,
    #[serde(flatten)]
    pub process: Process,
    /// Differs between two claims of one process, so that a claim is known by its bytes.
    pub nonce: Option<JobId>,
}

impl Claimer {
    /// This process.
    pub fn here(job: JobId) -> Claimer {
        Claimer { job, process: Process::here(), nonce: JobId::random().ok() }
    }
}
