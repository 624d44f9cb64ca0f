//! Outputs: a sink encodes parts on compute threads, and lays the committed parts out as files at the end.
//!
//! A part is invisible until it is granted; the engine appends the segments of a granted part to streams (working
//! files beside the output, or in memory) and records where they are. When every split is committed, [`Output::lay_out`]
//! says which bytes make up the file, in order. Nothing is visible before the engine publishes that file.
//!
//! Records have another way ([`OutputShape::Folder`], [`OutputShape::File`]): an attempt writes a file of its own, piece by piece,
//! under a name that nobody else has; the grant says which attempt's file counts, and publishing renames it. So a part
//! may be larger than memory, and its bytes are written once.

use crate::{Cut, Cx, Domain, Place, Plan, Result};
use bytes::Bytes;
use mapfold_store::{Loc, WorkFile};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a user hands to `write`: turns options into a sink once the flow's shape is known.
pub trait Sink<T>: 'static {
    /// Fixes the output from the plan, the domain and the template value.
    ///
    /// # Errors
    /// When the options do not fit the values.
    fn open(self, input: SinkInput<'_, T>) -> Result<Box<dyn SinkRun<T>>>;
}

/// What a sink may look at while planning.
pub struct SinkInput<'a, T> {
    /// The plan: settings, stores, warnings.
    pub plan: &'a Plan,
    /// Where the output is wanted.
    pub loc: &'a Loc,
    /// Where the values live.
    pub domain: &'a Domain,
    /// The value that the template gave; none for flows that are not on the ground.
    pub template: Option<&'a T>,
}

/// What an output is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputShape {
    /// A file, laid out from streams of segments.
    #[default]
    Streams,
    /// A folder with a file per split (`part-r-00000`, …) and `_SUCCESS`.
    Folder,
    /// The one file of the only split.
    File,
}

/// A file that an attempt has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Its name in the output.
    pub name: String,
    /// Its name until then, which no other attempt has.
    pub attempt: String,
    /// Its size.
    pub bytes: u64,
    /// xxh3 of its bytes.
    pub hash: u64,
    /// Records in it.
    pub records: u64,
}

/// Where an attempt makes its files.
pub trait PartFolder: Send + Sync {
    /// An empty file under a name of its own; gives that name too. `name` is what it will be called in the output.
    ///
    /// # Errors
    /// Those of the store: no space, read-only, or the folder is gone because the job has ended.
    fn create(&self, name: &str) -> Result<(String, Arc<dyn WorkFile>)>;
}

/// Encoded bytes of a part, by stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// `(stream, bytes)`, in the order to be stored.
    pub segments: Vec<(u32, Vec<u8>)>,
    /// Files of its own.
    pub files: Vec<PartFile>,
    /// What [`Output::lay_out`] needs to know of the part (opaque to the engine).
    pub meta: Vec<u8>,
}

/// A segment as it lies in its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSegment {
    /// Which stream.
    pub stream: u32,
    /// First byte in the stream.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// xxh3 of the bytes.
    pub hash: u64,
}

/// A part that is committed: what the log holds of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// The split that made it.
    pub split: u64,
    /// Where its bytes are.
    pub segments: Vec<StoredSegment>,
    /// Its files.
    #[serde(default)]
    pub files: Vec<PartFile>,
    /// See [`Part::meta`].
    pub meta: Vec<u8>,
}

/// Bytes of the final file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// These bytes (header, padding).
    Bytes(Vec<u8>),
    /// A range of a stream.
    Stored {
        /// Which stream.
        stream: u32,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
}

/// Work that is left when all splits are committed (overview levels): run by the engine on its pool.
pub trait Units: Sync {
    /// Runs `make` for `0..count` on the pool, stores the parts, and gives their records in the order of the units.
    ///
    /// # Errors
    /// The first error of a unit.
    fn run(&self, count: u64, make: &(dyn Fn(u64, &Cx<'_>) -> Result<Part> + Sync)) -> Result<Vec<PartRecord>>;
    /// Reads stored bytes back.
    ///
    /// # Errors
    /// Those of the store.
    fn read(&self, stream: u32, offset: u64, len: usize) -> Result<Bytes>;
}

/// What [`Output::lay_out`] works with.
pub struct FinishCx<'a> {
    /// Every committed part, ascending by split.
    pub parts: &'a [PartRecord],
    /// Work on the pool.
    pub units: &'a dyn Units,
}

/// The side of a sink that knows nothing of the values' type.
pub trait Output: Send + Sync {
    /// Where the output will be.
    fn loc(&self) -> &Loc;
    /// What it is made of.
    fn shape(&self) -> OutputShape {
        OutputShape::Streams
    }
    /// `COG 10980x10980 float32, zstd 1, predictor 3, 5 overviews`
    fn describe(&self) -> String;
    /// Number of streams.
    fn streams(&self) -> u32;
    /// Bytes to leave free at the start of a stream, so that a file of one stream need not be copied.
    fn reserve(&self, stream: u32) -> u64;
    /// Estimated bytes of the output, for the check of free space: (likely, at most).
    fn estimate(&self) -> (u64, u64);
    /// Bytes held by one open part writer besides the value that is put and the part so far, at most, when splits
    /// are cut so.
    fn writer_bytes(&self, split: &Place, cut: Cut) -> u64;
    /// Bytes of one encoded part, at most.
    fn part_bytes(&self, split: &Place) -> u64;
    /// Bytes held while [`Output::lay_out`] runs its units on so many threads, at most; 0 when it has none.
    fn finish_bytes(&self, threads: u64) -> u64;
    /// Lays the committed parts out as one file: the pieces in order, the same for the same parts.
    ///
    /// # Errors
    /// When a part is missing or a unit fails.
    fn lay_out(&self, cx: &FinishCx<'_>) -> Result<Vec<Assignment>>;
}

/// A sink with its layout fixed.
pub trait SinkRun<T>: Output {
    /// A writer for the part of one split.
    ///
    /// # Errors
    /// When the split cannot be a part of this output.
    fn open_part(&self, split: &Place) -> Result<Box<dyn PartWriter<T>>>;
    /// As its untyped side.
    fn as_output(&self) -> &dyn Output;
    /// Whether a place may have any number of values: records, not windows of an image.
    fn takes_many(&self) -> bool {
        false
    }
}

/// Encodes the values of one split, window by window.
pub trait PartWriter<T> {
    /// The value of one window of the split, in row order of the windows; of records, any number for a split, and
    /// `None` where there was none.
    ///
    /// # Errors
    /// When the value does not fit the output, or the encoder fails.
    fn put(&mut self, at: &Place, value: Option<T>, cx: &Cx<'_>) -> Result<()>;
    /// Everything is put.
    ///
    /// # Errors
    /// When pixels are missing.
    fn finish(self: Box<Self>, cx: &Cx<'_>) -> Result<Part>;
}
