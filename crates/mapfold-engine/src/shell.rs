//! The thin shell around the coordinator: events in, actions to mailboxes.
//!
//! In process the coordinator is called under a lock and its actions become mail for the timely workers (its
//! members), each woken by its activator. Between machines the same actions become frames.

use mapfold_coord::{
    Action, Coordinator, Event, EventLog, Failure, FailureKind, JobEvent, LogEntry, MemberId, PartRecord,
};
use mapfold_coord::{Attempt, Counters, PhaseTimes, SplitId, StageId};
use mapfold_plan::{Error, Kind};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timely::scheduling::SyncActivator;

/// Which side an error came from, where its kind does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Fetching bytes: may pass.
    Fetch,
    /// Writing the output: never retried, never skipped.
    Output,
    /// Anything else.
    Work,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// Work on this attempt.
    Lease(StageId, SplitId, Attempt),
    /// This attempt may emit.
    Grant(StageId, SplitId, Attempt),
    /// Drop this attempt.
    Drop(StageId, SplitId, Attempt),
    /// This split is given up, within the allowance.
    Skipped(StageId, SplitId),
    /// Every split of the stage is registered or skipped.
    StageDone(StageId),
    /// The job is over: drop everything.
    Stop,
}

struct Mailbox {
    mail: Sender<Mail>,
    wake: Option<SyncActivator>,
}

/// Counts that outlive the coordinator's own.
#[derive(Default)]
pub struct Tally {
    /// Retries by stage.
    pub retries: BTreeMap<StageId, u64>,
    /// Thread time of registered splits by stage.
    pub times: BTreeMap<StageId, PhaseTimes>,
    /// Splits given up.
    pub skipped: u64,
}

struct Inner {
    coord: Coordinator,
    boxes: Vec<Mailbox>,
    log: Vec<LogEntry>,
    errors: BTreeMap<(StageId, SplitId), Error>,
    failure: Option<Error>,
    tally: Tally,
}

/// The coordinator of a job in this process.
pub struct Shell {
    inner: Mutex<Inner>,
    failed: AtomicBool,
    events: Arc<EventLog>,
}

impl Shell {
    /// A shell with a mailbox for each of `workers` members.
    pub fn new(coord: Coordinator, workers: usize, events: Arc<EventLog>) -> (Shell, Vec<Receiver<Mail>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let boxes = senders.into_iter().map(|mail| Mailbox { mail, wake: None }).collect();
        let inner =
            Inner { coord, boxes, log: Vec::new(), errors: BTreeMap::new(), failure: None, tally: Tally::default() };
        (Shell { inner: Mutex::new(inner), failed: AtomicBool::new(false), events }, receivers)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how to wake a worker from now on.
    pub fn set_waker(&self, worker: usize, wake: SyncActivator) {
        self.lock().boxes[worker].wake = Some(wake);
    }

    /// Tells the coordinator what happened and delivers what it wants done.
    pub fn tell(&self, event: Event) {
        let mut inner = self.lock();
        if let Event::Registered { stage, record, .. } = &event {
            inner.tally.times.entry(*stage).or_default().merge(&record.times);
        }
        let mut actions = Vec::new();
        inner.coord.handle(event, &mut actions);
        let told = actions.into_iter().filter_map(|a| self.act(&mut inner, a)).collect::<Vec<_>>();
        drop(inner);
        told.iter().for_each(|e| self.events.emit(e));
    }

    /// An attempt failed: the coordinator decides, the error is kept for the user.
    pub fn tell_failed(&self, member: MemberId, at: (StageId, SplitId, Attempt), error: Error, cause: Cause) {
        let failure = failure_of(&error, cause);
        self.lock().errors.entry((at.0, at.1)).or_insert(error);
        self.tell(Event::Failed { member, stage: at.0, split: at.1, attempt: at.2, failure });
    }

    /// Ends the job with this error, unless it has ended already.
    pub fn fail(&self, error: Error) {
        let reason = error.to_string();
        self.lock().failure.get_or_insert(error);
        self.tell(Event::Cancel { reason });
    }

    fn act(&self, inner: &mut Inner, action: Action) -> Option<JobEvent> {
        match action {
            Action::Lease { member, stage, split, attempt } => {
                inner.post(member, Mail::Lease(stage, split, attempt));
                Some(JobEvent::SplitLeased { stage, split, attempt, member })
            }
            Action::Grant { member, stage, split, attempt } => {
                inner.post(member, Mail::Grant(stage, split, attempt));
                None
            }
            Action::Deny { member, stage, split, attempt } | Action::Revoke { member, stage, split, attempt } => {
                inner.post(member, Mail::Drop(stage, split, attempt));
                None
            }
            Action::Append(entry) => {
                inner.log.push(entry);
                None
            }
            Action::Retried { stage, split, attempt, failure } => {
                *inner.tally.retries.entry(stage).or_default() += 1;
                inner.errors.remove(&(stage, split));
                Some(JobEvent::SplitFailed { stage, split, attempt, failure, skipped: false })
            }
            Action::Skipped { stage, split, failure } => {
                inner.tally.skipped += 1;
                // To all: one that is still in the stage before would drop it, and who hears it twice finds it done.
                inner.post_all(Mail::Skipped(stage, split));
                Some(JobEvent::SplitFailed { stage, split, attempt: Attempt(0), failure, skipped: true })
            }
            // It asked after the end was announced: it was still in the stage before and dropped that mail.
            Action::NoMoreSplits { member, stage } => {
                inner.post(member, Mail::StageDone(stage));
                None
            }
            Action::StageDone { stage } => {
                inner.post_all(Mail::StageDone(stage));
                None
            }
            Action::JobFailed { at, failure } => {
                self.failed.store(true, SeqCst);
                inner.end(at, &failure);
                None
            }
            _ => None,
        }
    }

    /// Whether the job has failed: compute threads ask before each window.
    pub fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Log entries that wait to be written.
    pub fn take_log(&self) -> Vec<LogEntry> {
        std::mem::take(&mut self.lock().log)
    }

    /// Counters of registered splits.
    pub fn counters(&self) -> Counters {
        self.lock().coord.counters()
    }

    /// The root cause, once the job has failed.
    pub fn take_failure(&self) -> Option<Error> {
        self.lock().failure.take()
    }

    /// Retries, times, skips.
    pub fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.lock().tally)
    }

    /// A split is registered: progress bars want to hear of it.
    pub fn tell_registered(
        &self,
        member: MemberId,
        at: (StageId, SplitId, Attempt),
        record: PartRecord,
        bytes: (u64, u64),
    ) {
        let times = record.times;
        self.tell(Event::Registered { member, stage: at.0, split: at.1, attempt: at.2, record });
        let (stage, split, attempt) = at;
        self.events.emit(&JobEvent::SplitDone {
            stage,
            split,
            attempt,
            member,
            times,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
        });
    }
}

impl Inner {
    fn post(&mut self, member: MemberId, mail: Mail) {
        let b = &self.boxes[member.0 as usize];
        // A worker that is gone has ended its dataflow: nothing is waiting for the mail.
        let _ = b.mail.send(mail);
        if let Some(w) = &b.wake {
            let _ = w.activate();
        }
    }

    fn post_all(&mut self, mail: Mail) {
        (0..self.boxes.len()).for_each(|i| self.post(MemberId(i as u32), mail));
    }

    fn end(&mut self, at: Option<(StageId, SplitId)>, failure: &Failure) {
        let kept = at.and_then(|at| self.errors.remove(&at));
        let told = || Error::job(failure.message.clone());
        let error = kept.unwrap_or_else(told);
        self.failure.get_or_insert(error);
        self.post_all(Mail::Stop);
    }
}

/// The coordinator's view of an error.
fn failure_of(error: &Error, cause: Cause) -> Failure {
    let kind = match error.kind() {
        _ if cause == Cause::Fetch => FailureKind::Io,
        _ if cause == Cause::Output => FailureKind::Output,
        Kind::Panic => FailureKind::Panic,
        Kind::Input => FailureKind::Data,
        Kind::Interrupted | Kind::Terminated => FailureKind::Cancelled,
        Kind::Usage | Kind::Job => FailureKind::User,
    };
    let failure = Failure::new(kind, error.to_string());
    match error.remedy() {
        Some(r) => failure.with_remedy(r),
        None => failure,
    }
}
