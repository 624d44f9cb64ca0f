//! A timely worker: one dataflow per stage.
//!
//! The source operator takes leases from its mailbox, hands attempts to the pool, asks for grants and emits what was
//! granted; records travel through timely's exchange to the worker of their partition. The operator holds one
//! capability until the coordinator says that the stage is done: frontiers close stages, they do not count splits.

use crate::batch::{ByPartition, Records};
use crate::fetch::SplitFetch;
use crate::guard;
use crate::pool::Rooms;
use crate::run::{Job, StageRun};
use crate::shell::{Cause, Mail};
use mapfold_coord::{Attempt, Event, MemberId, Phase, PhaseTimes, SplitId, StageId};
use mapfold_plan::{Cx, Error, Kind, Phase as Doing, Place, Product, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

/// What comes back from the pool.
struct Finished {
    split: SplitId,
    attempt: Attempt,
    outcome: Outcome,
}

enum Outcome {
    Made { product: Product, times: PhaseTimes, counters: mapfold_coord::Counters, bytes_in: u64 },
    Stored { record: mapfold_plan::PartRecord, nanos: u64 },
    Failed { error: Error, cause: Cause },
}

/// What is known of an attempt whose part is being stored.
pub struct Granted {
    member: MemberId,
    times: PhaseTimes,
    counters: mapfold_coord::Counters,
    bytes_in: u64,
    bytes_out: u64,
}

/// Runs the stages of a job, one dataflow after the other.
pub fn serve(worker: &mut Worker, job: &Arc<Job>) {
    guard::mark_engine_thread();
    let me = worker.index();
    let Some(mail) = job.take_mailbox(me) else { return };
    let mail = std::rc::Rc::new(mail);
    job.shell.tell(Event::Joined { member: MemberId(me as u32) });
    for stage in job.stages() {
        if job.shell.has_failed() {
            return;
        }
        let probe = Handle::new();
        build(worker, job, &stage, mail.clone(), &probe);
        while !probe.done() {
            worker.step_or_park(Some(std::time::Duration::from_millis(200)));
        }
        stage.ended();
    }
}

fn build(
    worker: &mut Worker,
    job: &Arc<Job>,
    stage: &Arc<StageRun>,
    mail: std::rc::Rc<Receiver<Mail>>,
    probe: &Handle<u64>,
) {
    let me = worker.index();
    worker.dataflow::<u64, _, _>(|scope| {
        let stream = source::<_, NoopBuilder<Records>, _, _>(scope, "splits", |capability, info| {
            let waker = || scope.worker().sync_activator_for(info.address.to_vec());
            job.shell.set_waker(me, waker());
            let wake = Arc::new(waker());
            let mut source = Source::new(job.clone(), stage.clone(), me, mail, wake, capability);
            source.want();
            let _ = waker().activate();
            move |output| {
                let emitted = source.step();
                if let Some(cap) = source.capability.as_ref() {
                    let mut session = output.session_with_builder(cap);
                    emitted.into_iter().for_each(|r| session.give_container(&mut Records::new(r)));
                }
                source.close_if_done();
            }
        });
        let store = stage.clone();
        stream
            .unary_frontier::<NoopBuilder<Records>, _, _, _>(
                DistributorPact(|_| ByPartition),
                "collect",
                move |_, _| {
                    move |(input, _), _| {
                        input.for_each(|_, records| store.collect(std::mem::take(&mut records.parts)));
                    }
                },
            )
            .probe_with(probe);
    });
}

struct Source {
    job: Arc<Job>,
    stage: Arc<StageRun>,
    me: MemberId,
    mail: std::rc::Rc<Receiver<Mail>>,
    wake: Arc<SyncActivator>,
    done_tx: Sender<Finished>,
    done_rx: Receiver<Finished>,
    capability: Option<Capability<u64>>,
    products: HashMap<(SplitId, Attempt), (Product, Granted)>,
    wanted: u32,
    over: bool,
}

impl Source {
    fn new(
        job: Arc<Job>,
        stage: Arc<StageRun>,
        me: usize,
        mail: std::rc::Rc<Receiver<Mail>>,
        wake: Arc<SyncActivator>,
        capability: Capability<u64>,
    ) -> Source {
        let (done_tx, done_rx) = channel();
        Source {
            job,
            stage,
            me: MemberId(me as u32),
            mail,
            wake,
            done_tx,
            done_rx,
            capability: Some(capability),
            products: HashMap::new(),
            wanted: 0,
            over: false,
        }
    }

    fn id(&self) -> StageId {
        self.stage.id
    }

    /// Two leases per compute thread, and one more for each part that waits for its turn.
    fn want(&mut self) {
        let waiting = self.stage.streams().map_or(0, crate::streams::Streams::waiting) as u32;
        let count = (self.job.leases_per_worker() + waiting).max(1);
        if count != self.wanted {
            self.wanted = count;
            self.job.shell.tell(Event::LeaseWanted { member: self.me, stage: self.id(), count });
        }
    }

    /// Handles what has arrived; gives the records to be sent.
    fn step(&mut self) -> Vec<Vec<(u32, arrow_array::RecordBatch)>> {
        let mut emit = Vec::new();
        loop {
            let mut idle = true;
            while let Ok(mail) = self.mail.try_recv() {
                idle = false;
                self.take(mail, &mut emit);
            }
            while let Ok(done) = self.done_rx.try_recv() {
                idle = false;
                self.finished(done);
            }
            if idle {
                return emit;
            }
        }
    }

    fn take(&mut self, mail: Mail, emit: &mut Vec<Vec<(u32, arrow_array::RecordBatch)>>) {
        match mail {
            Mail::Lease(stage, split, attempt) if stage == self.id() => self.lease(split, attempt),
            Mail::Grant(stage, split, attempt) if stage == self.id() => self.granted(split, attempt, emit),
            Mail::Drop(stage, split, attempt) if stage == self.id() => drop(self.products.remove(&(split, attempt))),
            Mail::Skipped(stage, split) if stage == self.id() => {
                let freed = self.stage.streams().map(|s| s.skip(split.0)).unwrap_or_default();
                self.write(freed);
            }
            Mail::StageDone(stage) if stage == self.id() => self.over = true,
            Mail::Stop => self.over = true,
            _ => {}
        }
    }

    fn lease(&mut self, split: SplitId, attempt: Attempt) {
        let place = self.stage.stage.domain().place(split.0);
        let needs = match self.stage.needs(&place) {
            Ok(needs) => needs,
            Err(error) => return self.report(split, attempt, Outcome::Failed { error, cause: Cause::Work }),
        };
        let bytes_in = needs.iter().flatten().map(|n| n.range.end - n.range.start).sum();
        let fetch = (bytes_in > 0).then(|| SplitFetch::start(&self.job.stores, self.job.files.clone(), needs));
        let (job, stage, tx, wake) = (self.job.clone(), self.stage.clone(), self.done_tx.clone(), self.wake.clone());
        self.job.pool.submit(move |rooms| {
            let outcome = attempt_split(&job, &stage, (split, place), fetch, bytes_in, rooms);
            let _ = tx.send(Finished { split, attempt, outcome });
            let _ = wake.activate();
        });
    }

    fn report(&mut self, split: SplitId, attempt: Attempt, outcome: Outcome) {
        self.finished(Finished { split, attempt, outcome });
    }

    fn finished(&mut self, done: Finished) {
        let at = (self.id(), done.split, done.attempt);
        match done.outcome {
            Outcome::Made { product, times, counters, bytes_in } => {
                let bytes_out = product.bytes();
                let granted = Granted { member: self.me, times, counters, bytes_in, bytes_out };
                self.products.insert((done.split, done.attempt), (product, granted));
                let (member, stage, split, attempt) = (self.me, at.0, at.1, at.2);
                self.job.shell.tell(Event::GrantWanted { member, stage, split, attempt });
            }
            Outcome::Stored { record, nanos } => self.stored(done.split, done.attempt, record, nanos),
            Outcome::Failed { error, cause } => self.job.shell.tell_failed(self.me, at, error, cause),
        }
    }

    fn granted(&mut self, split: SplitId, attempt: Attempt, emit: &mut Vec<Vec<(u32, arrow_array::RecordBatch)>>) {
        let Some((product, granted)) = self.products.remove(&(split, attempt)) else { return };
        match product {
            Product::Records(records) => {
                emit.push(records);
                self.register(split, attempt, granted, serde_json::Value::Null);
            }
            Product::Values(values) => {
                self.stage.keep_values(split.0, values);
                self.register(split, attempt, granted, serde_json::Value::Null);
            }
            Product::Part(part) => {
                self.stage.storing(split, attempt, granted);
                let Some(streams) = self.stage.streams() else { return };
                let placed = streams.admit(split.0, attempt, part);
                self.write(placed);
                self.want();
            }
        }
    }

    fn write(&self, placed: Vec<crate::streams::Placed>) {
        for p in placed {
            let (stage, tx, wake) = (self.stage.clone(), self.done_tx.clone(), self.wake.clone());
            self.job.writer.submit(move |_| {
                let (split, attempt, t) = (SplitId(p.split), p.attempt, std::time::Instant::now());
                let written = stage.streams().map(|s| s.write(&p));
                let outcome = match written {
                    Some(Ok(record)) => Outcome::Stored { record, nanos: t.elapsed().as_nanos() as u64 },
                    Some(Err(e)) => Outcome::Failed { error: e.at_stage(stage.stage.label()), cause: Cause::Output },
                    None => return,
                };
                let _ = tx.send(Finished { split, attempt, outcome });
                let _ = wake.activate();
            });
        }
    }

    fn stored(&mut self, split: SplitId, attempt: Attempt, record: mapfold_plan::PartRecord, nanos: u64) {
        let Some(mut granted) = self.stage.take_storing(split, attempt) else { return };
        granted.times.add(Phase::Write, std::time::Duration::from_nanos(nanos));
        let data = crate::commit::to_log(&record);
        self.stage.keep_part(record);
        self.register(split, attempt, granted, data);
        self.want();
    }

    fn register(&mut self, split: SplitId, attempt: Attempt, granted: Granted, data: serde_json::Value) {
        let record =
            mapfold_coord::PartRecord { files: Vec::new(), data, counters: granted.counters, times: granted.times };
        let bytes = (granted.bytes_in, granted.bytes_out);
        self.job.shell.tell_registered(granted.member, (self.id(), split, attempt), record, bytes);
    }

    fn close_if_done(&mut self) {
        if self.over || self.job.shell.has_failed() {
            self.capability = None;
        }
    }
}

/// One attempt, on a compute thread.
fn attempt_split(
    job: &Job,
    stage: &StageRun,
    (split, place): (SplitId, Place),
    mut fetch: Option<SplitFetch>,
    bytes_in: u64,
    rooms: &Rooms,
) -> Outcome {
    let cx = Cx::new(rooms);
    cx.set_split(split.0);
    if let Some(f) = &fetch {
        f.begin();
    }
    if let Place::Partition { exchange, partition } = place {
        cx.set_records(job.records_of(exchange, partition));
    }
    let mut transient = false;
    let made = guard::guarded(|| {
        stage.stage.run(&place, stage.memory.cut, &cx, &mut |at, cx| {
            let go = hand_over(job, fetch.as_mut(), at, cx);
            transient |= go.as_ref().is_err_and(|e| e.kind() == Kind::Input);
            go
        })
    });
    let times = phases(cx.clock.take());
    let mut counters = mapfold_coord::Counters::default();
    cx.take_counters().into_iter().for_each(|(name, n)| counters.add(name, n));
    match made {
        Ok(product) => Outcome::Made { product, times, counters, bytes_in },
        Err(e) => {
            let error = e.at_stage(stage.stage.label()).at_place(place.to_string());
            Outcome::Failed { error, cause: if transient { Cause::Fetch } else { Cause::Work } }
        }
    }
}

fn hand_over(job: &Job, fetch: Option<&mut SplitFetch>, at: &Place, cx: &Cx<'_>) -> Result<()> {
    if job.shell.has_failed() {
        return Err(Error::new(Kind::Interrupted, "stopped because the job has ended"));
    }
    if let Some(fetch) = fetch {
        let before = cx.clock.enter(Doing::Read);
        let window = fetch.next(at)?;
        cx.set_fetched(Arc::new(window));
        cx.clock.enter(before);
    }
    Ok(())
}

fn phases(nanos: [u64; 7]) -> PhaseTimes {
    let mut out = PhaseTimes::default();
    let to = [
        (Doing::Read, Phase::Read),
        (Doing::Decode, Phase::Decode),
        (Doing::Compute, Phase::Compute),
        (Doing::Exchange, Phase::Exchange),
        (Doing::Encode, Phase::Encode),
        (Doing::Write, Phase::Write),
        (Doing::Other, Phase::Compute),
    ];
    for (from, phase) in to {
        out.add(phase, std::time::Duration::from_nanos(nanos[from as usize]));
    }
    out
}
