//! A timely worker: one dataflow per stage.
//!
//! The source operator takes leases from its mailbox, hands attempts to the pool, asks for grants and emits what was
//! granted; records travel through timely's exchange to the worker of their partition. The operator holds one
//! capability until the coordinator says that the stage is done: frontiers close stages, they do not count splits.

use crate::exchange::{ByPartition, Records};
use crate::fetch::SplitFetch;
use crate::guard;
use crate::link::{At, Cause, Control, Made, Mail, Said, pack};
use crate::member::{Desk, Member, MemberStage};
use crate::pool::Rooms;
use mapfold_coord::{Phase, PhaseTimes, StageId};
use mapfold_plan::exchange::{Piece, Stored};
use mapfold_plan::{Cx, Error, Kind, Part, Phase as Doing, Place, Product, Result};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

/// What comes back from the pool.
struct Finished {
    at: At,
    outcome: Outcome,
}

enum Outcome {
    Made(Product, Made),
    Stored { record: mapfold_plan::PartRecord, nanos: u64 },
    Failed { error: Error, cause: Cause },
}

/// The workers of this process, at work.
pub struct AtWork(Receiver<Option<String>>);

impl AtWork {
    /// Waits until the workers have ended, and calls `tick` every so often meanwhile.
    ///
    /// # Errors
    /// What stopped a worker.
    pub fn until_ended(&self, every: Duration, mut tick: impl FnMut()) -> Result<()> {
        // A message, not the end of a thread that unparks this one: that thread has not ended when this one wakes.
        let fault = loop {
            match self.0.recv_timeout(every) {
                Ok(fault) => break fault,
                Err(RecvTimeoutError::Timeout) => tick(),
                Err(RecvTimeoutError::Disconnected) => break Some("it ended without a word".to_string()),
            }
        };
        fault.map_or(Ok(()), |e| Err(Error::job(format!("a timely worker stopped: {e}"))))
    }
}

/// Starts `workers` timely workers of this process.
///
/// # Errors
/// When timely cannot start its threads.
pub fn start(workers: usize, member: &Arc<Member>) -> Result<AtWork> {
    let config = match workers {
        1 => timely::CommunicationConfig::Thread,
        n => timely::CommunicationConfig::ProcessBinary(n),
    };
    let no_start = |e: String| Error::job(format!("timely cannot start: {e}"));
    let (builders, others) = config.try_build().map_err(no_start)?;
    let member = member.clone();
    let serve = move |worker: &mut Worker| serve(worker, &member);
    let guards = timely::execute::execute_from(builders, others, timely::WorkerConfig::default(), serve);
    let guards = guards.map_err(no_start)?;
    let (ended, at_work) = channel();
    std::thread::spawn(move || {
        let fault = guards.join().into_iter().filter_map(std::result::Result::err).next();
        let _ = ended.send(fault); // Whoever waits no more has no use for it.
    });
    Ok(AtWork(at_work))
}

/// Runs the stages of a job, one dataflow after the other.
fn serve(worker: &mut Worker, member: &Arc<Member>) {
    guard::mark_engine_thread();
    let Some(desk) = member.take_desk(worker.index()) else { return };
    let desk = Rc::new(desk);
    desk.control.say(Said::Joined);
    for stage in &member.stages {
        if desk.control.has_failed() {
            return;
        }
        let probe = Handle::new();
        build(worker, member, stage, &desk, &probe);
        while !probe.done() {
            worker.step_or_park(Some(Duration::from_millis(200)));
        }
    }
}

fn build(worker: &mut Worker, member: &Arc<Member>, stage: &Arc<MemberStage>, desk: &Rc<Desk>, probe: &Handle<u64>) {
    worker.dataflow::<u64, _, _>(|scope| {
        let stream = source::<_, NoopBuilder<Records>, _, _>(scope, "splits", |capability, info| {
            let waker = || scope.worker().sync_activator_for(info.address.to_vec());
            desk.postbox.wakes(waker());
            let mut source = Source::new(member.clone(), stage.clone(), desk.clone(), Arc::new(waker()), capability);
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
        let here = member.clone();
        stream
            .unary_frontier::<NoopBuilder<Records>, _, _, _>(
                DistributorPact(|_| ByPartition),
                "collect",
                move |_, _| {
                    move |(input, _), _| {
                        input.for_each(|_, records| here.hub.collect(records.take()));
                    }
                },
            )
            .probe_with(probe);
    });
}

/// Records to be emitted, by attempt.
type Emitted = Vec<Vec<Piece>>;

/// The source operator of one stage on one worker.
struct Source {
    member: Arc<Member>,
    stage: Arc<MemberStage>,
    desk: Rc<Desk>,
    wake: Arc<SyncActivator>,
    done_tx: Sender<Finished>,
    done_rx: Receiver<Finished>,
    capability: Option<Capability<u64>>,
    /// Attempts that are complete and wait for their grant.
    products: HashMap<At, (Product, Made)>,
    /// Parts that are being written.
    storing: HashMap<At, Made>,
    wanted: u32,
    over: bool,
}

impl Source {
    fn new(
        member: Arc<Member>,
        stage: Arc<MemberStage>,
        desk: Rc<Desk>,
        wake: Arc<SyncActivator>,
        capability: Capability<u64>,
    ) -> Source {
        let (done_tx, done_rx) = channel();
        Source {
            member,
            stage,
            desk,
            wake,
            done_tx,
            done_rx,
            capability: Some(capability),
            products: HashMap::new(),
            storing: HashMap::new(),
            wanted: 0,
            over: false,
        }
    }

    fn id(&self) -> StageId {
        self.stage.id
    }

    fn say(&self, said: Said) {
        self.desk.control.say(said);
    }

    /// Parts that wait for their turn hold leases; their number is asked for on top, or the pool would run dry.
    fn want(&mut self) {
        let waiting = self.stage.files.as_ref().map_or(0, |_| self.products.len()) as u32;
        let count = (self.member.leases_per_worker() + waiting).max(1);
        if count != self.wanted {
            self.wanted = count;
            self.say(Said::LeaseWanted { stage: self.id(), count });
        }
    }

    fn step(&mut self) -> Emitted {
        let mut emit = Vec::new();
        loop {
            let mut idle = true;
            while let Ok(mail) = self.desk.inbox.try_recv() {
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

    /// Mail for a stage that is over, or not yet begun, is dropped: whoever needs it is told again.
    fn take(&mut self, mail: Mail, emit: &mut Emitted) {
        match mail {
            Mail::Lease(at, pieces) if at.stage == self.id() => self.lease(at, pieces),
            Mail::Grant(at, offsets) if at.stage == self.id() => self.granted(at, offsets, emit),
            Mail::Drop(at) if at.stage == self.id() => {
                if let Some((Product::Records(pieces), _)) = self.products.remove(&at) {
                    self.member.hub.release(&pieces);
                }
                self.want();
            }
            Mail::StageDone(stage) if stage == self.id() => self.over = true,
            Mail::Stop => self.over = true,
            _ => {}
        }
    }

    fn lease(&mut self, at: At, pieces: Vec<Stored>) {
        let place = self.stage.stage.domain().place(at.split.0);
        if self.member.durable {
            self.member.hub.assign(&place, pieces);
        }
        let needs = match self.stage.needs(&place) {
            Ok(needs) => needs,
            Err(error) => {
                return self.finished(Finished { at, outcome: Outcome::Failed { error, cause: Cause::Work } });
            }
        };
        let bytes_in = needs.iter().flatten().map(|n| n.range.end - n.range.start).sum();
        let fetch = (bytes_in > 0).then(|| SplitFetch::start(&self.member.stores, self.member.files.clone(), needs));
        let (member, stage, control) = (self.member.clone(), self.stage.clone(), self.desk.control.clone());
        let (tx, wake) = (self.done_tx.clone(), self.wake.clone());
        self.member.pool.submit(move |rooms| {
            let outcome =
                Try { member: &member, stage: &stage, control: &*control }.run(at, place, fetch, bytes_in, rooms);
            let _ = tx.send(Finished { at, outcome });
            let _ = wake.activate();
        });
    }

    fn finished(&mut self, done: Finished) {
        let at = done.at;
        match done.outcome {
            Outcome::Made(Product::Values(values), mut made) => {
                made.data = pack(&values);
                self.done(at, made);
            }
            // All pieces are in files: their places are the product, and whoever reduces them reads them there.
            Outcome::Made(Product::Records(pieces), mut made) if self.member.durable => {
                made.data = pack(&pieces.iter().filter_map(Piece::stored).collect::<Vec<_>>());
                self.done(at, made);
            }
            Outcome::Made(product, made) => {
                let sizes = match &product {
                    Product::Part(p) => p.segments.iter().map(|(stream, b)| (*stream, b.len() as u64)).collect(),
                    _ => Vec::new(),
                };
                self.products.insert(at, (product, made));
                self.say(Said::GrantWanted { at, sizes });
                self.want();
            }
            Outcome::Stored { record, nanos } => self.stored(at, &record, nanos),
            Outcome::Failed { error, cause } => {
                self.storing.remove(&at);
                self.say(Said::Failed { at, error, cause });
            }
        }
    }

    fn granted(&mut self, at: At, offsets: Vec<u64>, emit: &mut Emitted) {
        let Some((product, made)) = self.products.remove(&at) else { return };
        match product {
            Product::Records(records) => {
                emit.push(records);
                self.register(at, made);
            }
            Product::Values(_) => {} // These ask nobody.
            Product::Part(part) => {
                self.storing.insert(at, made);
                self.write(at, part, offsets);
            }
        }
        self.want();
    }

    fn write(&self, at: At, part: Part, offsets: Vec<u64>) {
        let (stage, tx, wake) = (self.stage.clone(), self.done_tx.clone(), self.wake.clone());
        self.member.writer.submit(move |_| {
            let t = std::time::Instant::now();
            let outcome = match stage.files.as_ref().map(|f| f.write(at.split.0, &part, &offsets)) {
                Some(Ok(record)) => Outcome::Stored { record, nanos: t.elapsed().as_nanos() as u64 },
                Some(Err(e)) => Outcome::Failed { error: e.at_stage(stage.stage.label()), cause: Cause::Output },
                None => return,
            };
            drop(part); // Its memory goes before the next lease comes.
            let _ = tx.send(Finished { at, outcome });
            let _ = wake.activate();
        });
    }

    fn stored(&mut self, at: At, record: &mapfold_plan::PartRecord, nanos: u64) {
        let Some(mut made) = self.storing.remove(&at) else { return };
        made.times.add(Phase::Write, Duration::from_nanos(nanos));
        made.data = pack(record);
        self.register(at, made);
    }

    fn done(&self, at: At, made: Made) {
        self.member.hub.reduced(&self.stage.stage.domain().place(at.split.0));
        self.say(Said::Done { at, made });
    }

    fn register(&self, at: At, made: Made) {
        self.member.hub.reduced(&self.stage.stage.domain().place(at.split.0));
        self.say(Said::Registered { at, made });
    }

    fn close_if_done(&mut self) {
        if self.over || self.desk.control.has_failed() {
            self.capability = None;
        }
    }
}

/// One attempt on a compute thread.
struct Try<'a> {
    member: &'a Member,
    stage: &'a MemberStage,
    control: &'a dyn Control,
}

impl Try<'_> {
    fn run(&self, at: At, place: Place, mut fetch: Option<SplitFetch>, bytes_in: u64, rooms: &Rooms) -> Outcome {
        let _flight = self.member.flight.enter(crate::pool::thread_index(), at.stage, at.split);
        let cx = Cx::new(rooms);
        cx.set_split(at.split.0);
        if let Some(files) = &self.stage.files {
            cx.set_part_folder(files.clone());
        }
        if let Some(f) = &fetch {
            f.begin();
        }
        let mut transient = false;
        let product = guard::guarded(|| {
            let kind = self.stage.stage.kind();
            cx.set_exchanging(self.member.hub.room(kind, &place, &self.stage.memory, at.attempt.0)?);
            self.stage.stage.run(&place, self.stage.memory.cut, &cx, &mut |at, cx| {
                let go = self.hand_over(fetch.as_mut(), at, cx);
                transient |= go.as_ref().is_err_and(|e| e.kind() == Kind::Input);
                go
            })
        });
        let product = product.and_then(|p| cx.during(Doing::Exchange, || self.admit(p)));
        let mut made = Made { times: phases(cx.clock.take()), bytes_in, ..Made::default() };
        cx.take_counters().into_iter().for_each(|(name, n)| made.counters.add(name, n));
        match product {
            Ok(product) => {
                made.bytes_out = product.bytes();
                Outcome::Made(product, made)
            }
            Err(e) => {
                let error = e.at_stage(self.stage.stage.label()).at_place(place.to_string());
                let cause = match transient {
                    true => Cause::Fetch,
                    // A full disk under the exchange is no fault of the split: neither tried again nor skipped.
                    false if error.is_resumable() => Cause::Output,
                    false => Cause::Work,
                };
                Outcome::Failed { error, cause }
            }
        }
    }

    /// Finds room for records until they are reduced: in memory, or in files.
    fn admit(&self, product: Product) -> Result<Product> {
        let Product::Records(pieces) = product else { return Ok(product) };
        let share = if self.member.durable { 0 } else { self.stage.memory.exchange.waiting };
        self.member.hub.admit(self.stage.stage.kind(), pieces, share).map(Product::Records)
    }

    /// Waits for the bytes of the next window and hands them to the nodes.
    fn hand_over(&self, fetch: Option<&mut SplitFetch>, at: &Place, cx: &Cx<'_>) -> Result<()> {
        if self.control.has_failed() {
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
        out.add(phase, Duration::from_nanos(nanos[from as usize]));
    }
    out
}
