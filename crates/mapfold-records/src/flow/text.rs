//! Lines of text files, and records of a fixed length, as flows of batches.

use super::bytes::{SplitBytes, need};
use super::input::Input;
use crate::text::{Delimiter, FileSplit, LineBatch, LineOptions, LineReader};
use crate::{Codec, CompressedLines, Ranges};
use bytes::Bytes;
use mapfold_plan::{Cx, Domain, Error, Need, Node, Phase, Place, Result, Step};

/// How text is read.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// What ends a line.
    pub delimiter: Delimiter,
    /// Bytes of a split; from the size of the input where nothing is said.
    pub split_size: Option<u64>,
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions { delimiter: Delimiter::Newline, split_size: None }
    }
}

/// Memory of a decoder: a window of 8 MiB (all of gzip and bzip2, and Zstandard but for its ultra levels) and buffers.
const DECODER: u64 = 12 << 20;
/// Bytes of fixed-length records in a batch, about.
const RECORDS: u64 = 1 << 20;

/// What both sources answer alike.
macro_rules! of_files {
    () => {
        fn domain(&self) -> &Domain {
            &self.domain
        }

        fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
            let split = self.split(at);
            out.extend(need(&self.input.files[split.file], split.start..split.end()));
            Ok(())
        }

        fn recompute(&self, _: &Place) -> f64 {
            1.0
        }

        fn input_bytes(&self) -> u64 {
            self.input.bytes
        }
    };
}

/// A source of lines.
pub(super) struct Lines {
    input: Input,
    domain: Domain,
    delimiter: Delimiter,
}

impl Lines {
    pub fn new(input: Input, delimiter: Delimiter) -> Lines {
        let domain = Domain::Units { count: input.splits.len() as u64 };
        Lines { input, domain, delimiter }
    }

    fn split(&self, at: &Place) -> FileSplit {
        split_of(&self.input, at)
    }

    fn options(&self) -> LineOptions {
        LineOptions { delimiter: self.delimiter.clone(), ..LineOptions::default() }
    }
}

fn split_of(input: &Input, at: &Place) -> FileSplit {
    match at {
        Place::Unit(unit) => input.splits[*unit as usize],
        other => unreachable!("a source of records was asked for {other}"),
    }
}

/// Gives batch after batch to `emit`, empty ones aside.
fn each_batch(
    cx: &Cx<'_>,
    mut next: impl FnMut(&mut LineBatch) -> Result<bool>,
    emit: &mut dyn FnMut(LineBatch) -> Result<()>,
) -> Result<()> {
    loop {
        let mut batch = LineBatch::default();
        if !cx.during(Phase::Decode, || next(&mut batch))? {
            return Ok(());
        }
        if !batch.is_empty() {
            emit(batch)?;
        }
    }
}

impl Node<LineBatch> for Lines {
    of_files!();

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(LineBatch) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return Ok(());
        }
        let split = self.split(at);
        let file = &self.input.files[split.file];
        let bytes = SplitBytes::new(&self.input.stores, file, split.start..split.end(), cx)?;
        match file.codec {
            Some(codec) => {
                let mut lines = CompressedLines::new(bytes, codec, self.options())?;
                each_batch(cx, |batch| lines.next_batch(batch), emit)
            }
            None => {
                let mut lines = LineReader::new(bytes, split, self.options())?;
                each_batch(cx, |batch| lines.next_batch(batch), emit)
            }
        }
    }

    fn held(&self, _: &Place) -> u64 {
        // The piece, its lines' places, and the line that crosses into it.
        3 * self.options().piece as u64
    }

    fn memory(&self, at: &Place) -> u64 {
        let decoder = if self.input.files[self.split(at).file].codec.is_some() { DECODER } else { 0 };
        decoder + self.held(at) + self.options().piece as u64
    }

    fn steps(&self, out: &mut Vec<Step>) {
        let coded: Vec<&str> = [Codec::Gzip, Codec::Bzip2, Codec::Zstd]
            .into_iter()
            .filter(|c| self.input.files.iter().any(|f| f.codec == Some(*c)))
            .map(Codec::extension)
            .collect();
        let coded = if coded.is_empty() { String::new() } else { format!(" ({})", coded.join(", ")) };
        let what = format!("lines of {}{coded} by {:?}", self.input.names(), self.delimiter);
        out.push(Step { what, at: String::new() });
    }
}

/// A source of records of a fixed length.
pub(super) struct Fixed {
    input: Input,
    domain: Domain,
    record: u64,
}

impl Fixed {
    /// Records of `record` bytes.
    ///
    /// # Errors
    /// When a file is not made of them, or is compressed.
    pub fn new(input: Input, record: u64) -> Result<Fixed> {
        if let Some(file) = input.files.iter().find(|f| f.codec.is_some() || !f.size.is_multiple_of(record)) {
            let what = format!("{} has {} bytes: no whole records of {record}", file.loc, file.size);
            return Err(Error::input(what).with_remedy("give files of such records, not compressed"));
        }
        let domain = Domain::Units { count: input.splits.len() as u64 };
        Ok(Fixed { input, domain, record })
    }

    fn split(&self, at: &Place) -> FileSplit {
        split_of(&self.input, at)
    }
}

impl Node<Bytes> for Fixed {
    of_files!();

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(Bytes) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return Ok(());
        }
        let split = self.split(at);
        let bytes = SplitBytes::new(&self.input.stores, &self.input.files[split.file], split.start..split.end(), cx)?;
        let piece = (RECORDS / self.record).max(1) * self.record;
        for start in (split.start..split.end()).step_by(piece as usize) {
            let len = piece.min(split.end() - start) as usize;
            emit(cx.during(Phase::Read, || bytes.read(start, len))?)?;
        }
        Ok(())
    }

    fn held(&self, _: &Place) -> u64 {
        RECORDS + self.record
    }

    fn memory(&self, at: &Place) -> u64 {
        2 * self.held(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        out.push(Step {
            what: format!("records of {} bytes of {}", self.record, self.input.names()),
            at: String::new(),
        });
    }
}
