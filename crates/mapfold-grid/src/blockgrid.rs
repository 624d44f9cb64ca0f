//! An image cut into equal blocks.

use crate::{Shape, Window};
use serde::{Deserialize, Serialize};

/// Cuts a [`Shape`] into blocks, numbered row by row. Blocks at the right and bottom edge are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockGrid {
    /// The whole image.
    pub image: Shape,
    /// One block.
    pub block: Shape,
}

impl BlockGrid {
    /// A grid of blocks; a block larger than the image is one block.
    pub fn new(image: Shape, block: Shape) -> Self {
        let block = Shape { rows: block.rows.max(1), cols: block.cols.max(1) };
        BlockGrid { image, block }
    }

    /// Blocks in one column and in one row of blocks.
    pub fn shape(&self) -> Shape {
        Shape { rows: self.image.rows.div_ceil(self.block.rows), cols: self.image.cols.div_ceil(self.block.cols) }
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.shape().pixels()
    }

    /// True when the image has no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row and column of block `index`, counted in blocks.
    pub fn cell(&self, index: usize) -> (usize, usize) {
        let across = self.shape().cols.max(1);
        (index / across, index % across)
    }

    /// The window of block `index`.
    pub fn window(&self, index: usize) -> Window {
        let (r, c) = self.cell(index);
        self.cell_window(r, c)
    }

    /// The window of the block in block-row `r` and block-column `c`.
    pub fn cell_window(&self, r: usize, c: usize) -> Window {
        let (row, col) = (r * self.block.rows, c * self.block.cols);
        Window {
            row: row as i64,
            col: col as i64,
            rows: self.block.rows.min(self.image.rows.saturating_sub(row)),
            cols: self.block.cols.min(self.image.cols.saturating_sub(col)),
        }
    }

    /// Numbers of the blocks that overlap `window`, ascending.
    ///
    /// ```
    /// # use mapfold_grid::*;
    /// let g = BlockGrid::new(Shape { rows: 4, cols: 4 }, Shape { rows: 2, cols: 2 });
    /// let hit: Vec<_> = g.covering(Window { row: 1, col: 1, rows: 1, cols: 2 }).collect();
    /// assert_eq!(hit, [0, 1]);
    /// ```
    pub fn covering(&self, window: Window) -> impl Iterator<Item = usize> + use<> {
        let w = window.intersect(self.image.window());
        let across = self.shape().cols;
        let (r0, c0) = (w.row as usize / self.block.rows, w.col as usize / self.block.cols);
        let (r1, c1) = if w.is_empty() {
            (r0, c0)
        } else {
            ((w.row_end() as usize).div_ceil(self.block.rows), (w.col_end() as usize).div_ceil(self.block.cols))
        };
        (r0..r1).flat_map(move |r| (c0..c1).map(move |c| r * across + c))
    }
}
