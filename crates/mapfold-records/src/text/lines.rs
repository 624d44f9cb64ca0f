//! From pieces of bytes to lines.
//!
//! A piece is scanned once; its lines are slices of it. Only the line that crosses from one piece to the next is put
//! together in a buffer of its own.

use super::Delimiter;
use crate::scan;
use bytes::Bytes;
use mapfold_plan::{Error, Result};
use memchr::memmem::Finder;

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// Lines of one piece: slices of it, and at most one line that began in an earlier piece.
#[derive(Debug, Default)]
pub struct LineBatch {
    /// The line that crosses into this piece, and its offset.
    pub(crate) joined: Option<(u64, Vec<u8>)>,
    /// The piece.
    pub(crate) block: Bytes,
    /// Offset of the piece in its file or stream.
    pub(crate) base: u64,
    /// Lines of the piece: from, to.
    pub(crate) lines: Vec<(u32, u32)>,
}

impl LineBatch {
    /// Offset and bytes of each line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let joined = self.joined.iter().map(|(offset, line)| (*offset, line.as_slice()));
        joined.chain(
            self.lines.iter().map(|&(from, to)| (self.base + u64::from(from), &self.block[from as usize..to as usize])),
        )
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len() + usize::from(self.joined.is_some())
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of all lines, as few stretches as it lies in: what splits words needs no lines. The line end of the last
    /// line of a stretch is not in it.
    pub fn stretches(&self) -> impl Iterator<Item = &[u8]> {
        let joined = self.joined.iter().map(|(_, line)| line.as_slice());
        let ends = self.lines.first().zip(self.lines.last());
        joined.chain(ends.map(|((from, _), (_, to))| &self.block[*from as usize..*to as usize]))
    }

    pub(crate) fn start(&mut self, block: Bytes, base: u64) {
        self.joined = None;
        self.lines.clear();
        self.block = block;
        self.base = base;
    }

    /// Keeps the lines whose offset is wanted, where the wanted offsets are one range.
    pub(crate) fn retain_range(&mut self, wanted: impl Fn(u64) -> bool) {
        self.joined = self.joined.take().filter(|(offset, _)| wanted(*offset));
        let base = self.base;
        let is_wanted = |line: Option<&(u32, u32)>| line.is_none_or(|(from, _)| wanted(base + u64::from(*from)));
        if !is_wanted(self.lines.first()) || !is_wanted(self.lines.last()) {
            self.lines.retain(|(from, _)| wanted(base + u64::from(*from)));
        }
    }

    /// Makes the first line of the piece the one that can be changed.
    pub(crate) fn join_first(&mut self) {
        if self.joined.is_none() && !self.lines.is_empty() {
            let (from, to) = self.lines.remove(0);
            self.joined = Some((self.base + u64::from(from), self.block[from as usize..to as usize].to_vec()));
        }
    }
}

/// Lines of bytes that come in pieces: a file, or what a decompressor gives.
///
/// ```
/// use mapfold_records::text::{Delimiter, LineBatch, LineStream};
/// let mut stream = LineStream::new(Delimiter::Newline, 0, 1 << 20);
/// let (mut batch, mut lines) = (LineBatch::default(), Vec::new());
/// for (piece, last) in [("one\r", false), ("\ntwo\nth", false), ("ree", true)] {
///     stream.feed(piece.into(), last, &mut batch).map_err(|e| e.at_place("notes.txt"))?;
///     lines.extend(batch.iter().map(|(offset, line)| (offset, String::from_utf8_lossy(line).into_owned())));
/// }
/// assert_eq!(lines, [(0, "one".into()), (5, "two".into()), (9, "three".into())]);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Debug)]
pub struct LineStream {
    delimiter: Delimiter,
    /// The unfinished line, with what may be the beginning of its delimiter.
    open: Vec<u8>,
    /// Its offset.
    open_at: u64,
    max_line: usize,
}

impl LineStream {
    /// A stream whose first byte has this offset; a line longer than `max_line` bytes is an error.
    pub fn new(delimiter: Delimiter, offset: u64, max_line: usize) -> LineStream {
        LineStream { delimiter, open: Vec::new(), open_at: offset, max_line }
    }

    /// Offset of the line that is not finished yet.
    pub fn open_at(&self) -> u64 {
        self.open_at
    }

    /// Takes the next piece (below 4 GiB); `batch` then holds the lines that end in it. With `last`, what is left is the
    /// last line, unless it is empty.
    ///
    /// # Errors
    /// When a line is too long.
    pub fn feed(&mut self, piece: Bytes, last: bool, batch: &mut LineBatch) -> Result<()> {
        let base = self.open_at + self.open.len() as u64;
        batch.start(piece, base);
        let begin = if self.open.is_empty() { Some(0) } else { self.join(batch) };
        match begin {
            Some(begin) => self.cut(batch, begin, last),
            None => self.open.extend_from_slice(&batch.block),
        }
        if last && !self.open.is_empty() {
            let line = std::mem::take(&mut self.open);
            let len = line.len();
            batch.joined = Some((self.open_at, self.without_cr(line)));
            self.open_at += len as u64;
        }
        self.check(batch)
    }

    /// Ends the open line inside the new piece and says where the next one begins; `None` when it goes on.
    fn join(&mut self, batch: &mut LineBatch) -> Option<usize> {
        let (len, next) = match &self.delimiter {
            Delimiter::Newline => join_newline(&self.open, &batch.block),
            Delimiter::Bytes(finder) => join_bytes(&self.open, &batch.block, finder),
        }?;
        let mut line = std::mem::take(&mut self.open);
        line.extend_from_slice(&batch.block[..len.saturating_sub(line.len())]);
        line.truncate(len);
        batch.joined = Some((self.open_at, line));
        self.open_at = batch.base + next as u64;
        Some(next)
    }

    /// The lines of the piece from `begin` on. Its rest is the open line, or the last one.
    fn cut(&mut self, batch: &mut LineBatch, begin: usize, last: bool) {
        let next = match &self.delimiter {
            Delimiter::Newline => cut_newlines(&batch.block, begin, &mut batch.lines),
            Delimiter::Bytes(finder) => cut_bytes(&batch.block, begin, finder, &mut batch.lines),
        };
        let rest = &batch.block[next..];
        self.open_at = batch.base + next as u64;
        if !last {
            self.open.extend_from_slice(rest);
        } else if !rest.is_empty() {
            let cr = matches!(self.delimiter, Delimiter::Newline) && rest.ends_with(&[CR]);
            batch.lines.push((next as u32, (batch.block.len() - usize::from(cr)) as u32));
            self.open_at += rest.len() as u64;
        }
    }

    /// The last line: a `\r` that was kept back, since a `\n` might have followed, ends it.
    fn without_cr(&self, mut line: Vec<u8>) -> Vec<u8> {
        if matches!(self.delimiter, Delimiter::Newline) && line.last() == Some(&CR) {
            line.pop();
        }
        line
    }

    fn check(&self, batch: &LineBatch) -> Result<()> {
        let too_long = |(_, line): &(u64, &[u8])| line.len() > self.max_line;
        let joined = batch.joined.iter().map(|(offset, line)| (*offset, line.as_slice()));
        let across = joined.chain([(self.open_at, self.open.as_slice())]).find(too_long);
        let inside = || batch.iter().find(too_long);
        // No line inside a short piece is too long: the usual case looks at two lines only.
        let found = across.or_else(|| if batch.block.len() > self.max_line { inside() } else { None });
        let Some((offset, _)) = found else { return Ok(()) };
        let what = format!("the line that begins at byte {offset} is longer than {} bytes", self.max_line);
        Err(Error::input(what).with_remedy("check the delimiter, or allow longer lines"))
    }
}

/// Length of the open line and where the next one begins in the piece. A `\r` at the end of the open line was kept back;
/// so is one at the end of the piece.
fn join_newline(open: &[u8], piece: &[u8]) -> Option<(usize, usize)> {
    let first = *piece.first()?;
    if open.last() == Some(&CR) {
        return Some((open.len() - 1, usize::from(first == LF)));
    }
    let at = memchr::memchr2(LF, CR, piece)?;
    let len = newline_len(piece, at)?;
    Some((open.len() + at, at + len))
}

/// Length of the newline at `at`; `None` for a `\r` at the very end.
#[inline(always)]
fn newline_len(piece: &[u8], at: usize) -> Option<usize> {
    if piece[at] == LF {
        return Some(1);
    }
    piece.get(at + 1).map(|next| 1 + usize::from(*next == LF))
}

fn join_bytes(open: &[u8], piece: &[u8], finder: &Finder<'_>) -> Option<(usize, usize)> {
    let needle = finder.needle().len();
    let tail = &open[open.len().saturating_sub(needle - 1)..];
    let head = &piece[..piece.len().min(needle - 1)];
    // What begins in the open line ends within these bytes, and nothing else fits into them.
    if let Some(at) = finder.find(&[tail, head].concat()) {
        return Some((open.len() - tail.len() + at, at + needle - tail.len()));
    }
    finder.find(piece).map(|at| (open.len() + at, at + needle))
}

/// Pushes the lines of `piece` that begin at `begin` or later; gives where the unfinished one begins.
fn cut_newlines(piece: &[u8], begin: usize, lines: &mut Vec<(u32, u32)>) -> usize {
    let mut start = begin;
    scan::blocks(&piece[begin..], b' ', |at, block| {
        scan::bits(scan::equal(block, LF) | scan::equal(block, CR), |bit| {
            let end = begin + at + bit;
            if end < start {
                return; // the second half of a CRLF
            }
            if let Some(len) = newline_len(piece, end) {
                lines.push((start as u32, end as u32));
                start = end + len;
            }
        });
    });
    start
}

fn cut_bytes(piece: &[u8], begin: usize, finder: &Finder<'_>, lines: &mut Vec<(u32, u32)>) -> usize {
    let mut start = begin;
    for at in finder.find_iter(&piece[begin..]) {
        lines.push((start as u32, (begin + at) as u32));
        start = begin + at + finder.needle().len();
    }
    start
}
