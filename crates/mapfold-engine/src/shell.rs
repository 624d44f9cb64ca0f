//! The thin shell around the coordinator: what members say in, mail out.
//!
//! The coordinator is called under a lock. Its actions become mail for the members, lines of the event log and
//! entries of the commit log. What a registered attempt has made is kept here by split, so that a word that comes
//! twice, or from a member that was replaced, changes nothing.

mod act;
mod asked;
mod inner;

use crate::failure::{Failed, with_log};
use crate::groups::Role;
use crate::link::{At, Cause, Control, Made, Mail, Post, Said};
use crate::measure::Moment;
use crate::near::Hosts;
use crate::rounds::{After, RoundTable};
use crate::sides::SideTable;
use crate::streams::Streams;
use mapfold_coord::{Action, Coordinator, Event, EventLog, Failure, FailureKind, JobEvent, MemberId};
use mapfold_coord::{HostId, JobId, PartRecord, PhaseTimes, Seat, SplitId, StageId};
use mapfold_plan::Error;
use mapfold_plan::exchange::Stored;
use mapfold_plan::explain::bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use inner::Inner;

/// What the shell has counted of one stage.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    /// Attempts beyond the first.
    pub retries: u64,
    /// Thread time of the attempts that counted.
    pub times: PhaseTimes,
    /// When its first split was leased, and when it was complete.
    pub span: (Option<Moment>, Option<Moment>),
    /// Splits given up.
    pub skipped: u64,
}

/// The label of a stage and the place of a split, for people.
pub type Places = Box<dyn Fn(StageId, SplitId) -> (String, String) + Send + Sync>;

/// The roles of the stages.
pub type Roles = Box<dyn Fn(StageId) -> Role + Send + Sync>;

/// The coordinator of a running job.
pub struct Shell {
    inner: Mutex<Inner>,
    failed: AtomicBool,
    places: Places,
    roles: Roles,
    events: Arc<EventLog>,
    began: Instant,
}

impl Shell {
    /// A shell around `coord`; `streams` are those of the stages with an output that is still to be made.
    pub fn new(
        coord: Coordinator,
        streams: BTreeMap<StageId, Arc<Streams>>,
        (places, roles): (Places, Roles),
        events: Arc<EventLog>,
    ) -> Shell {
        let inner = Inner {
            coord,
            boxes: HashMap::new(),
            gone: Vec::new(),
            overdue: Vec::new(),
            solos: BTreeSet::new(),
            left: BTreeSet::new(),
            seats: BTreeMap::new(),
            hosts: Hosts::default(),
            vitals: BTreeMap::new(),
            job: None,
            streams,
            asked: HashMap::new(),
            pieces: HashMap::new(),
            log: Vec::new(),
            errors: BTreeMap::new(),
            failure: None,
            tally: BTreeMap::new(),
            made: BTreeMap::new(),
            sides: SideTable::default(),
            rounds: RoundTable::default(),
            ended: Vec::new(),
        };
        Shell { inner: Mutex::new(inner), failed: AtomicBool::new(false), places, roles, events, began: Instant::now() }
    }

    /// The job is known under this name.
    #[must_use]
    pub fn of_job(mut self, job: Option<JobId>) -> Shell {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).job = job;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an earlier run had exchanged.
    pub fn recall(&self, role: Role, pieces: Vec<Stored>) {
        let mut inner = self.lock();
        if let Some(exchange) = role.maps {
            inner.put_aside(exchange, pieces);
        }
    }

    /// Sides are kept for the stages that come, and rounds followed.
    #[must_use]
    pub fn with(self, sides: SideTable, rounds: RoundTable) -> Shell {
        let mut inner = self.lock();
        (inner.sides, inner.rounds) = (sides, rounds);
        drop(inner);
        self
    }

    /// What an earlier run had made of a stage.
    pub fn recall_made(&self, stage: StageId, made: BTreeMap<u64, String>) {
        self.lock().made.insert(stage, made);
    }

    /// A member's mail goes there from now on. A solo member gets suspects only.
    pub fn enrol(&self, member: MemberId, solo: bool, post: Arc<dyn Post>) {
        let mut inner = self.lock();
        if solo {
            inner.solos.insert(member);
        }
        if self.has_failed() {
            post.post(Mail::Stop);
        }
        inner.sides.tell(&*post);
        inner.boxes.insert(member, post);
    }

    /// A member has this seat in the group that exchanges records in memory.
    pub fn seat(&self, member: MemberId, seat: Seat) {
        self.lock().seats.insert(member, seat);
    }

    /// The number of a host that has one of these names; nothing when none of them says anything.
    pub fn host(&self, names: &[String]) -> Option<HostId> {
        self.lock().hosts.of(names)
    }

    /// Mail for a member.
    pub fn post(&self, member: MemberId, mail: Mail) {
        self.lock().post(member, mail);
    }

    /// Those who have stayed may go.
    pub fn dismiss(&self) {
        self.lock().post_all(&Mail::Stop);
    }

    /// A member says something.
    pub fn hear(&self, member: MemberId, said: Said) {
        match said {
            Said::Joined => {
                let (solo, seat) = self.lock().arrived(member);
                self.tell(Event::Joined { member, solo });
                seat.into_iter().for_each(|seat| self.tell(Event::Seated { member, seat }));
            }
            Said::Hosted { names } => {
                let host = self.host(&names);
                host.into_iter().for_each(|host| self.tell(Event::Hosted { member, host }));
            }
            Said::AtMesh { .. } | Said::Carried { .. } => {} // For whoever leads the members.
            Said::Broken { error } => self.fail(Failed::of_output(error)),
            Said::Stalled { to: seat, unanswered, waiting, seconds } => {
                let (sent, more) = (bytes(unanswered), bytes(waiting));
                tracing::warn!(
                    "member {member} has waited {seconds:.0} s for the member in seat {seat}, which was sent {sent} of \
                     records and has not taken them; {more} wait for it"
                );
                self.events.emit(&JobEvent::Stalled { member, seat, unanswered, waiting, seconds });
            }
            Said::LeaseWanted { stage, count } => self.tell(Event::LeaseWanted { member, stage, count }),
            Said::GrantWanted { at, sizes } => {
                self.lock().asked.insert(at, sizes);
                let At { stage, split, attempt } = at;
                self.tell(Event::GrantWanted { member, stage, split, attempt });
            }
            Said::Done { at, made } => {
                self.granted_unasked(member, at);
                self.registered(member, at, made);
            }
            Said::Registered { at, made } => self.registered(member, at, made),
            Said::Failed { at, error, cause } => self.attempt_failed(member, at, error, cause),
            Said::Alive(vitals) => {
                self.lock().vitals.insert(member, vitals);
                self.tell(Event::Heartbeat { member, at_ms: self.now_ms() });
            }
        }
    }

    fn settle_round(&self, inner: &mut Inner, stage: StageId) -> Result<(), Error> {
        if let Some(from) = inner.rounds.reads(stage) {
            inner.pieces.remove(&from); // Nobody reads them again.
        }
        match inner.rounds.done(stage, &inner.coord)? {
            After::Nothing => {}
            After::Next(plan) => plan.iter().for_each(|e| self.events.emit(e)),
            After::Settled(spared, mail) => {
                inner.post_all(&mail);
                for stage in spared {
                    let told = self.carry_out(inner, Event::Spared { stage });
                    told.iter().for_each(|e| self.events.emit(e));
                }
            }
        }
        Ok(())
    }

    /// A member is not wanted any more: it goes when it has finished what it holds.
    pub fn retire(&self, member: MemberId) {
        self.tell(Event::Retire { member });
    }

    /// A member is gone: its process ended, or its line.
    pub fn lost(&self, member: MemberId) {
        self.lock().forget(member);
        self.tell(Event::MemberLost { member });
    }

    /// A member's process has died while it worked on these splits.
    pub fn crashed(&self, member: MemberId, splits: Vec<(StageId, SplitId)>, how: &str, log: &str) {
        let mut inner = self.lock();
        inner.forget(member);
        for (stage, split) in &splits {
            let (label, place) = (self.places)(*stage, *split);
            let what = format!("the process that worked on split {split} alone was {how}, twice");
            let error = with_log(Error::job(what).at_stage(label).at_place(place), log);
            inner.errors.insert((*stage, *split), error);
        }
        drop(inner);
        let failure = Failure::new(FailureKind::Crash, format!("its process was {how}"));
        self.tell(Event::Crashed { member, splits, failure });
    }

    /// Tells whoever listens what happened to a member.
    pub fn report(&self, event: &JobEvent) {
        self.events.emit(event);
    }

    /// Time passes: members that have been silent for too long are lost.
    pub fn tick(&self) {
        self.tell(Event::Tick { now_ms: self.now_ms() });
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells the coordinator and carries out what it answers.
    pub fn tell(&self, event: Event) {
        let mut inner = self.lock();
        let told = self.carry_out(&mut inner, event);
        let settled = self.settle(&mut inner);
        drop(inner);
        told.iter().for_each(|e| self.events.emit(e));
        settled.unwrap_or_else(|e| self.fail(e.into()));
    }

    /// Draws the consequences of stages that are done, once all that they made is kept.
    fn settle(&self, inner: &mut Inner) -> Result<(), Error> {
        while let Some(stage) = inner.ended.pop() {
            self.settle_round(inner, stage).map_err(|e| e.at_stage((self.places)(stage, SplitId(0)).0))?;
            let told = inner.sides.done(stage, inner.made.get(&stage));
            let mail = told.map_err(|e| e.at_stage((self.places)(stage, SplitId(0)).0))?;
            mail.iter().for_each(|m| inner.post_all(m));
        }
        Ok(())
    }

    /// Grants an attempt that does not wait for the word, so none is sent.
    fn granted_unasked(&self, member: MemberId, at: At) {
        let At { stage, split, attempt } = at;
        let (mut inner, mut actions) = (self.lock(), Vec::new());
        inner.coord.handle(Event::GrantWanted { member, stage, split, attempt }, &mut actions);
        let grant = Action::Grant { member, stage, split, attempt };
        let others = actions.into_iter().filter(|a| *a != grant);
        let told: Vec<JobEvent> = others.filter_map(|a| self.act(&mut inner, a)).collect();
        drop(inner);
        told.iter().for_each(|e| self.events.emit(e));
    }

    fn carry_out(&self, inner: &mut Inner, event: Event) -> Vec<JobEvent> {
        let mut actions = Vec::new();
        inner.coord.handle(event, &mut actions);
        actions.into_iter().filter_map(|a| self.act(inner, a)).collect()
    }

    /// An attempt's product is in its place.
    fn registered(&self, member: MemberId, at: At, made: Made) {
        let At { stage, split, attempt } = at;
        let data = serde_json::Value::String(made.data.clone());
        let record = PartRecord { files: Vec::new(), data, counters: made.counters, times: made.times };
        let mut inner = self.lock();
        let before = inner.coord.is_done(stage, split);
        let told = self.carry_out(&mut inner, Event::Registered { member, stage, split, attempt, record });
        let counts = !before || !inner.coord.grants(); // Without grants, whatever comes is counted.
        let counted = counts && inner.coord.is_done(stage, split);
        let kept = if counted { inner.keep((self.roles)(stage), at, made.data, &made.times) } else { Ok(()) };
        let settled = kept.and_then(|()| self.settle(&mut inner));
        drop(inner);
        if counted {
            let (times, bytes_in, bytes_out) = (made.times, made.bytes_in, made.bytes_out);
            self.events.emit(&JobEvent::SplitDone { stage, split, attempt, member, times, bytes_in, bytes_out });
        }
        told.iter().for_each(|e| self.events.emit(e));
        settled.unwrap_or_else(|e| self.fail(e.into()));
    }

    /// An attempt failed; the error is kept with all it says, for the one that ends the job.
    fn attempt_failed(&self, member: MemberId, at: At, error: Error, cause: Cause) {
        let (error, failure) = failure_of(error, cause);
        let At { stage, split, attempt } = at;
        self.lock().errors.entry((stage, split)).or_insert(error);
        self.tell(Event::Failed { member, stage, split, attempt, failure });
    }

    /// Ends the job with this error, unless it has ended.
    pub fn fail(&self, failed: Failed) {
        let reason = failed.error.to_string();
        self.lock().failure.get_or_insert(failed);
        self.tell(Event::Cancel { reason });
    }
}

/// The line of a member in the coordinator's own process.
pub struct Here {
    /// The coordinator.
    pub shell: Arc<Shell>,
    /// Who speaks.
    pub member: MemberId,
}

impl Control for Here {
    fn say(&self, said: Said) {
        self.shell.hear(self.member, said);
    }

    fn has_failed(&self) -> bool {
        self.shell.has_failed()
    }
}

/// How the coordinator sees an error: reading is tried again, bad data and user code are not. What failed at work is not
/// tried again, whatever the store says.
fn failure_of(error: Error, cause: Cause) -> (Error, Failure) {
    let mut failed = Failed::from(error);
    failed.kind = match (cause, failed.kind) {
        (Cause::Fetch, _) => FailureKind::Io,
        (Cause::Output, _) => FailureKind::Output,
        (Cause::Work, FailureKind::Io) => FailureKind::Data,
        (Cause::Work, kind) => kind,
    };
    let told = failed.told();
    (failed.error, told)
}
