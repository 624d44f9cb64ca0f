//! Aggregates of columns by keys: GROUP BY over Parquet and CSV.
//!
//! A split folds its rows into a table of groups; the states of groups are sent, and come sorted by key to a reducer,
//! which makes row after row of them: so there may be more groups than memory holds. Sums are exact and rounded once, so
//! a mean has the same bits for any number of splits, threads and members. Rules: null and NaN are no values, a null key
//! is a group of its own and comes last, `std` divides by n - 1 (as pandas and SQL do).
//!
//! One reducer makes a file or the printed table, so that it is sorted as a whole; a folder has parts by hash of the
//! key, each sorted. Deliberately absent: filters, expressions, joins: write a job for them.

use mapfold::plan::Plan;
use mapfold::plan::growth::{Expected, Look};
use mapfold::prelude::*;
use mapfold::records::flow::{OpenTable, TableFormat};
use mapfold::records::group::{Aggregate as Wanted, Aggregates, GroupTable};
use mapfold::records::table::{parse_schema, rows};
use mapfold::records::{RecordBatch, SchemaRef};
use std::sync::Arc;

/// How parts of a folder are written.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Parquet
    #[default]
    Parquet,
    /// CSV with a header
    Csv,
}

/// Aggregates of columns by keys: mean, min, max, count, sum, std, nunique of Parquet or CSV tables
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Aggregate {
    /// Tables, all Parquet or all CSV: files, folders, patterns ('obs/*.parquet'), lists (@list.txt)
    #[arg(required = true, num_args = 1..)]
    pub input: Vec<Loc>,
    /// Columns whose values make the groups
    #[arg(long, value_name = "COL", required = true, value_delimiter = ',')]
    pub by: Vec<String>,
    /// What is wanted of a column: mean, min, max, count, sum, std, nunique; may be given several times
    #[arg(long, value_name = "COL:KINDS", required = true)]
    pub agg: Vec<String>,
    /// A file (.parquet, .csv) or a folder of parts [default: printed]
    #[arg(long)]
    pub out: Option<Loc>,
    /// Format of the parts of a folder
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    #[serde(default)]
    pub part_format: Format,
    /// Columns of CSV: NAME:TYPE,..., types int64, float64, bool, string, category [default: guessed]
    #[arg(long, value_name = "COLUMNS")]
    pub schema: Option<String>,
    /// Bytes of a split, such as 8388608 [default: a 32nd of the input, 1 to 32 MiB]
    #[arg(long, value_name = "BYTES")]
    pub split_size: Option<u64>,
}

/// Bytes of a split's groups; then they are sent and begun anew.
const GROUPS: u64 = 12 << 20;
/// What one more batch may add to a small table.
const LITTLE: u64 = 1 << 20;
/// Rows of the result that are handed over at a time.
const ROWS: usize = 8 << 10;

/// The plan: rows to groups, groups to sums.
///
/// # Errors
/// When an input is no table or has no such column, or an aggregate has no meaning for a column.
#[allow(clippy::needless_pass_by_value)] // what a job function looks like
pub fn aggregate(job: Aggregate, p: &Plan) -> Result<()> {
    let wanted = Aggregates(job.agg.iter().map(|a| a.parse::<Wanted>()).collect::<Result<_>>()?);
    let table = OpenTable::open(p, &job.input, &options(&job, &wanted)?)?;
    let by: Vec<&str> = job.by.iter().map(String::as_str).collect();
    let empty = Arc::new(GroupTable::new(table.schema(), &by, &wanted)?);
    let expected = table.growth(empty.as_ref().clone(), GroupTable::add, look)?;
    let one = job.out.as_ref().is_none_or(|out| TableFormat::of_file(out.name()).is_some());
    let table = table.flow();
    let partitions = if one { 1 } else { p.usual_partitions(table.node().input_bytes()) };
    let result = empty.rows().take()?.schema();
    let grouped = grouped(table, &empty, partitions, expected);
    match &job.out {
        Some(out) => grouped.write(out, table_out(&job, result)),
        None => grouped.try_map(|batch| rows(&batch)).flat_map(|rows| rows).report("groups"),
    }
}

/// What a table of groups keeps and would give away.
fn look(table: &GroupTable) -> Result<Look> {
    let mut look = Look { memory: table.memory() as u64, ..Look::default() };
    table.records(|key, value| {
        look.records += 1;
        look.bytes += (key.len() + value.len()) as u64;
    })?;
    Ok(look)
}

fn options(job: &Aggregate, wanted: &Aggregates) -> Result<TableOptions> {
    let mut columns = job.by.clone();
    columns.extend(wanted.0.iter().map(|a| a.column.clone()));
    columns.sort();
    columns.dedup();
    let schema = job.schema.as_deref().map(parse_schema).transpose()?;
    let codes = job.by.clone();
    Ok(TableOptions { columns: Some(columns), codes, schema, split_size: job.split_size, ..TableOptions::default() })
}

fn table_out(job: &Aggregate, schema: SchemaRef) -> TableOut {
    let format = match job.part_format {
        Format::Parquet => TableFormat::Parquet,
        Format::Csv => TableFormat::Csv,
    };
    TableOut { format, schema }
}

/// Sorted batches, partition by partition.
fn grouped(
    table: Flow<RecordBatch>,
    empty: &Arc<GroupTable>,
    partitions: u32,
    expected: Option<Expected>,
) -> Flow<RecordBatch> {
    let (begin, last) = (empty.clone(), empty.clone());
    // A table that is a little larger than expected must not be cut in two.
    let room = expected.map_or(GROUPS, |e| (e.split.memory * 3 / 2 + LITTLE).min(GROUPS));
    table
        .fold_splits(
            room + LITTLE,
            move || begin.as_ref().clone(),
            move |groups, rows| {
                groups.add(&rows)?;
                Ok(groups.memory() as u64 > room)
            },
        )
        .shuffle("group rows", |groups, emit| {
            if let Err(fault) = groups.records(|key, value| emit.put(key, value)) {
                emit.fail(fault);
            }
        })
        .partitions(partitions)
        .expect(expected.map(|e| e.load))
        .group_by_first(empty.key_len())
        .reduce_raw(move |groups, out| {
            let mut rows = last.rows();
            while let Some(mut group) = groups.next() {
                rows.begin(group.key)?;
                while let Some((key, value)) = group.values.next_record() {
                    rows.put(&key[group.key.len()..], value)?;
                }
                if rows.len() >= ROWS {
                    out(rows.take()?)?;
                }
            }
            if rows.is_empty() { Ok(()) } else { out(rows.take()?) }
        })
}
