//! Rectangles of pixels. Row before column everywhere, as in memory; names instead of bare pairs.

use serde::{Deserialize, Serialize};

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    /// Number of rows (height).
    pub rows: usize,
    /// Number of columns (width).
    pub cols: usize,
}

impl Shape {
    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.rows * self.cols
    }

    /// The window that covers the whole shape.
    pub fn window(self) -> Window {
        Window { row: 0, col: 0, rows: self.rows, cols: self.cols }
    }

    /// The next coarser overview: half in each direction, rounded up, so that no source pixel is dropped.
    pub fn halved(self) -> Shape {
        Shape { rows: self.rows.div_ceil(2), cols: self.cols.div_ceil(2) }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)
    }
}

/// A rectangle of pixels inside (or, with a halo, overlapping the edge of) an image.
///
/// `row` and `col` may be negative: a padded window reaches over the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// First row.
    pub row: i64,
    /// First column.
    pub col: i64,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Window {
    /// Height and width.
    pub fn shape(self) -> Shape {
        Shape { rows: self.rows, cols: self.cols }
    }

    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.rows * self.cols
    }

    /// One past the last row.
    pub fn row_end(self) -> i64 {
        self.row.saturating_add(self.rows as i64)
    }

    /// One past the last column.
    pub fn col_end(self) -> i64 {
        self.col.saturating_add(self.cols as i64)
    }

    /// True when no pixel is inside.
    pub fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// The common part; empty (0 rows or 0 columns) when there is none.
    ///
    /// ```
    /// # use mapfold_grid::Window;
    /// let a = Window { row: -1, col: -1, rows: 4, cols: 4 };
    /// let b = Window { row: 0, col: 0, rows: 9, cols: 2 };
    /// assert_eq!(a.intersect(b), Window { row: 0, col: 0, rows: 3, cols: 2 });
    /// ```
    pub fn intersect(self, other: Window) -> Window {
        let (row, col) = (self.row.max(other.row), self.col.max(other.col));
        let rows = (self.row_end().min(other.row_end()) - row).max(0) as usize;
        let cols = (self.col_end().min(other.col_end()) - col).max(0) as usize;
        Window { row, col, rows, cols }
    }

    /// Grown by `halo` pixels on every side.
    pub fn pad(self, halo: usize) -> Window {
        let h = halo as i64;
        Window { row: self.row - h, col: self.col - h, rows: self.rows + 2 * halo, cols: self.cols + 2 * halo }
    }

    /// Whether every pixel of `other` is inside.
    pub fn contains(self, other: Window) -> bool {
        other.is_empty() || self.intersect(other) == other
    }

    /// Cut into windows of at most `block`, row by row; edge windows are smaller.
    pub fn tiles(self, block: Shape) -> impl Iterator<Item = Window> + Clone {
        let (down, across) = (self.rows.div_ceil(block.rows.max(1)), self.cols.div_ceil(block.cols.max(1)));
        (0..down * across).map(move |i| {
            let (r, c) = (i / across * block.rows, i % across * block.cols);
            Window {
                row: self.row + r as i64,
                col: self.col + c as i64,
                rows: block.rows.min(self.rows - r),
                cols: block.cols.min(self.cols - c),
            }
        })
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rows {}..{}, columns {}..{}", self.row, self.row_end(), self.col, self.col_end())
    }
}
