//! What a node may use while it computes: fetched bytes, room to reuse, the clock, counters.

use crate::exchange::Exchanging;
use crate::{Clock, Error, FileId, PartFolder, Phase, Result, ScratchFiles, Sides};
use bytes::Bytes;
use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that the engine fetched ahead for one place.
pub trait FetchedFiles: Send + Sync {
    /// The bytes of a range that was named by `needs`.
    ///
    /// # Errors
    /// When the range was not asked for, or its fetch failed.
    fn bytes(&self, file: FileId, range: &Range<u64>) -> Result<Bytes>;
}

/// Nothing fetched: templates and stages without files.
pub struct NoFiles;

impl FetchedFiles for NoFiles {
    fn bytes(&self, file: FileId, range: &Range<u64>) -> Result<Bytes> {
        Err(Error::job(format!("bytes {range:?} of file {} were not fetched: the plan did not ask for them", file.0)))
    }
}

/// What a node may use while it computes. One per compute thread; not shared.
pub struct Cx<'a> {
    fetched: RefCell<Arc<dyn FetchedFiles>>,
    exchanging: RefCell<Arc<Exchanging>>,
    rooms: &'a RefCell<HashMap<TypeId, Box<dyn Any>>>,
    counters: RefCell<BTreeMap<Cow<'static, str>, u64>>,
    template: bool,
    split: Cell<u64>,
    order: RefCell<Vec<u8>>,
    parts: RefCell<Option<Arc<dyn PartFolder>>>,
    sides: RefCell<Arc<Sides>>,
    scratch: RefCell<Option<Arc<dyn ScratchFiles>>>,
    /// Where the time goes.
    pub clock: Clock,
}

impl<'a> Cx<'a> {
    /// A context over rooms that live as long as the thread.
    pub fn new(rooms: &'a RefCell<HashMap<TypeId, Box<dyn Any>>>) -> Cx<'a> {
        Cx {
            fetched: RefCell::new(Arc::new(NoFiles)),
            exchanging: RefCell::default(),
            rooms,
            counters: RefCell::default(),
            template: false,
            split: Cell::new(0),
            order: RefCell::default(),
            parts: RefCell::default(),
            sides: RefCell::default(),
            scratch: RefCell::default(),
            clock: Clock::default(),
        }
    }

    /// The same for the template run: sources answer with invalid pixels, nothing is read.
    pub fn template(rooms: &'a RefCell<HashMap<TypeId, Box<dyn Any>>>) -> Cx<'a> {
        Cx { template: true, ..Cx::new(rooms) }
    }

    /// Whether this is the template run.
    pub fn is_template(&self) -> bool {
        self.template
    }

    /// The split being computed.
    pub fn split(&self) -> u64 {
        self.split.get()
    }

    /// Says which split is being computed.
    pub fn set_split(&self, split: u64) {
        self.split.set(split);
    }

    /// Rank of the value that is being emitted, as bytes: the key, behind an exchange. Reports are sorted by it, so that
    /// they do not come in the order of hashed partitions.
    pub fn order(&self) -> Vec<u8> {
        self.order.borrow().clone()
    }

    /// Says the rank of the next value.
    pub fn set_order(&self, rank: &[u8]) {
        let mut order = self.order.borrow_mut();
        order.clear();
        order.extend_from_slice(rank);
    }

    /// Bytes fetched for the present place.
    pub fn fetched(&self) -> Arc<dyn FetchedFiles> {
        self.fetched.borrow().clone()
    }

    /// The engine hands over the bytes of the next place.
    pub fn set_fetched(&self, files: Arc<dyn FetchedFiles>) {
        *self.fetched.borrow_mut() = files;
    }

    /// The engine says what the exchange may use, and hands over the pieces of a partition.
    pub fn set_exchanging(&self, room: Exchanging) {
        *self.exchanging.borrow_mut() = Arc::new(room);
    }

    /// What the exchange may use.
    pub fn exchanging(&self) -> Arc<Exchanging> {
        self.exchanging.borrow().clone()
    }

    /// The engine says where this attempt may make files.
    pub fn set_part_folder(&self, folder: Arc<dyn PartFolder>) {
        *self.parts.borrow_mut() = Some(folder);
    }

    /// Where this attempt may make files of its part.
    ///
    /// # Errors
    /// In a stage without an output.
    pub fn part_folder(&self) -> Result<Arc<dyn PartFolder>> {
        self.parts.borrow().clone().ok_or_else(|| Error::job("this stage has no place for files of parts"))
    }

    /// The engine hands over the sides that have come.
    pub fn set_sides(&self, sides: Arc<Sides>) {
        *self.sides.borrow_mut() = sides;
    }

    /// The sides that have come.
    pub(crate) fn sides(&self) -> Arc<Sides> {
        self.sides.borrow().clone()
    }

    /// The engine says where the run's own files are.
    pub fn set_scratch_files(&self, files: Arc<dyn ScratchFiles>) {
        *self.scratch.borrow_mut() = Some(files);
    }

    /// The run's own files.
    pub(crate) fn scratch_files(&self) -> Result<Arc<dyn ScratchFiles>> {
        self.scratch.borrow().clone().ok_or_else(|| Error::job("there is no scratch folder here"))
    }

    /// Room of type `R` that this thread keeps from split to split.
    pub fn with_room<R: Default + 'static, O>(&self, f: impl FnOnce(&mut R) -> O) -> O {
        let kept = self.rooms.borrow_mut().remove(&TypeId::of::<R>());
        let mut room = kept.and_then(|b| b.downcast::<R>().ok()).unwrap_or_default();
        let out = f(&mut room);
        self.rooms.borrow_mut().insert(TypeId::of::<R>(), room);
        out
    }

    /// Adds to a counter; it counts only if this attempt is committed.
    pub fn count(&self, name: impl Into<Cow<'static, str>>, n: u64) {
        *self.counters.borrow_mut().entry(name.into()).or_default() += n;
    }

    /// The counters of this attempt.
    pub fn take_counters(&self) -> BTreeMap<Cow<'static, str>, u64> {
        std::mem::take(&mut self.counters.borrow_mut())
    }

    /// Runs `f` as `phase` and goes back to the phase before.
    pub fn during<O>(&self, phase: Phase, f: impl FnOnce() -> O) -> O {
        let before = self.clock.enter(phase);
        let out = f();
        self.clock.enter(before);
        out
    }
}
