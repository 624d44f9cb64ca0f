//! Whatever the bytes are: no panic, no endless loop, no memory beyond a bound.
#![allow(clippy::unwrap_used)]

mod read_support;

use bytes::Bytes;
use mapfold_grid::Window;
use mapfold_raster::tiff::open_bytes;
use mapfold_raster::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want};
use mapfold_store::Loc;
use read_support::{Dice, data};
use std::ops::Range;

/// The file itself, as a store would give it.
struct Whole(Bytes);

impl Fetched for Whole {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        assert!(range.start <= range.end && range.end <= self.0.len() as u64, "{range:?} of {}", self.0.len());
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

/// Opens and reads a corner of every level; whether all of it went well.
fn try_read(file: &Bytes) -> bool {
    let Ok(source) = open_bytes(file.clone(), &Loc::parse("memory://hostile/x.tif").unwrap()) else { return false };
    let mut well = true;
    for (level, l) in source.meta().levels.iter().enumerate() {
        let (rows, cols) = (l.shape.rows.min(64), l.shape.cols.min(64));
        let (row, col) = ((l.shape.rows - rows) as i64, (l.shape.cols - cols) as i64);
        let want = Want { level, bands: vec![0], window: Window { row, col, rows, cols } };
        let (mut values, mut mask) = (vec![0f32; rows * cols], vec![0; rows * cols]);
        let room = PixelsMut::of(&mut values);
        well &= source.needs(&want, &mut Vec::new()).is_ok();
        well &= source.decode(&want, &Whole(file.clone()), &mut Scratch::default(), room, Some(&mut mask)).is_ok();
    }
    well
}

/// Most address space this process ever had, in MiB (0 where the system does not say).
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) >> 10
}

#[test]
fn two_thousand_corruptions() {
    let names = [
        "cog",
        "internal_mask",
        "f32_tiles_zstd_p3_1pixel",
        "bigendian_bigtiff",
        "scaled",
        "user_crs",
        "one_strip",
        "overviews_planar",
    ];
    let files: Vec<Vec<u8>> = names.iter().map(|n| std::fs::read(data(&format!("tiff/{n}.tif"))).unwrap()).collect();
    files.iter().for_each(|f| assert!(try_read(&Bytes::from(f.clone())), "sound before it is damaged"));
    let (before, mut dice, mut failed) = (peak_mib(), Dice(2026), 0);
    for round in 0..2000 {
        let mut file = files[round % files.len()].clone();
        damage(&mut file, &mut dice);
        failed += usize::from(!try_read(&Bytes::from(file)));
    }
    assert!(failed > 500, "damage is noticed: {failed} of 2000");
    let grown = peak_mib() - before;
    assert!(grown < 512, "address space grew by {grown} MiB");
}

/// Cuts the file or changes a few bytes, mostly in the first kilobyte, where the directories are.
fn damage(file: &mut Vec<u8>, dice: &mut Dice) {
    if dice.below(5) == 0 {
        file.truncate(dice.below(file.len()));
        return;
    }
    let end = if dice.below(4) == 0 { file.len() } else { file.len().min(1200) };
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(end);
        file[at] = match dice.below(4) {
            0 => 0xff,
            1 => 0,
            2 => file[at] ^ (1 << dice.below(8)),
            _ => dice.below(256) as u8,
        };
    }
}

#[test]
fn every_short_start_of_a_file() {
    let file = Bytes::from(std::fs::read(data("tiff/cog.tif")).unwrap());
    for end in (0..700).chain([file.len() / 2]) {
        assert!(!try_read(&file.slice(..end)), "cut to {end} bytes");
    }
}
