//! The option groups that all readers and all writers share.

use crate::write::options::named;
use crate::write::{BigTiff, Compress, Format, MaskChoice, Overviews, Predictor, Resampling, WriteOptions};
use mapfold_grid::{DType, Window};
use serde::{Deserialize, Serialize};

/// What is done with a band's scale and offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Values become `stored x scale + offset` when they are loaded as floats; integers are loaded as stored.
    #[default]
    Auto,
    /// Values as stored.
    Raw,
}

named!(Scale, "scale", Auto => ["auto"], Raw => ["raw"]);

/// What all raster readers understand; handed to the plan by the command line ([`mapfold_plan::Plan::set`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// Scale and offset; `None` leaves the job's own choice, which is [`Scale::Auto`] unless the job says otherwise.
    pub scale: Option<Scale>,
    /// Only these pixels.
    pub window: Option<Window>,
    /// Only pixels that touch this rectangle: west, south, east, north in CRS units.
    pub bbox: Option<[f64; 4]>,
}

/// What the command line says to all raster writers; `None` leaves the job's own choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteOverrides {
    /// `--format`
    pub format: Option<Format>,
    /// `--compress`
    pub compress: Option<Compress>,
    /// `--level`
    pub level: Option<i32>,
    /// `--predictor`
    pub predictor: Option<Predictor>,
    /// `--dtype`
    pub dtype: Option<DType>,
    /// `--nodata`
    pub nodata: Option<f64>,
    /// `--overviews`
    pub overviews: Option<Overviews>,
    /// `--overview-resampling`
    pub overview_resampling: Option<Resampling>,
    /// `--mask`
    pub mask: Option<MaskChoice>,
    /// `--blocksize`
    pub blocksize: Option<usize>,
    /// `--bigtiff`
    pub bigtiff: Option<BigTiff>,
}

impl WriteOverrides {
    /// The job's choice with the command line's over it.
    pub fn over(&self, job: &WriteOptions) -> WriteOptions {
        WriteOptions {
            format: self.format.unwrap_or(job.format),
            compress: self.compress.unwrap_or(job.compress),
            level: self.level.or(if self.compress.is_some() { None } else { job.level }),
            predictor: self.predictor.unwrap_or(job.predictor),
            blocksize: self.blocksize.unwrap_or(job.blocksize),
            overviews: self.overviews.unwrap_or(job.overviews),
            overview_resampling: self.overview_resampling.unwrap_or(job.overview_resampling),
            mask: self.mask.unwrap_or(job.mask),
            nodata: self.nodata.or(job.nodata),
            bigtiff: self.bigtiff.unwrap_or(job.bigtiff),
        }
    }
}
