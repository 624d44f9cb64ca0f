//! Grouping by keys that are known while planning: no exchange, the splits are regrouped.

use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Flow, Place, RasterDomain, Result, Stack, TileKey, TimeKey};
use mapfold_grid::{Block, Pixel, Window};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// Group key: the tile of the job's grid. All times of a tile come together as a [`Stack`].
#[derive(Clone, Copy, Debug)]
pub struct Tile;

/// Group key: the time of a scene. All tiles of a scene come together, row by row. Also names the axis of
/// [`Stack::median`].
#[derive(Clone, Copy, Debug)]
pub struct Time;

/// A key that is known while planning, and what its group looks like.
pub trait PlannedKey<T: Pixel> {
    /// The key.
    type Key: 'static;
    /// What the reducer gets.
    type Group: 'static;
    #[doc(hidden)]
    fn node(inner: Arc<dyn Node<Block<T>>>, at: String) -> Arc<dyn Node<(Self::Key, Self::Group)>>;
}

/// Blocks grouped by a planned key: see [`Grouped::reduce`].
pub struct Grouped<K, G> {
    flow: Flow<(K, G)>,
}

/// A pixel-local view over time: see [`Over::median`].
pub struct Over<T> {
    flow: Flow<Block<T>>,
    at: String,
    _t: PhantomData<T>,
}

impl<T: Pixel> Flow<Block<T>> {
    /// Brings together what has the same planned key. Not an exchange: use `key_by` for keys that only the values
    /// know.
    #[track_caller]
    pub fn group_by<K: PlannedKey<T>>(self, _key: K) -> Grouped<K::Key, K::Group> {
        let node = K::node(self.node.clone(), crate::flow::label(Location::caller()));
        Grouped { flow: Flow::from_node(&self.plan, node) }
    }

    /// Pixel-local reducers over time. They are computed window by window, so that a stack larger than memory is
    /// never refused.
    #[track_caller]
    pub fn over(self, _axis: Time) -> Over<T> {
        Over { flow: self, at: crate::flow::label(Location::caller()), _t: PhantomData }
    }
}

impl<K: 'static, G: 'static> Grouped<K, G> {
    /// One value from each whole group. The group is in hand at once; a plan in which it cannot fit into memory is
    /// refused with the `--tile` that would.
    #[track_caller]
    pub fn reduce<U: 'static>(self, f: impl Fn(K, G) -> U + Send + Sync + 'static) -> Flow<U> {
        self.flow.map(move |(key, group)| f(key, group))
    }
}

impl<T: Pixel> Over<T> {
    fn stacks(self) -> Flow<(TileKey, Stack<T>)> {
        let node = ByTile::new(self.flow.node.clone(), self.at, true);
        Flow::from_node(&self.flow.plan, Arc::new(node))
    }

    /// Median of the valid values.
    #[track_caller]
    pub fn median(self) -> Flow<Block<f32>> {
        self.stacks().map(|(_, s)| s.median(Time))
    }

    /// Mean of the valid values.
    #[track_caller]
    pub fn mean(self) -> Flow<Block<f32>> {
        self.stacks().map(|(_, s)| s.mean(Time))
    }

    /// Any function of a pixel's valid values, in the order of time.
    #[track_caller]
    pub fn reduce_pixels<U: Pixel>(
        self,
        f: impl Fn(&mut Vec<T>) -> Option<U> + Send + Sync + 'static,
    ) -> Flow<Block<U>> {
        self.stacks().map(move |(_, s)| s.pixels(&f))
    }
}

impl<T: Pixel> PlannedKey<T> for Tile {
    type Key = TileKey;
    type Group = Stack<T>;

    fn node(inner: Arc<dyn Node<Block<T>>>, at: String) -> Arc<dyn Node<(TileKey, Stack<T>)>> {
        Arc::new(ByTile::new(inner, at, false))
    }
}

impl<T: Pixel> PlannedKey<T> for Time {
    type Key = TimeKey;
    type Group = Vec<(TileKey, Block<T>)>;

    fn node(inner: Arc<dyn Node<Block<T>>>, at: String) -> Arc<dyn Node<(TimeKey, Self::Group)>> {
        Arc::new(ByTime::new(inner, at))
    }
}

fn raster<T>(node: &dyn Node<T>) -> &RasterDomain {
    match node.domain() {
        Domain::Raster(r) => r,
        _ => unreachable!("planned keys are verbs of raster flows"),
    }
}

/// All times of a window together.
struct ByTile<T> {
    inner: Arc<dyn Node<Block<T>>>,
    domain: Domain,
    times: Vec<TimeKey>,
    at: String,
    pixel_local: bool,
}

impl<T: Pixel> ByTile<T> {
    fn new(inner: Arc<dyn Node<Block<T>>>, at: String, pixel_local: bool) -> Self {
        let r = raster(inner.as_ref());
        let times = r.times.clone();
        let domain = Domain::Raster(RasterDomain { times: times[..1].to_vec(), ..r.clone() });
        ByTile { inner, domain, times, at, pixel_local }
    }

    fn scenes(&self, at: &Place) -> impl Iterator<Item = Place> + use<T> {
        let (_, window) = at.window();
        (0..self.times.len()).map(move |scene| Place::Window { scene, window })
    }

    fn tile(&self, at: &Place) -> TileKey {
        let (_, w) = at.window();
        let block = raster(self.inner.as_ref()).superblock;
        TileKey { row: (w.row as usize / block.rows) as u32, col: (w.col as usize / block.cols) as u32 }
    }
}

impl<T: Pixel> Node<(TileKey, Stack<T>)> for ByTile<T> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut((TileKey, Stack<T>)) -> Result<()>) -> Result<()> {
        let (mut times, mut blocks) = (Vec::new(), Vec::new());
        for (place, time) in self.scenes(at).zip(&self.times) {
            self.inner.eval(&place, cx, &mut |b| {
                times.push(*time);
                blocks.push(b);
                Ok(())
            })?;
        }
        if blocks.is_empty() { Ok(()) } else { emit((self.tile(at), Stack::new(times, blocks))) }
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.scenes(at).try_for_each(|p| self.inner.needs(&p, out))
    }

    fn held(&self, at: &Place) -> u64 {
        self.scenes(at).map(|p| self.inner.held(&p)).sum()
    }

    fn memory(&self, at: &Place) -> u64 {
        let last = self.scenes(at).last().map_or(0, |p| self.inner.memory(&p));
        // A byte of validity per pixel and date while a band is reduced.
        self.held(at) + last + at.pixels() * self.times.len() as u64
    }

    fn cuttable(&self) -> bool {
        self.pixel_local && self.inner.cuttable()
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.inner.recompute(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        let what = if self.pixel_local { "over time" } else { "group_by tile" };
        out.push(Step { what: format!("{what} ({} dates, no exchange)", self.times.len()), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}

/// All tiles of a scene together.
struct ByTime<T> {
    inner: Arc<dyn Node<Block<T>>>,
    domain: Domain,
    at: String,
}

impl<T: Pixel> ByTime<T> {
    fn new(inner: Arc<dyn Node<Block<T>>>, at: String) -> Self {
        let count = raster(inner.as_ref()).times.len() as u64;
        ByTime { inner, domain: Domain::Units { count }, at }
    }

    fn tiles(&self, at: &Place) -> Vec<(TileKey, Place)> {
        let Place::Unit(scene) = *at else { unreachable!("scenes are units, not {at}") };
        let grid = raster(self.inner.as_ref()).blocks();
        let tile = |i| {
            let (row, col) = grid.cell(i);
            let key = TileKey { row: row as u32, col: col as u32 };
            (key, Place::Window { scene: scene as usize, window: grid.window(i) })
        };
        (0..grid.len()).map(tile).collect()
    }
}

impl<T: Pixel> Node<(TimeKey, Vec<(TileKey, Block<T>)>)> for ByTime<T> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(
        &self,
        at: &Place,
        cx: &Cx<'_>,
        emit: &mut dyn FnMut((TimeKey, Vec<(TileKey, Block<T>)>)) -> Result<()>,
    ) -> Result<()> {
        let Place::Unit(scene) = *at else { unreachable!("scenes are units, not {at}") };
        if cx.is_template() {
            let pixel = Place::Window { scene: 0, window: Window { row: 0, col: 0, rows: 1, cols: 1 } };
            return self.inner.eval(&pixel, cx, &mut |_| Ok(())); // fixes the bytes per pixel of the links below
        }
        let mut tiles = Vec::new();
        for (key, place) in self.tiles(at) {
            self.inner.eval(&place, cx, &mut |b| {
                tiles.push((key, b));
                Ok(())
            })?;
        }
        emit((raster(self.inner.as_ref()).times[scene as usize], tiles))
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.tiles(at).iter().try_for_each(|(_, p)| self.inner.needs(p, out))
    }

    fn held(&self, at: &Place) -> u64 {
        self.tiles(at).iter().map(|(_, p)| self.inner.held(p)).sum()
    }

    fn memory(&self, at: &Place) -> u64 {
        let most = self.tiles(at).iter().map(|(_, p)| self.inner.memory(p)).max().unwrap_or(0);
        self.held(at) + most
    }

    fn cuttable(&self) -> bool {
        false
    }

    fn recompute(&self, _at: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        out.push(Step { what: "group_by time (no exchange)".into(), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}
