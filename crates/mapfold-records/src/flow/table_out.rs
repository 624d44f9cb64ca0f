//! Tables as an output: Parquet or CSV, a folder of parts or one file.

use super::out::{Encoder, PartStream, RecordsOut};
use crate::table::CsvWriter;
use crate::table::parquet::{ParquetCompression, ParquetWriter};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use mapfold_plan::{Domain, OutputShape, Result, Sink, SinkInput, SinkRun};
use std::sync::Arc;

/// How tables are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableFormat {
    /// Parquet, Zstandard level 1, row groups of 2^20 rows, or fewer where there are many columns.
    #[default]
    Parquet,
    /// CSV with a header.
    Csv,
}

impl TableFormat {
    /// The format and the shape that a name asks for: one file for `x.parquet` and `x.csv`, else `None`.
    ///
    /// ```
    /// use mapfold_records::flow::TableFormat;
    /// assert_eq!(TableFormat::of_file("means.csv"), Some(TableFormat::Csv));
    /// assert_eq!(TableFormat::of_file("means"), None); // a folder
    /// ```
    pub fn of_file(name: &str) -> Option<TableFormat> {
        let ends = |end: &str| name.len() > end.len() && name.ends_with(end);
        if ends(".parquet") { Some(TableFormat::Parquet) } else { ends(".csv").then_some(TableFormat::Csv) }
    }

    fn extension(self) -> &'static str {
        match self {
            TableFormat::Parquet => ".parquet",
            TableFormat::Csv => ".csv",
        }
    }
}

/// Rows of a row group, unless it has many columns.
const GROUP: usize = 1 << 20;
/// Bytes of a Parquet encoder: a row group's encoded columns, and pages in the making.
const ENCODER: u64 = 48 << 20;
/// Of it, what pages in the making and dictionaries may take for each column.
const PAGES: u64 = 1 << 20;
/// Bytes of an encoded value, about, at most: text may be longer.
const VALUE: u64 = 10;

/// Rows of a row group of so many columns: what it takes is bounded, and follows from the columns alone.
fn rows_per_group(columns: usize) -> usize {
    let fit = (ENCODER / (VALUE * columns.max(1) as u64)) as usize;
    fit.next_multiple_of(1 << 13).min(GROUP)
}

/// Bytes of an encoder that takes so many rows, about.
fn encoder_bytes(columns: usize, rows: u64) -> u64 {
    let rows = rows.min(rows_per_group(columns) as u64);
    columns as u64 * (PAGES + rows * VALUE)
}

/// A table: a file where the output's name ends with `.parquet` or `.csv`, else a folder of parts.
#[derive(Clone, Debug)]
pub struct TableOut {
    /// How parts of a folder are written.
    pub format: TableFormat,
    /// The columns: parts without rows have them too.
    pub schema: SchemaRef,
}

impl Sink<RecordBatch> for TableOut {
    fn open(self, input: SinkInput<'_, RecordBatch>) -> Result<Box<dyn SinkRun<RecordBatch>>> {
        let file = TableFormat::of_file(input.loc.name());
        let format = file.unwrap_or(self.format);
        let shape = if file.is_some() { OutputShape::File } else { OutputShape::Folder };
        let columns: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let what = match format {
            TableFormat::Parquet => format!("Parquet, {}", columns.join(", ")),
            TableFormat::Csv => format!("CSV, {}", columns.join(", ")),
        };
        let (schema, width) = (self.schema.clone(), columns.len());
        let begin = move |to| begin(format, to, &schema);
        let rows = match input.domain {
            Domain::Partitions { load: Some(load), count, .. } => 2 * load.records / u64::from(*count).max(1),
            _ => u64::MAX,
        };
        let encoder = if format == TableFormat::Parquet { encoder_bytes(width, rows) } else { 1 << 20 };
        Ok(Box::new(RecordsOut::new(&input, what, (shape, format.extension()), (encoder, Arc::new(begin)))?))
    }
}

fn begin(format: TableFormat, to: PartStream, schema: &SchemaRef) -> Result<Box<dyn Encoder<RecordBatch>>> {
    Ok(match format {
        TableFormat::Parquet => {
            let writer =
                ParquetWriter::new(to, schema, rows_per_group(schema.fields().len()), ParquetCompression::Zstd)?;
            Box::new(Parquet { writer })
        }
        TableFormat::Csv => {
            let mut writer = CsvWriter::new(to, b',');
            writer.header(schema)?;
            Box::new(Csv { writer })
        }
    })
}

struct Parquet {
    writer: ParquetWriter<PartStream>,
}

impl Encoder<RecordBatch> for Parquet {
    fn put(&mut self, batch: RecordBatch) -> Result<u64> {
        self.writer.write(&batch)?;
        Ok(batch.num_rows() as u64)
    }

    fn finish(self: Box<Self>) -> Result<PartStream> {
        self.writer.finish()
    }
}

struct Csv {
    writer: CsvWriter<PartStream>,
}

impl Encoder<RecordBatch> for Csv {
    fn put(&mut self, batch: RecordBatch) -> Result<u64> {
        self.writer.write(&batch)?;
        Ok(batch.num_rows() as u64)
    }

    fn finish(self: Box<Self>) -> Result<PartStream> {
        Ok(self.writer.into_inner())
    }
}
