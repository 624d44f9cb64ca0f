//! Why a job failed, by who can do what about it: what the event log and the coordinator are told beside the message.

use crate::signal::Cancel;
use mapfold_coord::{Failure, FailureKind, SplitId, StageId};
use mapfold_plan::{Error, Kind};

/// An error and its kind for the event log.
pub struct Failed {
    pub error: Error,
    pub kind: FailureKind,
    /// In which split, if in one.
    pub at: Option<(StageId, SplitId)>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { kind: kind_of(&error), error, at: None }
    }
}

impl Failed {
    /// A fault of mapfold itself, or a bound that was exceeded.
    pub fn internal(error: Error) -> Failed {
        Failed { error, kind: FailureKind::Internal, at: None }
    }

    /// While the output is made: what a store refuses then is about the output.
    pub fn of_output(error: Error) -> Failed {
        let kind = match kind_of(&error) {
            FailureKind::Io => FailureKind::Output,
            other => other,
        };
        Failed { error, kind, at: None }
    }

    /// As the event log has it.
    pub fn told(&self) -> Failure {
        let failure = Failure::new(self.kind, self.error.to_string());
        match self.error.remedy() {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        }
    }
}

/// The kind as far as the error itself tells: what a store refused may pass (only such errors of inputs are resumable),
/// an input that is not what it says stays so.
pub fn kind_of(error: &Error) -> FailureKind {
    match error.kind() {
        Kind::Panic => FailureKind::Panic,
        Kind::Interrupted | Kind::Terminated => FailureKind::Cancelled,
        Kind::Input if error.is_resumable() => FailureKind::Io,
        Kind::Input => FailureKind::Data,
        Kind::Usage | Kind::Job => FailureKind::User,
    }
}

/// An error of a process that has died, with the last line of its log, if it left one.
pub fn with_log(error: Error, last_line: &str) -> Error {
    match last_line {
        "" => error,
        last => error.with_remedy(format!("its log ends with: {last}")),
    }
}

/// An error when somebody asked the run to stop.
///
/// # Errors
/// Says who stopped it.
pub fn unless_stopped(cancel: &Cancel) -> Result<(), Error> {
    match cancel.signal() {
        0 => Ok(()),
        15 => Err(Error::new(Kind::Terminated, "stopped by TERM")),
        _ => Err(Error::new(Kind::Interrupted, "interrupted")),
    }
}
