//! Tables in and out, to be compared with pandas and pyarrow by tests/oracle/tables.py.
//!
//! usage: table_of convert IN OUT, or table_of group IN OUT KEYS AGGREGATES (`a,b` and `x:mean,std`); files end in `.csv` (read in
//! splits of 1000 bytes) or `.parquet` (written in row groups of 100).
#![allow(clippy::unwrap_used)]

use arrow_array::RecordBatch;
use mapfold_plan::Result;
use mapfold_records::group::{Aggregate, GroupTable};
use mapfold_records::table::parquet::{ParquetCompression, ParquetTable, ParquetWriter};
use mapfold_records::table::{CsvOptions, CsvReader, CsvWriter, infer_schema};
use mapfold_records::text::{FileSize, SplitOptions, plan_splits};
use mapfold_records::{InMemory, Ranges};

fn read(path: &str) -> Result<Vec<RecordBatch>> {
    let input = InMemory::new(path, std::fs::read(path)?);
    if path.ends_with(".parquet") {
        let table = ParquetTable::open(&input, None, &[])?;
        let group = |i| table.read(i, table.fetch(&input, i)?)?.collect::<Result<Vec<_>>>();
        return Ok((0..table.row_groups()).map(group).collect::<Result<Vec<_>>>()?.concat());
    }
    let (options, mut batches) = (CsvOptions::default(), Vec::new());
    let schema = infer_schema(&input.read(0, input.size() as usize)?, &options)?;
    let size = FileSize { size: input.size(), splittable: true };
    for split in plan_splits(&[size], &SplitOptions { block: 1000, ..SplitOptions::default() })? {
        let mut reader = CsvReader::new(&input, split, &schema, None, options)?;
        while let Some(batch) = reader.next_batch()? {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn write(path: &str, batches: &[RecordBatch]) -> Result<()> {
    let schema = batches[0].schema();
    if path.ends_with(".parquet") {
        let mut writer = ParquetWriter::new(Vec::new(), &schema, 100, ParquetCompression::default())?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        return Ok(std::fs::write(path, writer.finish()?)?);
    }
    let mut writer = CsvWriter::new(Vec::new(), b',');
    writer.header(&schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(std::fs::write(path, writer.into_inner())?)
}

/// One table per batch, their records sorted and reduced: the way of a real job.
fn group(batches: &[RecordBatch], keys: &str, aggregates: &str) -> Result<RecordBatch> {
    let keys: Vec<&str> = keys.split(',').collect();
    let wanted: Aggregate = aggregates.parse()?;
    let table = || GroupTable::new(&batches[0].schema(), &keys, &wanted.clone().into());
    let mut records = Vec::new();
    for batch in batches {
        let mut one = table()?;
        one.add(batch)?;
        one.records(|key, value| records.push((key.to_vec(), value.to_vec())))?;
    }
    records.sort();
    let (mut rows, len) = (table()?.rows(), table()?.key_len());
    for group in records.chunk_by(|a, b| a.0[..len(&a.0)] == b.0[..len(&b.0)]) {
        let at = len(&group[0].0);
        rows.begin(&group[0].0[..at])?;
        group.iter().try_for_each(|(key, value)| rows.put(&key[at..], value))?;
    }
    rows.take()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["convert", from, to] => write(to, &read(from)?),
        ["group", from, to, keys, aggregates] => write(to, &[group(&read(from)?, keys, aggregates)?]),
        _ => panic!("usage: table_of convert IN OUT | table_of group IN OUT KEYS AGGREGATES"),
    }
}
