//! The source of one stage on one worker: takes leases, has them attempted, asks for grants, hands on what was granted.
//!
//! It is the logic of a timely operator and knows nothing of timely but its own capability: it holds one until the
//! coordinator says that the stage is done. Whoever wakes the operator (mail, the pool, the writer, an answer from
//! another worker) lets it take one step.

use crate::attempt::{Finished, Outcome, Try};
use crate::exchange::{Ack, Outbox, Records};
use crate::fetch::SplitFetch;
use crate::link::{At, Cause, Made, Mail, Said, pack};
use crate::member::{Desk, Member, MemberStage};
use mapfold_coord::{Phase, StageId};
use mapfold_plan::exchange::{Piece, Stored};
use mapfold_plan::{Part, Product};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;

/// The source operator of one stage on one worker.
pub struct Source {
    member: Arc<Member>,
    stage: Arc<MemberStage>,
    desk: Rc<Desk>,
    wake: Arc<SyncActivator>,
    done_tx: Sender<Finished>,
    done_rx: Receiver<Finished>,
    capability: Option<Capability<u64>>,
    outbox: Rc<RefCell<Outbox>>,
    /// Attempts that are complete and wait for their grant.
    products: HashMap<At, (Product, Made)>,
    /// Parts that are being written.
    storing: HashMap<At, Made>,
    wanted: u32,
    over: bool,
}

impl Source {
    /// The source of a stage; `wake` runs its operator.
    pub fn new(
        (member, stage, desk): (Arc<Member>, Arc<MemberStage>, Rc<Desk>),
        outbox: Rc<RefCell<Outbox>>,
        wake: Arc<SyncActivator>,
    ) -> Source {
        let (done_tx, done_rx) = channel();
        Source {
            member,
            stage,
            desk,
            wake,
            done_tx,
            done_rx,
            capability: None,
            outbox,
            products: HashMap::new(),
            storing: HashMap::new(),
            wanted: 0,
            over: false,
        }
    }

    /// Begins, with what keeps the stage open.
    pub fn open(&mut self, capability: Option<Capability<u64>>) {
        self.capability = capability;
        self.want();
    }

    /// What keeps the stage open, while it is.
    pub fn capability(&self) -> Option<&Capability<u64>> {
        self.capability.as_ref()
    }

    /// Another worker has found room for what it was sent.
    pub fn answered(&mut self, (_, by, bytes): Ack) {
        if let Err(error) = self.outbox.borrow_mut().answered(by, bytes) {
            self.say(Said::Broken { error });
        }
        if !self.member.shares_memory(by) {
            self.member.hub.give_back(bytes);
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

    /// Takes what has come, and gives what may be sent. When the stage is over its mail is the next one's.
    pub fn step(&mut self) -> Vec<Records> {
        if self.capability.is_none() {
            return Vec::new();
        }
        loop {
            let mut idle = true;
            while let Ok(mail) = self.desk.inbox.try_recv() {
                idle = false;
                self.take(mail);
            }
            while let Ok(done) = self.done_rx.try_recv() {
                idle = false;
                self.finished(done);
            }
            if idle {
                break;
            }
        }
        let messages = self.outbox.borrow_mut().messages();
        let gone = self.outbox.borrow_mut().gone();
        gone.into_iter().for_each(|(at, made)| self.register(at, made));
        messages
    }

    /// Mail for a stage that is over, or not yet begun, is dropped: whoever needs it is told again.
    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Lease(at, pieces) if at.stage == self.id() => self.lease(at, pieces),
            Mail::Grant(at, offsets) if at.stage == self.id() => self.granted(at, offsets),
            Mail::Drop(at) if at.stage == self.id() => {
                if let Some((Product::Records(pieces), _)) = self.products.remove(&at) {
                    self.member.hub.release(&pieces);
                }
                self.want();
            }
            Mail::Side(number, values) => self.member.sides.put(number, values),
            Mail::Settled { read, from } => self.member.hub.settle(read, from),
            Mail::StageDone(stage) if stage == self.id() => {
                self.over = true;
                self.stage.stage.round().iter().for_each(|round| self.member.hub.round_done(round.from));
            }
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
            Outcome::Made(Product::Side(values), mut made) => {
                made.data = pack(&values);
                self.done(at, made);
            }
            // They are in their file; the log knows it as a product without pieces of its own.
            Outcome::Made(Product::Blocks(_), mut made) => {
                made.data = pack(&Vec::<Stored>::new());
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

    fn granted(&mut self, at: At, offsets: Vec<u64>) {
        let Some((product, made)) = self.products.remove(&at) else { return };
        match product {
            Product::Records(pieces) => self.outbox.borrow_mut().put(at, made, pieces),
            Product::Values(_) | Product::Side(_) | Product::Blocks(_) => {} // These ask nobody.
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
        made.times.add(Phase::Write, std::time::Duration::from_nanos(nanos));
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

    /// Lets the stage end, when the coordinator says that it is done or that the job is.
    pub fn close_if_done(&mut self) {
        if self.over || self.desk.control.has_failed() {
            self.capability = None;
        }
    }
}
