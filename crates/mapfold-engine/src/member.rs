//! A member: the process that attempts splits, or one of several timely workers in it.
//!
//! Here is what its workers share: the compute pool, the writer, the stages with their memory plan and working files,
//! and the lines to the coordinator. A member decides nothing: which split, and whether its output counts, it is told.

use crate::flight::Flight;
use crate::link::{Control, Mail, Post};
use crate::parts::PartFiles;
use crate::pool::Pool;
use arrow_array::RecordBatch;
use mapfold_coord::{JobFolder, StageId};
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, FileEntry, Need, Place, Plan, Result, Stage, StageKind};
use mapfold_store::Stores;
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timely::scheduling::SyncActivator;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records that arrived, by exchange and partition.
type Exchanged = HashMap<(usize, u32), Vec<RecordBatch>>;

/// The mailbox of one timely worker. It wakes the worker when mail comes.
pub struct Postbox {
    mail: Sender<Mail>,
    wake: Mutex<Option<SyncActivator>>,
}

impl Postbox {
    fn new() -> (Arc<Postbox>, Receiver<Mail>) {
        let (mail, inbox) = channel();
        (Arc::new(Postbox { mail, wake: Mutex::default() }), inbox)
    }

    /// Who is to be woken: the source of the stage that runs.
    pub fn wakes(&self, wake: SyncActivator) {
        *lock(&self.wake) = Some(wake);
    }
}

impl Post for Postbox {
    fn post(&self, mail: Mail) {
        // A worker that is gone has ended its dataflow: nothing is waiting for the mail.
        let _ = self.mail.send(mail);
        if let Some(wake) = &*lock(&self.wake) {
            let _ = wake.activate();
        }
    }
}

/// What one timely worker needs of its own.
pub struct Desk {
    /// Where its mail comes in.
    pub inbox: Receiver<Mail>,
    /// The other end of it.
    pub postbox: Arc<Postbox>,
    /// Its line to the coordinator.
    pub control: Arc<dyn Control>,
}

/// What the workers of a process share.
pub struct Member {
    pub(crate) pool: Pool,
    pub(crate) writer: Pool,
    pub(crate) flight: Flight,
    pub(crate) stores: Stores,
    pub(crate) files: Arc<Vec<FileEntry>>,
    pub(crate) stages: Vec<Arc<MemberStage>>,
    desks: Mutex<Vec<Option<Desk>>>,
    exchanged: Arc<Mutex<Exchanged>>,
    leases: u32,
    limit: u64,
}

impl Member {
    /// A member for the stages of `plan`, with one worker for each line of `controls`, and their postboxes.
    pub fn new(
        plan: &Plan,
        memory: &[StageMemory],
        (threads, limit): (usize, u64),
        controls: Vec<Arc<dyn Control>>,
    ) -> (Member, Vec<Arc<Postbox>>) {
        let exchanged: Arc<Mutex<Exchanged>> = Arc::default();
        let leases = (2 * threads).div_ceil(controls.len().max(1)) as u32;
        let stages = plan.stages().into_iter().zip(memory).enumerate().map(|(i, (stage, memory))| {
            let files = stage
                .output()
                .map(|o| PartFiles::new(plan.stores().clone(), JobFolder::parts_for(o.loc()), o.loc().clone()));
            let (id, memory, exchanged) = (StageId(i as u32), *memory, exchanged.clone());
            Arc::new(MemberStage { id, stage, memory, files, exchanged })
        });
        let stages = stages.collect();
        let open = |control| {
            let (postbox, inbox) = Postbox::new();
            Desk { inbox, postbox, control }
        };
        let desks: Vec<Desk> = controls.into_iter().map(open).collect();
        let postboxes = desks.iter().map(|d| d.postbox.clone()).collect();
        let member = Member {
            pool: Pool::new("compute", threads),
            writer: Pool::new("write", 1),
            flight: Flight::default(),
            stores: plan.stores().clone(),
            files: Arc::new(plan.files()),
            stages,
            desks: Mutex::new(desks.into_iter().map(Some).collect()),
            exchanged,
            leases,
            limit: limit / 4,
        };
        (member, postboxes)
    }

    /// Notes in this file what its threads work on.
    #[must_use]
    pub fn with_flight(mut self, path: Option<&Path>) -> Member {
        self.flight = path.map(Flight::open).unwrap_or_default();
        self
    }

    pub(crate) fn take_desk(&self, worker: usize) -> Option<Desk> {
        lock(&self.desks).get_mut(worker)?.take()
    }

    /// Leases that one worker holds at a time: two for each compute thread, over all workers.
    pub(crate) fn leases_per_worker(&self) -> u32 {
        self.leases
    }

    /// The records of a partition.
    pub(crate) fn records_of(&self, exchange: usize, partition: u32) -> Vec<RecordBatch> {
        lock(&self.exchanged).get(&(exchange, partition)).cloned().unwrap_or_default()
    }

    /// An error when records that wait for their reducer take more than their share of the memory.
    pub(crate) fn overflow(&self) -> Option<Error> {
        self.stages.iter().find_map(|s| s.overflow(self.limit))
    }
}

/// One stage, as a member sees it.
pub struct MemberStage {
    pub(crate) id: StageId,
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) memory: StageMemory,
    pub(crate) files: Option<PartFiles>,
    exchanged: Arc<Mutex<Exchanged>>,
}

impl MemberStage {
    pub(crate) fn needs(&self, split: &Place) -> Result<Vec<Vec<Need>>> {
        self.memory.cut.places(*split).iter().map(|at| self.stage.needs(at)).collect()
    }

    pub(crate) fn collect(&self, parts: Vec<(u32, RecordBatch)>) {
        let StageKind::Exchange { exchange, .. } = self.stage.kind() else { return };
        let mut all = lock(&self.exchanged);
        parts.into_iter().for_each(|(p, b)| all.entry((exchange, p)).or_default().push(b));
    }

    fn overflow(&self, limit: u64) -> Option<Error> {
        let StageKind::Exchange { exchange, partitions } = self.stage.kind() else { return None };
        let all = lock(&self.exchanged);
        let of_this = (0..partitions).filter_map(|p| all.get(&(exchange, p))).flatten();
        let held: u64 = of_this.map(|b| b.get_array_memory_size() as u64).sum();
        (held > limit).then(|| {
            let mib = |b: u64| b.div_ceil(1 << 20);
            Error::job(format!("the exchange holds {} MiB, more than its share of {} MiB", mib(held), mib(limit)))
                .at_stage(self.stage.label())
                .with_remedy("raise --memory-limit, or fold more on the map side with `combine`")
        })
    }
}
