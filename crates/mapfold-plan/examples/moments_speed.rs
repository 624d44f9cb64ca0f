//! Pixels per second that `Moments` takes in on one core: `cargo run --release --example moments_speed`.
#![allow(clippy::print_stdout)]

use mapfold_grid::Pixel;
use mapfold_plan::exact::{ExactSum, Histogram, Moments};
use std::hint::black_box;
use std::time::Instant;

const PIXELS: usize = 1 << 22;

/// Best of seven, in millions of pixels per second.
fn rate(mut run: impl FnMut()) -> f64 {
    let seconds = |start: Instant| start.elapsed().as_secs_f64();
    let times = (0..7).map(|_| {
        let start = Instant::now();
        run();
        seconds(start)
    });
    PIXELS as f64 / times.fold(f64::INFINITY, f64::min) / 1e6
}

fn moments<T: Pixel>(name: &str, values: &[T], ok: &[u8]) {
    let all = rate(|| Moments::default().add_block(black_box(values), None));
    let some = rate(|| Moments::default().add_block(black_box(values), Some(ok)));
    println!("Moments {name:8} {all:8.0} MPix/s, with validity {some:8.0} MPix/s");
}

fn main() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    let numbers: Vec<u32> = (0..PIXELS).map(|_| random()).collect();
    let ok: Vec<u8> = (0..PIXELS).map(|i| u8::from(i / 1000 % 10 != 0)).collect();
    moments("u8", &numbers.iter().map(|v| *v as u8).collect::<Vec<_>>(), &ok);
    moments("u16", &numbers.iter().map(|v| *v as u16).collect::<Vec<_>>(), &ok);
    moments("i16", &numbers.iter().map(|v| *v as i16).collect::<Vec<_>>(), &ok);
    moments("u32", &numbers, &ok);
    let heights: Vec<f32> = numbers.iter().map(|v| (v % 400_000) as f32 / 100.0 - 10.0).collect();
    moments("f32", &heights, &ok);
    moments("f32 = 1", &vec![1f32; PIXELS], &ok);
    moments("f64", &heights.iter().map(|v| f64::from(*v) / 3.0).collect::<Vec<_>>(), &ok);
    println!("ExactSum f32     {:8.0} MPix/s", rate(|| ExactSum::default().add_f32_slice(black_box(&heights))));
    let plain = || {
        black_box(black_box(&heights).iter().map(|v| f64::from(*v)).sum::<f64>());
    };
    println!("f64 += f32       {:8.0} MPix/s (for comparison: rounds, depends on the order)", rate(plain));
    if let Ok(empty) = Histogram::new(0.0, 4000.0, 256) {
        println!("Histogram f32    {:8.0} MPix/s", rate(|| empty.clone().add_block(black_box(&heights), None)));
    }
}
