//! Where the values of a flow live, and the pieces that a stage is cut into.

use mapfold_grid::{BlockGrid, GeoBox, Shape, Window};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Row and column of a tile of the job's grid, counted in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TileKey {
    /// Row of the tile.
    pub row: u32,
    /// Column of the tile.
    pub col: u32,
}

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimeKey(pub i64);

/// A grid of pixels, at one or several times, cut into superblocks.
#[derive(Clone, Debug)]
pub struct RasterDomain {
    /// The ground.
    pub grid: Arc<GeoBox>,
    /// The split of a raster stage: a plan constant, never dependent on threads, workers or memory.
    pub superblock: Shape,
    /// The codec tile of the inputs: windows cut along it decode each tile once.
    pub align: Shape,
    /// Times of the scenes, ascending; one entry for a flow without time.
    pub times: Vec<TimeKey>,
}

impl RasterDomain {
    /// The superblocks of one scene.
    pub fn blocks(&self) -> BlockGrid {
        BlockGrid::new(self.grid.shape, self.superblock)
    }
}

/// Several grounds side by side: those of a union of flows. Splits and scenes are numbered through, ground by ground.
#[derive(Clone, Debug)]
pub struct RasterDomains {
    grounds: Vec<RasterDomain>,
    /// Splits before each ground, and all of them at the end.
    splits: Vec<u64>,
    /// Scenes before each ground.
    scenes: Vec<usize>,
}

impl RasterDomains {
    /// In this order.
    pub fn new(grounds: Vec<RasterDomain>) -> RasterDomains {
        let (mut splits, mut scenes) = (vec![0], vec![0]);
        for g in &grounds {
            splits.push(splits[splits.len() - 1] + (g.blocks().len() * g.times.len()) as u64);
            scenes.push(scenes[scenes.len() - 1] + g.times.len());
        }
        RasterDomains { grounds, splits, scenes }
    }

    /// The ground of a scene, and the scene's number there.
    pub fn member(&self, scene: usize) -> (usize, usize) {
        let at = self.scenes.partition_point(|before| *before <= scene).saturating_sub(1);
        (at, scene - self.scenes[at])
    }

    fn place(&self, id: u64) -> Place {
        let at = self.splits.partition_point(|before| *before <= id).saturating_sub(1).min(self.grounds.len() - 1);
        let (scene, window) = Domain::Raster(self.grounds[at].clone()).place(id - self.splits[at]).window();
        Place::Window { scene: scene + self.scenes[at], window }
    }

    /// The largest superblock and the largest codec tile, per axis.
    fn shapes(&self) -> (Shape, Shape) {
        let most = |shape: fn(&RasterDomain) -> Shape| {
            let all = || self.grounds.iter().map(shape);
            Shape { rows: all().map(|s| s.rows).max().unwrap_or(1), cols: all().map(|s| s.cols).max().unwrap_or(1) }
        };
        (most(|g| g.superblock), most(|g| g.align))
    }
}

/// How much crosses an exchange, about: what its memory is planned for. What is more is spilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Records of all splits.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Where the values of a flow live.
#[derive(Clone, Debug)]
pub enum Domain {
    /// Blocks of pixels.
    Raster(RasterDomain),
    /// Blocks of pixels of several grids.
    Rasters(Arc<RasterDomains>),
    /// Numbered units without a place on the ground.
    Units {
        /// How many.
        count: u64,
    },
    /// The partitions of an exchange.
    Partitions {
        /// Which exchange of the plan.
        exchange: usize,
        /// How many: a plan constant.
        count: u32,
        /// Bytes of input before the exchange, 0 when nobody knows: how much may come, about.
        input_bytes: u64,
        /// What comes, where the job has an estimate.
        load: Option<Load>,
    },
}

impl Domain {
    /// Number of splits of a stage over this domain.
    pub fn splits(&self) -> u64 {
        match self {
            Domain::Raster(r) => (r.blocks().len() * r.times.len()) as u64,
            Domain::Rasters(all) => all.splits[all.grounds.len()],
            Domain::Units { count } => *count,
            Domain::Partitions { count, .. } => u64::from(*count),
        }
    }

    /// Superblock and codec tile of domains on the ground.
    pub(crate) fn shapes(&self) -> Option<(Shape, Shape)> {
        match self {
            Domain::Raster(r) => Some((r.superblock, r.align)),
            Domain::Rasters(all) => Some(all.shapes()),
            _ => None,
        }
    }

    /// The first split of each ground, where there are several: each may need its own memory.
    pub(crate) fn first_splits(&self) -> Vec<u64> {
        match self {
            Domain::Rasters(all) => {
                all.splits.windows(2).filter(|ends| ends[0] < ends[1]).map(|ends| ends[0]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The place of split `id`: scene by scene, superblocks row by row.
    pub fn place(&self, id: u64) -> Place {
        match self {
            Domain::Raster(r) => {
                let per_scene = r.blocks().len().max(1);
                let (scene, block) = (id as usize / per_scene, id as usize % per_scene);
                Place::Window { scene, window: r.blocks().window(block) }
            }
            Domain::Rasters(all) => all.place(id),
            Domain::Units { .. } => Place::Unit(id),
            Domain::Partitions { exchange, .. } => Place::Partition { exchange: *exchange, partition: id as u32 },
        }
    }
}

/// A piece of a domain: what a node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Pixels of one scene.
    Window {
        /// Index into the times of the domain.
        scene: usize,
        /// Which pixels.
        window: Window,
    },
    /// One unit.
    Unit(u64),
    /// One partition of an exchange.
    Partition {
        /// Which exchange.
        exchange: usize,
        /// Which partition.
        partition: u32,
    },
}

impl Place {
    /// Pixels of the place; 0 when it is not on the ground.
    pub fn pixels(&self) -> u64 {
        match self {
            Place::Window { window, .. } => window.pixels() as u64,
            _ => 0,
        }
    }

    /// The window, for nodes that only live on rasters.
    ///
    /// # Panics
    /// When the place is not a window: a fault of the planner, not of data.
    pub fn window(&self) -> (usize, Window) {
        match self {
            Place::Window { scene, window } => (*scene, *window),
            other => unreachable!("a raster node was asked for {other}"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Window { scene: 0, window } => write!(f, "{window}"),
            Place::Window { scene, window } => write!(f, "scene {scene}, {window}"),
            Place::Unit(u) => write!(f, "unit {u}"),
            Place::Partition { partition, .. } => write!(f, "partition {partition}"),
        }
    }
}

/// How a split may be cut into windows that are computed one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Windows of at most this shape, row by row.
    Windows(Shape),
    /// The split as a whole: a user's reducer wants it in hand.
    Whole,
}

impl Cut {
    /// The windows of a split's place, in the order they are computed.
    pub fn places(&self, place: Place) -> Vec<Place> {
        match (self, place) {
            (Cut::Windows(shape), Place::Window { scene, window }) => {
                window.tiles(*shape).map(|window| Place::Window { scene, window }).collect()
            }
            _ => vec![place],
        }
    }
}
