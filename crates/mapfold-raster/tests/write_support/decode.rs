//! A second, slow and plain reading of the format, written from the TIFF specification and not from the writer:
//! directories, tiles, predictors byte by byte.
#![allow(dead_code, clippy::unwrap_used)]

use mapfold_grid::Pixel;
use std::collections::BTreeMap;

/// One directory: tag -> values as f64, or text.
pub struct Directory {
    pub numbers: BTreeMap<u16, Vec<f64>>,
    pub texts: BTreeMap<u16, String>,
}

impl Directory {
    pub fn one(&self, tag: u16) -> usize {
        self.numbers[&tag][0] as usize
    }

    pub fn is_mask(&self) -> bool {
        self.numbers.get(&254).is_some_and(|v| v[0] as u32 & 4 != 0)
    }
}

fn le(bytes: &[u8], at: usize, n: usize) -> u64 {
    bytes[at..at + n].iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}

pub fn directories(file: &[u8]) -> Vec<Directory> {
    let big = file[2] == 43;
    let (w, start, entry) = if big { (8, 8, 20) } else { (4, 2, 12) };
    let mut at = le(file, if big { 8 } else { 4 }, w) as usize;
    let mut out = Vec::new();
    while at != 0 {
        let n = le(file, at, start) as usize;
        let mut d = Directory { numbers: BTreeMap::new(), texts: BTreeMap::new() };
        let mut last = 0;
        for i in 0..n {
            let e = at + start + i * entry;
            let (id, kind, count) = (le(file, e, 2) as u16, le(file, e + 2, 2), le(file, e + 4, w) as usize);
            assert!(id > last, "tags ascend");
            last = id;
            let size = match kind {
                2 => 1,
                3 => 2,
                4 => 4,
                _ => 8,
            };
            let p = if size * count <= w { e + 4 + w } else { le(file, e + 4 + w, w) as usize };
            if kind == 2 {
                d.texts.insert(id, String::from_utf8(file[p..p + count - 1].to_vec()).unwrap());
                continue;
            }
            let value = |i: usize| match kind {
                12 => f64::from_bits(le(file, p + 8 * i, 8)),
                _ => le(file, p + size * i, size) as f64,
            };
            d.numbers.insert(id, (0..count).map(value).collect());
        }
        out.push(d);
        at = le(file, at + start + n * entry, w) as usize;
    }
    out
}

/// All bands of a directory, band after band; sparse tiles are `empty`.
pub fn pixels<T: Pixel>(file: &[u8], d: &Directory, empty: T) -> Vec<T> {
    let (cols, rows, side) = (d.one(256), d.one(257), d.one(322));
    let (across, down) = (cols.div_ceil(side), rows.div_ceil(side));
    let bands = d.one(277);
    let mut out = vec![empty; bands * rows * cols];
    for (i, (at, len)) in d.numbers[&324].iter().zip(&d.numbers[&325]).enumerate() {
        let (b, t) = (i / (across * down), i % (across * down));
        if *len == 0.0 {
            continue;
        }
        let raw = expand(d, &file[*at as usize..][..*len as usize]);
        for r in 0..side.min(rows - t / across * side) {
            let row = unpredict(d, &raw[r * side * size_of::<T>()..][..side * size_of::<T>()], size_of::<T>());
            for c in 0..side.min(cols - t % across * side) {
                let v = T::from_le(&row[c * size_of::<T>()..][..size_of::<T>()]);
                out[(b * rows + t / across * side + r) * cols + t % across * side + c] = v;
            }
        }
    }
    out
}

/// The mask of a directory, 0 or 1 per pixel.
pub fn mask(file: &[u8], d: &Directory) -> Vec<u8> {
    let (cols, rows, side) = (d.one(256), d.one(257), d.one(322));
    let across = cols.div_ceil(side);
    let mut out = vec![0; rows * cols];
    for (t, (at, len)) in d.numbers[&324].iter().zip(&d.numbers[&325]).enumerate() {
        if *len == 0.0 {
            continue;
        }
        let raw = expand(d, &file[*at as usize..][..*len as usize]);
        for r in 0..side.min(rows - t / across * side) {
            for c in 0..side.min(cols - t % across * side) {
                let bit = raw[r * side / 8 + c / 8] >> (7 - c % 8) & 1;
                out[(t / across * side + r) * cols + t % across * side + c] = bit;
            }
        }
    }
    out
}

fn expand(d: &Directory, packed: &[u8]) -> Vec<u8> {
    let most = d.one(322) * d.one(323) * 8;
    match d.one(259) {
        1 => packed.to_vec(),
        8 => {
            let mut out = vec![0; most];
            let n = libdeflater::Decompressor::new().zlib_decompress(packed, &mut out).unwrap();
            out.truncate(n);
            out
        }
        50000 => zstd::bulk::decompress(packed, most).unwrap(),
        other => panic!("compression {other}"),
    }
}

fn unpredict(d: &Directory, row: &[u8], size: usize) -> Vec<u8> {
    match d.numbers.get(&317).map_or(1, |v| v[0] as usize) {
        1 => row.to_vec(),
        2 => {
            let mut acc = 0u64;
            let sum = |s: &[u8]| {
                acc = acc.wrapping_add(le(s, 0, size));
                acc.to_le_bytes()[..size].to_vec()
            };
            row.chunks(size).flat_map(sum).collect()
        }
        _ => {
            let mut acc = 0u8;
            let planes: Vec<u8> = row
                .iter()
                .map(|b| {
                    acc = acc.wrapping_add(*b);
                    acc
                })
                .collect();
            let width = row.len() / size;
            (0..row.len()).map(|i| planes[(size - 1 - i % size) * width + i / size]).collect()
        }
    }
}
