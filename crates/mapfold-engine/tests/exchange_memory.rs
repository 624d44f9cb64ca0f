//! An exchange several times as large as the memory limit: it spills, stays below the limit, gives the same bytes and
//! leaves nothing behind. One test only: the peak is that of the whole process (VmHWM).
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use mapfold_engine::{RunOptions, RunOutcome, peak_rss, run};
use mapfold_plan::{Plan, PlanOptions, hash64};
use mapfold_store::Stores;
use std::path::Path;

const SPLITS: u64 = 64;
const RECORDS: u64 = 80_000;
const LIMIT: u64 = 128 << 20;

/// 100 bytes, of which the first 10 are the key: 7 of 10 records have the same one.
fn record(i: u64) -> [u8; 100] {
    let mut record = [0; 100];
    let random = hash64(&i.to_le_bytes());
    let key = if random % 10 < 7 { 0 } else { random >> 40 };
    record[2..10].copy_from_slice(&key.to_be_bytes());
    record[10..18].copy_from_slice(&i.to_le_bytes());
    record
}

/// For each partition the number of records and a hash that depends on their order.
fn digests(scratch: &Path, memory_limit: u64, workers: usize) -> RunOutcome {
    let plan = Plan::new(Stores::new(), PlanOptions::default());
    plan.range(SPLITS)
        .shuffle("records", |split, emit| {
            for i in split * RECORDS..(split + 1) * RECORDS {
                let record = record(i);
                emit.put(&record[..10], &record[10..]);
            }
        })
        .reduce_raw(|groups, out| {
            let (mut rows, mut hash) = (0u64, 0u64);
            while let Some(mut group) = groups.next() {
                hash ^= hash64(group.key);
                while let Some(value) = group.values.next() {
                    (rows, hash) = (rows + 1, hash.rotate_left(1) ^ hash64(value));
                }
            }
            out((rows, hash))
        })
        .report("digests")
        .unwrap();
    let scratch = Some(scratch.to_path_buf());
    run(&plan, &RunOptions { memory_limit, scratch, workers, threads: 2, ..RunOptions::default() }).unwrap()
}

#[test]
fn an_exchange_larger_than_memory_stays_below_the_limit_and_gives_the_same_bytes() {
    let scratch = std::env::temp_dir().join(format!("mapfold-exchange-memory-{}", std::process::id()));
    std::fs::create_dir(&scratch).unwrap();
    let tight = digests(&scratch, LIMIT, 1);
    let mib = |b: u64| b >> 20;
    let (peak, predicted) = (peak_rss(), tight.predicted_peak_bytes);
    eprintln!(
        "{} MiB limit, {} measured, {} predicted, {} spilled",
        mib(LIMIT),
        mib(peak),
        mib(predicted),
        mib(tight.bytes_spilled)
    );
    assert!(tight.bytes_spilled > SPLITS * RECORDS * 100, "most of it goes through files, and the large key twice");
    assert!(peak <= LIMIT && peak <= predicted, "{} MiB", mib(peak));
    let tight_workers = digests(&scratch, LIMIT, 3);
    assert!(peak_rss() <= LIMIT, "{} MiB with 3 workers", mib(peak_rss()));
    let wide = digests(&scratch, 4 << 30, 1);
    assert_eq!(wide.bytes_spilled, 0);
    assert_eq!((&tight.reports, &tight_workers.reports), (&wide.reports, &wide.reports));
    let rows: u64 = wide.reports[0].values.iter().map(|v| v[0].as_u64().unwrap()).sum();
    assert_eq!(rows, SPLITS * RECORDS);
    std::fs::remove_dir(&scratch).expect("nothing is left in it");
}
