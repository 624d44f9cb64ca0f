//! What can go wrong here, by what the user can do about it.

use std::path::PathBuf;

use crate::ids::{JobId, StageId};

/// Errors of the coordinator room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoordError {
    /// The plan handed over is not consistent in itself, or does not fit the log.
    #[error("stage {stage}: {why}")]
    BadPlan {
        /// Which stage.
        stage: StageId,
        /// What does not fit.
        why: String,
    },
    /// The text names no job.
    #[error("job id \"{text}\": {why}; `mapfold history` lists the jobs known here")]
    BadJobId {
        /// As typed.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system gives no random numbers.
    #[error("cannot read /dev/urandom to name the job")]
    NoRandomness {
        /// Why not.
        source: std::io::Error,
    },
    /// A live job owns the output.
    #[error(
        "{output}: job {job} (pid {pid} on {host}) is writing this output; wait for it, stop it, \
         or choose another output"
    )]
    OutputBusy {
        /// The output.
        output: String,
        /// Its owner.
        job: JobId,
        /// The owner's process.
        pid: u32,
        /// The owner's machine.
        host: String,
    },
    /// A job died, or may have died, on the output.
    #[error(
        "{output}: job {job} (pid {pid} on {host}) did not finish this output{certainty}; \
         continue it with --resume, or start afresh with --overwrite, which removes its traces"
    )]
    OutputUnfinished {
        /// The output.
        output: String,
        /// The job.
        job: JobId,
        /// Its process.
        pid: u32,
        /// Its machine.
        host: String,
        /// Empty, or a remark that the process cannot be seen from here.
        certainty: String,
    },
    /// The output is there already.
    #[error("{output} exists; --overwrite replaces it, or choose another output")]
    OutputExists {
        /// The output.
        output: String,
    },
    /// There is nothing to resume.
    #[error("{output}: nothing to resume: {why}")]
    NothingToResume {
        /// The output.
        output: String,
        /// What is missing, and what to do instead.
        why: String,
    },
    /// Another coordinator has taken over this job.
    #[error("{record}: another coordinator has taken over this job; this one stops")]
    Fenced {
        /// The log record that was written by the other.
        record: String,
    },
    /// The job was decided otherwise.
    #[error("{manifest}: the job was already decided, differently; --resume publishes that decision")]
    Decided {
        /// The manifest.
        manifest: String,
    },
    /// A file of the work folder, or an event log, cannot be understood.
    #[error("{file}: {why}; written by another version of mapfold, or damaged")]
    Damaged {
        /// Which file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The event log cannot be read.
    #[error("cannot read the event log {}", path.display())]
    Events {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder in which the output is to be does not exist.
    #[error("{output}: there is no folder {folder}; make it, or choose another output")]
    NoSuchFolder {
        /// The output.
        output: String,
        /// Its folder.
        folder: String,
    },
    /// The variable of the fail points cannot be read.
    #[error("{}: {why}", crate::failpoint::VARIABLE)]
    BadFailPoint {
        /// What is wrong with it.
        why: String,
    },
    /// The store failed, under the work folder.
    #[error("cannot keep the records of the job: {0}")]
    Store(#[from] mapfold_store::StoreError),
}
