//! Blocks from a function: synthetic scenes, test patterns, grids of coordinates.

use mapfold_grid::{Block, GeoBox, Pixel, Shape, Window};
use mapfold_plan::{Cx, Domain, Need, Node, Phase, Place, RasterDomain, Result, Step, TimeKey};
use std::marker::PhantomData;
use std::sync::Arc;

/// A source that computes its pixels. The function must be pure: a pixel depends on its place only.
pub(super) struct Generate<T, F> {
    domain: Domain,
    grid: Arc<GeoBox>,
    name: String,
    nodata: Option<T>,
    f: F,
    _t: PhantomData<fn() -> T>,
}

impl<T: Pixel, F: Fn(Window) -> Vec<T> + Send + Sync> Generate<T, F> {
    pub(super) fn new(grid: GeoBox, tile: usize, name: &str, nodata: Option<T>, f: F) -> Self {
        let grid = Arc::new(grid);
        let superblock = Shape { rows: tile, cols: tile };
        let align = Shape { rows: 256, cols: tile };
        let domain = Domain::Raster(RasterDomain { grid: grid.clone(), superblock, align, times: vec![TimeKey(0)] });
        Generate { domain, grid, name: name.into(), nodata, f, _t: PhantomData }
    }
}

impl<T: Pixel, F: Fn(Window) -> Vec<T> + Send + Sync> Node<Block<T>> for Generate<T, F> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(Block<T>) -> Result<()>) -> Result<()> {
        let (_, window) = at.window();
        let make =
            || if cx.is_template() { vec![self.nodata.unwrap_or(T::FILL); window.pixels()] } else { (self.f)(window) };
        let data = cx.during(Phase::Compute, make);
        let block = Block::new(self.grid.clone(), window, 1, data)?;
        emit(block.with_nodata(vec![self.nodata]))
    }

    fn needs(&self, _: &Place, _: &mut Vec<Need>) -> Result<()> {
        Ok(())
    }

    fn held(&self, at: &Place) -> u64 {
        at.pixels() * T::DTYPE.size() as u64
    }

    fn memory(&self, at: &Place) -> u64 {
        3 * self.held(at)
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        out.push(Step { what: format!("generate {} as {}", self.name, T::DTYPE), at: String::new() });
    }

    fn input_bytes(&self) -> u64 {
        0
    }
}
