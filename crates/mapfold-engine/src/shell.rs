//! The thin shell around the coordinator: what members say in, mail out.
//!
//! The coordinator is called under a lock. Its actions become mail for the members, lines of the event log and
//! entries of the commit log. What a registered attempt has made is kept here by split, so that a word that comes
//! twice, or from a member that was replaced, changes nothing.

use crate::failure::{Failed, with_log};
use crate::groups::Role;
use crate::link::{At, Cause, Control, Made, Mail, Post, Said, Vitals, unpack};
use crate::measure::Moment;
use crate::near::Hosts;
use crate::rounds::{After, RoundTable};
use crate::sides::SideTable;
use crate::streams::{Placed, Streams};
use mapfold_coord::{Action, Coordinator, Event, EventLog, Failure, FailureKind, JobEvent, LogEntry, MemberId};
use mapfold_coord::{Attempt, Counters, HostId, JobId, PartRecord, PhaseTimes, Seat, SplitId, StageId};
use mapfold_plan::Error;
use mapfold_plan::exchange::Stored;
use mapfold_plan::explain::bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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

struct Inner {
    coord: Coordinator,
    boxes: HashMap<MemberId, Arc<dyn Post>>,
    gone: Vec<MemberId>,
    overdue: Vec<MemberId>,
    solos: BTreeSet<MemberId>,
    /// Members that were not wanted any more and have gone.
    left: BTreeSet<MemberId>,
    seats: BTreeMap<MemberId, Seat>,
    hosts: Hosts,
    vitals: BTreeMap<MemberId, Vitals>,
    /// The job's name, where `mapfold split` finds it.
    job: Option<JobId>,
    streams: BTreeMap<StageId, Arc<Streams>>,
    /// What granted attempts wait with until their record is accepted.
    asked: HashMap<At, Vec<(u32, u64)>>,
    /// The pieces of durable exchanges, by exchange and partition.
    pieces: HashMap<usize, BTreeMap<u32, Vec<Stored>>>,
    log: Vec<LogEntry>,
    errors: BTreeMap<(StageId, SplitId), Error>,
    failure: Option<Failed>,
    tally: BTreeMap<StageId, Tally>,
    /// What the splits of each stage have made, packed.
    made: BTreeMap<StageId, BTreeMap<u64, String>>,
    sides: SideTable,
    rounds: RoundTable,
    /// Stages that were found done, and whose consequences are still to be drawn.
    ended: Vec<StageId>,
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

    /// Whether nobody works on a stage, because nothing is left for it to do.
    pub fn is_spared(&self, stage: StageId) -> bool {
        self.lock().rounds.is_spared(stage)
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

    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    pub fn placed(&self) -> mapfold_coord::Placed {
        self.lock().coord.placed()
    }

    /// Whether a stage is a side of an exchange.
    pub fn exchanges(&self, stage: StageId) -> bool {
        (self.roles)(stage) != Role::default()
    }

    /// Mail for a member.
    pub fn post(&self, member: MemberId, mail: Mail) {
        self.lock().post(member, mail);
    }

    /// Whether mail goes to a member: it is there, and wanted.
    pub fn is_enrolled(&self, member: MemberId) -> bool {
        self.lock().boxes.contains_key(&member)
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

    /// Whether a member has gone so.
    pub fn has_left(&self, member: MemberId) -> bool {
        self.lock().left.contains(&member)
    }

    /// The job's folder in the user's state folder.
    pub fn folder(&self) -> Option<PathBuf> {
        self.events.path().and_then(|path| path.parent().map(PathBuf::from))
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

    /// Whether splits wait for a solo member.
    pub fn has_suspects(&self) -> bool {
        self.lock().coord.waiting_suspects() > 0
    }

    /// Members that hold a split for too long.
    pub fn take_overdue(&self) -> Vec<MemberId> {
        std::mem::take(&mut self.lock().overdue)
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

    fn act(&self, inner: &mut Inner, action: Action) -> Option<JobEvent> {
        match action {
            Action::Lease { member, stage, split, attempt } => {
                inner.tally.entry(stage).or_default().span.0.get_or_insert_with(Moment::now);
                let pieces = inner.pieces_for((self.roles)(stage), split);
                inner.post(member, Mail::Lease(At { stage, split, attempt }, pieces));
                Some(JobEvent::SplitLeased { stage, split, attempt, member })
            }
            Action::Grant { member, stage, split, attempt } => {
                inner.granted(member, At { stage, split, attempt });
                None
            }
            Action::Deny { member, stage, split, attempt } | Action::Revoke { member, stage, split, attempt } => {
                let at = At { stage, split, attempt };
                inner.asked.remove(&at);
                inner.post(member, Mail::Drop(at));
                None
            }
            Action::Append(entry) => {
                inner.log.push(entry);
                None
            }
            Action::Retried { stage, split, attempt, failure } => {
                inner.tally.entry(stage).or_default().retries += 1;
                inner.errors.remove(&(stage, split));
                let place = (self.places)(stage, split).1;
                Some(JobEvent::SplitFailed { stage, split, attempt, failure, skipped: false, place })
            }
            Action::Skipped { stage, split, failure } => {
                inner.tally.entry(stage).or_default().skipped += 1;
                let freed = inner.streams.get(&stage).map(|s| s.skip(split.0)).unwrap_or_default();
                inner.place(freed);
                let (attempt, place) = (Attempt(0), (self.places)(stage, split).1);
                let failure = Failure { remedy: inner.again(stage, split, failure.remedy.as_deref()), ..failure };
                Some(JobEvent::SplitFailed { stage, split, attempt, failure, skipped: true, place })
            }
            // It asked after the end was announced: it was still in the stage before and dropped that mail.
            Action::NoMoreSplits { member, stage } => {
                inner.post(member, Mail::StageDone(stage));
                None
            }
            Action::NewGeneration { stage, generation } => {
                inner.begin_again(stage);
                Some(JobEvent::GenerationBegan { stage, generation })
            }
            Action::StageDone { stage } => {
                let (tally, now) = (inner.tally.entry(stage).or_default(), Moment::now());
                tally.span.1 = Some(now);
                let seconds = tally.span.0.map_or(0.0, |from| from.until(now).wall);
                inner.post_all(&Mail::StageDone(stage));
                inner.ended.push(stage);
                if inner.rounds.is_unheard_of(stage) {
                    return None;
                }
                Some(JobEvent::StageDone { stage, seconds })
            }
            Action::JobFailed { at, failure } => {
                self.failed.store(true, SeqCst);
                inner.end(at, &failure);
                None
            }
            Action::Overdue { member, .. } => {
                inner.overdue.push(member);
                None
            }
            Action::Retired { member } => {
                inner.post(member, Mail::Stop);
                inner.boxes.remove(&member); // Its line stays until it has said what it used.
                inner.left.insert(member);
                Some(JobEvent::MemberRetired { member })
            }
            Action::MemberGone { member } => {
                inner.forget(member);
                inner.gone.push(member);
                None
            }
            _ => None,
        }
    }

    /// Whether the job has ended without a result.
    pub fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Whether nothing is left to do: every split of every stage is done or skipped, or the job has failed.
    pub fn is_over(&self) -> bool {
        self.has_failed() || self.lock().coord.is_complete()
    }

    /// Members that were given up since the last call.
    pub fn take_gone(&self) -> Vec<MemberId> {
        std::mem::take(&mut self.lock().gone)
    }

    /// Splits registered so far.
    pub fn splits_done(&self) -> u64 {
        self.lock().coord.progress().done()
    }

    /// Entries to be written to the commit log.
    pub fn take_log(&self) -> Vec<LogEntry> {
        std::mem::take(&mut self.lock().log)
    }

    /// Counters of all registered splits.
    pub fn counters(&self) -> Counters {
        self.lock().coord.counters()
    }

    /// Why the job failed.
    pub fn take_failure(&self) -> Option<Failed> {
        self.lock().failure.take()
    }

    /// What was counted of a stage.
    pub fn tally(&self, stage: StageId) -> Tally {
        self.lock().tally.get(&stage).copied().unwrap_or_default()
    }

    /// What the splits of a stage have made, packed.
    pub fn made(&self, stage: StageId) -> BTreeMap<u64, String> {
        self.lock().made.get(&stage).cloned().unwrap_or_default()
    }

    /// Whether any split has been registered in this run.
    pub fn has_made(&self) -> bool {
        self.lock().made.values().any(|made| !made.is_empty())
    }

    /// Whether records are in the files of a durable exchange.
    pub fn has_exchanged(&self) -> bool {
        self.lock().pieces.values().any(|parts| !parts.is_empty())
    }

    /// Splits given up.
    pub fn skipped(&self) -> u64 {
        self.lock().tally.values().map(|t| t.skipped).sum()
    }

    /// What each member said last of its use.
    pub fn vitals(&self) -> BTreeMap<MemberId, Vitals> {
        self.lock().vitals.clone()
    }
}

impl Inner {
    /// A member has come: whether it is a solo one, and its seat.
    fn arrived(&self, member: MemberId) -> (bool, Option<Seat>) {
        (self.solos.contains(&member), self.seats.get(&member).copied())
    }

    /// No mail for it any more, and none of the parts that it holds is waited for.
    fn forget(&mut self, member: MemberId) {
        if let Some(post) = self.boxes.remove(&member) {
            post.close();
        }
        self.streams.values().for_each(|s| s.lose(member));
    }

    /// A stage begins again: what it made in the last generation counts no more, and was never seen.
    fn begin_again(&mut self, stage: StageId) {
        let tally = self.tally.entry(stage).or_default();
        *tally = Tally { retries: tally.retries, span: tally.span, ..Tally::default() };
        self.made.remove(&stage);
        self.rounds.begin_again(stage);
        self.asked.retain(|at, _| at.stage != stage);
    }

    /// A split counts: its record is kept, or its pieces by partition. No partition is leased before the map side is
    /// complete, so none is read before its last piece is here; their order does not matter to the reducer.
    fn keep(&mut self, role: Role, at: At, data: String, times: &PhaseTimes) -> Result<(), Error> {
        self.tally.entry(at.stage).or_default().times.merge(times);
        if data.is_empty() {
            return Ok(());
        }
        let Some(exchange) = role.maps else {
            self.made.entry(at.stage).or_default().insert(at.split.0, data);
            return Ok(());
        };
        let damaged = || Error::job(format!("the record of split {} is damaged", at.split));
        self.put_aside(exchange, unpack(&data).ok_or_else(damaged)?);
        Ok(())
    }

    fn put_aside(&mut self, exchange: usize, pieces: Vec<Stored>) {
        let parts = self.pieces.entry(exchange).or_default();
        for piece in pieces {
            parts.entry(piece.origin.partition).or_default().push(piece);
        }
    }

    fn pieces_for(&self, role: Role, split: SplitId) -> Vec<Stored> {
        let Some(exchange) = role.reduces else { return Vec::new() };
        let partition = u32::try_from(split.0).unwrap_or(u32::MAX);
        self.pieces
            .get(&self.rounds.source(exchange))
            .and_then(|parts| parts.get(&partition))
            .cloned()
            .unwrap_or_default()
    }

    fn post(&self, member: MemberId, mail: Mail) {
        // A member that is gone has no box; what it was told is told to another.
        if let Some(post) = self.boxes.get(&member) {
            post.post(mail);
        }
    }

    fn post_all(&self, mail: &Mail) {
        self.boxes.values().for_each(|b| b.post(mail.clone()));
    }

    /// The emission is granted: at once, or for a part when its place is known.
    fn granted(&mut self, member: MemberId, at: At) {
        let sizes = self.asked.remove(&at).unwrap_or_default();
        match self.streams.get(&at.stage) {
            Some(streams) => {
                let placed = streams.admit((member, self.solos.contains(&member)), at, sizes);
                self.place(placed);
            }
            None => self.post(member, Mail::Grant(at, Vec::new())),
        }
    }

    fn place(&self, placed: Vec<Placed>) {
        placed.into_iter().for_each(|p| self.post(p.member, Mail::Grant(p.at, p.offsets)));
    }

    /// What to try with a split that has failed for good: its remedy, and the command that runs it alone.
    fn again(&self, stage: StageId, split: SplitId, remedy: Option<&str>) -> Option<String> {
        let of_stage = if self.coord.progress().stages.len() > 1 { format!(" --stage {stage}") } else { String::new() };
        let alone = self.job.map(|job| {
            let job = job.to_string();
            format!("mapfold split {} {split}{of_stage} runs it alone", &job[..8])
        });
        let all: Vec<String> = remedy.map(str::to_owned).into_iter().chain(alone).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn end(&mut self, at: Option<(StageId, SplitId)>, failure: &Failure) {
        let kept = at.and_then(|at| self.errors.remove(&at));
        let told = || match &failure.remedy {
            Some(remedy) => Error::job(failure.message.clone()).with_remedy(remedy),
            None => Error::job(failure.message.clone()),
        };
        let error = kept.unwrap_or_else(told);
        let own = at.filter(|_| failure.kind.may_skip());
        let again = own.and_then(|(stage, split)| self.again(stage, split, error.remedy()));
        let error = match again {
            Some(again) => error.with_remedy(again),
            None => error,
        };
        self.failure.get_or_insert(Failed { error, kind: failure.kind, at });
        self.post_all(&Mail::Stop);
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
