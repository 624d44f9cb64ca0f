//! What a member process is told when it arrives: enough to build the same plan, and how much it may use.

use mapfold_coord::Seat;
use mapfold_plan::Answer;
use mapfold_plan::memory::Chunks;
use serde::{Deserialize, Serialize};

/// A member's place in a group, and which generation of the group it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Where it sits.
    pub seat: Seat,
    /// From 0; one more after each death.
    pub generation: u32,
}

/// The first frame on the control connection, from the coordinator. It holds secrets, so it does not show itself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The job's name.
    pub name: String,
    /// Its parameters as JSON, with their secrets: never logged.
    pub params: String,
    /// The facade's own options as JSON (readers, writers, planner, stores with their secrets): never logged.
    pub settings: String,
    /// What planning asked and was answered; the member asks nobody.
    pub answers: Vec<Answer>,
    /// The plan that must come out.
    pub fingerprint: u128,
    /// Compute threads.
    pub threads: usize,
    /// Memory of the process.
    pub memory_limit: u64,
    /// Windows that splits are computed in.
    pub chunks: Chunks,
    /// Folder for records that do not fit into memory; empty: one of the member's own host.
    pub scratch: String,
    /// Members share no files: what one spills another cannot read.
    pub apart: bool,
    /// Folders of this job that its members must find: where local outputs are, on hosts that share them.
    pub witnesses: Vec<String>,
    /// Its place in the group that exchanges records in memory, if there is one.
    pub group: Option<Place>,
    /// When all splits are done it stays, for its output is still to be put together.
    pub stays: bool,
    /// Milliseconds between two signs of life.
    pub alive_every_ms: u64,
}
