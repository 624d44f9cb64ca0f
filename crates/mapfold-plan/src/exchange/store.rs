//! Where segments are: in memory, or in files of a store.
//!
//! A [`Piece`] is a segment and what is known of it without reading it. A spilled piece is a [`Stored`] record: file
//! name, range, checksum. These names mean the same in every process that shares the store, so that a durable exchange
//! is: register the `Stored` records of a granted attempt, and give those of a partition to whoever reduces it.

use super::segment::{Origin, Segment};
use crate::{Error, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Files of segments. The engine keeps them on local disks; another place may be a network.
pub trait SegmentStore: Send + Sync {
    /// Appends bytes, given in pieces that follow each other; gives the file's name and where they begin.
    ///
    /// # Errors
    /// When there is no room, naming the folder and what to do.
    fn append(&self, parts: &[&[u8]]) -> Result<(String, u64)>;

    /// Reads a range of a file.
    ///
    /// # Errors
    /// When it is not there.
    fn read(&self, file: &str, range: Range<u64>) -> Result<Bytes>;

    /// A store for the sorted runs of one attempt: nobody else reads it, and it is gone when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    fn scratch(&self) -> Result<Box<dyn SegmentStore>>;
}

/// The store where there is none: while planning, and in doctests.
pub struct NoStore;

impl SegmentStore for NoStore {
    fn append(&self, _: &[&[u8]]) -> Result<(String, u64)> {
        Err(Error::job("records are to be spilled, but there is no place for them here"))
    }

    fn read(&self, file: &str, _: Range<u64>) -> Result<Bytes> {
        Err(Error::job(format!("{file}: there are no spilled records here")))
    }

    fn scratch(&self) -> Result<Box<dyn SegmentStore>> {
        Ok(Box::new(NoStore))
    }
}

/// A segment in a file: what a registered split lists, and what a reduce attempt in any process is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Whose records.
    pub origin: Origin,
    /// Number of the first one.
    pub first_seq: u64,
    /// How many.
    pub rows: u32,
    /// Name of the file in its store.
    pub file: String,
    /// Where the segment begins in it.
    pub offset: u64,
    /// Bytes of the segment. Its checksum is inside.
    pub len: u64,
}

/// A segment, wherever it is. Cloning copies references.
#[derive(Clone, Debug)]
pub struct Piece(pub PieceAt);

/// Where a segment is.
#[derive(Clone, Debug)]
pub enum PieceAt {
    /// In memory.
    Held(Segment),
    /// In a file.
    Stored(Stored),
}

impl Piece {
    /// Whose records.
    pub fn origin(&self) -> Origin {
        match &self.0 {
            PieceAt::Held(s) => s.origin(),
            PieceAt::Stored(s) => s.origin,
        }
    }

    /// Number of the first record.
    pub fn first_seq(&self) -> u64 {
        match &self.0 {
            PieceAt::Held(s) => s.first_seq(),
            PieceAt::Stored(s) => s.first_seq,
        }
    }

    /// Number of records.
    pub fn rows(&self) -> u32 {
        match &self.0 {
            PieceAt::Held(s) => s.rows(),
            PieceAt::Stored(s) => s.rows,
        }
    }

    /// Bytes of the segment.
    pub fn len(&self) -> u64 {
        match &self.0 {
            PieceAt::Held(s) => s.len(),
            PieceAt::Stored(s) => s.len,
        }
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Bytes of the segment as far as they are in memory.
    pub fn held(&self) -> u64 {
        match &self.0 {
            PieceAt::Held(s) => s.len(),
            PieceAt::Stored(_) => 0,
        }
    }

    /// The record of a piece in a file; `None` while it is in memory.
    pub fn stored(&self) -> Option<&Stored> {
        match &self.0 {
            PieceAt::Held(_) => None,
            PieceAt::Stored(s) => Some(s),
        }
    }

    /// The same piece in a file of `store`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn store(self, store: &dyn SegmentStore) -> Result<Piece> {
        let PieceAt::Held(s) = &self.0 else { return Ok(self) };
        let (origin, first_seq, rows, len) = (s.origin(), s.first_seq(), s.rows(), s.len());
        let (file, offset) = s.write(|parts| store.append(parts))?;
        Ok(Piece(PieceAt::Stored(Stored { origin, first_seq, rows, file, offset, len })))
    }

    /// The segment: read and checked, or as it is in memory.
    ///
    /// # Errors
    /// Those of the store; and when what it gives is not what was stored.
    pub fn load(&self, store: &dyn SegmentStore) -> Result<Segment> {
        let s = match &self.0 {
            PieceAt::Held(segment) => return Ok(segment.clone()),
            PieceAt::Stored(s) => s,
        };
        let named = |e: Error| e.at_place(format!("{} at {}", s.file, s.offset));
        let segment = Segment::decode(store.read(&s.file, s.offset..s.offset + s.len)?).map_err(named)?;
        if (segment.origin(), segment.first_seq(), segment.rows()) != (s.origin, s.first_seq, s.rows) {
            return Err(named(Error::job("exchanged records are not those that were stored here")));
        }
        Ok(segment)
    }
}

/// What an attempt may use of the exchange: budgets, files, and the pieces it reduces.
#[derive(Clone)]
pub struct Exchanging {
    /// Files.
    pub store: Arc<dyn SegmentStore>,
    /// Bytes for the map side's buffers.
    pub map_bytes: u64,
    /// Bytes for the reduce side's index, loaded pieces and merge buffers.
    pub reduce_bytes: u64,
    /// Number of this attempt, written into what it puts.
    pub attempt: u32,
    /// The pieces of the partition that is reduced.
    pub pieces: Vec<Piece>,
}

impl Default for Exchanging {
    /// No files and no limits: templates and doctests.
    fn default() -> Self {
        let most = u64::MAX / 4;
        Exchanging { store: Arc::new(NoStore), map_bytes: most, reduce_bytes: most, attempt: 0, pieces: Vec::new() }
    }
}
