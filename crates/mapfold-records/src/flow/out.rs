//! Outputs of records: a file per split in a folder, or one file, written piece by piece.
//!
//! What all formats have in common; [`super::TextOut`] and [`super::TableOut`] say how values become bytes.

use crate::text::{PartKind, part_name};
use mapfold_plan::{
    Assignment, Cut, Cx, Domain, Error, FileHash, FinishCx, Output, OutputShape, Part, PartFile, PartWriter, Place,
    Result, SinkInput, SinkRun,
};
use mapfold_store::{Loc, StoreError, WorkFile};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// A part file in the making.
pub struct PartStream {
    file: Arc<dyn WorkFile>,
    attempt: String,
    name: String,
    /// The user's output, for messages.
    output: String,
    /// What went wrong below an encoder that only tells that something did.
    fault: Fault,
    buffer: Vec<u8>,
    written: u64,
    hash: FileHash,
}

type Fault = Arc<Mutex<Option<StoreError>>>;

impl PartStream {
    fn create(name: String, (output, fault): (String, Fault), cx: &Cx<'_>) -> Result<PartStream> {
        let (attempt, file) = cx.part_folder()?.create(&name)?;
        let buffer = Vec::with_capacity(BUFFER + (64 << 10));
        Ok(PartStream { file, attempt, name, output, fault, buffer, written: 0, hash: FileHash::default() })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    /// Those of the store.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.pour() } else { Ok(()) }
    }

    fn pour(&mut self) -> Result<(), StoreError> {
        self.file.write_at(self.written, &self.buffer).map_err(|e| about(e, &self.output))?;
        self.hash.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn close(mut self, records: u64) -> Result<PartFile> {
        self.pour().and_then(|()| self.file.finish()).map_err(full)?;
        let (bytes, hash) = (self.written, self.hash.finish());
        Ok(PartFile { name: self.name, attempt: self.attempt, bytes, hash, records })
    }
}

impl Write for PartStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(e) = self.put(bytes) {
            let told = io::Error::other(e.to_string());
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            return Err(told);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A full disk is the user's, and not that of a working file.
fn about(e: StoreError, output: &str) -> StoreError {
    match e {
        StoreError::NoSpace { source, .. } => StoreError::NoSpace { loc: output.to_string(), source },
        other => other,
    }
}

/// A full disk ends the job, and the job may go on once there is space.
pub(super) fn full(e: StoreError) -> Error {
    let full = matches!(e, StoreError::NoSpace { .. });
    let error = Error::from(e);
    if full { error.with_remedy("free some space").resumable() } else { error }
}

/// Turns values into the bytes of a part.
pub(super) trait Encoder<T> {
    /// The next value; gives the number of records in it.
    fn put(&mut self, value: T) -> Result<u64>;
    /// Everything is put.
    fn finish(self: Box<Self>) -> Result<PartStream>;
}

/// How a format begins a part.
pub(super) type Begin<T> = dyn Fn(PartStream) -> Result<Box<dyn Encoder<T>>> + Send + Sync;

/// An output of records.
pub(super) struct RecordsOut<T> {
    loc: Loc,
    shape: OutputShape,
    kind: PartKind,
    what: String,
    extension: &'static str,
    /// Bytes of an encoder, beside the stream.
    encoder: u64,
    begin: Arc<Begin<T>>,
}

impl<T> RecordsOut<T> {
    pub fn new(
        input: &SinkInput<'_, T>,
        what: String,
        (shape, extension): (OutputShape, &'static str),
        (encoder, begin): (u64, Arc<Begin<T>>),
    ) -> Result<RecordsOut<T>> {
        let kind = match input.domain {
            Domain::Partitions { .. } => PartKind::Reduce,
            _ => PartKind::Map,
        };
        if shape == OutputShape::File && input.domain.splits() != 1 {
            let what = format!("{}: {} parts do not make one file", input.loc, input.domain.splits());
            return Err(Error::usage(what).with_remedy("name a folder, or ask for one partition"));
        }
        Ok(RecordsOut { loc: input.loc.clone(), shape, kind, what, extension, encoder, begin })
    }
}

impl<T> Output for RecordsOut<T> {
    fn loc(&self) -> &Loc {
        &self.loc
    }

    fn shape(&self) -> OutputShape {
        self.shape
    }

    fn describe(&self) -> String {
        self.what.clone()
    }

    fn streams(&self) -> u32 {
        0
    }

    fn reserve(&self, _: u32) -> u64 {
        0
    }

    fn estimate(&self) -> (u64, u64) {
        (0, 0) // What a reducer makes of its input is not known.
    }

    fn writer_bytes(&self, _: &Place, _: Cut) -> u64 {
        self.encoder + 2 * BUFFER as u64
    }

    fn part_bytes(&self, _: &Place) -> u64 {
        4 << 10 // Its record: the bytes are in its file.
    }

    fn finish_bytes(&self, _: u64) -> u64 {
        0
    }

    fn lay_out(&self, _: &FinishCx<'_>) -> Result<Vec<Assignment>> {
        Err(Error::job("an output of part files has no layout of streams"))
    }
}

impl<T: 'static> SinkRun<T> for RecordsOut<T> {
    fn open_part(&self, split: &Place) -> Result<Box<dyn PartWriter<T>>> {
        let number = match split {
            Place::Partition { partition, .. } => *partition,
            Place::Unit(unit) => u32::try_from(*unit).map_err(|_| Error::job("more than 2^32 parts"))?,
            Place::Window { .. } => return Err(Error::usage("an output of records cannot take windows of an image")),
        };
        let name = part_name(self.kind, number, self.extension);
        let (output, fault) = (self.loc.to_string(), Fault::default());
        Ok(Box::new(Writer { name, output, fault, begin: self.begin.clone(), open: None, records: 0 }))
    }

    fn as_output(&self) -> &dyn Output {
        self
    }

    fn takes_many(&self) -> bool {
        true
    }
}

struct Writer<T> {
    name: String,
    output: String,
    fault: Fault,
    begin: Arc<Begin<T>>,
    open: Option<Box<dyn Encoder<T>>>,
    records: u64,
}

impl<T> Writer<T> {
    fn encoder(&mut self, cx: &Cx<'_>) -> Result<&mut Box<dyn Encoder<T>>> {
        if self.open.is_none() {
            let told = (self.output.clone(), self.fault.clone());
            let made = (self.begin)(PartStream::create(self.name.clone(), told, cx)?);
            self.open = Some(made.map_err(|e| self.cause(e))?);
        }
        self.open.as_mut().ok_or_else(|| Error::job("the part was closed"))
    }
}

impl<T> Writer<T> {
    /// The fault below an encoder's error.
    fn cause(&self, e: Error) -> Error {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(e, full)
    }
}

impl<T> PartWriter<T> for Writer<T> {
    fn put(&mut self, _: &Place, value: Option<T>, cx: &Cx<'_>) -> Result<()> {
        let encoder = self.encoder(cx)?;
        if let Some(value) = value {
            let put = encoder.put(value);
            self.records += put.map_err(|e| self.cause(e))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, cx: &Cx<'_>) -> Result<Part> {
        self.encoder(cx)?;
        let encoder = self.open.take().ok_or_else(|| Error::job("the part was closed"))?;
        let file = encoder.finish().map_err(|e| self.cause(e))?.close(self.records)?;
        cx.count("records written", file.records);
        Ok(Part { files: vec![file], ..Part::default() })
    }
}
