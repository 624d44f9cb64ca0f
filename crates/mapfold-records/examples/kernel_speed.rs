//! CPU seconds of the kernels, one thread. Run it with `cargo run --release -p mapfold-records --example kernel_speed`,
//! with the names of some kernels behind it or all of them; the table is in docs/src/records.md.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use mapfold_plan::exact::ExactSum;
use mapfold_records::group::{Aggregate, GroupTable};
use mapfold_records::sort::{Entry, RECORD, gather_records, order_of_records, prefix};
use mapfold_records::text::{FileSplit, LineBatch, LineOptions, LineReader, key_value};
use mapfold_records::{InMemory, WordCounts, each_word, tera};
use std::hint::black_box;
use std::sync::Arc;

/// CPU time of this process: hardly depends on what else runs.
fn cpu() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 * 1e-9
}

/// Best of five, printed per unit.
fn measure(name: &str, units: f64, unit: &str, mut run: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let start = cpu();
            run();
            cpu() - start
        })
        .fold(f64::INFINITY, f64::min);
    println!("| {name} | {:.3} s | {:.2} ns per {unit} |", best, best / units * 1e9);
}

/// 200 MB of words with Zipf's frequencies, about 100 000 distinct, lines of 12.
fn prose() -> Vec<u8> {
    let (mut text, mut random, mut n) = (Vec::with_capacity(200 << 20), 1u64, 0);
    while text.len() < 200_000_000 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let rank = (1e5f64.powf((random >> 11) as f64 / (1u64 << 53) as f64)) as u64;
        let mut word = rank.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..(2 + rank.ilog2() / 2 + (word >> 60) as u32 / 3) {
            text.push(b'a' + (word % 26) as u8);
            word = (word / 26) ^ (rank << 20);
        }
        n += 1;
        text.push(if n % 12 == 0 { b'\n' } else { b' ' });
    }
    text
}

fn text(wanted: &dyn Fn(&str) -> bool) {
    let text = Bytes::from(prose());
    let bytes = text.len() as f64;
    let mut words = 0u64;
    each_word(&text, |_, _| words += 1);
    println!("text: {} bytes, {words} words", text.len());
    let read = |visit: &mut dyn FnMut(&LineBatch)| {
        let split = FileSplit { file: 0, start: 0, len: text.len() as u64 };
        let mut reader = LineReader::new(InMemory::new("t", text.clone()), split, LineOptions::default()).unwrap();
        let mut batch = LineBatch::default();
        while reader.next_batch(&mut batch).unwrap() {
            visit(&batch);
        }
    };
    if wanted("lines") {
        measure("memchr alone", bytes, "byte", || {
            black_box(memchr::memchr_iter(b'\n', &text).count());
        });
        measure("lines of a split", bytes, "byte", || {
            read(&mut |batch| {
                black_box(batch.len());
            });
        });
        measure("lines, each visited, key and value", bytes, "byte", || {
            let mut sum = 0;
            read(&mut |batch| {
                batch.iter().for_each(|(at, line)| sum += at as usize + key_value(line, Default::default()).0.len());
            });
            black_box(sum);
        });
    }
    if wanted("words") {
        measure("words, cut only", bytes, "byte", || {
            let mut n = 0;
            each_word(&text, |a, b| n += b - a);
            black_box(n);
        });
        measure("words, counted", words as f64, "word", || {
            let mut counts = WordCounts::default();
            text.chunks(1 << 20).for_each(|piece| counts.add_text(piece));
            black_box(counts.len());
        });
    }
}

fn sort() {
    let rows = 2_000_000;
    let mut records = Vec::with_capacity(rows * RECORD);
    measure("teragen", rows as f64, "record", || {
        records.clear();
        tera::generate(0, rows as u64, &mut records);
    });
    measure("floor: sort_unstable of (u64, u32)", rows as f64, "record", || {
        let rows = records.as_chunks::<RECORD>().0;
        let mut entries: Vec<Entry> =
            rows.iter().zip(0..).map(|(r, index)| Entry { prefix: prefix(r), index }).collect();
        entries.sort_unstable();
        black_box(&entries);
    });
    measure("order of records", rows as f64, "record", || {
        black_box(order_of_records(&records));
    });
    let order = order_of_records(&records);
    let mut out = Vec::with_capacity(records.len());
    measure("gather records", rows as f64, "record", || {
        out.clear();
        gather_records(&records, &order, &mut out);
    });
    measure("validate", rows as f64, "record", || assert!(tera::Summary::of(&out).unsorted_at.is_none()));
}

/// 10 million rows, 1000 distinct keys, values of one size.
fn group() {
    let rows = 10_000_000u64;
    let random =
        |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11;
    let batches: Vec<(Int64Array, Float64Array, DictionaryArray<Int32Type>, StringArray)> = (0..rows / 65_536)
        .map(|b| {
            let ids = || (b * 65_536..(b + 1) * 65_536).map(random);
            let ints = Int64Array::from_iter_values(ids().map(|r| (r % 1000) as i64));
            let floats = Float64Array::from_iter_values(ids().map(|r| (r as f64 / (1u64 << 53) as f64) * 40.0 - 5.0));
            let strings = StringArray::from_iter_values(ids().map(|r| format!("station-{:03}", r % 1000)));
            let codes = Int32Array::from_iter_values(ids().map(|r| (r % 1000) as i32));
            let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|i| format!("station-{i:03}"))));
            (ints, floats, DictionaryArray::new(codes, names), strings)
        })
        .collect();
    let rows = (rows / 65_536 * 65_536) as f64;
    let run = |key: &dyn Fn(usize) -> ArrayRef, wanted: &str| {
        let batch = |i: usize| {
            RecordBatch::try_from_iter([("k", key(i)), ("v", Arc::new(batches[i].1.clone()) as ArrayRef)]).unwrap()
        };
        let mut table =
            GroupTable::new(&batch(0).schema(), &["k"], &wanted.parse::<Aggregate>().unwrap().into()).unwrap();
        (0..batches.len()).for_each(|i| table.add(&batch(i)).unwrap());
        assert_eq!(black_box(table.finish().unwrap()).num_rows(), 1000);
    };
    let four = "v:mean,min,max,count";
    measure("group by int64: mean, min, max, count", rows, "row", || run(&|i| Arc::new(batches[i].0.clone()), four));
    measure("group by dictionary: mean, min, max, count", rows, "row", || {
        run(&|i| Arc::new(batches[i].2.clone()), four);
    });
    measure("group by text: mean, min, max, count", rows, "row", || run(&|i| Arc::new(batches[i].3.clone()), four));
    measure("group by int64: std", rows, "row", || run(&|i| Arc::new(batches[i].0.clone()), "v:std"));
    measure("one ExactSum per group", rows, "row", || {
        let mut sums = vec![ExactSum::default(); 1000];
        for (keys, values, ..) in &batches {
            keys.values().iter().zip(values.values()).for_each(|(k, v)| sums[*k as usize].add(*v));
        }
        black_box(&sums);
    });
    measure("floor: plain f64 sum per group", rows, "row", || {
        let mut sums = vec![0.0; 1000];
        for (keys, values, ..) in &batches {
            keys.values().iter().zip(values.values()).for_each(|(k, v)| sums[*k as usize] += *v);
        }
        black_box(&sums);
    });
}

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    if wanted("lines") || wanted("words") {
        text(&wanted);
    }
    if wanted("group") {
        group();
    }
    if wanted("sort") {
        sort();
    }
}
