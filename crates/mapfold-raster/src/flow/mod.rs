//! The verbs that bring rasters into a plan and out of it.

mod files;
mod generate;
mod load;
mod options;
mod sink;

pub use files::{OpenRaster, RasterVerbs, Scene, input as as_error};
pub use options::{ReadOptions, Scale, WriteOverrides};
pub use sink::{Cog, GTiff};
