//! Pixels borrowed from neighbours.
//!
//! A halo asks its input for a larger window, clipped to the image, and fills what lies beyond the edge by rule. No
//! block travels: the overlap is computed again, and `--explain` shows the factor. Halos compose: the input may have
//! a halo of its own.

use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Flow, Phase, Place, Result};
use mapfold_grid::{Block, Edge, Neighbours, Padded, Pixel, Window};
use std::panic::Location;
use std::sync::Arc;

impl<T: Pixel> Flow<Block<T>> {
    /// Gives every block `pixels` more pixels on each side.
    ///
    /// The result cannot be written as it is: `stencil` (or `map` with [`Padded::trim`]) makes it a block again.
    #[track_caller]
    pub fn halo(self, pixels: usize, edge: Edge) -> Flow<Padded<T>> {
        let at = crate::flow::label(Location::caller());
        if !self.node.cuttable() {
            let what = "a halo needs pixels of neighbouring blocks, but a step before it wants whole blocks in hand";
            let remedy = "put `filter` and `group_by(Tile).reduce` after the stencil";
            self.plan.fail(Error::usage(what).at_stage(format!("halo at {at}")).with_remedy(remedy));
        }
        let node = Halo { inner: self.node.clone(), halo: pixels, edge, at };
        Flow::from_node(&self.plan, Arc::new(node))
    }
}

impl<T: Pixel> Flow<Padded<T>> {
    /// A new value for every pixel from its neighbours, band by band; `None` is invalid.
    #[track_caller]
    pub fn stencil<U: Pixel>(
        self,
        f: impl Fn(Neighbours<'_, T>) -> Option<U> + Send + Sync + 'static,
    ) -> Flow<Block<U>> {
        self.map(move |padded| padded.stencil(&f))
    }
}

struct Halo<T> {
    inner: Arc<dyn Node<Block<T>>>,
    halo: usize,
    edge: Edge,
    at: String,
}

impl<T: Pixel> Halo<T> {
    /// The window to ask the input for: padded, clipped to the image.
    fn source(&self, at: &Place) -> Place {
        let (scene, window) = at.window();
        let Domain::Raster(r) = self.inner.domain() else { unreachable!("halo is a verb of raster flows") };
        Place::Window { scene, window: window.pad(self.halo).intersect(r.grid.shape.window()) }
    }

    fn pad(&self, block: &Block<T>, window: Window) -> Padded<T> {
        let outer = window.pad(self.halo);
        if block.window() == outer {
            return Padded::new(block.clone(), self.halo);
        }
        Padded::new(spread(block, outer, self.edge), self.halo)
    }
}

/// Copies `block` into the larger window `outer`; pixels outside of `block` follow the edge rule.
fn spread<T: Pixel>(block: &Block<T>, outer: Window, edge: Edge) -> Block<T> {
    let (inner, size) = (block.window(), outer.pixels() * block.band_count());
    // Where each row and column of `outer` comes from, and whether it is there.
    let source = |from: i64, n: usize, first: i64, end: i64| -> Vec<(usize, bool)> {
        let near = |i: i64| (i.clamp(first, end - 1), i);
        let at = |(near, i): (i64, i64)| ((near - first) as usize, near == i || edge == Edge::Nearest);
        (from..from + n as i64).map(|i| at(near(i))).collect()
    };
    let rows = source(outer.row, outer.rows, inner.row, inner.row_end());
    let cols = source(outer.col, outer.cols, inner.col, inner.col_end());
    let (mut data, mut valid) = (Vec::with_capacity(size), Vec::with_capacity(size));
    for band in 0..block.band_count() {
        let (values, mask) = (block.band(band), block.band_mask(band));
        for (r, row_is) in &rows {
            let row = r * inner.cols..(r + 1) * inner.cols;
            let (values, mask) = (&values[row.clone()], mask.map(|m| &m[row]));
            data.extend(cols.iter().map(|(c, col_is)| if *row_is && *col_is { values[*c] } else { T::FILL }));
            let known = |c: usize| mask.is_none_or(|m| m[c] != 0);
            valid.extend(cols.iter().map(|(c, col_is)| u8::from(*row_is && *col_is && known(*c))));
        }
    }
    Block::new(block.grid().clone(), outer, block.band_count(), data)
        .expect("one value per pixel and band")
        .with_nodata(block.nodata().to_vec())
        .with_valid(Some(valid))
}

impl<T: Pixel> Node<Padded<T>> for Halo<T> {
    fn domain(&self) -> &Domain {
        self.inner.domain()
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(Padded<T>) -> Result<()>) -> Result<()> {
        let ((_, window), (_, wanted)) = (at.window(), self.source(at).window());
        self.inner.eval(&self.source(at), cx, &mut |block| {
            if block.window() != wanted {
                let what = format!("a block at {} came where the halo expects {wanted}", block.window());
                return Err(Error::job(what).at_stage(format!("halo at {}", self.at)).at_place(at.to_string()));
            }
            let padded = cx.during(Phase::Compute, || self.pad(&block, window));
            drop(block);
            emit(padded)
        })
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.inner.needs(&self.source(at), out)
    }

    fn held(&self, at: &Place) -> u64 {
        let (scene, window) = at.window();
        let outer = Place::Window { scene, window: window.pad(self.halo) };
        // At the edges of the image a mask byte per value; a stencil copies the validity of one band.
        let values = self.inner.held(&outer);
        values + values / size_of::<T>() as u64 + outer.pixels()
    }

    fn memory(&self, at: &Place) -> u64 {
        let source = self.source(at);
        // At the edges of the image the block is copied into the larger one.
        self.inner.memory(&source).max(self.inner.held(&source) + self.held(at))
    }

    fn cuttable(&self) -> bool {
        self.inner.cuttable()
    }

    fn recompute(&self, at: &Place) -> f64 {
        let source = self.source(at);
        self.inner.recompute(&source) * source.pixels() as f64 / at.pixels().max(1) as f64
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        out.push(Step { what: format!("halo {} ({:?})", self.halo, self.edge), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}
