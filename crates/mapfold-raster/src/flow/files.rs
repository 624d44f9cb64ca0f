//! Opening rasters while planning.
//!
//! Headers are read once and recorded as planning answers. Where one file is wanted, a list or a pattern that names one
//! will do; [`RasterVerbs::scenes`] takes those that name many. All inputs of a flow must lie on one grid; if they do
//! not, the error says how they differ, and no pixel has been read.

use super::generate::Generate;
use super::load::{Input, Load};
use super::options::ReadOptions;
use crate::{RasterError, RasterMeta, RasterSource, tiff};
use mapfold_grid::{Block, DType, GeoBox, Pixel, Shape, Window};
use mapfold_plan::{Domain, Error, FileId, Flow, Kind, Plan, RasterDomain, Result, TimeKey};
use mapfold_store::{Loc, ObjectInfo};
use std::sync::Arc;

/// A raster opened while planning: its header, and the bands that its location names.
#[derive(Clone)]
pub struct OpenRaster {
    /// The file.
    pub source: Arc<dyn RasterSource>,
    /// Its number in the plan.
    pub file: FileId,
    /// Size and version when it was opened.
    pub info: ObjectInfo,
    /// Bands chosen by the location's fragment, from 0.
    pub bands: Vec<usize>,
}

impl OpenRaster {
    /// What the file says of itself.
    pub fn meta(&self) -> &RasterMeta {
        self.source.meta()
    }

    /// Type of the chosen bands.
    pub fn dtype(&self) -> DType {
        self.bands.first().map_or(DType::U8, |b| self.meta().bands[*b].dtype)
    }
}

/// Bands of one moment.
#[derive(Clone, Debug)]
pub struct Scene {
    /// When.
    pub time: TimeKey,
    /// One location per band, or files with several.
    pub bands: Vec<Loc>,
}

/// Raster verbs of a plan.
pub trait RasterVerbs {
    /// Reads a header: what is there, before deciding what to do with it.
    ///
    /// # Errors
    /// When the file is missing, is several files (a list or a pattern), is no raster, has no such band, or uses a feature that is refused by name.
    fn open_raster(&self, loc: &Loc) -> Result<OpenRaster>;

    /// Bands of one or several files on one grid, stacked in the order given, converted to `T` before anything is
    /// computed. A location's fragment chooses bands: `scene.tif#4`, `scene.tif#B04`.
    ///
    /// # Errors
    /// Those of [`RasterVerbs::open_raster`]; and when grids differ (it says how).
    fn raster<'a, T: Pixel>(&self, locs: impl IntoIterator<Item = &'a Loc>) -> Result<Flow<Block<T>>>;

    /// The files that inputs name (lists and patterns looked up), one scene each. A scene's time is its place in the
    /// list, from 0: names of files are not taken for dates.
    ///
    /// ```
    /// use mapfold_plan::{Plan, PlanOptions, TimeKey};
    /// use mapfold_raster::RasterVerbs;
    /// use mapfold_store::{Loc, Stores};
    /// let plan = Plan::new(Stores::new(), PlanOptions::default());
    /// plan.stores().put(&Loc::parse("memory://lab/list.txt")?, "b.tif\na.tif\n".into())?;
    /// let scenes = plan.scenes([&Loc::parse("@memory://lab/list.txt")?])?;
    /// assert_eq!(scenes[1].time, TimeKey(1));
    /// assert_eq!(scenes[1].bands[0].to_string(), "memory://lab/a.tif");
    /// # Ok::<(), mapfold_plan::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Plan::locations`].
    fn scenes<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>) -> Result<Vec<Scene>>;

    /// Whether `--bbox` leaves any pixel of a raster; true without one.
    ///
    /// # Errors
    /// When the raster's grid has no box.
    fn is_in_box(&self, raster: &OpenRaster) -> Result<bool>;

    /// Scenes on one grid, to be grouped by tile or time. Sorted by time; scenes of one moment keep their order.
    ///
    /// # Errors
    /// As [`RasterVerbs::raster`]; and when scenes have different numbers of bands.
    fn series<T: Pixel>(&self, scenes: impl IntoIterator<Item = Scene>) -> Result<Flow<Block<T>>>;

    /// One band computed from nothing but its place: `f` gives the values of a window, row by row. `f` must be pure,
    /// since a window may be asked for twice or cut differently.
    fn generate<T: Pixel>(
        &self,
        grid: GeoBox,
        name: &str,
        nodata: Option<T>,
        f: impl Fn(Window) -> Vec<T> + Send + Sync + 'static,
    ) -> Flow<Block<T>>;
}

impl RasterVerbs for Plan {
    fn open_raster(&self, loc: &Loc) -> Result<OpenRaster> {
        let loc = &self.location(loc)?;
        let file_loc = loc.without_fragment();
        let (info, source): (ObjectInfo, tiff::TiffSource) = self.ask(&format!("open {file_loc}"), || {
            let info = self.stores().block_on(self.stores().head(&file_loc))?;
            Ok((info, tiff::open(self.stores(), &file_loc).map_err(input)?))
        })?;
        let bands = tiff::select_bands(source.meta(), loc).map_err(input)?;
        source.meta().warnings.iter().for_each(|w| self.warn(format!("{file_loc}: {w}")));
        let file = self.file(&file_loc, &info);
        Ok(OpenRaster { source: Arc::new(source), file, info, bands })
    }

    fn raster<'a, T: Pixel>(&self, locs: impl IntoIterator<Item = &'a Loc>) -> Result<Flow<Block<T>>> {
        let bands = locs.into_iter().cloned().collect();
        self.series([Scene { time: TimeKey(0), bands }])
    }

    fn scenes<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>) -> Result<Vec<Scene>> {
        let scene = |(i, loc): (usize, Loc)| Scene { time: TimeKey(i as i64), bands: vec![loc] };
        Ok(self.locations(inputs)?.into_iter().enumerate().map(scene).collect())
    }

    fn is_in_box(&self, raster: &OpenRaster) -> Result<bool> {
        let Some(bbox) = self.setting::<ReadOptions>().and_then(|o| o.bbox) else { return Ok(true) };
        let geobox = &raster.meta().geobox;
        Ok(!pixels_of(geobox, bbox)?.intersect(geobox.shape.window()).is_empty())
    }

    fn series<T: Pixel>(&self, scenes: impl IntoIterator<Item = Scene>) -> Result<Flow<Block<T>>> {
        let mut scenes: Vec<Scene> = scenes.into_iter().collect();
        scenes.sort_by_key(|s| s.time);
        let options = self.setting::<ReadOptions>().map(|o| (*o).clone()).unwrap_or_default();
        let open = |s: &Scene| s.bands.iter().map(|l| self.open_raster(l)).collect::<Result<Vec<_>>>();
        let opened = scenes.iter().map(open).collect::<Result<Vec<_>>>()?;
        let first =
            opened.iter().flatten().next().ok_or_else(|| Error::usage("a raster flow needs at least one file"))?;
        check_grids(first, &opened)?;
        let crop = crop_of(self, first, &options)?;
        let grid = Arc::new(first.meta().geobox.crop(crop));
        let domain = RasterDomain {
            superblock: superblock(first, &grid, self.options().tile)?,
            align: first.meta().levels[0].block,
            times: scenes.iter().map(|s| s.time).collect(),
            grid,
        };
        warn_misaligned(self, first, crop);
        let scale = options.scale.unwrap_or_default();
        let inputs: Vec<Vec<Input>> =
            opened.into_iter().map(|s| s.into_iter().map(|o| Input::new::<T>(o, scale)).collect()).collect();
        let node = Load::<T>::new(inputs, Domain::Raster(domain), crop);
        Ok(Flow::from_node(self, Arc::new(node)))
    }

    fn generate<T: Pixel>(
        &self,
        grid: GeoBox,
        name: &str,
        nodata: Option<T>,
        f: impl Fn(Window) -> Vec<T> + Send + Sync + 'static,
    ) -> Flow<Block<T>> {
        let tile = self.options().tile.unwrap_or(2048);
        Flow::from_node(self, Arc::new(Generate::new(grid, tile, name, nodata, f)))
    }
}

/// A raster error as the plan's: bad files and bands are the input's fault.
pub fn input(e: RasterError) -> Error {
    let kind = match &e {
        RasterError::NoBand { .. } | RasterError::Options { .. } => Kind::Usage,
        RasterError::Store(_) => return store_error(e),
        _ => Kind::Input,
    };
    let remedy = match &e {
        RasterError::Unsupported { .. } => Some("convert it first: gdal_translate -of COG -co COMPRESS=DEFLATE IN OUT"),
        RasterError::Tile { .. } => {
            Some("fetch the file again; `mapfold info` shows its header, `gdalinfo -checksum` tests it")
        }
        RasterError::Header { .. } => Some("fetch the file again, or look at it with gdalinfo"),
        RasterError::Request { .. } => Some("`mapfold info FILE` shows what is there"),
        RasterError::NotARaster { .. } => {
            Some("give a TIFF or COG; other rasters convert with gdal_translate -of COG IN OUT")
        }
        RasterError::NoBand { .. } => Some("`mapfold info FILE` lists the bands"),
        _ => None,
    };
    let made = Error::caused(kind, e);
    match remedy {
        Some(r) => made.with_remedy(r),
        None => made,
    }
}

fn store_error(e: RasterError) -> Error {
    match e {
        RasterError::Store(s) => Error::from(s),
        other => Error::caused(Kind::Input, other),
    }
}

fn check_grids(first: &OpenRaster, all: &[Vec<OpenRaster>]) -> Result<()> {
    let bands = |s: &[OpenRaster]| s.iter().map(|o| o.bands.len()).sum::<usize>();
    for (i, scene) in all.iter().enumerate() {
        if bands(scene) != bands(&all[0]) {
            let what = format!("scene {i} has {} bands, scene 0 has {}", bands(scene), bands(&all[0]));
            return Err(Error::input(what));
        }
        for other in scene {
            if let Err(how) = first.meta().geobox.check_same(&other.meta().geobox) {
                let what = format!("{} and {} are not on one grid: {how}", first.source.loc(), other.source.loc());
                let remedy = "bring them to one grid first (gdalwarp -t_srs … -te … -tr …)";
                return Err(Error::input(what).with_remedy(remedy));
            }
        }
    }
    Ok(())
}

/// The pixels asked for: a window, a box, or everything.
fn crop_of(plan: &Plan, first: &OpenRaster, options: &ReadOptions) -> Result<Window> {
    let geobox = &first.meta().geobox;
    let whole = geobox.shape.window();
    let asked = match (options.window, options.bbox) {
        (Some(_), Some(_)) => return Err(Error::usage("give either --window or --bbox, not both")),
        (Some(w), None) => w,
        (None, Some(b)) => pixels_of(geobox, b)?,
        (None, None) => return Ok(whole),
    };
    let crop = asked.intersect(whole);
    let loc = first.source.loc();
    if crop.is_empty() {
        let [w, s, e, n] = geobox.bounds();
        let what = match options.bbox {
            Some([west, south, east, north]) => format!(
                "{loc}: the box {west},{south},{east},{north} touches no pixel; the image has {w},{s},{e},{n} \
                 (west, south, east, north)"
            ),
            None => format!("{loc}: the window asked for ({asked}) has no pixel of the image ({whole})"),
        };
        return Err(
            Error::usage(what).with_remedy("`mapfold info FILE` shows size and bounds, in the units of the CRS")
        );
    }
    if options.window.is_some() && crop != asked {
        plan.warn(format!("{loc}: the window reaches beyond the image: {crop} of {asked} are used"));
    }
    Ok(crop)
}

fn pixels_of(geobox: &GeoBox, [west, south, east, north]: [f64; 4]) -> Result<Window> {
    let a = &geobox.affine;
    if !a.is_axis_aligned() {
        return Err(Error::usage("--bbox needs a grid whose rows and columns run along the axes; use --window"));
    }
    let (c0, c1) = ((west - a.c) / a.a, (east - a.c) / a.a);
    let (r0, r1) = ((north - a.f) / a.e, (south - a.f) / a.e);
    let (c0, c1, r0, r1) = (c0.min(c1), c0.max(c1), r0.min(r1), r0.max(r1));
    let (row, col) = ((r0 + 1e-6).floor() as i64, (c0 + 1e-6).floor() as i64);
    let (rows, cols) = (((r1 - 1e-6).ceil() as i64 - row).max(0), ((c1 - 1e-6).ceil() as i64 - col).max(0));
    Ok(Window { row, col, rows: rows as usize, cols: cols as usize })
}

/// The split of a raster stage: 2048 x 2048 pixels; smaller for small images, so that there are enough splits for
/// the threads of a machine (never as many as there are threads: results must not depend on them). Files stored by
/// rows are split into as many full rows.
fn superblock(first: &OpenRaster, grid: &GeoBox, tile: Option<usize>) -> Result<Shape> {
    const MOST: usize = 2048;
    const LEAST: usize = 512;
    const ENOUGH: usize = 8;
    if let Some(edge) = tile {
        if edge == 0 || edge % 64 != 0 {
            return Err(Error::usage(format!("--tile {edge}: give a multiple of 64")));
        }
        return Ok(Shape { rows: edge, cols: edge });
    }
    let count = |edge: usize| grid.shape.rows.div_ceil(edge) * grid.shape.cols.div_ceil(edge);
    let halves = std::iter::successors(Some(MOST), |e| (*e > LEAST && count(*e) < ENOUGH).then_some(e / 2));
    let edge = halves.last().unwrap_or(MOST);
    let block = first.meta().levels[0].block;
    if block.cols >= first.meta().geobox.shape.cols && grid.shape.cols > edge {
        let rows = (edge * edge / grid.shape.cols / LEAST * LEAST).max(LEAST);
        return Ok(Shape { rows, cols: grid.shape.cols });
    }
    let up = |n: usize| if n > edge && n.is_multiple_of(LEAST) { n } else { edge };
    Ok(Shape { rows: up(block.rows), cols: up(block.cols) })
}

fn warn_misaligned(plan: &Plan, first: &OpenRaster, crop: Window) {
    let block = first.meta().levels[0].block;
    let off = |start: i64, step: usize| step > 1 && !(start as usize).is_multiple_of(step);
    if off(crop.row, block.rows) || off(crop.col, block.cols) {
        let loc = first.source.loc();
        plan.warn(format!(
            "{loc}: the window starts inside a codec tile of {block} pixels: tiles at the seams are decoded twice"
        ));
    }
}
