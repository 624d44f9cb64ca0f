//! Parquet: only the named bytes are needed, damage is an error, codes and text are the same words.
#![allow(clippy::unwrap_used)]

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, types};
use mapfold_records::InMemory;
use mapfold_records::table::parquet::{ParquetCompression, ParquetTable, ParquetWriter};
use std::sync::Arc;

const ROWS: i64 = 1000;

fn batch() -> RecordBatch {
    let words = (0..ROWS).map(|i| (i % 7 != 0).then(|| format!("word {}", i % 5)));
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef, false),
        ("word", Arc::new(words.collect::<StringArray>()), true),
        ("x", Arc::new(Float64Array::from_iter((0..ROWS).map(|i| (i % 3 != 0).then_some(i as f64 / 7.0)))), true),
    ])
    .unwrap()
}

fn file(compression: ParquetCompression) -> Vec<u8> {
    let mut writer = ParquetWriter::new(Vec::new(), &batch().schema(), 300, compression).unwrap();
    writer.write(&batch()).unwrap();
    writer.finish().unwrap()
}

fn rows(table: &ParquetTable, input: &InMemory, group: usize) -> RecordBatch {
    let mut batches = table.read(group, table.fetch(input, group).unwrap()).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

#[test]
fn row_groups_are_the_rows_in_order() {
    for compression in [ParquetCompression::None, ParquetCompression::Snappy, ParquetCompression::Zstd] {
        let input = InMemory::new("t", file(compression));
        let table = ParquetTable::open(&input, None, &[]).unwrap();
        let counts: Vec<u64> = (0..table.row_groups()).map(|i| table.rows(i)).collect();
        assert_eq!(counts, [300, 300, 300, 100]);
        for (i, count) in counts.iter().enumerate() {
            assert_eq!(rows(&table, &input, i), batch().slice(i * 300, *count as usize), "{compression:?} {i}");
        }
    }
}

/// Law: decoding gets the bytes of `needs` and no others; columns that are not asked for are not among them.
#[test]
fn a_column_needs_its_own_bytes_only() {
    let input = InMemory::new("t", file(ParquetCompression::Snappy));
    let (all, one) =
        (ParquetTable::open(&input, None, &[]).unwrap(), ParquetTable::open(&input, Some(&["x"]), &[]).unwrap());
    assert_eq!(one.needs(1), all.needs(1)[2..]);
    assert_eq!(rows(&one, &input, 1).columns(), &batch().slice(300, 300).columns()[2..]);
}

#[test]
fn codes_are_the_words() {
    let input = InMemory::new("t", file(ParquetCompression::Zstd));
    let table = ParquetTable::open(&input, Some(&["word"]), &["word"]).unwrap();
    let coded = rows(&table, &input, 2);
    let codes = coded.column(0).as_dictionary::<types::Int32Type>().downcast_dict::<StringArray>().unwrap();
    let found: Vec<Option<&str>> = codes.into_iter().collect();
    assert_eq!(found, batch().slice(600, 300).column(1).as_string::<i32>().iter().collect::<Vec<_>>());
    assert!(codes.values().len() <= 5 && coded.column(0).is_null(0) == ((600 % 7) == 0));
}

#[test]
fn what_is_wrong_is_said() {
    let whole = file(ParquetCompression::Zstd);
    let open = |bytes: &[u8], wanted: Option<&[&str]>| {
        ParquetTable::open(&InMemory::new("t.parquet", bytes.to_vec()), wanted, &[]).map(|_| ())
    };
    for len in [0, 1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert!(format!("{:?}", open(&whole[..len], None).unwrap_err()).contains("t.parquet"), "{len} bytes");
    }
    assert!(format!("{:?}", open(&whole, Some(&["wrod"])).unwrap_err()).contains("n, word, x"));
    let input = InMemory::new("t", whole);
    let table = ParquetTable::open(&input, None, &[]).unwrap();
    let mut short = table.fetch(&input, 0).unwrap();
    short[1] = short[1].slice(..short[1].len() / 2);
    let read = table.read(0, short).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    assert!(format!("{:?}", read.unwrap_err()).contains("row group 0"));
}
