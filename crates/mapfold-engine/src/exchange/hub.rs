//! What is between the map side and the reduce side in this process: pieces by partition, and how many of their bytes
//! are in memory.
//!
//! An attempt's product is *admitted* on its compute thread: it stays in memory while the share allows it, else it goes
//! to a file there and then, never on a timely thread. Its bytes count from then on until its partition has been
//! reduced by every stage that reads it, or the attempt is dropped.

use super::files::{ExchangeFile, Folder};
use mapfold_plan::exchange::{Exchanging, Piece, PieceAt, SegmentStore, Stored};
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Domain, Place, Result, ScratchFiles, Stage, StageKind};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pieces of a partition, and how many stages have reduced it.
#[derive(Default)]
struct Kept {
    pieces: Vec<Piece>,
    reduced: u32,
}

/// The pieces of a job in this process.
pub struct Hub {
    folder: Arc<Folder>,
    /// A file for each exchange, and one more for stages without any, which only read.
    stores: Vec<Arc<ExchangeFile>>,
    /// Stages that read each exchange.
    readers: Vec<u32>,
    kept: Mutex<HashMap<(usize, u32), Kept>>,
    /// Exchanges whose pieces are those of another: see [`Hub::settle`].
    settled: Mutex<HashMap<usize, usize>>,
    /// The exchange that the round before the last has read.
    outlived: Mutex<Option<usize>>,
    held: AtomicU64,
}

impl Hub {
    /// A hub for these stages; spilled records go to `scratch`, into files without a name if no other process is to
    /// read them.
    pub fn new(stages: &[Arc<dyn Stage>], exchanges: usize, (scratch, nameless): (PathBuf, bool)) -> Hub {
        let folder = Folder::new(scratch, nameless);
        let stores = (0..=exchanges).map(|i| Arc::new(ExchangeFile::new(folder.clone(), i))).collect();
        let reads = |i: usize| move |s: &&Arc<dyn Stage>| matches!(s.domain(), Domain::Partitions { exchange, .. } if *exchange == i);
        let readers = (0..exchanges).map(|i| stages.iter().filter(reads(i)).count() as u32).collect();
        Hub {
            folder,
            stores,
            readers,
            kept: Mutex::default(),
            settled: Mutex::default(),
            outlived: Mutex::default(),
            held: AtomicU64::new(0),
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(usize, u32), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that a stage puts its records into.
    fn store(&self, kind: StageKind) -> &Arc<ExchangeFile> {
        match kind {
            StageKind::Exchange { exchange, .. } => &self.stores[exchange],
            _ => &self.stores[self.stores.len() - 1],
        }
    }

    /// What an attempt at `place` may use.
    pub fn room(&self, kind: StageKind, place: &Place, memory: &StageMemory, attempt: u32) -> Exchanging {
        let pieces = match place {
            // References only: an attempt may be repeated.
            Place::Partition { exchange, partition } => {
                self.kept().get(&(self.source(*exchange), *partition)).map(|k| k.pieces.clone()).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let store: Arc<dyn SegmentStore> = self.store(kind).clone();
        let (map_bytes, reduce_bytes) = (memory.exchange.map, memory.exchange.reduce);
        Exchanging { store, map_bytes, reduce_bytes, attempt, pieces }
    }

    /// Takes a finished attempt's pieces into the account, or into files when `share` is used up.
    ///
    /// # Errors
    /// Those of the files.
    pub fn admit(&self, kind: StageKind, pieces: Vec<Piece>, share: u64) -> Result<Vec<Piece>> {
        if self.has_room(pieces.iter().map(Piece::held).sum(), share) {
            return Ok(pieces);
        }
        self.store_all(kind, pieces)
    }

    /// Takes bytes into the account, if `share` allows it.
    pub fn has_room(&self, bytes: u64, share: u64) -> bool {
        let fits = self.held.fetch_add(bytes, Relaxed) + bytes <= share;
        if !fits {
            self.held.fetch_sub(bytes, Relaxed);
        }
        fits
    }

    /// Puts pieces into a file.
    ///
    /// # Errors
    /// Those of the files.
    pub fn store_all(&self, kind: StageKind, pieces: Vec<Piece>) -> Result<Vec<Piece>> {
        let store = self.store(kind);
        pieces.into_iter().map(|p| p.store(store.as_ref())).collect()
    }

    /// Reads a piece back that is to be sent to a process which cannot read it here. Its bytes are in the account then,
    /// as those of any piece on its way.
    ///
    /// # Errors
    /// Those of the files.
    pub fn load(&self, kind: StageKind, piece: &Piece) -> Result<Piece> {
        let segment = piece.load(self.store(kind).as_ref())?;
        self.held.fetch_add(segment.len(), Relaxed);
        Ok(Piece(PieceAt::Held(segment)))
    }

    /// Admitted pieces are gone: their attempt was dropped, or their partition is reduced.
    pub fn release(&self, pieces: &[Piece]) {
        self.give_back(pieces.iter().map(Piece::held).sum());
    }

    /// Admitted bytes are gone: another process has them now.
    pub fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// A partition of a durable exchange is leased to this process: these are its pieces, all in files.
    pub fn assign(&self, place: &Place, pieces: Vec<Stored>) {
        let Place::Partition { exchange, partition } = *place else { return };
        let pieces = pieces.into_iter().map(|s| Piece(PieceAt::Stored(s))).collect();
        self.kept().insert((self.source(exchange), partition), Kept { pieces, reduced: 0 });
    }

    /// Takes pieces that have arrived and were admitted.
    pub fn collect(&self, pieces: Vec<Piece>) {
        let mut kept = self.kept();
        for piece in pieces {
            let origin = piece.origin();
            kept.entry((origin.exchange as usize, origin.partition)).or_default().pieces.push(piece);
        }
    }

    /// A stage has reduced and registered a place: after the last one its pieces are freed.
    pub fn reduced(&self, place: &Place) {
        let Place::Partition { exchange, partition } = *place else { return };
        let (mut kept, at) = (self.kept(), (self.source(exchange), partition));
        let Some(of) = kept.get_mut(&at) else { return };
        of.reduced += 1;
        if of.reduced >= self.readers.get(exchange).copied().unwrap_or(1) {
            let gone = kept.remove(&at).unwrap_or_default();
            drop(kept);
            self.release(&gone.pieces);
        }
    }

    /// Where files are that all processes write to.
    pub fn scratch_files(&self) -> Arc<dyn ScratchFiles> {
        self.folder.clone()
    }

    /// Whoever reads the exchange `read` is given the pieces of `from`: an iteration came to its end there.
    pub fn settle(&self, read: usize, from: usize) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(read, from);
    }

    fn source(&self, exchange: usize) -> usize {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(&exchange).copied().unwrap_or(exchange)
    }

    /// A round is done that has read this exchange. What the round before has read is not needed even if this round's
    /// records should be lost: its file goes, so that a long iteration does not fill the disk.
    pub fn round_done(&self, exchange: usize) {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if settled.iter().any(|(read, from)| (*from..=*read).contains(&exchange)) {
            return; // A round that was not needed: the states are where the last one that was has put them.
        }
        let mut outlived = self.outlived.lock().unwrap_or_else(PoisonError::into_inner);
        match *outlived {
            Some(before) if before >= exchange => {} // Another worker of this process has said so.
            before => {
                before.iter().for_each(|e| self.stores[*e].remove());
                *outlived = Some(exchange);
            }
        }
    }

    /// Bytes spilled so far.
    pub fn spilled(&self) -> u64 {
        self.folder.written()
    }
}
