//! What ends a line, and where reading may begin.

use crate::Ranges;
use mapfold_plan::{Error, Result};
use memchr::memmem::Finder;

/// Bytes read at a time while looking backwards.
const WINDOW: u64 = 64 << 10;

/// What ends a line. It is not part of the line.
#[derive(Clone, Debug)]
pub enum Delimiter {
    /// `\n`, `\r\n` or `\r`, whichever comes.
    Newline,
    /// Some bytes, Hadoop's `textinputformat.record.delimiter`; made by [`Delimiter::bytes`].
    Bytes(Box<Finder<'static>>),
}

impl Delimiter {
    /// A delimiter of one's own.
    ///
    /// # Errors
    /// A usage error when it is empty.
    pub fn bytes(delimiter: &[u8]) -> Result<Delimiter> {
        if delimiter.is_empty() {
            let remedy = "leave the option out for lines that end in a newline";
            return Err(Error::usage("an empty record delimiter ends no record").with_remedy(remedy));
        }
        Ok(Delimiter::Bytes(Box::new(Finder::new(delimiter).into_owned())))
    }

    /// How far before the beginning of a line the byte lies that decides whose line it is: the first byte of a custom
    /// delimiter; the last of a newline, since a `\n` alone ends a line whatever stands before it.
    pub(crate) fn reach(&self) -> u64 {
        match self {
            Delimiter::Newline => 1,
            Delimiter::Bytes(finder) => finder.needle().len() as u64,
        }
    }

    /// The place at or before `start` from which a scan finds the same delimiters as a scan from the beginning of the
    /// file: no occurrence lies across it.
    ///
    /// For most delimiters this is `start`: a scan that begins inside an occurrence misses it, and the line after it
    /// belongs to the split before. But a delimiter whose end is also its beginning (`\n\n`) is found again inside its
    /// own occurrence, one byte later, and every line would come out differently. Hadoop loses and doubles lines then.
    pub(crate) fn sync(&self, input: &impl Ranges, start: u64) -> Result<u64> {
        let Delimiter::Bytes(finder) = self else { return Ok(start) };
        if !overlaps_itself(finder.needle()) {
            return Ok(start);
        }
        let needle = finder.needle();
        let across = needle.len() as u64 - 1;
        let mut window = Window::default();
        let mut at = start;
        while at > 0 {
            let (from, to) = (at.saturating_sub(across), (at + across).min(input.size()));
            let bytes = window.get(input, from, to)?;
            match finder.find(bytes) {
                Some(found) if from + (found as u64) < at => at = from + found as u64,
                _ => break,
            }
        }
        Ok(at)
    }
}

/// Whether some proper beginning of the delimiter is also its end.
fn overlaps_itself(delimiter: &[u8]) -> bool {
    (1..delimiter.len()).any(|n| delimiter.ends_with(&delimiter[..n]))
}

/// Bytes read last, so that going backwards byte by byte is no request each.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: bytes::Bytes,
}

impl Window {
    fn get(&mut self, input: &impl Ranges, from: u64, to: u64) -> Result<&[u8]> {
        if from < self.start || to > self.start + self.bytes.len() as u64 {
            self.start = to.saturating_sub(WINDOW).min(from);
            self.bytes = input.read(self.start, (to - self.start) as usize)?;
        }
        Ok(&self.bytes[(from - self.start) as usize..(to - self.start) as usize])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::InMemory;

    #[test]
    fn a_scan_may_begin_where_no_delimiter_lies_across() {
        let input = InMemory::new("t", "a\n\n\nb\n\n");
        let delimiter = Delimiter::bytes(b"\n\n").unwrap();
        let sync: Vec<u64> = (0..=7).map(|at| delimiter.sync(&input, at).unwrap()).collect();
        assert_eq!(sync, [0, 1, 1, 1, 4, 5, 5, 7]);
    }

    #[test]
    fn an_empty_delimiter_is_refused() {
        assert!(Delimiter::bytes(b"").unwrap_err().what().contains("empty"));
    }
}
