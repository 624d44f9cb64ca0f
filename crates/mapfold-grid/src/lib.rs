//! Pure values of raster space: where pixels are, and the pixels themselves.
//!
//! A [`GeoBox`] says which ground an image covers (shape + affine + CRS). A [`Window`] is a rectangle of its
//! pixels, a [`BlockGrid`] cuts it into equal windows, and a [`Block`] holds the pixels of one window, all bands,
//! with the file's own nodata values and validity. A [`Padded`] block carries a halo borrowed from its neighbours.
//!
//! Deliberately absent: I/O, async, threads, file formats, reprojection. Everything here is a plain value, so that
//! planning can run anywhere and a test needs no set-up.
//!
//! ```
//! use mapfold_grid::{BlockGrid, Shape, Window};
//! let grid = BlockGrid::new(Shape { rows: 100, cols: 130 }, Shape { rows: 64, cols: 64 });
//! assert_eq!(grid.len(), 6);
//! assert_eq!(grid.window(5), Window { row: 64, col: 128, rows: 36, cols: 2 }); // edge windows are cut, not padded
//! ```
#![warn(missing_docs)]

mod affine;
mod block;
mod blockgrid;
mod crs;
mod dtype;
mod geobox;
mod padded;
mod window;

pub use affine::Affine;
pub use block::{Block, BlockError};
pub use blockgrid::BlockGrid;
pub use crs::{Crs, GeoKey, GeoKeyValue, RasterType};
pub use dtype::{DType, Pixel, convert};
pub use geobox::{GeoBox, GridMismatch};
pub use padded::{Edge, Neighbours, Padded};
pub use window::{Shape, Window};
