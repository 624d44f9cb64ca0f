//! The one crate a job names.
#![warn(missing_docs)]

pub use mapfold_coord as coord;
pub use mapfold_engine as engine;
pub use mapfold_grid as grid;
pub use mapfold_plan as plan;
pub use mapfold_raster as raster;
pub use mapfold_store as store;
pub use mapfold_watch as watch;
