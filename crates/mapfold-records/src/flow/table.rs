//! Rows of Parquet and CSV files as a flow of batches.
//!
//! What a file is says the end of its name: `.parquet`, else CSV. All files of an input are of one kind and have the same
//! columns. Of Parquet the engine fetches the columns of a row group before they are decoded; CSV is read as text is.

use super::bytes::SplitBytes;
use super::growth::is_here;
use super::input::{Input, InputFile};
use crate::Ranges;
use crate::Stored;
use crate::table::parquet::ParquetTable;
use crate::table::{CsvOptions, CsvParser, CsvReader, infer_schema};
use crate::text::FileSplit;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use mapfold_plan::growth::{Expected, Growth, Look};
use mapfold_plan::{Cx, Domain, Error, Flow, Need, Node, Phase, Place, Plan, Result, Step};
use mapfold_store::Loc;
use std::sync::Arc;

/// How tables are read.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Columns of the batches, in the order of the file; all where nothing is said.
    pub columns: Option<Vec<String>>,
    /// Columns of text that are to come as codes of a dictionary.
    pub codes: Vec<String>,
    /// Columns of CSV files; guessed from the first MiB where nothing is said.
    pub schema: Option<Schema>,
    /// How CSV is written.
    pub csv: CsvOptions,
    /// Bytes of a split of a CSV file.
    pub split_size: Option<u64>,
}

/// Bytes of a CSV file that its columns are guessed from.
const SAMPLE: u64 = 1 << 20;
/// Rows of a batch, and bytes of a value, about.
const BATCH: u64 = 64 << 10;
const VALUE: u64 = 24;

/// A source of rows.
pub(super) struct Table {
    input: Input,
    domain: Domain,
    schema: SchemaRef,
    form: Form,
}

enum Form {
    Parquet {
        tables: Vec<ParquetTable>,
        /// File and row group of each unit.
        groups: Vec<(usize, usize)>,
    },
    Csv {
        schema: Schema,
        wanted: Option<Vec<String>>,
        options: CsvOptions,
    },
}

impl Table {
    pub fn open(p: &Plan, input: Input, options: &TableOptions) -> Result<Table> {
        let is_parquet = |f: &InputFile| f.loc.name().ends_with(".parquet");
        let first = is_parquet(&input.files[0]);
        if let Some(other) = input.files.iter().find(|f| is_parquet(f) != first) {
            let what = format!("{} and {} are tables of two kinds", input.files[0].loc, other.loc);
            return Err(Error::usage(what).with_remedy("read Parquet and CSV files in two runs"));
        }
        if let Some(coded) = input.files.iter().find(|f| f.codec.is_some()) {
            let what = format!("{}: compressed tables are not read", coded.loc);
            return Err(Error::usage(what).with_remedy("decompress it first, or make a Parquet file of it"));
        }
        if first { Table::parquet(p, input, options) } else { Table::csv(p, input, options) }
    }

    fn parquet(p: &Plan, input: Input, options: &TableOptions) -> Result<Table> {
        let wanted: Option<Vec<&str>> = options.columns.as_ref().map(|c| c.iter().map(String::as_str).collect());
        let codes: Vec<&str> = options.codes.iter().map(String::as_str).collect();
        let (mut tables, mut groups) = (Vec::new(), Vec::new());
        for (number, file) in input.files.iter().enumerate() {
            let bytes: Vec<u8> = p.ask(&format!("footer of {}", file.loc), || {
                Ok(ParquetTable::footer(&Stored::open(p.stores(), &file.loc)?)?.to_vec())
            })?;
            let footer = Footer { name: file.loc.to_string(), size: file.size, bytes: bytes.into() };
            let table = ParquetTable::open(&footer, wanted.as_deref(), &codes)?;
            groups.extend((0..table.row_groups()).map(|group| (number, group)));
            tables.push(table);
        }
        let schema = tables[0].schema().clone();
        let other = tables.iter().zip(&input.files).find(|(t, _)| t.schema().fields() != schema.fields());
        if let Some((_, file)) = other {
            return Err(other_columns(&input.files[0], file));
        }
        let domain = Domain::Units { count: groups.len() as u64 };
        Ok(Table { input, domain, schema, form: Form::Parquet { tables, groups } })
    }

    fn csv(p: &Plan, input: Input, options: &TableOptions) -> Result<Table> {
        let schema = match &options.schema {
            Some(given) => given.clone(),
            None => infer_schema(&beginning(p, &input.files[0], SAMPLE)?, &options.csv)
                .map_err(|e| e.at_place(input.files[0].loc.to_string()))?,
        };
        let coded = |f: &Arc<Field>| {
            let is_text = f.data_type() == &DataType::Utf8 && options.codes.contains(f.name());
            let codes = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            if is_text { Field::new(f.name(), codes(), true) } else { f.as_ref().clone() }
        };
        let schema = Schema::new(schema.fields().iter().map(coded).collect::<Vec<Field>>());
        if options.csv.header {
            check_headers(p, &input)?;
        }
        let wanted = options.columns.clone();
        let names: Option<Vec<&str>> = wanted.as_ref().map(|w| w.iter().map(String::as_str).collect());
        let batch = CsvParser::new(&schema, names.as_deref(), options.csv)?.take()?.schema();
        let whole = options.csv.multiline.then_some(u64::MAX / 4);
        let input = input.cut(whole.or(options.split_size), 1)?;
        let domain = Domain::Units { count: input.splits.len() as u64 };
        Ok(Table { input, domain, schema: batch, form: Form::Csv { schema, wanted, options: options.csv } })
    }

    fn read_csv(&self, split: FileSplit, cx: &Cx<'_>, emit: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let Form::Csv { schema, wanted, options } = &self.form else { return Ok(()) };
        let file = &self.input.files[split.file];
        let bytes = SplitBytes::new(&self.input.stores, file, split.start..split.end(), cx)?;
        let names: Option<Vec<&str>> = wanted.as_ref().map(|w| w.iter().map(String::as_str).collect());
        let mut reader = CsvReader::new(bytes, split, schema, names.as_deref(), *options)?;
        while let Some(batch) = cx.during(Phase::Decode, || reader.next_batch())? {
            emit(batch)?;
        }
        Ok(())
    }
}

/// Rows of a table that are looked at, and of each piece.
const LOOKED_AT: usize = 64 << 10;
const PIECE: usize = 4 << 10;
/// Bytes of a CSV file that are looked at.
const LOOKED_AT_BYTES: u64 = 2 << 20;

/// A table whose columns are known, and whose rows have not been read.
pub struct OpenTable {
    plan: Plan,
    table: Table,
}

impl OpenTable {
    /// See [`super::RecordVerbs::table`].
    ///
    /// # Errors
    /// When an input is no table, or has other columns than the first one.
    pub fn open<'a>(
        plan: &Plan,
        inputs: impl IntoIterator<Item = &'a Loc>,
        options: &TableOptions,
    ) -> Result<OpenTable> {
        let table = Table::open(plan, Input::files(plan, inputs)?, options)?;
        Ok(OpenTable { plan: plan.clone(), table })
    }

    /// Columns of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    /// The rows, batch by batch.
    pub fn flow(self) -> Flow<RecordBatch> {
        Flow::from_node(&self.plan, Arc::new(self.table))
    }

    /// What a fold over the rows keeps and gives away, split by split, from a look at some; `None` where nothing can be
    /// said (files elsewhere).
    ///
    /// # Errors
    /// When a replayed plan asks something else. Rows that cannot be read or added are no error here.
    pub fn growth<T>(
        &self,
        table: T,
        add: impl Fn(&mut T, &RecordBatch) -> Result<()>,
        look: impl Fn(&T) -> Result<Look>,
    ) -> Result<Option<Expected>> {
        if !self.table.input.files.iter().all(is_here) {
            return Ok(None);
        }
        let question = format!("growth of {}", self.table.input.question());
        let seen: Option<(Growth, u64)> = self.plan.ask(&question, || {
            // A row that cannot be read is told by the run, whose options say what becomes of it.
            let Ok((pieces, longest)) = self.table.sample() else { return Ok(None) };
            let growth = Growth::watch((table, &pieces[..]), |b| b.num_rows() as u64, add, look);
            Ok(growth.ok().flatten().map(|g| (g, longest)))
        })?;
        Ok(seen.map(|(g, longest)| g.expected(longest, self.table.domain.splits())))
    }
}

impl Table {
    /// Some rows from the middle of the input, in small pieces, and the rows of the longest split.
    fn sample(&self) -> Result<(Vec<RecordBatch>, u64)> {
        let (batches, longest) = match &self.form {
            Form::Parquet { tables, groups } => {
                let rows = |(file, group): &(usize, usize)| tables[*file].rows(*group);
                let longest = groups.iter().map(rows).max().unwrap_or(0);
                let Some((file, group)) = groups.get(groups.len() / 2) else { return Ok((Vec::new(), 0)) };
                let stored = Stored::open(&self.input.stores, &self.input.files[*file].loc)?;
                let batches = tables[*file].read(*group, tables[*file].fetch(&stored, *group)?)?;
                (some_rows(batches)?, longest)
            }
            Form::Csv { schema, wanted, options } => {
                let Some(split) = self.input.splits.get(self.input.splits.len() / 2) else {
                    return Ok((Vec::new(), 0));
                };
                let looked = FileSplit { len: split.len.min(LOOKED_AT_BYTES), ..*split };
                let stored = Stored::open(&self.input.stores, &self.input.files[split.file].loc)?;
                let names: Option<Vec<&str>> = wanted.as_ref().map(|w| w.iter().map(String::as_str).collect());
                let mut reader = CsvReader::new(stored, looked, schema, names.as_deref(), *options)?;
                let batches = some_rows(std::iter::from_fn(|| reader.next_batch().transpose()))?;
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                let longest = self.input.splits.iter().map(|s| s.len).max().unwrap_or(0);
                (batches, longest * rows as u64 / looked.len.max(1))
            }
        };
        let cut = |b: &RecordBatch| {
            let (b, rows) = (b.clone(), b.num_rows());
            (0..rows).step_by(PIECE).map(move |at| b.slice(at, PIECE.min(rows - at)))
        };
        Ok((batches.iter().flat_map(cut).collect(), longest))
    }
}

/// The first batches, until there are rows enough.
fn some_rows(batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Vec<RecordBatch>> {
    let (mut rows, mut out) = (0, Vec::new());
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows();
        out.push(batch);
        if rows >= LOOKED_AT {
            break;
        }
    }
    Ok(out)
}

fn unit(at: &Place) -> usize {
    match at {
        Place::Unit(unit) => *unit as usize,
        other => unreachable!("a table was asked for {other}"),
    }
}

/// The first bytes of a file.
fn beginning(p: &Plan, file: &InputFile, len: u64) -> Result<Vec<u8>> {
    let len = len.min(file.size);
    p.ask(&format!("first {len} bytes of {}", file.loc), || {
        Ok(Stored::open(p.stores(), &file.loc)?.read(0, len as usize)?.to_vec())
    })
}

/// Files of one table begin with the same row.
fn check_headers(p: &Plan, input: &Input) -> Result<()> {
    const HEADER: u64 = 64 << 10;
    if input.files.len() < 2 {
        return Ok(());
    }
    let row = |file: &InputFile| -> Result<Vec<u8>> {
        let bytes = beginning(p, file, HEADER)?;
        let end = memchr::memchr2(b'\n', b'\r', &bytes).unwrap_or(bytes.len());
        Ok(bytes[..end].to_vec())
    };
    let first = row(&input.files[0])?;
    for file in &input.files[1..] {
        if row(file)? != first {
            return Err(other_columns(&input.files[0], file));
        }
    }
    Ok(())
}

fn other_columns(first: &InputFile, other: &InputFile) -> Error {
    Error::input(format!("{} has other columns than {}", other.loc, first.loc))
        .with_remedy("read them in two runs, or name the columns that they share")
}

/// The end of a Parquet file, from the plan's record.
struct Footer {
    name: String,
    size: u64,
    bytes: Bytes,
}

impl Ranges for Footer {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        let begin = self.size - self.bytes.len() as u64;
        let from = start.checked_sub(begin).map(|from| from as usize);
        let inside = from.filter(|from| from + len <= self.bytes.len());
        inside
            .map(|from| self.bytes.slice(from..from + len))
            .ok_or_else(|| Error::job("the footer is longer than it was"))
    }
}

impl Node<RecordBatch> for Table {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return Ok(());
        }
        let Form::Parquet { tables, groups } = &self.form else {
            return self.read_csv(self.input.splits[unit(at)], cx, emit);
        };
        let (number, group) = groups[unit(at)];
        let (file, table) = (&self.input.files[number], &tables[number]);
        let fetched = cx.fetched();
        let bytes: Vec<Bytes> =
            table.needs(group).iter().map(|r| fetched.bytes(file.file, r)).collect::<Result<_>>()?;
        let mut batches = table.read(group, bytes).map_err(|e| e.at_place(file.loc.to_string()))?;
        while let Some(batch) = cx.during(Phase::Decode, || batches.next()) {
            emit(batch.map_err(|e| e.at_place(file.loc.to_string()))?)?;
        }
        Ok(())
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        match &self.form {
            Form::Parquet { tables, groups } => {
                let (number, group) = groups[unit(at)];
                let file = self.input.files[number].file;
                out.extend(tables[number].needs(group).into_iter().map(|range| Need { file, range }));
            }
            Form::Csv { .. } => {
                let split = self.input.splits[unit(at)];
                out.extend(super::bytes::need(&self.input.files[split.file], split.start..split.end()));
            }
        }
        Ok(())
    }

    fn held(&self, _: &Place) -> u64 {
        (BATCH * VALUE * self.schema.fields().len() as u64).max(1 << 20)
    }

    fn memory(&self, at: &Place) -> u64 {
        // A batch, and the pages or the piece it is made of.
        2 * self.held(at) + (4 << 20)
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        let columns: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        out.push(Step { what: format!("read {} of {}", columns.join(", "), self.input.names()), at: String::new() });
    }

    fn input_bytes(&self) -> u64 {
        self.input.bytes
    }
}
