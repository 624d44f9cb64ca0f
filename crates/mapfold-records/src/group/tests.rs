//! Laws: exact to the bit against the exact statistics of each group, whatever the order, the batches and the merging.
#![allow(clippy::unwrap_used)]

use super::*;
use arrow_array::{DictionaryArray, Float64Array, Int64Array, StringArray, UInt64Array};
use mapfold_plan::exact::{ExactSum, Moments};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Row = (Option<u8>, bool, Option<f64>, Option<i64>);

/// Values of one size mostly, with strays that no window holds.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e3..1e3f64,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 0.1]),
        1 => prop::sample::select(vec![1e300, -1e300, 1e-300, f64::MIN_POSITIVE / 4.0, f64::NAN, 1e-9, 1e18]),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let int = prop_oneof![-5i64..5, any::<i64>()];
    prop::collection::vec(
        (
            prop::option::weighted(0.9, 0u8..6),
            any::<bool>(),
            prop::option::weighted(0.9, value()),
            prop::option::of(int),
        ),
        1..80,
    )
}

/// As key a word (with a dictionary or without) and a boolean.
fn batch(rows: &[Row], with_dictionary: bool) -> RecordBatch {
    let words: Vec<Option<String>> = rows
        .iter()
        .map(|r| r.0.map(|k| "long enough to be no inline key ".repeat(usize::from(k) / 4) + &k.to_string()))
        .collect();
    let word: ArrayRef = if with_dictionary {
        Arc::new(words.iter().map(Option::as_deref).collect::<DictionaryArray<types::Int32Type>>())
    } else {
        Arc::new(StringArray::from(words))
    };
    RecordBatch::try_from_iter_with_nullable([
        ("word", word, true),
        ("flag", Arc::new(arrow_array::BooleanArray::from_iter(rows.iter().map(|r| Some(r.1)))) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.2))), true),
        ("n", Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.3))), true),
    ])
    .unwrap()
}

fn table(batch: &RecordBatch) -> GroupTable {
    let wanted = ["x:mean,min,max,count,sum,std,nunique", "n:mean,min,max,count,std,nunique", "word:count"];
    let wanted = spec::Aggregates(wanted.map(|w| w.parse().unwrap()).into());
    GroupTable::new(&batch.schema(), &["word", "flag"], &wanted).unwrap()
}

/// By the definition: the exact statistics of each group's values.
fn naive(rows: &[Row]) -> Vec<Vec<Option<u64>>> {
    let mut groups = BTreeMap::<(bool, Option<u8>, bool), Vec<&Row>>::new();
    rows.iter().for_each(|row| groups.entry((row.0.is_none(), row.0, row.1)).or_default().push(row));
    // Text sorts by bytes: the longer words begin with a letter, behind the digits of the others, as their numbers do.
    groups
        .values()
        .map(|rows| {
            [floats(rows), ints(rows), vec![Some(rows.iter().filter(|r| r.0.is_some()).count() as u64)]].concat()
        })
        .collect()
}

fn bits(v: Option<f64>) -> Option<u64> {
    v.map(f64::to_bits)
}

fn floats(rows: &[&Row]) -> Vec<Option<u64>> {
    let values: Vec<f64> = rows.iter().filter_map(|r| r.2).filter(|v| !v.is_nan()).collect();
    let mut m = Moments::default();
    values.iter().for_each(|v| m.add(*v));
    let distinct = values.iter().map(|v| (v + 0.0).to_bits()).collect::<BTreeSet<_>>().len() as u64;
    vec![
        bits(m.mean()),
        bits(m.min()),
        bits(m.max()),
        Some(m.count()),
        bits(Some(m.sum())),
        bits(m.std(1)),
        Some(distinct),
    ]
}

fn ints(rows: &[&Row]) -> Vec<Option<u64>> {
    let values: Vec<i64> = rows.iter().filter_map(|r| r.3).collect();
    let (mut sum, mut squares) = (ExactSum::default(), ExactSum::default());
    values.iter().for_each(|v| sum.add_int(i128::from(*v)));
    values.iter().for_each(|v| squares.add_int(i128::from(*v) * i128::from(*v)));
    let m = Moments::from_sums(values.len() as u64, None, sum, squares);
    let as_bits = |v: Option<&i64>| v.map(|v| *v as u64);
    let distinct = values.iter().collect::<BTreeSet<_>>().len() as u64;
    let count = Some(values.len() as u64);
    vec![
        bits(m.mean()),
        as_bits(values.iter().min()),
        as_bits(values.iter().max()),
        count,
        bits(m.std(1)),
        Some(distinct),
    ]
}

/// The aggregates of a result as bits, row by row.
fn cells(result: &RecordBatch) -> Vec<Vec<Option<u64>>> {
    let cell = |array: &ArrayRef, row: usize| {
        let float = array.as_primitive_opt::<types::Float64Type>().map(|a| a.value(row).to_bits());
        let value = float.or_else(|| array.as_primitive_opt::<types::Int64Type>().map(|a| a.value(row) as u64));
        value.filter(|_| array.is_valid(row))
    };
    (0..result.num_rows()).map(|row| result.columns()[2..].iter().map(|array| cell(array, row)).collect()).collect()
}

proptest! {
    #[test]
    fn exact_for_any_batches_and_merges(rows in rows(), size in 1usize..30, tables in 1usize..4, rows_per_batch in 1usize..9, seed: u64) {
        let mut shuffled = rows.clone();
        let len = shuffled.len();
        (0..len).for_each(|i| shuffled.swap(i, (seed as usize).wrapping_mul(i + 1) % len));
        let mut parts: Vec<GroupTable> = (0..tables).map(|_| table(&batch(&rows, false))).collect();
        for (i, piece) in shuffled.chunks(size).enumerate() {
            parts[i % tables].add(&batch(piece, i % 2 == 0)).unwrap();
        }
        let whole = reduced(&parts, rows_per_batch);
        prop_assert!(whole.iter().all(|b| b.num_rows() <= rows_per_batch));
        prop_assert_eq!(whole.iter().flat_map(cells).collect::<Vec<_>>(), naive(&rows));
        let mut one = table(&batch(&rows, true));
        one.add(&batch(&rows, true)).unwrap();
        prop_assert_eq!(cells(&one.finish().unwrap()), naive(&rows));
    }
}

/// What an exchange and a reducer make of tables.
fn reduced(parts: &[GroupTable], rows_per_batch: usize) -> Vec<RecordBatch> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for part in parts {
        part.records(|key, value| records.push((key.to_vec(), value.to_vec()))).unwrap();
    }
    records.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut rows, len, mut out) = (parts[0].rows(), parts[0].key_len(), Vec::new());
    for group in records.chunk_by(|a, b| a.0[..len(&a.0)] == b.0[..len(&b.0)]) {
        let at = len(&group[0].0);
        rows.begin(&group[0].0[..at]).unwrap();
        group.iter().for_each(|(key, value)| rows.put(&key[at..], value).unwrap());
        if rows.len() == rows_per_batch {
            out.push(rows.take().unwrap());
        }
    }
    out.push(rows.take().unwrap());
    out
}

#[test]
fn what_cannot_be_grouped_is_refused_by_name() {
    let batch = batch(&[(None, true, None, None)], false);
    let make = |by: &str, wanted: &str| {
        let wanted: Aggregate = wanted.parse()?;
        GroupTable::new(&batch.schema(), &[by], &wanted.into()).map(|_| ())
    };
    let says = |by, wanted| format!("{:?}", make(by, wanted).unwrap_err());
    assert!(says("x", "n:sum").contains("\"x\""));
    assert!(says("wrod", "n:sum").contains("word"));
    assert!(says("word", "flag:mean").contains("no mean"));
    assert!(says("word", "n:median").contains("nunique"));
    assert!(says("word", "n").contains("COLUMN:KIND"));
}

#[test]
fn too_large_a_sum_and_too_large_a_value_are_errors() {
    let grouped = |values: ArrayRef| {
        let key: ArrayRef = Arc::new(Int64Array::from(vec![1; values.len()]));
        let batch = RecordBatch::try_from_iter([("k", key), ("v", values)]).unwrap();
        let mut table = GroupTable::new(&batch.schema(), &["k"], &"v:sum".parse::<Aggregate>().unwrap().into())?;
        table.add(&batch)?;
        table.finish()
    };
    let sum = grouped(Arc::new(Int64Array::from(vec![i64::MAX, 1]))).unwrap_err();
    assert!(sum.what().contains("9223372036854775808"), "{sum}");
    assert!(grouped(Arc::new(UInt64Array::from(vec![u64::MAX]))).is_err());
    assert!(grouped(Arc::new(UInt64Array::from(vec![7]))).is_ok());
}

#[test]
fn a_state_of_another_plan_is_refused() {
    let batch = batch(&[(Some(1), true, Some(1.0), Some(1))], false);
    let other = |wanted: &str| {
        let wanted = wanted.parse::<Aggregate>().unwrap().into();
        let mut table = GroupTable::new(&batch.schema(), &["word", "flag"], &wanted).unwrap();
        table.add(&batch).unwrap();
        table
    };
    let own = table(&batch);
    for foreign in [other("x:mean"), other("n:std"), other("x:nunique")] {
        let (mut rows, len, mut faults) = (own.rows(), own.key_len(), 0);
        foreign
            .records(|key, value| {
                let (group, rest) = key.split_at(len(key));
                rows.begin(group).unwrap();
                faults += usize::from(rows.put(rest, value).is_err());
            })
            .unwrap();
        assert!(faults > 0);
    }
    let mut rows = own.rows();
    assert!(rows.put(&[0], &[]).is_err() && rows.begin(b"\xff\xff").is_err());
}
