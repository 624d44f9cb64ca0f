//! The lines of one split, as Hadoop's `LineRecordReader` gives them.
//!
//! A line belongs to the split in which the newline before it ends: a reader that does not begin at byte 0 drops what
//! comes up to the first newline, and a reader goes on for one line beyond its end. So a line that begins exactly at the
//! end of a split is read by that split. (For a custom delimiter its first byte counts, for `\r\n` the `\n`.)
//! Also Hadoop's: a UTF-8 byte order mark at the beginning of a file is no part of the first line, and the line keeps
//! offset 0; a `\r` at the end of the file ends a line; what follows the last delimiter is a line unless it is empty.
//! Unlike Hadoop: too long a line is an error, not a record left out.

use super::{Delimiter, FileSplit, LineBatch, LineStream};
use crate::Ranges;
use bytes::Bytes;
use mapfold_plan::Result;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// First read beyond the end of a split; doubled while the line goes on.
const BEYOND: usize = 64 << 10;

/// How lines are read.
#[derive(Clone, Debug)]
pub struct LineOptions {
    /// What ends a line.
    pub delimiter: Delimiter,
    /// Bytes read at a time; memory is about twice this and the longest line.
    pub piece: usize,
    /// A longer line is an error: it would not fit into memory beside others.
    pub max_line: usize,
}

impl Default for LineOptions {
    fn default() -> LineOptions {
        LineOptions { delimiter: Delimiter::Newline, piece: 1 << 20, max_line: 256 << 20 }
    }
}

/// Reads the lines of one split, batch by batch.
///
/// ```
/// use mapfold_records::InMemory;
/// use mapfold_records::text::{FileSplit, LineBatch, LineOptions, LineReader};
/// let input = InMemory::new("t", "one\ntwo\nthree\n");
/// let lines = |start, len| -> mapfold_plan::Result<Vec<(u64, String)>> {
///     let mut reader = LineReader::new(&input, FileSplit { file: 0, start, len }, LineOptions::default())?;
///     let (mut batch, mut found) = (LineBatch::default(), Vec::new());
///     while reader.next_batch(&mut batch)? {
///         found.extend(batch.iter().map(|(at, line)| (at, String::from_utf8_lossy(line).into_owned())));
///     }
///     Ok(found)
/// };
/// assert_eq!(lines(0, 4)?, [(0, "one".into()), (4, "two".into())]); // begins at the end: still ours
/// assert_eq!(lines(4, 10)?, [(8, "three".into())]);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Debug)]
pub struct LineReader<R> {
    input: R,
    split: FileSplit,
    options: LineOptions,
    stream: LineStream,
    /// The next byte to read.
    at: u64,
    /// Bytes to read next once beyond the end.
    beyond: usize,
    done: bool,
}

impl<R: Ranges> LineReader<R> {
    /// A reader for a split of this input. Reads nothing yet, unless the delimiter overlaps itself.
    ///
    /// # Errors
    /// When the bytes before the split are needed and cannot be had.
    pub fn new(input: R, split: FileSplit, options: LineOptions) -> Result<LineReader<R>> {
        let at = options.delimiter.sync(&input, split.start.min(input.size()))?;
        let stream = LineStream::new(options.delimiter.clone(), at, options.max_line);
        Ok(LineReader { input, split, options, stream, at, beyond: BEYOND, done: false })
    }

    /// The next lines; false when there are no more. A batch can be empty.
    ///
    /// # Errors
    /// When bytes cannot be read, or a line is too long.
    pub fn next_batch(&mut self, batch: &mut LineBatch) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let len = self.next_len();
        let piece = if len == 0 { Bytes::new() } else { self.input.read(self.at, len)? };
        self.at += len as u64;
        let last = self.at == self.input.size();
        self.stream.feed(piece, last, batch).map_err(|e| e.at_place(self.input.name()))?;
        let (split, reach) = (self.split, self.options.delimiter.reach());
        batch.retain_range(|offset| is_of(split, reach, offset));
        strip_bom(batch, self.input.size());
        self.done = last || self.is_beyond(self.stream.open_at());
        Ok(true)
    }

    /// Pieces end at the end of the split; beyond it they are small at first.
    fn next_len(&mut self) -> usize {
        let end = self.split.end().min(self.input.size());
        let piece = self.options.piece as u64;
        let wanted = if self.at < end {
            piece.min(end - self.at)
        } else {
            let wanted = self.beyond as u64;
            self.beyond = (self.beyond * 2).min(self.options.piece.max(BEYOND));
            wanted
        };
        wanted.min(self.input.size() - self.at) as usize
    }

    /// Whether a line that begins here belongs to a later split.
    fn is_beyond(&self, offset: u64) -> bool {
        offset >= self.split.end() + self.options.delimiter.reach()
    }
}

/// Whether the line that begins at `offset` belongs to this split.
fn is_of(split: FileSplit, reach: u64, offset: u64) -> bool {
    match offset.checked_sub(reach) {
        None => split.start == 0,
        Some(before) => before >= split.start && before < split.end(),
    }
}

/// Takes the byte order mark off the line at offset 0. Nothing but the mark, without a newline, is no line.
pub(crate) fn strip_bom(batch: &mut LineBatch, size: u64) {
    if batch.joined.is_none() && batch.base == 0 && batch.block.starts_with(BOM) {
        batch.join_first();
    }
    let Some((0, line)) = &mut batch.joined else { return };
    if line.starts_with(BOM) {
        line.drain(..BOM.len());
        batch.joined = batch.joined.take().filter(|_| size > BOM.len() as u64);
    }
}
