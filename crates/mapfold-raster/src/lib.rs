//! Rasters for mapfold: TIFF and COG in, TIFF and COG out, and the verbs that bring them into a plan.
//!
//! A format enters through [`RasterSource`] (a file's grid, bands and pixels by window) or leaves through the encoder
//! of [`mod@write`]. A new input format is one file beside `tiff/` that implements [`RasterSource`] and passes
//! the conformance suite; a new output format is one folder beside `write/`.
//!
//! Fetching is apart from decoding: a source first names the byte ranges that a window needs, the engine fetches
//! them ahead of need, and decoding then runs on a compute thread from bytes in memory. Deliberately absent: HTTP,
//! credentials, threads, reprojection (a later room).
#![warn(missing_docs)]

mod cast;
mod flow;
mod meta;
mod source;
pub mod tiff;
pub mod write;

pub use flow::{Cog, GTiff, OpenRaster, RasterVerbs, ReadOptions, Scale, Scene, WriteOverrides, as_error};
pub use meta::{BandMeta, Interleave, LevelMeta, RasterMeta};
pub use source::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want};
