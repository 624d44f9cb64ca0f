//! What members tell the coordinator ([`Event`]) and what it wants done ([`Action`]).
//!
//! Both are plain values: in process they go through a queue, between machines they become frames
//! on the control connection. Each may be sent twice, late, or (over a broken connection) not at
//! all; the coordinator's laws hold all the same.

use serde::{Deserialize, Serialize};

use crate::entry::LogEntry;
use crate::ids::{Attempt, Generation, HostId, MemberId, Seat, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::spec::StageSpec;

/// Why an attempt failed, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Reading failed in a way that may pass (network, busy store): tried again.
    Io,
    /// The input is damaged or is not what it says: the same next time; may be skipped.
    Data,
    /// User code returned an error: the same next time; may be skipped.
    User,
    /// User code or a library panicked; may be skipped.
    Panic,
    /// The process that worked on it died, alone with it, again and again (a signal, out of memory, a hang); may be
    /// skipped.
    Crash,
    /// The output cannot be written (no space, read-only): never retried, never skipped.
    Output,
    /// An invariant of mapfold broke, or a bound was exceeded: never retried, never skipped.
    Internal,
    /// The user, or a signal, stopped the job.
    Cancelled,
}

impl FailureKind {
    /// Whether [`OnError::Skip`](crate::OnError::Skip) may pass over a split that failed so.
    #[must_use]
    pub fn may_skip(self) -> bool {
        matches!(self, Self::Io | Self::Data | Self::User | Self::Panic | Self::Crash)
    }
}

/// A failed attempt, as data: user panics and errors travel like any other value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// One line: what happened, where (URL, block, stage), already free of secrets.
    pub message: String,
    /// What to try next, if anything is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure without a remedy.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), remedy: None }
    }

    /// The same, with what to try next.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Failure {
        self.remedy = Some(remedy.into());
        self
    }
}

/// One file, or one piece of a file, that a part consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name relative to the output.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Checksum with its algorithm, such as `xxh3:0123456789abcdef`; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checksum: String,
}

/// What a complete attempt registers: the description of its output, never the output itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Files that the part consists of; empty where the sink describes it in `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Whatever the sink needs to publish the part (offsets, sizes, etags); opaque here.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
    /// Counts of this attempt; merged into the job's when it is registered, never before.
    #[serde(default, skip_serializing_if = "Counters::is_empty")]
    pub counters: Counters,
    /// Thread time of this attempt.
    #[serde(default)]
    pub times: PhaseTimes,
}

/// What happened, told to [`Coordinator::handle`](crate::Coordinator::handle).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A member is there.
    Joined {
        /// Who.
        member: MemberId,
        /// It gets suspects only, one at a time (see [`Event::Crashed`]).
        solo: bool,
    },
    /// The member sits in the group whose members exchange records in memory. Those who sit live and die together: when
    /// one is lost, all are.
    Seated {
        /// Who.
        member: MemberId,
        /// Where.
        seat: Seat,
    },
    /// The member runs on this host: it gets first what that holds ([`Event::Near`]).
    Hosted {
        /// Who.
        member: MemberId,
        /// Where.
        host: HostId,
    },
    /// Which hosts hold what splits read, as far as is known. May come late, piece by piece, or never.
    Near {
        /// Of which stage.
        stage: StageId,
        /// The first of the splits that are told of.
        first: SplitId,
        /// The hosts of each; none where nobody knows.
        hosts: Vec<Vec<HostId>>,
    },
    /// The member wants to **hold** up to `count` unfinished leases of a stage, from now on:
    /// whenever it holds fewer it is given more without asking. A level, not an increment, so
    /// that saying it twice is harmless. 0 = none any more (what it holds it keeps).
    LeaseWanted {
        /// Who.
        member: MemberId,
        /// Of which stage.
        stage: StageId,
        /// How many leases to hold at most.
        count: u32,
    },
    /// The member lives. Any other event of a member says so too.
    Heartbeat {
        /// Who.
        member: MemberId,
        /// Milliseconds on the coordinator's clock.
        at_ms: u64,
    },
    /// The attempt is complete, nothing of it emitted yet: may it emit? May be repeated.
    GrantWanted {
        /// Who.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// The granted attempt has emitted its output; here is its record. May be repeated.
    Registered {
        /// Who.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// What it made.
        record: PartRecord,
    },
    /// The attempt failed.
    Failed {
        /// Who.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Why.
        failure: Failure,
    },
    /// A member's process died while it worked on these splits: they are suspects from now on, and are leased to solo
    /// members only. A solo member convicts the one that it dies with twice.
    Crashed {
        /// Who died.
        member: MemberId,
        /// What it was working on, as its flight slots say.
        splits: Vec<(StageId, SplitId)>,
        /// How it died.
        failure: Failure,
    },
    /// The connection of the member is gone.
    MemberLost {
        /// Who.
        member: MemberId,
    },
    /// What is left of the stage is not needed: it is done without being worked on. None of its splits is out.
    Spared {
        /// The stage.
        stage: StageId,
    },
    /// The member is not needed any more: it gets no further lease, and goes when it holds none
    /// ([`Action::Retired`]). Nothing happens to one that sits in a group.
    Retire {
        /// Who.
        member: MemberId,
    },
    /// No solo member can be had: suspects are leased like other splits, for else nobody would ever try them.
    NobodySolo,
    /// One more stage, planned from the result of others.
    StagePlanned {
        /// The stage.
        spec: StageSpec,
    },
    /// Time passes (milliseconds on the coordinator's clock, which never goes back).
    Tick {
        /// Now.
        now_ms: u64,
    },
    /// Stop: a signal or the user.
    Cancel {
        /// Why, in one line.
        reason: String,
    },
}

/// What the coordinator wants done, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Tell the member to work on this attempt.
    Lease {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Tell the member that the stage has no split left for it, now or later (unless a
    /// [`Action::NewGeneration`] of that stage follows).
    NoMoreSplits {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
    },
    /// Tell the member that this attempt may emit, then register.
    Grant {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Tell the member that this attempt may not emit: drop it. A member that has already
    /// registered the attempt ignores this (its question arrived a second time).
    Deny {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Tell the member to drop this attempt: it took too long, another was faster, or its
    /// generation is over.
    Revoke {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Tell the member that its record was taken (or had been): it need not be sent again.
    Accepted {
        /// Whom.
        member: MemberId,
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Write to the commit log (may be batched, in order; before the job's decision at the latest).
    Append(LogEntry),
    /// The split failed for good and is passed over, within the allowance.
    Skipped {
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Why.
        failure: Failure,
    },
    /// The split failed and will be leased again.
    Retried {
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// The attempt that failed.
        attempt: Attempt,
        /// Why.
        failure: Failure,
    },
    /// The member is not part of the job any more: close its connection.
    MemberGone {
        /// Who.
        member: MemberId,
    },
    /// The member has finished what it held and is not needed any more: tell it to go.
    Retired {
        /// Who.
        member: MemberId,
    },
    /// A split takes longer than the policy allows: end this member's process.
    Overdue {
        /// Whose.
        member: MemberId,
        /// Stage and split.
        at: (StageId, SplitId),
    },
    /// The stage begins again from nothing: reducers forget what they got.
    NewGeneration {
        /// Which stage.
        stage: StageId,
        /// The generation that begins.
        generation: Generation,
    },
    /// Every split of the stage is registered or skipped.
    StageDone {
        /// Which stage.
        stage: StageId,
    },
    /// Every stage known so far is done.
    JobDone,
    /// The job is over without a result. Said once; the first cause wins.
    JobFailed {
        /// Where, if in a split.
        at: Option<(StageId, SplitId)>,
        /// Why.
        failure: Failure,
    },
}
