//! A member: the process that attempts splits, or one of several timely workers in it.
//!
//! Here is what its workers share: the compute pool, the writer, the stages with their memory plan and working files,
//! and the lines to the coordinator. A member decides nothing: which split, and whether its output counts, it is told.

use crate::exchange::Hub;
use crate::flight::Flight;
use crate::link::{Control, Mail, Post};
use crate::parts::PartFiles;
use crate::pool::Pool;
use mapfold_coord::{JobFolder, StageId};
use mapfold_plan::memory::{StageMemory, WRITERS_AFAR};
use mapfold_plan::{FileEntry, Need, OutputShape, Place, Plan, Result, Sides, Stage};
use mapfold_store::{Loc, Stores};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timely::scheduling::SyncActivator;

/// A segment has about 1 MiB; less credit than that sends one at a time anyway.
const LEAST_CREDIT: u64 = 64 << 10;
/// More than this makes no exchange faster.
const MOST_CREDIT: u64 = 32 << 20;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    /// Exchanged records go through files, by name, and not through timely.
    pub(crate) durable: bool,
    /// The worker that this process is in a mesh: all others are in other processes.
    mesh: Option<u32>,
    pub(crate) stores: Stores,
    pub(crate) files: Arc<Vec<FileEntry>>,
    pub(crate) stages: Vec<Arc<MemberStage>>,
    desks: Mutex<Vec<Option<Desk>>>,
    pub(crate) hub: Hub,
    /// Processes share no files: what is spilled is read back before it is sent.
    pub(crate) apart: bool,
    pub(crate) sides: Arc<Sides>,
    leases: u32,
}

impl Member {
    /// A member for the stages of `plan`, with one worker for each line of `controls`, and their postboxes. Records that
    /// do not fit into memory go to the folder `scratch`, which is the caller's to remove; `apart`: no other process
    /// reads them there.
    pub fn new(
        plan: &Plan,
        memory: &[StageMemory],
        (threads, scratch, apart): (usize, PathBuf, bool),
        controls: Vec<Arc<dyn Control>>,
    ) -> (Member, Vec<Arc<Postbox>>) {
        let files = files_in(&scratch, plan.files());
        let hub = Hub::new(&plan.stages(), plan.exchanges().len(), (scratch, apart));
        let leases = (2 * threads).div_ceil(controls.len().max(1)) as u32;
        let stages = plan.stages().into_iter().zip(memory).enumerate().map(|(i, (stage, memory))| {
            let files = stage
                .output()
                .map(|o| {
                    PartFiles::new(plan.stores().clone(), JobFolder::parts_for(o.loc()), (o.loc().clone(), o.shape()))
                })
                .map(Arc::new);
            Arc::new(MemberStage { id: StageId(i as u32), stage, memory: *memory, files })
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
            writer: Pool::new("write", writers(plan, threads)),
            flight: Flight::default(),
            durable: false,
            mesh: None,
            stores: plan.stores().clone(),
            files: Arc::new(files),
            stages,
            desks: Mutex::new(desks.into_iter().map(Some).collect()),
            hub,
            apart,
            sides: Arc::new(Sides::of(plan)),
            leases,
        };
        (member, postboxes)
    }

    /// Lets parts that are files of their own go to this folder, not beside their output.
    #[must_use]
    pub fn with_parts_in(mut self, folder: &Loc) -> Member {
        let stores = self.stores.clone();
        let moved = |s: Arc<MemberStage>| {
            let here = (folder.join("output"), OutputShape::Folder); // Nothing of it goes to the output's own store.
            let files = s.stage.output().map(|_| PartFiles::new(stores.clone(), folder.clone(), here));
            Arc::new(MemberStage { id: s.id, stage: s.stage.clone(), memory: s.memory, files: files.map(Arc::new) })
        };
        self.stages = self.stages.into_iter().map(moved).collect();
        self
    }

    /// Lets records go through files that other processes read.
    #[must_use]
    pub fn with_durable(mut self, durable: bool) -> Member {
        self.durable = durable;
        self
    }

    /// Exchanges records with other processes, as the worker `me` of their mesh.
    #[must_use]
    pub fn with_mesh(mut self, me: Option<u32>) -> Member {
        self.mesh = me;
        self
    }

    /// Notes in this file what its threads work on.
    #[must_use]
    pub fn with_flight(mut self, path: Option<&Path>) -> Member {
        self.flight = path.map(Flight::open).unwrap_or_default();
        self
    }

    /// The desk of a worker, once. A process of a mesh has one worker, whatever its number there.
    pub(crate) fn take_desk(&self, worker: usize) -> Option<Desk> {
        lock(&self.desks).get_mut(if self.mesh.is_some() { 0 } else { worker })?.take()
    }

    /// Whether records from this worker are in this process's account already.
    pub(crate) fn shares_memory(&self, worker: u32) -> bool {
        self.mesh.is_none_or(|me| me == worker)
    }

    /// Bytes of records that may wait in memory to be reduced. In a mesh half of the share is for the way: what is in
    /// sockets, slabs and messages.
    pub(crate) fn share(&self, stage: &MemberStage) -> u64 {
        let waiting = stage.memory.exchange.waiting;
        match (self.durable, self.mesh) {
            (true, _) => 0,
            (false, Some(_)) => waiting / 2,
            (false, None) => waiting,
        }
    }

    /// Bytes that one worker may have sent to another without an answer. In timely such a byte takes about two, at either
    /// end: all of it together is the other half of the share.
    pub(crate) fn credit(&self, stage: &MemberStage, workers: usize) -> u64 {
        match workers as u64 {
            1 => u64::MAX,
            n => (stage.memory.exchange.waiting / (8 * (n - 1))).clamp(LEAST_CREDIT, MOST_CREDIT),
        }
    }

    /// Leases that one worker holds at a time: two for each compute thread, over all workers.
    pub(crate) fn leases_per_worker(&self) -> u32 {
        self.leases
    }
}

/// Threads that write parts: one for a disk, more where each write is mostly waiting.
fn writers(plan: &Plan, threads: usize) -> usize {
    let is_far = |stage: &Arc<dyn Stage>| {
        let output = stage.output();
        output.is_some_and(|out| !plan.stores().abilities(out.loc()).random_writes)
    };
    if plan.stages().iter().any(is_far) { threads.clamp(1, WRITERS_AFAR as usize) } else { 1 }
}

/// The files of a plan, those that the run makes with their places.
fn files_in(scratch: &Path, files: Vec<FileEntry>) -> Vec<FileEntry> {
    let placed = |f: FileEntry| match &f.made {
        Some(name) => FileEntry { loc: Loc::local(scratch.join(name)), ..f },
        None => f,
    };
    files.into_iter().map(placed).collect()
}

/// One stage, as a member sees it.
pub struct MemberStage {
    pub(crate) id: StageId,
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) memory: StageMemory,
    pub(crate) files: Option<Arc<PartFiles>>,
}

impl MemberStage {
    pub(crate) fn needs(&self, split: &Place) -> Result<Vec<Vec<Need>>> {
        self.memory.cut.places(*split).iter().map(|at| self.stage.needs(at)).collect()
    }
}
