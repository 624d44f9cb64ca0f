//! The floor of a sort of 100-byte records: read the file, sort keys, write the records in order; nothing else.
//!
//! `sort_floor IN OUT THREADS`. Keys are dealt into 2048 buckets by their upper bits first (one pass of a radix sort); each
//! thread then sorts its buckets and writes their records. Everything is in memory: no exchange, no log, no promise.
#![allow(clippy::unwrap_used)]

use mapfold_records::sort::{Entry, KEY, RECORD, prefix};
use std::fs::File;
use std::os::unix::fs::FileExt;

const BITS: u32 = 11;
/// Bytes of a write.
const PIECE: usize = 1 << 20;

fn bucket(entry: u64) -> usize {
    (entry >> (64 - BITS)) as usize
}

/// Entries by bucket, and where each bucket begins.
fn dealt(rows: &[[u8; RECORD]]) -> (Vec<Entry>, Vec<usize>) {
    let mut starts = vec![0usize; (1 << BITS) + 1];
    rows.iter().for_each(|row| starts[bucket(prefix(&row[..KEY])) + 1] += 1);
    (0..1 << BITS).for_each(|i| starts[i + 1] += starts[i]);
    let (mut next, mut entries) = (starts.clone(), vec![Entry { prefix: 0, index: 0 }; rows.len()]);
    for (row, index) in rows.iter().zip(0..) {
        let prefix = prefix(&row[..KEY]);
        let at = &mut next[bucket(prefix)];
        entries[*at] = Entry { prefix, index };
        *at += 1;
    }
    (entries, starts)
}

/// Sorts buckets of one thread and writes their records from record `first` on.
fn finish(rows: &[[u8; RECORD]], buckets: &mut [Entry], lens: &[usize], first: usize, out: &File) {
    let (mut piece, mut at, mut rest) = (Vec::with_capacity(PIECE + RECORD), (first * RECORD) as u64, buckets);
    let ends = |entry: &Entry| rows[entry.index as usize][8..KEY].to_vec();
    for len in lens {
        let (entries, behind) = rest.split_at_mut(*len);
        entries.sort_unstable();
        for run in entries.chunk_by_mut(|a, b| a.prefix == b.prefix).filter(|run| run.len() > 1) {
            run.sort_by_key(ends);
        }
        for entry in entries.iter() {
            piece.extend_from_slice(&rows[entry.index as usize]);
            if piece.len() >= PIECE {
                out.write_all_at(&piece, at).unwrap();
                at += piece.len() as u64;
                piece.clear();
            }
        }
        rest = behind;
    }
    out.write_all_at(&piece, at).unwrap();
}

fn main() {
    let [from, to, threads] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("usage: IN OUT THREADS");
    let bytes = std::fs::read(from).unwrap();
    let rows = bytes.as_chunks::<RECORD>().0;
    let (mut entries, starts) = dealt(rows);
    let (out, threads): (File, usize) = (File::create(to).unwrap(), threads.parse().unwrap());
    std::thread::scope(|scope| {
        let mut rest = entries.as_mut_slice();
        let each = (1usize << BITS).div_ceil(threads);
        for from in (0..1 << BITS).step_by(each) {
            let until = (from + each).min(1 << BITS);
            let (mine, behind) = rest.split_at_mut(starts[until] - starts[from]);
            rest = behind;
            let (starts, out) = (&starts, &out);
            scope.spawn(move || {
                let lens: Vec<usize> = (from..until).map(|b| starts[b + 1] - starts[b]).collect();
                finish(rows, mine, &lens, starts[from], out);
            });
        }
    });
}
