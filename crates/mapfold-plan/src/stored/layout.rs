//! Where the tiles of stored blocks are in their file.
//!
//! Tiles are numbered scene by scene, superblock by superblock, row by row; each has the same room, that of a whole one,
//! and at the edges leaves some of it unwritten.
//!
//! ```text
//! checksum of the rest (8) | number (8) | kind (8) | nodata of each band: there (8), value as f64 (8)
//! values, band after band, little-endian | one bit of validity for each value, or each pixel
//! ```

use crate::{Place, RasterDomain};
use mapfold_grid::{BlockGrid, Shape, Window};

/// Rows and columns of a tile: as far as a superblock is larger.
const EDGE: usize = 256;

/// Bytes of checksum, number and kind.
pub(super) const HEAD: usize = 24;

/// The places of tiles, for blocks of so many bands.
pub(super) struct Layout {
    blocks: BlockGrid,
    scenes: usize,
    tile: Shape,
    /// Tiles of a whole superblock.
    per_block: u64,
    pub bands: usize,
    pub value: u64,
}

/// One tile: its number and its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub number: u64,
    pub window: Window,
}

impl Layout {
    pub fn new(ground: &RasterDomain, bands: usize, value: u64) -> Layout {
        let blocks = ground.blocks();
        let whole = blocks.cell_window(0, 0).shape();
        let tile = Shape { rows: whole.rows.clamp(1, EDGE), cols: whole.cols.clamp(1, EDGE) };
        let per_block = BlockGrid::new(whole, tile).len() as u64;
        Layout { blocks, scenes: ground.times.len(), tile, per_block, bands, value }
    }

    /// The largest tile.
    pub fn tile(&self) -> Shape {
        self.tile
    }

    /// Tiles that overlap a place.
    pub fn covering(&self, at: &Place) -> impl Iterator<Item = Tile> + use<'_> {
        let (scene, window) = at.window();
        self.blocks.covering(window).flat_map(move |block| {
            let whole = self.blocks.window(block);
            let common = window.intersect(whole);
            let inside = Window { row: common.row - whole.row, col: common.col - whole.col, ..common };
            let grid = BlockGrid::new(whole.shape(), self.tile);
            let first = (scene * self.blocks.len() + block) as u64 * self.per_block;
            grid.covering(inside).map(move |i| {
                let w = grid.window(i);
                let window = Window { row: w.row + whole.row, col: w.col + whole.col, ..w };
                Tile { number: first + i as u64, window }
            })
        })
    }

    /// Bytes of everything before the values.
    pub fn head(&self) -> u64 {
        HEAD as u64 + 16 * self.bands as u64
    }

    /// Bytes that are read of a tile: as if every value had its own validity.
    pub fn tile_len(&self, pixels: usize) -> u64 {
        let values = (pixels * self.bands) as u64;
        self.head() + values * self.value + values.div_ceil(8)
    }

    /// Where a tile begins.
    pub fn offset(&self, tile: Tile) -> u64 {
        tile.number * self.tile_len(self.tile.pixels())
    }

    /// Length of the file.
    pub fn len(&self) -> u64 {
        (self.scenes * self.blocks.len()) as u64 * self.per_block * self.tile_len(self.tile.pixels())
    }

    /// Bytes that are written, about.
    pub fn written(&self) -> u64 {
        let values = (self.scenes * self.blocks.image.pixels() * self.bands) as u64;
        values * self.value + values.div_ceil(8)
    }

    /// Bytes of tiles that are begun and not whole, at most, while windows of this shape come row by row.
    pub fn open_bytes(&self, at: &Place) -> u64 {
        let (_, window) = at.window();
        let whole = self.blocks.cell_window(0, 0);
        let rows = (window.rows + 2 * self.tile.rows).min(whole.rows.next_multiple_of(self.tile.rows));
        let values = (rows * whole.cols * self.bands) as u64;
        values * (self.value + 1) + self.tile_len(self.tile.pixels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeKey;
    use mapfold_grid::GeoBox;
    use std::sync::Arc;

    #[test]
    fn every_pixel_is_in_one_tile_and_no_two_tiles_share_a_byte() {
        for (rows, cols, edge) in [(1, 1, 64), (700, 900, 512), (300, 70, 64), (1000, 1000, 300)] {
            let grid = Arc::new(GeoBox::plain(Shape { rows, cols }));
            let (shape, times) = (Shape { rows: edge, cols: edge }, vec![TimeKey(0), TimeKey(1)]);
            let ground = RasterDomain { grid: grid.clone(), superblock: shape, align: shape, times };
            let layout = Layout::new(&ground, 3, 4);
            let (mut ends, mut pixels) = (Vec::new(), 0);
            for scene in 0..2 {
                for tile in layout.covering(&Place::Window { scene, window: grid.shape.window() }) {
                    pixels += tile.window.pixels();
                    let from = layout.offset(tile);
                    ends.push((from, from + layout.tile_len(tile.window.pixels())));
                }
            }
            assert_eq!(pixels, 2 * rows * cols);
            ends.sort_unstable();
            assert!(ends.windows(2).all(|two| two[0].1 <= two[1].0) && ends[ends.len() - 1].1 <= layout.len());
        }
    }
}
