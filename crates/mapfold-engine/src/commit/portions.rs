//! A file for a store of objects: an upload whose parts members send, straight from the pieces that they have put there.
//!
//! Here is only decided what each part consists of: neighbouring pieces, until they are enough for a part. A large piece
//! alone is first offered to the store, which may copy it by itself (S3). Bytes that are in no piece (the header of an
//! image) travel in the message. So the bytes of an image do not pass through this process, unless it is the only one.

use super::layout::{GoOn, Known};
use super::made::Made;
use crate::porters::Porters;
use crate::streams::Streams;
use mapfold_plan::{Assignment, Result};
use mapfold_store::{Section, WorkFile};

/// Neighbouring bytes of the file, as they come into being.
enum Run {
    /// What the store copied.
    Copied { len: u64, hash: u64 },
    /// A portion, whose hash is known when it has arrived.
    Carried { len: u64, number: usize },
}

/// A file in the making.
pub struct Portions<'a> {
    file: &'a dyn WorkFile,
    streams: &'a Streams,
    known: &'a Known,
    porters: &'a Porters,
    /// The least that a part has.
    least: u64,
    /// The portion that comes next, as far as it is known.
    next: Vec<Section>,
    next_len: u64,
    at: u64,
    runs: Vec<Run>,
}

impl<'a> Portions<'a> {
    /// Of a file that takes portions, of `least` bytes each.
    pub fn of(
        (file, least): (&'a dyn WorkFile, u64),
        (streams, known): (&'a Streams, &'a Known),
        porters: &'a Porters,
    ) -> Portions<'a> {
        let (next, runs) = (Vec::new(), Vec::new());
        Portions { file, streams, known, porters, least, next, next_len: 0, at: 0, runs }
    }

    /// Makes it of these pieces; returns when all of it has arrived.
    ///
    /// # Errors
    /// Those of the store, and those of `go_on`.
    pub fn make(mut self, pieces: &[Assignment], go_on: GoOn<'_>) -> Result<Made> {
        self.porters.begin();
        for piece in pieces {
            go_on()?;
            if !self.is_copied(piece)? {
                self.take(piece)?;
            }
        }
        self.hand_out()?;
        self.file.sync()?;
        self.made()
    }

    /// Whether the store copies a piece, whose hash is in the log, by itself.
    fn is_copied(&mut self, piece: &Assignment) -> Result<bool> {
        let (Assignment::Stored { stream, offset, len }, Some(hash)) = (piece, self.known.get(piece)) else {
            return Ok(false);
        };
        if *len < self.least || (1..self.least).contains(&self.next_len) {
            return Ok(false);
        }
        self.hand_out()?;
        if !self.file.copy_there(self.streams.file(*stream).as_ref(), *offset, self.at, *len)? {
            return Ok(false);
        }
        self.at += len;
        self.runs.push(Run::Copied { len: *len, hash });
        Ok(true)
    }

    /// Puts a piece into portions, each smaller than twice the least.
    fn take(&mut self, piece: &Assignment) -> Result<()> {
        let (stream, offset, len) = match piece {
            Assignment::Stored { stream, offset, len } => (stream, offset, len),
            Assignment::Bytes(bytes) => return self.add(vec![Section::Bytes(bytes.clone())]),
        };
        let source = self.streams.file(*stream).clone();
        for start in (0..*len).step_by(self.least as usize) {
            let now = self.least.min(len - start);
            self.add(source.sections(offset + start, now)?)?;
        }
        Ok(())
    }

    fn add(&mut self, sections: Vec<Section>) -> Result<()> {
        self.next_len += sections.iter().map(Section::bytes).sum::<u64>();
        self.next.extend(sections);
        if self.next_len >= self.least { self.hand_out() } else { Ok(()) }
    }

    fn hand_out(&mut self) -> Result<()> {
        if self.next_len == 0 {
            return Ok(());
        }
        let (sections, len) = (std::mem::take(&mut self.next), std::mem::take(&mut self.next_len));
        let number = self.file.add_portion(self.at, sections, self.porters)?;
        self.at += len;
        self.runs.push(Run::Carried { len, number });
        Ok(())
    }

    fn made(&self) -> Result<Made> {
        let mut made = Made::default();
        for run in &self.runs {
            match *run {
                Run::Copied { len, hash } => made.add(len, hash),
                Run::Carried { len, number } => made.add(len, self.porters.hash_of(number)?),
            }
        }
        Ok(made)
    }
}
