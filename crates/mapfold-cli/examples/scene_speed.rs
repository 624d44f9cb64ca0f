//! How fast a synthetic scene is made on one core, per band: `cargo run --release -p mapfold-cli --example scene_speed`.
//!
//! A scene must be made faster than it is read back, or benchmarks on it measure the generator.
#![allow(clippy::print_stdout)] // Its numbers are its result.

#[path = "../src/scene/mod.rs"]
#[allow(dead_code, unused_imports)] // The command line of the room is not used here.
mod scene;

use mapfold::grid::{Shape, Window};
use scene::{Band, SceneSpec, window};

fn main() {
    let spec = SceneSpec { size: 10980, seed: 7, date: 0, dates: 1, nodata_wedge: false };
    for band in Band::ALL {
        let began = std::time::Instant::now();
        let w = Window { row: 0, col: 0, rows: 2048, cols: 2048 };
        let sum: u64 = w.tiles(Shape { rows: 512, cols: 512 }).map(|t| u64::from(window(&spec, band, t)[0])).sum();
        let rate = w.pixels() as f64 / began.elapsed().as_secs_f64() / 1e6;
        println!("{:4} {rate:6.1} MPix/s (check sum {sum})", band.name());
    }
}
