//! A timely worker: one dataflow per stage.
//!
//! ```text
//!  splits ──records, by partition──> collect ──> (probe)
//!    ^                                  │
//!    └───────────── answers ────────────┘
//! ```
//!
//! `splits` ([`Source`]) has splits attempted and sends what was granted, within its credit; `collect` ([`Collector`])
//! finds room for what arrives and answers its sender. Answers have no way from the source's input to its output, so for
//! timely there is no cycle. The source holds one capability until the coordinator says that the stage is done: frontiers
//! close stages, they do not count splits.

use crate::exchange::{Ack, ByPartition, Collector, Outbox, Records, Stall};
use crate::guard;
use crate::link::Said;
use crate::member::{Desk, Member, MemberStage};
use crate::mesh::{self, MeshError};
use crate::source::Source;
use mapfold_plan::{Error, Result};
use mapfold_wire::Conn;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::{DistributorPact, Exchange};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::dataflow::{Scope, Stream};
use timely::progress::Antichain;
use timely::worker::Worker;

/// Between two looks at whether a stage is done, when nothing else happens.
const LOOK: Duration = Duration::from_millis(200);

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

/// Starts the one worker of this process in a mesh of processes; `conns` and `me` as [`mesh::run`] wants them. How it
/// ended comes through the channel.
pub fn start_in_mesh(conns: Vec<Option<Conn>>, me: u32, member: &Arc<Member>) -> Receiver<Result<(), MeshError>> {
    let (member, (tell, ended)) = (member.clone(), channel());
    std::thread::spawn(move || {
        let _ = tell.send(mesh::run(conns, me as usize, move |worker| serve(worker, &member)));
    });
    ended
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
        let credit = member.credit(stage, worker.peers());
        let outbox = Outbox::new(worker.index(), worker.peers(), credit, member.apart);
        let here = Here { member: member.clone(), stage: stage.clone(), desk: desk.clone(), outbox: shared(outbox) };
        let probe = Handle::new();
        worker.dataflow(|scope| here.build(scope, &probe));
        while !probe.done() {
            worker.step_or_park(Some(LOOK));
            here.tell_stalls();
        }
    }
}

fn shared<T>(value: T) -> Rc<RefCell<T>> {
    Rc::new(RefCell::new(value))
}

/// One stage on one worker.
struct Here {
    member: Arc<Member>,
    stage: Arc<MemberStage>,
    desk: Rc<Desk>,
    outbox: Rc<RefCell<Outbox>>,
}

impl Here {
    fn build(&self, scope: Scope<'_, u64>, probe: &Handle<u64>) {
        let (answers, back) = scope.feedback::<Vec<Ack>>(Default::default());
        let records = self.splits(scope, back);
        self.collect(scope, records).probe_with(probe).connect_loop(answers);
    }

    /// The source: answers in, records out, and no way from the one to the other.
    fn splits<'s>(&self, scope: Scope<'s, u64>, answers: Stream<'s, u64, Vec<Ack>>) -> Stream<'s, u64, Records> {
        let mut builder = OperatorBuilder::new("splits".to_owned(), scope);
        let address = builder.operator_info().address.to_vec();
        let waker = || scope.worker().sync_activator_for(address.clone());
        let (output, records) = builder.new_output::<Records>();
        let mut output = OutputBuilder::<_, NoopBuilder<Records>>::from(output);
        let to_sender = Exchange::new(|(sender, ..): &Ack| u64::from(*sender));
        let mut answers = builder.new_input_connection(answers, to_sender, [(0, Antichain::new())]);
        self.desk.postbox.wakes(waker());
        let (member, stage, desk) = (self.member.clone(), self.stage.clone(), self.desk.clone());
        let mut source = Source::new((member, stage, desk), self.outbox.clone(), Arc::new(waker()));
        let _ = waker().activate(); // For mail that came before.
        builder.build(move |mut capabilities| {
            source.open(capabilities.pop());
            move |_| {
                answers.for_each(|_, acks| acks.drain(..).for_each(|ack| source.answered(ack)));
                let messages = source.step();
                if let Some(capability) = source.capability() {
                    let mut output = output.activate();
                    let mut session = output.session_with_builder(capability);
                    messages.into_iter().for_each(|mut m| session.give_container(&mut m));
                }
                source.close_if_done();
            }
        });
        records
    }

    /// The other end: records in, answers out.
    fn collect<'s>(&self, scope: Scope<'s, u64>, records: Stream<'s, u64, Records>) -> Stream<'s, u64, Vec<Ack>> {
        let mut builder = OperatorBuilder::new("collect".to_owned(), scope);
        let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
        let mut input = builder.new_input(records, DistributorPact(|_| ByPartition));
        let (output, answers) = builder.new_output::<Vec<Ack>>();
        let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<Ack>>>::from(output);
        let mut collector = Collector::new(self.member.clone(), self.stage.clone(), scope.index(), wake);
        let control = self.desk.control.clone();
        builder.build(move |_| {
            move |_| {
                let mut output = output.activate();
                let mut done = Ok(());
                input.for_each(|capability, records| match collector.take(records, || capability.retain(0)) {
                    Ok(Some(ack)) => output.session(&capability).give(ack),
                    Ok(None) => {}
                    Err(e) => done = Err(e),
                });
                match collector.stored() {
                    Ok(answers) => answers.into_iter().for_each(|(ack, cap)| output.session(&cap).give(ack)),
                    Err(e) => done = Err(e),
                }
                if let Err(error) = done {
                    control.say(Said::Broken { error });
                }
            }
        });
        answers
    }

    fn tell_stalls(&self) {
        for stall in self.outbox.borrow_mut().stalled(Instant::now()) {
            let seconds = stall.silent.as_secs_f64();
            let Stall { to, unanswered, waiting, .. } = stall;
            self.desk.control.say(Said::Stalled { to, unanswered, waiting, seconds });
        }
    }
}
