//! Synthetic Sentinel-2-like scenes: input for demos, tests and benchmarks that nobody has to download.
//!
//! The value of a pixel is a pure function of (seed, date, band, row, column). So a scene may be made window by window
//! in any order on any number of threads with the memory of one row of windows, two cuts give the same pixels, and a
//! small scene is the corner of a large one with the same seed. Only additions, multiplications, divisions and square
//! roots of f32 are used, which IEEE 754 fixes to the bit: every machine makes the same scene.
//!
//! It looks like farmland: regional moisture, parcels, texture, lakes, sensor noise that grows with brightness (so
//! that DEFLATE gets about as far as on real data), clouds with shadows, a class band that says which is which, and on
//! request the empty wedge of a swath border. What it is not: physics, projected shapes, or anything to learn from.

mod args;
mod field;
mod hash;
mod pixels;
mod spec;

pub use args::{SceneArgs, SceneFile};
pub use pixels::window;
pub use spec::{Band, SceneError, SceneSpec};

#[cfg(test)]
mod tests;
