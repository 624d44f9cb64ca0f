//! What a record costs on its way through the exchange, on one thread and without an engine:
//! `cargo run --release -p mapfold-plan --example exchange_speed [millions of records]`.
//!
//! CPU nanoseconds per record (from the system's account, so that other load hardly shows), each beside its floor: the
//! least that any implementation would have to do.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use mapfold_plan::exchange::{Exchanging, Piece, RawValues};
use mapfold_plan::{Cut, Cx, Place, Plan, PlanOptions, Product, Result, hash64};
use std::cell::RefCell;
use std::hint::black_box;

const SPLITS: u64 = 16;

/// Nanoseconds that this process has been running on a CPU.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn told(what: &str, records: u64, since: u64) {
    println!("{:6.1} ns per record  {what}", (cpu() - since) as f64 / records as f64);
}

/// 100 bytes with a random key in the first 10.
fn record(i: u64) -> [u8; 100] {
    let mut record = [b'.'; 100];
    record[..8].copy_from_slice(&hash64(&i.to_le_bytes()).to_be_bytes());
    record[8..10].copy_from_slice(&(i as u16).to_be_bytes());
    record
}

/// Runs the map side of a plan's first stage; gives its pieces by partition.
fn map_side(plan: &Plan, partitions: usize) -> Vec<Vec<Piece>> {
    let (rooms, stage) = (RefCell::default(), plan.stages()[0].clone());
    let mut out = vec![Vec::new(); partitions];
    for split in 0..stage.domain().splits() {
        let cx = Cx::new(&rooms);
        cx.set_split(split);
        let made = stage.run(&Place::Unit(split), Cut::Whole, &cx, &mut |_, _| Ok(()));
        let Product::Records(pieces) = made.unwrap() else { unreachable!() };
        pieces.into_iter().for_each(|p| out[p.origin().partition as usize].push(p));
    }
    out
}

/// Runs the reduce side: the plan's second stage.
fn reduce_side(plan: &Plan, pieces: Vec<Vec<Piece>>) {
    let (rooms, stage) = (RefCell::default(), plan.stages()[1].clone());
    for (partition, pieces) in pieces.into_iter().enumerate() {
        let cx = Cx::new(&rooms);
        cx.set_exchanging(Exchanging { pieces, ..Exchanging::default() });
        let place = Place::Partition { exchange: 0, partition: partition as u32 };
        stage.run(&place, Cut::Whole, &cx, &mut |_, _| Ok(())).unwrap();
    }
}

fn plan(partitions: u32) -> Plan {
    Plan::new(mapfold_store::Stores::new(), PlanOptions { partitions: Some(partitions), ..PlanOptions::default() })
}

/// 100-byte records, put, sorted, grouped and copied in order.
fn sort(records: u64, partitions: u32) {
    println!("\n{records} records of 100 bytes, keys of 10, {partitions} partitions");
    let each = records / SPLITS;
    let t = cpu();
    (0..records).for_each(|i| _ = black_box(record(i)));
    told("floor: making the record", records, t);

    let p = plan(partitions);
    p.range(SPLITS)
        .shuffle("sort", move |s, emit| {
            for i in s * each..(s + 1) * each {
                let r = record(i);
                emit.put(&r[..10], &r[10..]);
            }
        })
        .reduce_raw(|groups, out| {
            let mut copied = Vec::with_capacity(64 << 20);
            while let Some(mut group) = groups.next() {
                while let Some((key, value)) = group.values.next_record() {
                    copied.extend_from_slice(key);
                    copied.extend_from_slice(value);
                }
            }
            out(black_box(copied).len())
        })
        .report("copied")
        .unwrap();
    let t = cpu();
    let pieces = map_side(&p, partitions as usize);
    told("making it, put, partition, seal with checksum", records, t);
    let t = cpu();
    reduce_side(&p, pieces);
    told("sort, group, copy in order", records, t);
    floor_of_sort(records);
}

/// Sorts (prefix, number) of all records and copies them in that order.
fn floor_of_sort(records: u64) {
    let all: Vec<[u8; 100]> = (0..records).map(record).collect();
    let t = cpu();
    let prefix = |r: &[u8; 100]| u64::from_be_bytes(*r.first_chunk().unwrap());
    let mut index: Vec<(u64, u32)> = all.iter().enumerate().map(|(i, r)| (prefix(r), i as u32)).collect();
    index.sort_unstable();
    let mut copied = Vec::with_capacity(records as usize * 100);
    index.iter().for_each(|(_, i)| copied.extend_from_slice(&all[*i as usize]));
    black_box(copied);
    told("floor: Vec<(u64, u32)>::sort_unstable and a copy in order", records, t);
}

fn sum(_: &[u8], values: &mut RawValues<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut total = 0u64;
    while let Some(v) = values.next() {
        total += v.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    }
    out.extend_from_slice(&total.to_le_bytes());
    Ok(())
}

/// Small numbers counted: a fold table before the exchange.
fn fold(tokens: u64, keys: u64) {
    println!("\n{tokens} tokens, {keys} different keys of 4 bytes, counted");
    let each = tokens / SPLITS;
    let key = move |i: u64| ((hash64(&i.to_le_bytes()) % keys) as u32).to_be_bytes();
    let t = cpu();
    (0..tokens).for_each(|i| _ = black_box(key(i)));
    told("floor: making the key", tokens, t);
    let p = plan(32);
    let one = 1u64.to_le_bytes();
    p.range(SPLITS)
        .shuffle("count", move |s, emit| (s * each..(s + 1) * each).for_each(|i| emit.put(&key(i), &one)))
        .combine_raw(sum)
        .reduce_raw(|groups, out| {
            let (mut total, mut folded) = (0, Vec::new());
            while let Some(mut group) = groups.next() {
                folded.clear();
                sum(group.key, &mut group.values, &mut folded)?;
                total += folded.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
            }
            out(total)
        })
        .report("tokens")
        .unwrap();
    let t = cpu();
    let pieces = map_side(&p, 32);
    told("making it, fold, seal", tokens, t);
    let t = cpu();
    reduce_side(&p, pieces);
    told("merge", tokens, t);
}

fn main() {
    let millions: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    sort(millions * 1_000_000, 32);
    sort(millions * 1_000_000, 512);
    fold(millions * 10_000_000, 1000);
    fold(millions * 10_000_000, 200_000);
}
