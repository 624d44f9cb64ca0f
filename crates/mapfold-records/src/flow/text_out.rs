//! Text as an output: lines into `part-r-00000`, ….

use super::out::{Encoder, PartStream, RecordsOut, full};
use mapfold_plan::{OutputShape, Result, Sink, SinkInput, SinkRun};
use std::sync::Arc;

/// Values that become lines of text.
pub trait TextRecords: 'static {
    /// Appends whole lines, line ends included; gives their number.
    fn write(&self, out: &mut Vec<u8>) -> u64;
}

/// Whole lines, line ends included, many at once: what a fast job hands over. They count as one record each.
impl TextRecords for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(self);
        memchr::memchr_iter(b'\n', self).count() as u64
    }
}

/// One line.
impl TextRecords for String {
    fn write(&self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(self.as_bytes());
        out.push(b'\n');
        1
    }
}

/// Key and value with a tab between them.
impl<K: std::fmt::Display + 'static, V: std::fmt::Display + 'static> TextRecords for (K, V) {
    fn write(&self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(format!("{}\t{}\n", self.0, self.1).as_bytes());
        1
    }
}

/// A folder of text: `part-r-00000`, …, one per partition (`part-m-…`, one per split, without an exchange).
///
/// ```
/// use mapfold_plan::{Plan, PlanOptions, Sum};
/// use mapfold_records::flow::TextOut;
/// use mapfold_store::{Loc, Stores};
/// let p = Plan::new(Stores::new(), PlanOptions::default());
/// let sums = p.range(100).map(|n| (n % 3, n)).combine::<Sum<u64>>();
/// sums.write(&Loc::parse("memory://lab/sums")?, TextOut::default())?; // lines such as `2 TAB 1617`
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TextOut {
    /// What is written are no lines but records of so many bytes, one after the other.
    pub record: Option<u64>,
}

impl<T: TextRecords> Sink<T> for TextOut {
    fn open(self, input: SinkInput<'_, T>) -> Result<Box<dyn SinkRun<T>>> {
        let what = match self.record {
            Some(bytes) => format!("records of {bytes} bytes"),
            None => "text".to_string(),
        };
        let record = self.record;
        let begin = move |to| Ok(Box::new(Lines { to, record, row: Vec::new() }) as Box<dyn Encoder<T>>);
        Ok(Box::new(RecordsOut::new(&input, what, (OutputShape::Folder, ""), (1 << 20, Arc::new(begin)))?))
    }
}

struct Lines {
    to: PartStream,
    record: Option<u64>,
    row: Vec<u8>,
}

impl<T: TextRecords> Encoder<T> for Lines {
    fn put(&mut self, value: T) -> Result<u64> {
        self.row.clear();
        let lines = value.write(&mut self.row);
        self.to.put(&self.row).map_err(full)?;
        Ok(self.record.map_or(lines, |bytes| self.row.len() as u64 / bytes.max(1)))
    }

    fn finish(self: Box<Self>) -> Result<PartStream> {
        Ok(self.to)
    }
}
