//! Parquet tables: footer, row groups and columns as byte ranges, batches from those bytes; and out.
//!
//! Fetching is apart from decoding: [`ParquetTable::needs`] names the bytes of a row group's columns, [`ParquetTable::read`]
//! decodes them once they are there. A row group is a split. Text columns that are dictionary-coded can be had as
//! codes, so that grouping looks a word up once per dictionary page and not once per row.
//!
//! The format's own work is done by the `parquet` crate. Deliberately absent: filters on page level, nested columns.

use crate::Ranges;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::{Buf, Bytes};
use mapfold_plan::{Error, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read at once from the end of a file: most footers fit.
const TAIL: u64 = 64 << 10;
/// Rows per batch.
const BATCH: usize = 64 << 10;

/// The header of a Parquet file, and the columns that are asked for.
#[derive(Clone, Debug)]
pub struct ParquetTable {
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    schema: SchemaRef,
    /// Bytes of the file.
    size: u64,
}

impl ParquetTable {
    /// Reads the footer. `wanted` are the columns of batches (in the order of the file), or all; text columns among `codes`
    /// come as dictionaries.
    ///
    /// # Errors
    /// When the file is no Parquet, or has no such column.
    pub fn open(input: &impl Ranges, wanted: Option<&[&str]>, codes: &[&str]) -> Result<ParquetTable> {
        let place = |e: ParquetError| not_parquet(&e).at_place(input.name());
        let parsed = Arc::new(ParquetMetaDataReader::new().parse_and_finish(&Fetched::footer(input)?).map_err(place)?);
        let plain = ArrowReaderMetadata::try_new(parsed.clone(), ArrowReaderOptions::new()).map_err(place)?;
        let fields = plain.schema().fields().iter();
        let fields: Vec<Field> = fields.map(|f| hinted(f, codes.contains(&f.name().as_str()))).collect();
        let hinted = Arc::new(Schema::new(fields));
        let metadata =
            ArrowReaderMetadata::try_new(parsed, ArrowReaderOptions::new().with_schema(hinted)).map_err(place)?;
        let all: Vec<&str> = metadata.schema().fields().iter().map(|f| f.name().as_str()).collect();
        if let Some(unknown) = wanted.into_iter().flatten().find(|name| !all.contains(name)) {
            let what = format!("there is no column {unknown:?}");
            return Err(Error::usage(what).at_place(input.name()).with_remedy(format!("one of {}", all.join(", "))));
        }
        let roots = (0..all.len()).filter(|i| wanted.is_none_or(|wanted| wanted.contains(&all[*i])));
        let roots: Vec<usize> = roots.collect();
        let schema = Arc::new(metadata.schema().project(&roots)?);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        Ok(ParquetTable { metadata, mask, schema, size: input.size() })
    }

    /// The end of a file that holds its footer: all that [`ParquetTable::open`] reads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn footer(input: &impl Ranges) -> Result<Bytes> {
        Ok(Fetched::footer(input)?.parts.swap_remove(0).1)
    }

    /// The columns of a batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of a row group.
    ///
    /// # Panics
    /// When there is no such row group.
    pub fn rows(&self, row_group: usize) -> u64 {
        self.metadata.metadata().row_group(row_group).num_rows() as u64
    }

    /// The bytes that reading a row group needs: one range per column.
    ///
    /// # Panics
    /// When there is no such row group.
    pub fn needs(&self, row_group: usize) -> Vec<Range<u64>> {
        let columns = self.metadata.metadata().row_group(row_group).columns().iter().enumerate();
        let wanted = columns.filter(|(i, _)| self.mask.leaf_included(*i));
        wanted
            .map(|(_, column)| {
                let (start, len) = column.byte_range();
                start..start + len
            })
            .collect()
    }

    /// The bytes of [`ParquetTable::needs`], one request each.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn fetch(&self, input: &impl Ranges, row_group: usize) -> Result<Vec<Bytes>> {
        let needs = self.needs(row_group);
        needs.iter().map(|range| input.read(range.start, (range.end - range.start) as usize)).collect()
    }

    /// Decodes a row group from the bytes of [`ParquetTable::needs`], in that order.
    ///
    /// # Errors
    /// When bytes are missing or damaged.
    pub fn read(
        &self,
        row_group: usize,
        bytes: Vec<Bytes>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let damaged = move |e: &dyn std::fmt::Display| {
            Error::input(format!("row group {row_group} cannot be decoded: {e}"))
                .with_remedy("copy or make the file again")
        };
        let parts = self.needs(row_group).iter().map(|range| range.start).zip(bytes).collect();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            Fetched { size: self.size, parts },
            self.metadata.clone(),
        );
        let builder =
            builder.with_projection(self.mask.clone()).with_row_groups(vec![row_group]).with_batch_size(BATCH);
        let reader = builder.build().map_err(|e| damaged(&e))?;
        Ok(reader.map(move |batch| batch.map_err(|e| damaged(&e))))
    }
}

fn not_parquet(e: &ParquetError) -> Error {
    Error::input(format!("not a whole Parquet file: {e}")).with_remedy("copy or make the file again")
}

/// The field as it is to be decoded: text of any kind (pandas writes `large_string`) as `Utf8`, or as codes.
fn hinted(field: &Field, as_codes: bool) -> Field {
    if !matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return field.clone();
    }
    let codes = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Field::new(field.name(), if as_codes { codes() } else { DataType::Utf8 }, field.is_nullable())
}

/// Parts of a file that are in memory.
struct Fetched {
    size: u64,
    /// Where each part begins, and its bytes.
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// The end of a file; read again if the footer is larger than usual.
    fn footer(input: &impl Ranges) -> Result<Fetched> {
        let size = input.size();
        let tail = |len: u64| input.read(size - len, len as usize);
        let mut bytes = tail(TAIL.min(size))?;
        let length = bytes.len().checked_sub(8).and_then(|at| bytes[at..].first_chunk::<4>());
        let wanted = length.map_or(0, |length| u64::from(u32::from_le_bytes(*length)) + 8);
        if wanted > TAIL && wanted <= size && bytes.ends_with(b"PAR1") {
            bytes = tail(wanted)?;
        }
        Ok(Fetched { size, parts: vec![(size - bytes.len() as u64, bytes)] })
    }

    /// What is there from `start` to the end of its part.
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let part = self.parts.iter().find(|(at, bytes)| *at <= start && start < *at + bytes.len() as u64);
        let outside = || ParquetError::EOF(format!("byte {start} was not fetched"));
        part.map(|(at, bytes)| bytes.slice((start - at) as usize..)).ok_or_else(outside)
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;
    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.from(start).map(Buf::reader)
    }
    fn get_bytes(&self, start: u64, len: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        if len > bytes.len() {
            return Err(ParquetError::EOF(format!("{len} bytes at {start} were not fetched")));
        }
        Ok(bytes.slice(..len))
    }
}

/// How columns are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Not.
    None,
    /// Snappy: what every reader knows.
    Snappy,
    /// Zstandard, level 1: smaller, and about as quick.
    #[default]
    Zstd,
}

/// Writes batches as a Parquet file; row groups end after `rows_per_group` rows, so that they are the splits of a reader.
///
/// ```
/// use arrow_array::{ArrayRef, Int64Array, RecordBatch};
/// use mapfold_records::InMemory;
/// use mapfold_records::table::parquet::{ParquetCompression, ParquetTable, ParquetWriter};
/// let column: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(0..10));
/// let batch = RecordBatch::try_from_iter([("n", column)])?;
/// let mut writer = ParquetWriter::new(Vec::new(), &batch.schema(), 4, ParquetCompression::default())?;
/// writer.write(&batch)?;
/// let file = InMemory::new("n.parquet", writer.finish()?);
/// let table = ParquetTable::open(&file, None, &[])?;
/// let rows = |group| Ok::<_, mapfold_plan::Error>(table.read(group, table.fetch(&file, group)?)?.next());
/// assert_eq!(table.row_groups(), 3);
/// assert_eq!(rows(1)?.expect("a batch")?, batch.slice(4, 4));
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
pub struct ParquetWriter<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> ParquetWriter<W> {
    /// Writes to `out` as row groups fill.
    ///
    /// # Errors
    /// When a column has a type that Parquet does not have.
    pub fn new(
        out: W,
        schema: &SchemaRef,
        rows_per_group: usize,
        compression: ParquetCompression,
    ) -> Result<ParquetWriter<W>> {
        let compression = match compression {
            ParquetCompression::None => Compression::UNCOMPRESSED,
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        };
        let properties = WriterProperties::builder().set_compression(compression);
        let properties = properties.set_max_row_group_row_count(Some(rows_per_group.max(1)));
        // The same bytes for the same rows in every version of the `parquet` crate but for its own changes.
        let properties = properties.set_created_by("mapfold".to_string()).build();
        Ok(ParquetWriter(ArrowWriter::try_new(out, schema.clone(), Some(properties))?))
    }

    /// Writes rows.
    ///
    /// # Errors
    /// Those of `out`, and a batch of another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.0.write(batch)?)
    }

    /// Writes the footer.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(self) -> Result<W> {
        Ok(self.0.into_inner()?)
    }
}
