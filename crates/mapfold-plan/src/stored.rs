//! Blocks that are computed once and read again: [`Flow::materialise`].
//!
//! ```text
//! upstream ─> store blocks (a stage) ─> one file, scratch folder ─> read stored blocks ─> as often as asked for
//! ```
//! The file is cut into codec-sized tiles ([`layout`]) whose places follow from the plan: nobody has to be told where a
//! block is, what is read is asked for ahead like any input, and two attempts at a split write the same bytes to the
//! same places. Each tile has a checksum, its own number in it, so that one that was never written is found.
//!
//! Deliberately absent: compression (the file lives as long as the run) and blocks behind an exchange.

mod layout;
mod read;
mod write;

use crate::node::Node;
use crate::stage::{Fetch, end_of_a_chain};
use crate::{Cut, Cx, Domain, Error, Flow, Place, Product, Result, Stage, StageKind, template};
use layout::Layout;
use mapfold_grid::{Block, Pixel};
use std::panic::Location;
use std::sync::Arc;

/// Files that a run makes for itself: each process writes to them, at places of its own.
pub trait ScratchFiles: Send + Sync {
    /// Writes bytes at a place of a file, which has `len` bytes in all; the first call makes it.
    ///
    /// # Errors
    /// When there is no room, naming the folder and what to do.
    fn write_at(&self, name: &str, len: u64, offset: u64, bytes: &[u8]) -> Result<()>;
}

/// A file that a run makes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its number among the files of the plan.
    pub file: crate::FileId,
    /// Its name in the scratch folder.
    pub name: String,
    /// Its length; not all of it is written.
    pub len: u64,
    /// Bytes that will be written.
    pub bytes: u64,
}

impl<T: Pixel> Flow<Block<T>> {
    /// Computes the blocks once and keeps them in the scratch folder until the run ends; what comes after reads them
    /// there. Worth it where a costly flow is used twice, or lies before a halo that would compute much of it again
    /// (the recompute factor of `--explain`). Results are the same bytes without it.
    ///
    /// ```
    /// use mapfold_grid::Edge;
    /// # use mapfold_grid::{Block, Neighbours};
    /// # use mapfold_plan::*;
    /// # fn costly(flow: Flow<Block<f32>>, mean: fn(Neighbours<'_, f32>) -> Option<f32>) -> Result<()> {
    /// let smooth = flow.halo(5, Edge::Nearest).stencil(mean).materialise()?;
    /// let twice = smooth.halo(5, Edge::Nearest).stencil(mean); // reads blocks, computes no mean again
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the template fails, or the blocks are not on one grid.
    #[track_caller]
    pub fn materialise(self) -> Result<Flow<Block<T>>> {
        let at = crate::flow::label(Location::caller());
        let label = format!("materialise at {at}");
        self.plan.check()?;
        let Domain::Raster(ground) = self.node.domain() else {
            let what = "only blocks of one grid can be materialised";
            return Err(Error::usage(what).with_remedy("call it before the exchange or the union").at_stage(label));
        };
        let made = template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        let Ok([template]) = <[Block<T>; 1]>::try_from(made) else {
            return Err(Error::usage("a flow of one block for each place can be materialised").at_stage(label));
        };
        let layout = Layout::new(ground, template.band_count(), T::DTYPE.size() as u64);
        let (len, bytes) = (layout.len(), layout.written());
        let file = self.plan.scratch_file(|number| (format!("blocks-{number}"), len));
        let (id, name) = file;
        let layout = Arc::new(layout);
        let stored = StoredFile { file: id, name, len, bytes };
        let reader = read::Read::new(layout.clone(), ground, stored.clone(), template, at);
        let stage = StoreStage { node: self.node.clone(), layout, stored, label };
        self.plan.close(Arc::new(stage));
        Ok(Flow::from_node(&self.plan, Arc::new(reader)))
    }
}

struct StoreStage<T> {
    node: Arc<dyn Node<Block<T>>>,
    layout: Arc<Layout>,
    stored: StoredFile,
    label: String,
}

impl<T: Pixel> Stage for StoreStage<T> {
    fn kind(&self) -> StageKind {
        StageKind::Blocks
    }

    end_of_a_chain!(self, "store blocks".into(), except memory);

    fn memory(&self, at: &Place) -> u64 {
        self.node.memory(at) + self.layout.open_bytes(at)
    }

    fn stored(&self) -> Option<&StoredFile> {
        Some(&self.stored)
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let files = cx.scratch_files()?;
        let (name, len) = (&self.stored.name, self.stored.len);
        let mut tiles =
            write::Tiles::new(&self.layout, split, |offset, bytes| files.write_at(name, len, offset, bytes));
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let here = |e: Error| e.at_stage(self.label.clone()).at_place(at.to_string());
            let mut came = 0;
            let keep = &mut |block: Block<T>| {
                came += 1;
                cx.during(crate::Phase::Write, || tiles.put(&block))
            };
            self.node.eval(&at, cx, keep).map_err(here)?;
            match came {
                0 => tiles.put_absent(&at).map_err(here)?,
                1 => {}
                _ => return Err(here(Error::job("the flow gives two blocks for one window"))),
            }
        }
        tiles.finish().map(Product::Blocks).map_err(|e| e.at_stage(self.label.clone()).at_place(split.to_string()))
    }
}

/// Blocks that are put together must say "nodata" by the same values.
fn agree<T: Pixel>(one: &[Option<T>], other: &[Option<T>]) -> Result<()> {
    let same = |(a, b): (&Option<T>, &Option<T>)| match (a, b) {
        (Some(a), Some(b)) => a.is(*b),
        (a, b) => a.is_none() && b.is_none(),
    };
    match one.iter().zip(other).all(same) {
        true => Ok(()),
        false => Err(Error::job("two blocks beside each other have different nodata values")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{FetchedFiles, FileId, RasterDomain, TimeKey};
    use mapfold_grid::{GeoBox, Shape, Window};
    use std::ops::Range;

    /// A file in memory.
    struct File(Vec<u8>);

    impl FetchedFiles for File {
        fn bytes(&self, _: FileId, range: &Range<u64>) -> Result<bytes::Bytes> {
            Ok(self.0[range.start as usize..range.end as usize].to_vec().into())
        }
    }

    const SHAPE: Shape = Shape { rows: 300, cols: 270 };

    fn ground() -> RasterDomain {
        let grid = Arc::new(GeoBox::plain(SHAPE));
        RasterDomain { grid, superblock: SHAPE, align: SHAPE, times: vec![TimeKey(0)] }
    }

    fn block(window: Window) -> Block<i16> {
        let value = |i: usize| (i * 7 % 1000) as i16;
        let data = (0..2 * window.pixels()).map(value).collect();
        let valid = (0..window.pixels()).map(|i| u8::from(i % 3 != 0)).collect();
        let made = Block::new(Arc::new(GeoBox::plain(SHAPE)), window, 2, data).unwrap();
        made.with_nodata(vec![Some(-1), None]).with_valid(Some(valid))
    }

    fn stored(layout: &Layout, cuts: Shape) -> Vec<u8> {
        let (mut file, whole) = (vec![0; layout.len() as usize], Place::Window { scene: 0, window: SHAPE.window() });
        let mut tiles = write::Tiles::new(layout, &whole, |offset, bytes: &[u8]| {
            file[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
            Ok(())
        });
        let all = block(SHAPE.window());
        SHAPE.window().tiles(cuts).for_each(|w| tiles.put(&all.crop(w)).unwrap());
        tiles.finish().unwrap();
        file
    }

    fn read(file: Vec<u8>, window: Window) -> Result<Vec<Block<i16>>> {
        let layout = Arc::new(Layout::new(&ground(), 2, 2));
        let about = StoredFile { file: FileId(0), name: "blocks-0".into(), len: layout.len(), bytes: 0 };
        let node =
            read::Read::new(layout, &ground(), about, block(Window { rows: 1, cols: 1, ..window }), String::new());
        let rooms = std::cell::RefCell::default();
        let (cx, mut out) = (Cx::new(&rooms), Vec::new());
        cx.set_fetched(Arc::new(File(file)));
        node.eval(&Place::Window { scene: 0, window }, &cx, &mut |b| {
            out.push(b);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn what_was_stored_in_any_cuts_is_read_in_any_other() {
        let layout = Layout::new(&ground(), 2, 2);
        let file = stored(&layout, SHAPE);
        for cuts in [Shape { rows: 7, cols: 270 }, Shape { rows: 130, cols: 33 }, Shape { rows: 1, cols: 100 }] {
            assert!(stored(&layout, cuts) == file, "{cuts}");
        }
        let all = block(SHAPE.window());
        for (row, col, rows, cols) in [(0, 0, 300, 270), (255, 255, 2, 2), (299, 0, 1, 270), (100, 200, 190, 70)] {
            let window = Window { row, col, rows, cols };
            assert_eq!(read(file.clone(), window).unwrap(), [all.crop(window)], "{window}");
        }
    }

    #[test]
    fn a_changed_byte_and_a_tile_that_was_never_written_are_found() {
        let layout = Layout::new(&ground(), 2, 2);
        let whole = Place::Window { scene: 0, window: SHAPE.window() };
        let good = stored(&layout, SHAPE);
        for (n, tile) in layout.covering(&whole).enumerate() {
            let at = layout.offset(tile) as usize;
            for byte in [at, at + 9, at + 17, at + 30, at + 1000] {
                let mut bad = good.clone();
                bad[byte] ^= 1;
                let e = read(bad, SHAPE.window()).unwrap_err();
                assert!(e.to_string().contains("damaged or were never written"), "tile {n}, byte {byte}: {e}");
            }
            let mut hole = good.clone();
            hole[at..at + layout.tile_len(tile.window.pixels()) as usize].fill(0);
            assert!(read(hole, SHAPE.window()).is_err(), "tile {n} is not there");
        }
    }
}
