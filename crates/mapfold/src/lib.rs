//! Write a MapReduce job over Earth data in thirty lines of Rust.
//!
//! A job is a function from parameters to a plan; [`main`] turns it into a program that runs it, explains it,
//! resumes it. The same crate tests it in memory with [`testing::Lab`].
//!
//! ```
//! use mapfold::prelude::*;
//! use mapfold::testing::Lab;
//!
//! /// Doubles a raster.
//! #[derive(Parser, Serialize, Deserialize, Clone)]
//! struct Double {
//!     /// Any raster
//!     #[arg(long)]
//!     input: Loc,
//!     /// Twice of it
//!     #[arg(long)]
//!     out: Loc,
//! }
//!
//! fn double(job: Double, p: &Plan) -> Result<()> {
//!     p.raster::<f32>([&job.input])?.map(|block| block.pixels(|[v]| v * 2.0)).write(&job.out, Cog::default())
//! }
//!
//! let lab = Lab::new();
//! let job = Double { input: lab.raster("0 1 | 2 .")?, out: lab.loc("out.tif") };
//! lab.run(double, &job)?; // 1, 2, 3 workers x several cuts x shuffled order: results must agree
//! lab.assert_raster(&job.out, "0 2 | 4 .")?;
//! # Ok::<(), mapfold::Error>(())
//! ```
//!
//! What a job crate needs of other rooms is re-exported; this crate holds no logic of its own but the command line
//! of a job and the Lab. Wrong uses do not compile: a padded block cannot be written.
//!
//! ```compile_fail
//! use mapfold::prelude::*;
//! fn forgot_to_trim(input: &Loc, out: &Loc, p: &Plan) -> Result<()> {
//!     p.raster::<f32>([input])?.halo(1, Edge::Nodata).write(out, Cog::default())
//! }
//! ```
//!
//! ```
//! use mapfold::prelude::*;
//! fn smooth(input: &Loc, out: &Loc, p: &Plan) -> Result<()> {
//!     let mean = |n: Neighbours<'_, f32>| n.iter().reduce(|a, b| a + b).map(|sum| sum / n.iter().count() as f32);
//!     p.raster::<f32>([input])?.halo(1, Edge::Nodata).stencil(mean).write(out, Cog::default())
//! }
//! ```
#![warn(missing_docs)]

pub use mapfold_coord as coord;
pub use mapfold_engine as engine;
pub use mapfold_grid as grid;
pub use mapfold_launch as launch;
pub use mapfold_plan as plan;
pub use mapfold_raster as raster;
pub use mapfold_records as records;
pub use mapfold_store as store;
pub use mapfold_watch as watch;

mod allocator;
mod app;
mod args;
mod carried;
mod describe;
mod detach;
mod member;
mod on_emr;
mod on_yarn;
mod says;
mod split;
mod store_args;
mod table;
pub mod testing;
mod watching;

pub use app::{Builtin, main, records_main, run_job};
pub use args::RunArgs;
pub use mapfold_plan::{Error, Result};
pub use member::attend_if_called;
pub use on_emr::told as emr_error;
pub use says::{print_bytes, print_error, print_usage_error, set_up_logging};
pub use split::{AskedSplit, split};
pub use store_args::StoreArgs;

/// `numerator / denominator`, NaN (so: nodata) where the denominator is 0. For indices: 0/0 and x/0 are no numbers.
///
/// ```
/// assert_eq!(mapfold::ratio(1.0, 2.0), 0.5);
/// assert!(mapfold::ratio(1.0, 0.0).is_nan() && mapfold::ratio(0.0, 0.0).is_nan());
/// ```
#[inline(always)]
pub fn ratio(numerator: f32, denominator: f32) -> f32 {
    if denominator == 0.0 { f32::NAN } else { numerator / denominator }
}

/// Everything that the source of a job usually names.
pub mod prelude {
    pub use crate::plan::{Combine, Count, Flow, Max, Mean, Min, Plan, Rounds, Side, Stack, Sum};
    pub use crate::plan::{Tile, TileKey, Time, TimeKey};
    pub use crate::raster::{Cog, GTiff, RasterVerbs, Scene};
    pub use crate::records::flow::{RecordVerbs, TableOptions, TableOut, TextOptions, TextOut};
    pub use crate::{Error, Result, ratio};
    pub use clap::Parser;
    pub use mapfold_grid::{Block, DType, Edge, GeoBox, Neighbours, Padded, Pixel, Shape, Window};
    pub use mapfold_store::Loc;
    pub use serde::{Deserialize, Serialize};
    pub use std::process::ExitCode;
}
