//! What a member and the coordinator say to each other.
//!
//! In one process these values go through a queue, between processes they are the bodies of frames on the control
//! connection. A member never says who it is: the coordinator knows from which line a word came.

use crate::porters::Arrived;
use mapfold_coord::{Attempt, Counters, PhaseTimes, SplitId, StageId};
use mapfold_plan::Error;
use mapfold_plan::exchange::Stored;
use mapfold_store::Portion;
use serde::{Deserialize, Serialize};

/// One attempt at one split of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At {
    /// The stage.
    pub stage: StageId,
    /// The split.
    pub split: SplitId,
    /// The attempt.
    pub attempt: Attempt,
}

/// Why an attempt failed, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The bytes could not be had.
    Fetch,
    /// The output could not be written.
    Output,
    /// Everything else: bad data, user code.
    Work,
}

/// What a registered attempt has made, and at what price.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Made {
    /// Where its output is (a part's record), or its values; packed (see [`pack`]).
    pub data: String,
    /// Its counters.
    pub counters: Counters,
    /// Its thread time.
    pub times: PhaseTimes,
    /// Bytes it asked the store for.
    pub bytes_in: u64,
    /// Bytes it made.
    pub bytes_out: u64,
}

/// What a member says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// It is there.
    Joined,
    /// Where it runs: the names and addresses of its host, as far as it knows them.
    Hosted {
        /// In any order.
        names: Vec<String>,
    },
    /// It wants so many leases of a stage at a time.
    LeaseWanted {
        /// The stage.
        stage: StageId,
        /// How many, those that it has included.
        count: u32,
    },
    /// An attempt is complete: may its output count?
    GrantWanted {
        /// Which attempt.
        at: At,
        /// For a part: its segments as (stream, bytes); else empty.
        sizes: Vec<(u32, u64)>,
    },
    /// An attempt is complete, and its output lies where nobody has to be asked for the place: it counts if this
    /// attempt may count at all. One word instead of three.
    Done {
        /// Which attempt.
        at: At,
        /// What it made.
        made: Made,
    },
    /// The output of a granted attempt is in its place.
    Registered {
        /// Which attempt.
        at: At,
        /// What it made.
        made: Made,
    },
    /// It waits at this address for the others of its group.
    AtMesh {
        /// HOST:PORT.
        address: String,
    },
    /// Records that others sent it were damaged or cannot be kept: the job cannot go on.
    Broken {
        /// Why.
        error: Error,
    },
    /// It has waited too long for another of its group to take records.
    Stalled {
        /// For which of the group, by its seat.
        to: u32,
        /// Bytes that were sent to it and not answered.
        unanswered: u64,
        /// Bytes that wait to be sent to it.
        waiting: u64,
        /// Seconds since it last answered.
        seconds: f64,
    },
    /// An attempt failed.
    Failed {
        /// Which attempt.
        at: At,
        /// The whole error, for the user.
        error: Error,
        /// Whether it makes sense to try again.
        cause: Cause,
    },
    /// It has sent a portion of an output, or could not.
    Carried {
        /// Which of those that it was asked to.
        errand: u64,
        /// The portion in the store; nothing when it could not be sent.
        arrived: Option<Arrived>,
    },
    /// It lives, and this is what it uses.
    Alive(Vitals),
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// CPU seconds in user mode since it started.
    pub user: f64,
    /// CPU seconds in the kernel.
    pub sys: f64,
    /// Peak resident memory in bytes.
    pub peak: u64,
    /// Bytes read from stores.
    pub read: u64,
    /// Bytes of records that went through files.
    pub spilled: u64,
}

/// What the coordinator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mail {
    /// Attempt this split. For a partition of a durable exchange: where its records are.
    Lease(At, Vec<Stored>),
    /// The attempt may emit. A part's segments go to these offsets of their streams.
    Grant(At, Vec<u64>),
    /// The attempt is not wanted any more.
    Drop(At),
    /// The stage is complete.
    StageDone(StageId),
    /// An iteration is over: whoever reads the exchange `read` is given the pieces of `from`.
    Settled {
        /// The exchange of the last round that there might have been.
        read: usize,
        /// That of the last round that there was.
        from: usize,
    },
    /// The values of a side: for the stages that come.
    Side(u32, Vec<Vec<u8>>),
    /// All splits are done: read this portion of an output and send it.
    Carry(u64, Portion),
    /// The job has ended.
    Stop,
    /// All of the group wait; here are their addresses, by seat.
    Mesh(Vec<String>),
    /// The member in this seat died, and with it the generation: end.
    Over(u32),
}

/// Where mail for a member goes: a queue in this process, or a connection.
pub trait Post: Send + Sync {
    /// Takes the mail; never waits.
    fn post(&self, mail: Mail);

    /// The member counts as lost: nothing more goes to it, and its line is cut.
    fn close(&self) {}
}

/// A member's line to the coordinator.
pub trait Control: Send + Sync {
    /// Says it.
    fn say(&self, said: Said);
    /// Whether the job has ended without a result.
    fn has_failed(&self) -> bool;
}

/// A value as text for the commit log: hexadecimal digits of its postcard bytes.
pub fn pack<T: Serialize>(value: &T) -> String {
    use std::fmt::Write;
    let bytes = postcard::to_stdvec(value).unwrap_or_default();
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The inverse of [`pack`]; `None` for anything else.
pub fn unpack<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let byte = |i: usize| u8::from_str_radix(text.get(i..i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    postcard::from_bytes(&bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_values_come_back_and_junk_does_not() {
        let value = (7_u64, vec![(1_u32, "ä".to_string())]);
        assert_eq!(unpack(&pack(&value)), Some(value));
        assert_eq!(unpack::<(u64, Vec<u8>)>("zz"), None);
        assert_eq!(unpack::<u64>("8"), None);
    }
}
