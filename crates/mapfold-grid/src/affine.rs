//! Pixel to CRS coordinates, as GDAL's geotransform and Python's `affine` have them.

use serde::{Deserialize, Serialize};

/// `x = a*col + b*row + c`, `y = d*col + e*row + f`, for the *corner* of a pixel (add 0.5 for its centre).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Pixel width.
    pub a: f64,
    /// Row rotation.
    pub b: f64,
    /// x of the outer corner of the first pixel.
    pub c: f64,
    /// Column rotation.
    pub d: f64,
    /// Pixel height, negative when rows go south.
    pub e: f64,
    /// y of the outer corner of the first pixel.
    pub f: f64,
}

impl Affine {
    /// Pixel coordinates, x right and y down: the affine of an image without georeference.
    pub const IDENTITY: Affine = Affine { a: 1.0, b: 0.0, c: 0.0, d: 0.0, e: 1.0, f: 0.0 };

    /// North-up grid from its west and north edge and its pixel size.
    pub fn north_up(west: f64, north: f64, width: f64, height: f64) -> Affine {
        Affine { a: width, b: 0.0, c: west, d: 0.0, e: -height, f: north }
    }

    /// CRS coordinates `(x, y)` of a position in pixels.
    ///
    /// ```
    /// # use mapfold_grid::Affine;
    /// assert_eq!(Affine::north_up(500.0, 900.0, 10.0, 10.0).at(2.0, 1.0), (520.0, 890.0));
    /// ```
    pub fn at(&self, col: f64, row: f64) -> (f64, f64) {
        (self.a * col + self.b * row + self.c, self.d * col + self.e * row + self.f)
    }

    /// The affine of a window that starts `row`, `col` pixels further.
    pub fn shifted(&self, row: f64, col: f64) -> Affine {
        let (c, f) = self.at(col, row);
        Affine { c, f, ..*self }
    }

    /// The affine of an image with `sx` times wider and `sy` times taller pixels.
    pub fn scaled(&self, sx: f64, sy: f64) -> Affine {
        Affine { a: self.a * sx, b: self.b * sy, c: self.c, d: self.d * sx, e: self.e * sy, f: self.f }
    }

    /// The six numbers in the order of GDAL's geotransform.
    pub fn to_gdal(&self) -> [f64; 6] {
        [self.c, self.a, self.b, self.f, self.d, self.e]
    }

    /// Whether rows and columns run along the axes.
    pub fn is_axis_aligned(&self) -> bool {
        self.b == 0.0 && self.d == 0.0
    }

    /// Length of a step to the next column and to the next row, in units of the CRS.
    ///
    /// Not by `hypot`: its bits are those of the host's C library, and glibc's newer one would make programs ask for 2.35.
    pub fn pixel_size(&self) -> (f64, f64) {
        (length(self.a, self.d), length(self.b, self.e))
    }

    /// Largest difference, in pixels, between the two grids over an image of `rows` x `cols`.
    pub fn distance_px(&self, other: &Affine, rows: usize, cols: usize) -> f64 {
        let (across, down) = self.pixel_size();
        let size = across.min(down).max(f64::MIN_POSITIVE);
        let corners = [(0.0, 0.0), (cols as f64, 0.0), (0.0, rows as f64), (cols as f64, rows as f64)];
        let gap = |&(c, r): &(f64, f64)| {
            let (p, q) = (self.at(c, r), other.at(c, r));
            length(p.0 - q.0, p.1 - q.1) / size
        };
        corners.iter().map(gap).fold(0.0, f64::max)
    }
}

fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}
