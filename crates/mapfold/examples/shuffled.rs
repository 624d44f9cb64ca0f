//! Generated records through an exchange, with a digest of each partition that depends on their order: what the exchange
//! costs, that it stays below its memory, and that its result never changes.
//!
//! `cargo run --release -p mapfold --example shuffled -- --splits 64 --mib 16 --mode pseudo --workers 2 --shuffle pipelined`
use mapfold::prelude::*;
use std::time::Duration;

/// Records of 100 bytes, by key
#[derive(Parser, Serialize, Deserialize, Clone, Debug, Copy)]
struct Shuffled {
    /// Splits that put records
    #[arg(long, default_value_t = 16)]
    splits: u64,
    /// MiB of records that each of them puts
    #[arg(long, default_value_t = 1)]
    mib: u64,
    /// Percent of the records that have one and the same key
    #[arg(long, default_value_t = 0)]
    skew: u64,
    /// Milliseconds that a split takes besides
    #[arg(long, default_value_t = 0)]
    map_millis: u64,
    /// Milliseconds that a partition takes besides
    #[arg(long, default_value_t = 0)]
    reduce_millis: u64,
    /// Make the records and put none: what is not the exchange
    #[arg(long)]
    generate_only: bool,
    /// A split that panics
    #[arg(long)]
    bad_split: Option<u64>,
    /// Whether the first reducer panics
    #[arg(long)]
    bad_reducer: bool,
}

/// Bytes of a record.
const RECORD: usize = 100;

/// The finisher of SplitMix64: a number that looks random.
fn mixed(i: u64) -> u64 {
    let z = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn shuffled(job: Shuffled, p: &Plan) -> Result<()> {
    let Shuffled { splits, mib, skew, map_millis, reduce_millis, generate_only, bad_split, bad_reducer } = job;
    let each = (mib << 20) / RECORD as u64;
    p.range(splits)
        .shuffle("records", move |split, emit| {
            std::thread::sleep(Duration::from_millis(map_millis));
            assert!(bad_split != Some(split), "this split is bad");
            let mut record = [b'.'; RECORD];
            for i in split * each..(split + 1) * each {
                let random = mixed(i + 1);
                let key = if random % 100 < skew { 0 } else { random };
                record[..8].copy_from_slice(&key.to_be_bytes());
                record[8..16].copy_from_slice(&i.to_le_bytes());
                if !generate_only || std::hint::black_box(&record)[99] == 0 {
                    emit.put(&record[..8], &record[8..]);
                }
            }
        })
        .reduce_raw(move |groups, out| {
            std::thread::sleep(Duration::from_millis(reduce_millis));
            let (mut rows, mut digest) = (0_u64, 0_u64);
            while let Some(mut group) = groups.next() {
                assert!(!bad_reducer, "this reducer is bad");
                digest ^= mixed(u64::from(group.key[0]));
                while let Some(value) = group.values.next() {
                    let number = value[..8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
                    (rows, digest) = (rows + 1, digest.rotate_left(1) ^ number);
                }
            }
            out((rows, digest))
        })
        .report("digests")
}

fn main() -> ExitCode {
    mapfold::main(shuffled)
}
