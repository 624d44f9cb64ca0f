//! The event log of a job: what happened, one JSON object per line, oldest first.
//!
//! It is the only source of progress bars, reports, dashboard and history, and it lives in the
//! user's state folder, never beside the output. Losing it loses no result: it is not the commit
//! log. So it never fails a job; where it cannot be written it warns once and goes on without.
//!
//! A job of 10^6 splits must not write 10^6 lines: the first [`SPLIT_LINES`] leases and ends of
//! splits are written one by one, the later ones as one [`JobEvent::SplitsDone`] per stage and
//! half second. Subscribers in process get every event.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::CoordError;
use crate::ids::{Attempt, Generation, JobId, MemberId, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::message::Failure;
use crate::near::Placed;
use crate::process::Process;

/// Lines about single splits that one log holds, failures not counted.
pub const SPLIT_LINES: u64 = 10_000;

/// Version of the event log, in its first event. Readers skip events that they do not know; a new version is for
/// an event that is no longer what it was.
pub const VERSION: u32 = 1;

const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The output is there, whole.
    Committed,
    /// The output is there; parts were left out, within the allowance (exit code 4).
    CommittedWithSkips,
    /// No output.
    Failed,
    /// Stopped by the user or a signal; no output.
    Cancelled,
}

/// Something that happened to a job. Bytes are bytes, times nanoseconds of thread time unless the
/// name says seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEvent {
    /// The job begins.
    JobStarted {
        /// Its name for machines.
        id: JobId,
        /// Its name for people, such as `ndvi`.
        name: String,
        /// Its parameters as given, free of secrets.
        params: BTreeMap<String, serde_json::Value>,
        /// The coordinator's process: `pid` and `host`, and since version 1 which process of that number.
        #[serde(flatten)]
        process: Process,
        /// [`VERSION`]; 0 in logs older than it.
        #[serde(default)]
        version: u32,
    },
    /// What the job may use and what it will make.
    JobPlanned {
        /// Processes, or workers in one process; of a range the most.
        workers: u32,
        /// The least of a range of processes; 0 where their number is fixed.
        #[serde(default)]
        least: u32,
        /// Compute threads of each process.
        threads: u32,
        /// Memory limit of each process.
        limit_bytes: u64,
        /// What planning says the hungriest process will need.
        predicted_bytes: u64,
        /// Locations of the outputs, free of secrets.
        outputs: Vec<String>,
    },
    /// The pages of this job are served here while it runs.
    Serving {
        /// `http://127.0.0.1:8787`
        url: String,
    },
    /// A member process came in.
    MemberJoined {
        /// Who.
        member: MemberId,
        /// Whether it gets only splits that have killed others.
        solo: bool,
    },
    /// A member process is gone before the job was over.
    MemberLost {
        /// Who.
        member: MemberId,
        /// How it ended, or why it was given up.
        how: String,
        /// Whether another process takes its place.
        replaced: bool,
        /// The last line of its log.
        #[serde(default)]
        log_tail: String,
    },
    /// A member is not needed any more: it has finished what it had and goes.
    MemberRetired {
        /// Who.
        member: MemberId,
    },
    /// The user wants so many members from now on.
    MembersWanted {
        /// How many.
        wanted: u32,
    },
    /// A member cannot be had now; the job goes on with those that it has.
    MemberMissing {
        /// Why.
        why: String,
        /// Seconds until it is tried again.
        seconds: u64,
    },
    /// What the members have used so far, now and then; in one process it is member 0.
    MembersUsed {
        /// One entry a member, lost ones included.
        members: Vec<MemberUse>,
    },
    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    SplitsPlaced {
        /// So far, in all.
        placed: Placed,
    },
    /// A stage is known.
    StagePlanned {
        /// Which.
        stage: StageId,
        /// What it does, for people.
        label: String,
        /// Its splits, those already done by an earlier run included.
        splits: u64,
        /// Splits done by an earlier run.
        already_done: u64,
        /// Bytes it will read, when known.
        bytes_in: Option<u64>,
    },
    /// A member began with a split.
    SplitLeased {
        /// Of which stage.
        stage: StageId,
        /// Which.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Who.
        member: MemberId,
    },
    /// A split is registered.
    SplitDone {
        /// Of which stage.
        stage: StageId,
        /// Which.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Who.
        member: MemberId,
        /// Where the time went.
        times: PhaseTimes,
        /// Read from inputs.
        bytes_in: u64,
        /// Handed to the output.
        bytes_out: u64,
    },
    /// So many more splits are registered (instead of [`JobEvent::SplitDone`] in the file of a
    /// job with many splits).
    SplitsDone {
        /// Of which stage.
        stage: StageId,
        /// How many.
        splits: u64,
        /// Where the time went.
        times: PhaseTimes,
        /// Read from inputs.
        bytes_in: u64,
        /// Handed to the output.
        bytes_out: u64,
        /// Splits of the stage that someone works on now; not told by versions that did not count them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_flight: Option<u64>,
    },
    /// An attempt failed.
    SplitFailed {
        /// Of which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Why.
        failure: Failure,
        /// Whether the split was left out (else it is tried again, or the job fails).
        skipped: bool,
        /// What the split covers, for people: a block of a file, rows.
        #[serde(default)]
        place: String,
    },
    /// A stage begins again from nothing: a member of its group died.
    GenerationBegan {
        /// Which.
        stage: StageId,
        /// The generation that begins.
        generation: Generation,
    },
    /// A member has waited too long for another to take records.
    Stalled {
        /// Who waits.
        member: MemberId,
        /// For which member of its group, by its seat.
        seat: u32,
        /// Bytes that were sent to it and not answered.
        unanswered: u64,
        /// Bytes that wait to be sent to it.
        waiting: u64,
        /// Seconds since it last answered.
        seconds: f64,
    },
    /// Every split of a stage is registered or left out.
    StageDone {
        /// Which.
        stage: StageId,
        /// Wall time since it was planned.
        seconds: f64,
    },
    /// The counters so far.
    Counters {
        /// Of registered splits only.
        counters: Counters,
    },
    /// The job is over.
    JobEnded {
        /// How.
        outcome: Outcome,
        /// Wall time in all.
        wall_seconds: f64,
        /// CPU time in user mode, all threads.
        user_seconds: f64,
        /// CPU time in the kernel, all threads.
        sys_seconds: f64,
        /// Most memory resident at once, when known.
        peak_bytes: Option<u64>,
        /// Where the thread time went.
        times: PhaseTimes,
        /// Of registered splits only.
        counters: Counters,
        /// The root cause, when there is one.
        failure: Option<Failure>,
        /// The split of the root cause, by stage and number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<(StageId, SplitId)>,
        /// The stage of the root cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<String>,
        /// The block, split or row of the root cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// The report as it was shown at the end of a run that made its outputs.
    Reported {
        /// The object that `--json` prints.
        report: serde_json::Value,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a member has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberUse {
    /// Which.
    pub member: u32,
    /// CPU time in user mode.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub sys_seconds: f64,
    /// Most bytes resident at once.
    pub peak_bytes: u64,
    /// Read from inputs.
    pub bytes_read: u64,
    /// Bytes of records that went through files.
    pub bytes_spilled: u64,
    /// Splits it has registered: told once splits get no lines of their own any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splits_done: Option<u64>,
    /// Splits it works on now; told likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splits_in_flight: Option<u64>,
}

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: JobEvent,
}

/// Someone in this process who wants to hear of events as they happen. Called on the thread that
/// reports the event: be quick, do not block.
pub trait Subscriber: Send + Sync {
    /// An event happened.
    fn event(&self, event: &JobEvent);
}

/// The writer of one job's event log. Shared by reference between threads.
///
/// ```
/// use mapfold_coord::events::{EventLog, JobEvent, read_events};
/// use mapfold_coord::{Counters, StageId};
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.ndjson");
/// let log = EventLog::open_at(&path);
/// log.emit(&JobEvent::StageDone { stage: StageId(0), seconds: 1.5 });
/// log.end();
/// assert_eq!(read_events(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventLog {
    file: Mutex<Sink>,
    subscribers: RwLock<Vec<Arc<dyn Subscriber>>>,
}

#[derive(Default)]
struct Sink {
    out: Option<(BufWriter<File>, PathBuf)>,
    flushed: Option<Instant>,
    split_lines: u64,
    beyond: BTreeMap<StageId, Beyond>,
    crew: Crew,
}

/// Who works on what and has done how much: for the lines that tell of many splits at once.
#[derive(Default)]
struct Crew {
    flights: HashMap<(StageId, SplitId), MemberId>,
    done: BTreeMap<MemberId, u64>,
}

impl Crew {
    fn note(&mut self, event: &JobEvent) {
        match event {
            JobEvent::SplitLeased { stage, split, member, .. } => drop(self.flights.insert((*stage, *split), *member)),
            JobEvent::SplitDone { stage, split, member, .. } => {
                self.flights.remove(&(*stage, *split));
                *self.done.entry(*member).or_default() += 1;
            }
            JobEvent::SplitFailed { stage, split, .. } => drop(self.flights.remove(&(*stage, *split))),
            JobEvent::MemberLost { member, .. } => self.flights.retain(|_, holder| holder != member),
            JobEvent::GenerationBegan { stage, .. } | JobEvent::StageDone { stage, .. } => {
                self.flights.retain(|(of, _), _| of != stage);
            }
            _ => {}
        }
    }

    fn of_stage(&self, stage: StageId) -> u64 {
        self.flights.keys().filter(|(of, _)| *of == stage).count() as u64
    }

    fn counted(&self, used: &MemberUse) -> MemberUse {
        let member = MemberId(used.member);
        let flying = self.flights.values().filter(|holder| **holder == member).count() as u64;
        let done = self.done.get(&member).copied().unwrap_or(0);
        MemberUse { splits_done: Some(done), splits_in_flight: Some(flying), ..*used }
    }
}

/// Splits that got no line of their own.
#[derive(Default)]
struct Beyond {
    splits: u64,
    times: PhaseTimes,
    bytes_in: u64,
    bytes_out: u64,
}

impl EventLog {
    /// The log of a job in the user's state folder. Where that cannot be written: one warning,
    /// then subscribers only.
    #[must_use]
    pub fn open(job: &JobId) -> EventLog {
        match event_path(job) {
            Some(path) => EventLog::open_at(&path),
            None => {
                tracing::warn!("no event log: neither XDG_STATE_HOME nor HOME is set");
                EventLog::nowhere()
            }
        }
    }

    /// The log in this file, appended to when it is there; its folder is made.
    #[must_use]
    pub fn open_at(path: &Path) -> EventLog {
        let log = EventLog::nowhere();
        match create(path) {
            Ok(file) => log.sink().out = Some((BufWriter::new(file), path.to_owned())),
            Err(error) => tracing::warn!("no event log: {}: {error}", path.display()),
        }
        log
    }

    /// Subscribers only, no file.
    #[must_use]
    pub fn nowhere() -> EventLog {
        EventLog { file: Mutex::default(), subscribers: RwLock::default() }
    }

    /// Where the log is written; `None` when it is not.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.sink().out.as_ref().map(|(_, path)| path.clone())
    }

    /// From now on `subscriber` hears of every event.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) {
        self.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    /// Reports an event to subscribers and file.
    pub fn emit(&self, event: &JobEvent) {
        for subscriber in self.subscribers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber.event(event);
        }
        self.sink().take(event);
    }

    /// Writes out what has waited for half a second. Call it often: a reader of the file sees what happened up to then.
    pub fn tick(&self) {
        self.sink().flush_when_due();
    }

    /// Writes everything out. Also done when the log is dropped.
    pub fn end(&self) {
        self.sink().flush();
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.end();
    }
}

impl Sink {
    fn take(&mut self, event: &JobEvent) {
        if self.out.is_none() {
            return;
        }
        self.crew.note(event);
        match event {
            JobEvent::SplitLeased { .. } if self.split_lines >= SPLIT_LINES => {}
            JobEvent::SplitDone { stage, times, bytes_in, bytes_out, .. } if self.split_lines >= SPLIT_LINES => {
                let beyond = self.beyond.entry(*stage).or_default();
                beyond.splits += 1;
                beyond.times.merge(times);
                beyond.bytes_in += bytes_in;
                beyond.bytes_out += bytes_out;
            }
            JobEvent::SplitLeased { .. } | JobEvent::SplitDone { .. } => {
                self.split_lines += 1;
                self.write(event);
            }
            JobEvent::MembersUsed { members } if self.split_lines >= SPLIT_LINES => {
                let members = members.iter().map(|used| self.crew.counted(used)).collect();
                self.write(&JobEvent::MembersUsed { members });
            }
            JobEvent::JobEnded { .. } => {
                self.write_beyond();
                self.write(event);
                self.flush();
            }
            JobEvent::JobStarted { .. } | JobEvent::MembersWanted { .. } => {
                self.write(event);
                self.flush(); // Whoever looks for the job, or has asked, finds it from now on.
            }
            _ => self.write(event),
        }
        self.flush_when_due();
    }

    fn flush_when_due(&mut self) {
        if self.flushed.get_or_insert_with(Instant::now).elapsed() >= FLUSH_EVERY {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.write_beyond();
        self.flushed = Some(Instant::now());
        let result = self.out.as_mut().map_or(Ok(()), |(out, _)| out.flush());
        self.give_up_on(result);
    }

    fn write_beyond(&mut self) {
        for (stage, beyond) in std::mem::take(&mut self.beyond) {
            let Beyond { splits, times, bytes_in, bytes_out } = beyond;
            let in_flight = Some(self.crew.of_stage(stage));
            self.write(&JobEvent::SplitsDone { stage, splits, times, bytes_in, bytes_out, in_flight });
        }
    }

    fn write(&mut self, event: &JobEvent) {
        #[derive(Serialize)]
        struct Line<'a> {
            at_ms: u64,
            #[serde(flatten)]
            event: &'a JobEvent,
        }
        let Some((out, _)) = self.out.as_mut() else {
            return;
        };
        let line = Line { at_ms: unix_ms(), event };
        let result =
            serde_json::to_writer(&mut *out, &line).map_err(io::Error::from).and_then(|()| out.write_all(b"\n"));
        self.give_up_on(result);
    }

    fn give_up_on(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        if let Some((out, path)) = self.out.take() {
            tracing::warn!("no event log any more: {}: {error}", path.display());
            // What is still buffered would fail again, and be tried again on drop.
            drop(out.into_parts());
        }
    }
}

/// All events of a log, oldest first. A last line cut short by a crash is left out.
pub fn read_events(path: &Path) -> Result<Vec<TimedEvent>, CoordError> {
    let unreadable = |source| CoordError::Events { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut events = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 || !line.ends_with(b"\n") {
            break;
        }
        let event = serde_json::from_slice(&line).map_err(|error| CoordError::Damaged {
            file: path.display().to_string(),
            why: format!("line {number}: {error}"),
        })?;
        events.push(event);
    }
    Ok(events)
}

/// The folder of all jobs known to this user: `$XDG_STATE_HOME/mapfold/jobs`, by default below
/// `~/.local/state`. `None` when neither variable is set.
#[must_use]
pub fn jobs_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("mapfold/jobs"))
}

/// The event log of one job.
#[must_use]
pub fn event_path(job: &JobId) -> Option<PathBuf> {
    Some(jobs_folder()?.join(job.to_string()).join("events.ndjson"))
}

/// The jobs that have a folder in the user's state folder, in no particular order.
#[must_use]
pub fn known_jobs() -> Vec<JobId> {
    let entries = jobs_folder().and_then(|folder| std::fs::read_dir(folder).ok());
    let names = entries.into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().create(true).append(true).open(path)
}

/// Now, as events have it: milliseconds since 1970, UTC.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
