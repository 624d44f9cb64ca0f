//! CSV: from bytes to columns, in one pass.
//!
//! 64 bytes at a time, bit masks of delimiters, line ends and quotes are made; what lies between quotes is masked out by
//! the parity of quotes (as in simdcsv and simdjson); each remaining bit ends a field. A field that nobody asked for costs
//! a step of a loop; nothing is parsed twice and nothing copied but text.
//!
//! The rules: fields are separated by one byte; a row ends with `\n`, `\r\n` or `\r`; a field that begins with a quote ends
//! with one, and a doubled quote inside stands for one. An unquoted empty field is null; `""` is empty text. Spaces belong to
//! fields. Blank lines are skipped where a table has several columns. A row with more or fewer fields than the header has,
//! a field that is not of its column's type, and a quote inside an unquoted field are errors with row and column.
//!
//! Newlines inside quotes: splits begin at line ends, where nobody knows whether a quote is open. So unless
//! [`CsvOptions::multiline`] says otherwise, a newline inside quotes is an error. It is always found: the line on which the
//! field begins has an odd number of quotes, and each line is read by exactly one split. With `multiline` newlines may be
//! anywhere, and a file is one split.

use super::build::Builder;
use crate::scan;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use mapfold_plan::{Error, Result};
use std::sync::Arc;

/// How CSV is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields; `None` where quotes are characters as any other.
    pub quote: Option<u8>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether fields may hold newlines: then a file is one split.
    pub multiline: bool,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { delimiter: b',', quote: Some(b'"'), header: true, multiline: false }
    }
}

/// Parses rows of CSV into columns.
///
/// ```
/// use arrow_schema::{DataType, Field, Schema};
/// use mapfold_records::table::{CsvOptions, CsvParser};
/// let schema = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]);
/// let mut parser = CsvParser::new(&schema, Some(&["name"]), CsvOptions::default())?;
/// let text = b"1,\"Smith, Ann\"\n2,Bo\n";
/// parser.parse(text, 0)?;
/// let batch = parser.take()?;
/// assert_eq!(batch.column(0).as_ref(), &arrow_array::StringArray::from(vec!["Smith, Ann", "Bo"]));
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvParser {
    options: CsvOptions,
    /// The columns of a batch.
    schema: SchemaRef,
    /// Builder of each column of the file, where it is asked for.
    targets: Vec<Option<usize>>,
    names: Vec<String>,
    builders: Vec<Builder>,
    rows: usize,
    /// A field without its doubled quotes.
    scratch: Vec<u8>,
}

impl CsvParser {
    /// A parser for files whose columns are `schema`; batches hold the columns `wanted`, in the order of the file, or all.
    /// A column whose type is a dictionary gives codes.
    ///
    /// # Errors
    /// Usage errors: no such column, or one of a type that CSV does not have.
    pub fn new(schema: &Schema, wanted: Option<&[&str]>, options: CsvOptions) -> Result<CsvParser> {
        if let Some(unknown) = wanted.into_iter().flatten().find(|name| schema.index_of(name).is_err()) {
            let all = schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::usage(format!("there is no column {unknown:?}")).with_remedy(format!("one of {all}")));
        }
        let (mut targets, mut fields, mut builders) = (Vec::new(), Vec::new(), Vec::new());
        for field in schema.fields() {
            let is_wanted = wanted.is_none_or(|wanted| wanted.contains(&field.name().as_str()));
            targets.push(is_wanted.then_some(builders.len()));
            if is_wanted {
                fields.push(field.clone());
                builders.push(Builder::new(field.data_type())?);
            }
        }
        let names = schema.fields().iter().map(|f| f.name().clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(CsvParser { options, schema, targets, names, builders, rows: 0, scratch: Vec::new() })
    }

    /// The columns of a batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How the text is written.
    pub fn options(&self) -> CsvOptions {
        self.options
    }

    /// Rows parsed since the last [`CsvParser::take`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows so far; the parser begins anew.
    ///
    /// # Errors
    /// When text is not UTF-8.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let columns = self
            .builders
            .iter_mut()
            .map(Builder::take)
            .collect::<Result<Vec<_>>>()
            .map_err(|e| e.with_remedy("mapfold reads CSV in UTF-8: convert the file, for instance with iconv"))?;
        let rows = std::mem::take(&mut self.rows);
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// Parses the rows of `text`, which begins with a row at byte `offset` of its file and ends with one (its line end may
    /// be absent).
    ///
    /// # Errors
    /// What the module's rules call an error, with the place.
    pub fn parse(&mut self, text: &[u8], offset: u64) -> Result<()> {
        let mut at = Cursor { field: 0, start: 0, row: 0, quotes: 0 };
        let (whole, rest) = text.as_chunks::<{ scan::BLOCK }>();
        for (i, block) in whole.iter().enumerate() {
            self.block(text, i * scan::BLOCK, block, &mut at).map_err(|e| self.placed(e, &at, offset))?;
        }
        let mut block = [if self.options.delimiter == b' ' { 0 } else { b' ' }; scan::BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.block(text, whole.len() * scan::BLOCK, &block, &mut at).map_err(|e| self.placed(e, &at, offset))?;
        self.end_text(text, &mut at).map_err(|e| self.placed(e, &at, offset))
    }

    /// The fields that end in one block.
    #[inline(always)]
    fn block(&mut self, text: &[u8], base: usize, block: &[u8; scan::BLOCK], at: &mut Cursor) -> Result<(), Fault> {
        let ends = scan::equal(block, b'\n') | scan::equal(block, b'\r');
        let delimiters = scan::equal(block, self.options.delimiter);
        let mut found = delimiters | ends;
        if let Some(quote) = self.options.quote {
            let quotes = scan::equal(block, quote);
            if quotes | at.quotes != 0 {
                found &= !self.quoted(text, base, (quotes, found, ends), at)?;
            }
        }
        while found != 0 {
            let end = base + found.trailing_zeros() as usize;
            found &= found - 1;
            if end >= at.start {
                self.end_field(text, end, at)?;
            }
        }
        Ok(())
    }

    /// The bits of a block that lie inside quotes; `masks` are quotes, delimiters with line ends, and line ends.
    #[inline(never)]
    fn quoted(&self, text: &[u8], base: usize, masks: (u64, u64, u64), at: &mut Cursor) -> Result<u64, Fault> {
        let (quotes, separators, ends) = masks;
        let inside = scan::prefix_xor(quotes) ^ at.quotes;
        at.quotes = (inside as i64 >> 63) as u64;
        if ends & inside != 0 && !self.options.multiline {
            return Err(Fault::OpenQuote);
        }
        // A quote opens at the beginning of a field, or is the second of a doubled one.
        let separates =
            |b: u8| matches!(b, b'\n' | b'\r') || b == self.options.delimiter || Some(b) == self.options.quote;
        let first = u64::from(base == 0 || separates(text[base - 1]));
        if quotes & inside & !((separators | quotes) << 1 | first) != 0 {
            return Err(Fault::Quote);
        }
        Ok(inside)
    }

    fn placed(&self, fault: Fault, at: &Cursor, offset: u64) -> Error {
        let row = format!("the row that begins at byte {}", offset + at.row as u64);
        let column = || self.names.get(at.field).map_or("", String::as_str);
        match fault {
            Fault::Fields => {
                let what = format!("{row} does not have {} fields, as the table does", self.names.len());
                Error::input(what).with_remedy("check the delimiter and the quotes of that row")
            }
            Fault::OpenQuote => {
                Error::input(format!("{row} has a newline inside quotes, or a quote that is not closed"))
                    .with_remedy("if fields hold newlines, say --multiline: then a file is one split; or --quote none")
            }
            Fault::Quote => Error::input(format!("{row} has a quote out of place in column {:?}", column()))
                .with_remedy("double a quote inside a quoted field, or say --quote none"),
            Fault::Type(text) => {
                let kind = self.schema.field_with_name(column()).map_or("", |f| kind_name(f.data_type()));
                Error::input(format!("{row} has {text:?} in column {:?}, which is no {kind}", column()))
                    .with_remedy(format!("give the type with --schema {}:string, or correct the file", column()))
            }
        }
    }

    /// What follows the last line end is a row too.
    fn end_text(&mut self, text: &[u8], at: &mut Cursor) -> Result<(), Fault> {
        if at.quotes != 0 {
            return Err(Fault::OpenQuote);
        }
        if at.row == text.len() {
            return Ok(());
        }
        self.push(text, at, text.len())?;
        self.end_row(at, text.len())
    }

    /// A delimiter or a line end at `end`.
    #[inline(always)]
    fn end_field(&mut self, text: &[u8], end: usize, at: &mut Cursor) -> Result<(), Fault> {
        if text[end] == self.options.delimiter {
            self.push(text, at, end)?;
            at.field += 1;
            at.start = end + 1;
            return Ok(());
        }
        let crlf = text[end] == b'\r' && text.get(end + 1) == Some(&b'\n');
        let next = end + 1 + usize::from(crlf);
        let blank = at.row == end && self.targets.len() > 1;
        if !blank {
            self.push(text, at, end)?;
            return self.end_row(at, next);
        }
        (at.start, at.row) = (next, next);
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, text: &[u8], at: &Cursor, end: usize) -> Result<(), Fault> {
        let Some(target) = self.targets.get(at.field) else { return Err(Fault::Fields) };
        let Some(target) = target else { return Ok(()) };
        let builder = &mut self.builders[*target];
        if self.options.quote.is_some_and(|quote| text.get(at.start) == Some(&quote)) && at.start < end {
            let (start, end) = unquote(text, at.start, end, text[at.start], &mut self.scratch).ok_or(Fault::Quote)?;
            let data = if start == usize::MAX { &self.scratch[..] } else { text };
            let (start, end) = if start == usize::MAX { (0, end) } else { (start, end) };
            return builder.push(data, start, end, true).map_err(|_| unfit(&data[start..end]));
        }
        builder.push(text, at.start, end, false).map_err(|_| unfit(&text[at.start..end]))
    }

    #[inline(always)]
    fn end_row(&mut self, at: &mut Cursor, next: usize) -> Result<(), Fault> {
        if at.field + 1 != self.targets.len() {
            return Err(Fault::Fields);
        }
        self.rows += 1;
        (at.field, at.start, at.row) = (0, next, next);
        Ok(())
    }
}

/// Where the parser stands.
struct Cursor {
    /// Number of the field.
    field: usize,
    /// Where it begins.
    start: usize,
    /// Where its row begins.
    row: usize,
    /// All bits set while a quote is open.
    quotes: u64,
}

/// What is wrong with a row.
enum Fault {
    Fields,
    Quote,
    OpenQuote,
    Type(String),
}

#[cold]
fn unfit(field: &[u8]) -> Fault {
    Fault::Type(String::from_utf8_lossy(&field[..field.len().min(40)]).into_owned())
}

fn kind_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "integer",
        DataType::Float64 => "number",
        DataType::Boolean => "true or false",
        _ => "text",
    }
}

/// Where the last row ends of a text that begins with one, quotes heeded; 0 when none ends. A `\r` at the very end
/// may be half a line end.
pub(super) fn last_row_end(text: &[u8], quote: Option<u8>) -> usize {
    let (mut open, mut end) = (0u64, 0);
    scan::blocks(text, b' ', |base, block| {
        let quotes = quote.map_or(0, |quote| scan::equal(block, quote));
        let inside = scan::prefix_xor(quotes) ^ open;
        open = (inside as i64 >> 63) as u64;
        let ends = (scan::equal(block, b'\n') | scan::equal(block, b'\r')) & !inside;
        if ends != 0 {
            end = base + 64 - ends.leading_zeros() as usize;
        }
    });
    if end == text.len() && text.last() == Some(&b'\r') { last_row_end(&text[..end - 1], quote) } else { end }
}

/// A field without its quotes: its place in the text, or, when quotes were doubled, `usize::MAX` and the length of what is
/// in `scratch`. `None` when quotes are not where they belong.
fn unquote(text: &[u8], start: usize, end: usize, quote: u8, scratch: &mut Vec<u8>) -> Option<(usize, usize)> {
    let inner = text[start..end].strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    if memchr::memchr(quote, inner).is_none() {
        return Some((start + 1, end - 1));
    }
    scratch.clear();
    let mut rest = inner;
    while let Some(at) = memchr::memchr(quote, rest) {
        if rest.get(at + 1) != Some(&quote) {
            return None;
        }
        scratch.extend_from_slice(&rest[..=at]);
        rest = &rest[at + 2..];
    }
    scratch.extend_from_slice(rest);
    Some((usize::MAX, scratch.len()))
}
