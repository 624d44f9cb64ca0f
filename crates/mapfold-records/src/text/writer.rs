//! Text output: `key TAB value NL`, as `TextOutputFormat` writes it, into files with Hadoop's names.

use std::io::{self, Write};

/// Writes records of key and value.
///
/// ```
/// use mapfold_records::text::TextWriter;
/// let mut writer = TextWriter::new(Vec::new(), "\t");
/// writer.write(Some(b"word"), Some(b"3"))?;
/// writer.write(None, Some(b"only a value"))?;
/// assert_eq!(writer.into_inner(), b"word\t3\nonly a value\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TextWriter<W> {
    out: W,
    separator: Vec<u8>,
}

impl<W: Write> TextWriter<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W, separator: &str) -> TextWriter<W> {
        TextWriter { out, separator: separator.as_bytes().to_vec() }
    }

    /// Writes one record. Without key or value there is no separator; without both there is no record (Hadoop's rule).
    ///
    /// # Errors
    /// Those of `out`.
    #[inline]
    pub fn write(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> io::Result<()> {
        match (key, value) {
            (None, None) => return Ok(()),
            (Some(only), None) | (None, Some(only)) => self.out.write_all(only)?,
            (Some(key), Some(value)) => {
                self.out.write_all(key)?;
                self.out.write_all(&self.separator)?;
                self.out.write_all(value)?;
            }
        }
        self.out.write_all(b"\n")
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Whether a part comes from a map-only job or from a reducer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// `m`: one part per split.
    Map,
    /// `r`: one part per partition.
    Reduce,
}

/// The name of a part file: number with five digits or more; `extension` is that of the codec, with its dot, or empty.
///
/// ```
/// use mapfold_records::text::{PartKind, part_name};
/// assert_eq!(part_name(PartKind::Reduce, 7, ""), "part-r-00007");
/// assert_eq!(part_name(PartKind::Map, 123456, ".gz"), "part-m-123456.gz");
/// ```
pub fn part_name(kind: PartKind, number: u32, extension: &str) -> String {
    let kind = if kind == PartKind::Map { 'm' } else { 'r' };
    format!("part-{kind}-{number:05}{extension}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn absent_and_empty_are_not_the_same() {
        let mut writer = TextWriter::new(Vec::new(), "::");
        let mut write = |key: Option<&str>, value: Option<&str>| {
            writer.write(key.map(str::as_bytes), value.map(str::as_bytes)).unwrap();
        };
        write(Some("k"), None);
        write(None, None);
        write(Some("k"), Some(""));
        write(Some(""), Some(""));
        write(None, Some(""));
        assert_eq!(writer.into_inner(), b"k\nk::\n::\n\n");
    }
}
