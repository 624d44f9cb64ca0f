//! The map side's buffers: one for each partition, all of them within one budget.
//!
//! A buffer that has reached [`SEGMENT`] bytes is sealed; when all buffers and sealed segments together reach the
//! budget, everything goes to the store. What is left at the end stays in memory: the engine decides where it goes.
//!
//! Deliberately absent: sorting. One sort on the reduce side costs less than many small ones and a merge; only what a
//! fold table gives out comes sorted, and says so.

use super::partition::no_partition;
use super::segment::{Origin, SegmentBuf};
use super::store::{Exchanging, Piece, PieceAt, SegmentStore};
use crate::Result;

/// Bytes of records in a segment, about. Small enough for a reducer with a small budget to load one; large enough that
/// its header, its system call and its checksum cost nothing.
pub(crate) const SEGMENT: usize = 1 << 20;

#[derive(Default)]
struct Buffer {
    records: SegmentBuf,
    /// Number of the first record in `records`.
    first_seq: u64,
    held: u64,
}

/// Takes the records of one attempt and gives pieces by partition.
pub struct MapOutput<'a> {
    store: &'a dyn SegmentStore,
    budget: u64,
    origin: Origin,
    buffers: Vec<Buffer>,
    /// Partitions with a buffer that holds something, so that an attempt with few records need not look at all.
    used: Vec<u32>,
    pieces: Vec<Piece>,
    /// Where the pieces that may still be in memory begin.
    stored: usize,
    held: u64,
    sorted: bool,
}

impl<'a> MapOutput<'a> {
    /// An output of a split's attempt into `partitions` partitions of an exchange.
    pub fn new(room: &'a Exchanging, exchange: usize, split: u64, partitions: u32) -> MapOutput<'a> {
        let origin = Origin { exchange: exchange as u32, partition: 0, split, attempt: room.attempt };
        let buffers = (0..partitions).map(|_| Buffer::default()).collect();
        MapOutput {
            store: room.store.as_ref(),
            budget: room.map_bytes,
            origin,
            buffers,
            used: Vec::new(),
            pieces: Vec::new(),
            stored: 0,
            held: 0,
            sorted: false,
        }
    }

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        self.buffers.len() as u32
    }

    /// Bytes that this output may hold.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Leaves `bytes` of the budget to somebody else: a fold table before this output.
    pub(crate) fn lend(&mut self, bytes: u64) {
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Adds a record to a partition.
    ///
    /// # Errors
    /// When there is no such partition, the record is too large, or the store has no room.
    #[inline]
    pub fn put(&mut self, partition: u32, key: &[u8], value: &[u8]) -> Result<()> {
        let partitions = self.buffers.len();
        let Some(buffer) = self.buffers.get_mut(partition as usize) else {
            return Err(no_partition(partition, partitions as u32));
        };
        if buffer.records.rows() == 0 {
            self.used.push(partition);
        }
        buffer.records.push(key, value)?;
        let held = buffer.records.held();
        if held != buffer.held {
            self.held += held - buffer.held;
            buffer.held = held;
        }
        if buffer.records.data() >= SEGMENT {
            return self.seal(partition);
        }
        if self.held > self.budget { self.spill() } else { Ok(()) }
    }

    /// What follows comes in ascending order of keys within each partition, until [`MapOutput::end_sorted`].
    pub(crate) fn begin_sorted(&mut self) {
        self.seal_all();
        self.sorted = true;
    }

    /// Ends a sorted part.
    pub(crate) fn end_sorted(&mut self) {
        self.seal_all();
        self.sorted = false;
    }

    fn seal_all(&mut self) {
        for partition in std::mem::take(&mut self.used) {
            self.seal_one(partition);
        }
    }

    fn seal(&mut self, partition: u32) -> Result<()> {
        self.used.retain(|p| *p != partition);
        self.seal_one(partition);
        if self.held > self.budget { self.spill() } else { Ok(()) }
    }

    /// Makes a piece of a buffer, without a copy.
    fn seal_one(&mut self, partition: u32) {
        let origin = Origin { partition, ..self.origin };
        let buffer = &mut self.buffers[partition as usize];
        let rows = buffer.records.rows();
        if rows == 0 {
            return;
        }
        let segment = buffer.records.seal(origin, buffer.first_seq, self.sorted);
        buffer.first_seq += u64::from(rows);
        let held = buffer.records.held();
        self.held = self.held + segment.len() + held - buffer.held;
        buffer.held = held;
        self.pieces.push(Piece(PieceAt::Held(segment)));
    }

    /// Writes everything to the store and frees its memory.
    #[cold]
    fn spill(&mut self) -> Result<()> {
        self.seal_all();
        for piece in &mut self.pieces[self.stored..] {
            *piece = piece.clone().store(self.store)?;
        }
        for buffer in self.buffers.iter_mut().filter(|b| b.held > 0) {
            (buffer.records, buffer.held) = (SegmentBuf::default(), 0);
        }
        (self.stored, self.held) = (self.pieces.len(), 0);
        Ok(())
    }

    /// The pieces, in the order of their records within each partition.
    pub fn finish(mut self) -> Vec<Piece> {
        let (mut used, sorted) = (std::mem::take(&mut self.used), self.sorted);
        used.sort_unstable();
        for partition in used {
            self.seal_one(partition);
            self.buffers[partition as usize].records = SegmentBuf::default(); // Room for a next one goes at once.
        }
        debug_assert!(!sorted, "a sorted part was not ended");
        self.pieces
    }
}
