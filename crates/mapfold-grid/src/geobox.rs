//! The ground an image covers.

use crate::{Affine, Crs, Shape, Window};
use serde::{Deserialize, Serialize};

/// Shape + affine + CRS: which ground the pixels of an image cover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeoBox {
    /// Rows and columns.
    pub shape: Shape,
    /// Pixel to CRS coordinates.
    pub affine: Affine,
    /// Coordinate reference system.
    pub crs: Crs,
}

/// How two grids differ; each text says it with the numbers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridMismatch {
    /// Different height or width.
    #[error("shapes differ: {0} against {1} (rows x columns)")]
    Shape(Shape, Shape),
    /// Different reference system.
    #[error("coordinate systems differ: {0} against {1}")]
    Crs(String, String),
    /// Different pixel size.
    #[error("pixel sizes differ: {0} x {1} against {2} x {3}")]
    PixelSize(f64, f64, f64, f64),
    /// The same pixels, elsewhere.
    #[error("grids are shifted by {dx:.3} pixels in x and {dy:.3} pixels in y")]
    Shift {
        /// Columns.
        dx: f64,
        /// Rows.
        dy: f64,
    },
    /// Rotated differently.
    #[error("grids are rotated differently")]
    Rotation,
}

impl GeoBox {
    /// A grid without georeference: pixel coordinates, no CRS.
    pub fn plain(shape: Shape) -> GeoBox {
        GeoBox { shape, affine: Affine::IDENTITY, crs: Crs::default() }
    }

    /// The GeoBox of a window of this one.
    pub fn crop(&self, window: Window) -> GeoBox {
        let affine = self.affine.shifted(window.row as f64, window.col as f64);
        GeoBox { shape: window.shape(), affine, crs: self.crs.clone() }
    }

    /// The GeoBox of the same ground with another number of pixels, as an overview has.
    pub fn resized(&self, shape: Shape) -> GeoBox {
        let (sx, sy) = (self.shape.cols as f64 / shape.cols as f64, self.shape.rows as f64 / shape.rows as f64);
        GeoBox { shape, affine: self.affine.scaled(sx, sy), crs: self.crs.clone() }
    }

    /// West, south, east, north in CRS units, of the bounding rectangle.
    ///
    /// ```
    /// # use mapfold_grid::*;
    /// let g = GeoBox { shape: Shape { rows: 2, cols: 3 }, affine: Affine::north_up(0.0, 20.0, 10.0, 10.0), crs: Crs::from_epsg(32633) };
    /// assert_eq!(g.bounds(), [0.0, 0.0, 30.0, 20.0]);
    /// ```
    pub fn bounds(&self) -> [f64; 4] {
        let (w, h) = (self.shape.cols as f64, self.shape.rows as f64);
        let corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(c, r)| self.affine.at(c, r));
        let fold =
            |f: fn(f64, f64) -> f64, pick: fn(&(f64, f64)) -> f64| corners.iter().map(pick).reduce(f).unwrap_or(0.0);
        [fold(f64::min, |p| p.0), fold(f64::min, |p| p.1), fold(f64::max, |p| p.0), fold(f64::max, |p| p.1)]
    }

    /// Same ground, pixel by pixel? Differences below 0.01 pixel are rounding.
    ///
    /// # Errors
    /// Says how the grids differ.
    pub fn check_same(&self, other: &GeoBox) -> Result<(), GridMismatch> {
        if self.shape != other.shape {
            return Err(GridMismatch::Shape(self.shape, other.shape));
        }
        if !self.crs.same_as(&other.crs) {
            return Err(GridMismatch::Crs(self.crs.to_string(), other.crs.to_string()));
        }
        self.check_same_affine(other)
    }

    fn check_same_affine(&self, other: &GeoBox) -> Result<(), GridMismatch> {
        let (p, q) = (&self.affine, &other.affine);
        if p.distance_px(q, self.shape.rows, self.shape.cols) < 0.01 {
            return Ok(());
        }
        if p.is_axis_aligned() != q.is_axis_aligned() {
            return Err(GridMismatch::Rotation);
        }
        let near = |x: f64, y: f64| (x - y).abs() <= 1e-9 * x.abs().max(y.abs());
        if !near(p.a, q.a) || !near(p.e, q.e) {
            return Err(GridMismatch::PixelSize(p.a.abs(), p.e.abs(), q.a.abs(), q.e.abs()));
        }
        Err(GridMismatch::Shift { dx: (q.c - p.c) / p.a, dy: (q.f - p.f) / p.e })
    }
}
