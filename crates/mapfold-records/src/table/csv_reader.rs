//! CSV from a split of a file: one batch per piece that is read.

use super::csv::{CsvOptions, CsvParser, last_row_end};
use crate::Ranges;
use crate::text::{FileSplit, LineBatch, LineOptions, LineReader};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use mapfold_plan::{Error, Result};

/// A row longer than this is an error.
const MAX_ROW: usize = 256 << 20;

/// Reads the rows of one split.
///
/// ```
/// use mapfold_records::InMemory;
/// use mapfold_records::table::{CsvOptions, CsvReader, infer_schema};
/// use mapfold_records::text::FileSplit;
/// let text = "id,depth\n1,2.5\n2,3.5\n";
/// let options = CsvOptions::default();
/// let schema = infer_schema(text.as_bytes(), &options)?;
/// let split = FileSplit { file: 0, start: 0, len: text.len() as u64 };
/// let mut reader = CsvReader::new(InMemory::new("t.csv", text), split, &schema, Some(&["depth"]), options)?;
/// let batch = reader.next_batch()?.expect("one batch");
/// assert_eq!(batch.column(0).as_ref(), &arrow_array::Float64Array::from(vec![2.5, 3.5]));
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvReader<R> {
    name: String,
    parser: CsvParser,
    rows: Rows<R>,
    /// The row at offset 0 is a header that was not met yet.
    header: bool,
}

#[derive(Debug)]
enum Rows<R> {
    /// No newlines inside fields: rows are lines.
    Lines(Box<LineReader<R>>, LineBatch),
    /// The whole file, from `at` on; `open` is the beginning of a row.
    Whole { input: R, at: u64, open: Vec<u8>, piece: usize },
}

impl<R: Ranges> CsvReader<R> {
    /// A reader for a split of a file with these columns; see [`CsvParser::new`].
    ///
    /// # Errors
    /// As there; and a usage error for part of a file whose fields may hold newlines.
    pub fn new(
        input: R,
        split: FileSplit,
        schema: &Schema,
        wanted: Option<&[&str]>,
        options: CsvOptions,
    ) -> Result<CsvReader<R>> {
        let (name, lines) = (input.name().to_string(), LineOptions { max_line: MAX_ROW, ..LineOptions::default() });
        let parser = CsvParser::new(schema, wanted, options)?;
        let rows = if !options.multiline {
            Rows::Lines(Box::new(LineReader::new(input, split, lines)?), LineBatch::default())
        } else if split.start == 0 && split.len == input.size() {
            Rows::Whole { input, at: 0, open: Vec::new(), piece: lines.piece }
        } else {
            return Err(Error::usage(format!("{name}: with newlines inside fields a file is one split")));
        };
        Ok(CsvReader { name, parser, rows, header: options.header && split.start == 0 })
    }

    /// The next rows; `None` when there are no more. A batch can be empty.
    ///
    /// # Errors
    /// When bytes cannot be read, or are no such table.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let more = match &mut self.rows {
            Rows::Lines(reader, batch) => {
                let more = reader.next_batch(batch)?;
                if more {
                    parse_lines(&mut self.parser, batch, &mut self.header).map_err(|e| e.at_place(&self.name))?;
                }
                more
            }
            Rows::Whole { .. } => self.parse_piece()?,
        };
        if more { self.parser.take().map(Some).map_err(|e| e.at_place(&self.name)) } else { Ok(None) }
    }

    fn parse_piece(&mut self) -> Result<bool> {
        let Rows::Whole { input, at, open, piece } = &mut self.rows else { return Ok(false) };
        let len = (*piece as u64).min(input.size() - *at) as usize;
        if len == 0 {
            return Ok(false);
        }
        let offset = *at - open.len() as u64;
        open.extend_from_slice(&input.read(*at, len)?);
        *at += len as u64;
        let quote = self.parser.options().quote;
        let end = if *at == input.size() { open.len() } else { last_row_end(open, quote) };
        if open.len() - end > MAX_ROW {
            let what = format!("the row that begins at byte {} is longer than {MAX_ROW} bytes", offset + end as u64);
            return Err(Error::input(what).with_remedy("is a quote not closed?").at_place(&self.name));
        }
        let skip = if self.header && end > 0 { super::schema::first_row_len(&open[..end], quote) } else { 0 };
        self.header &= end == 0;
        self.parser.parse(&open[skip..end], offset + skip as u64).map_err(|e| e.at_place(&self.name))?;
        open.drain(..end);
        Ok(true)
    }
}

/// Lines lie side by side in their block, so they are parsed in one go; but for the one that came in two pieces.
fn parse_lines(parser: &mut CsvParser, batch: &LineBatch, header: &mut bool) -> Result<()> {
    if let Some((offset, line)) = &batch.joined
        && !std::mem::take(header)
    {
        parser.parse(&[line, &b"\n"[..]].concat(), *offset)?;
    }
    let skip = usize::from(!batch.lines.is_empty() && std::mem::take(header));
    let lines = &batch.lines[skip..];
    let (Some((from, _)), Some((_, to))) = (lines.first(), lines.last()) else { return Ok(()) };
    let end = (*to as usize + 1).min(batch.block.len()); // with its line end, so that an empty last line is a line
    parser.parse(&batch.block[*from as usize..end], batch.base + u64::from(*from))
}
