//! Everything about an output file that is fixed before its first pixel: levels, tiles, streams, header size.
//!
//! A superblock (a cell of the grid given to [`Layout::new`]) is the unit of parallel work. It writes level 0 and
//! every overview whose pixels it holds alone: as long as both sides of a level halve exactly and the superblock's
//! share is whole tiles. These are the *in-pass* levels. The others are made afterwards from encoded tiles
//! ([`super::encode_coarse`]), level by level, because their footprints cross superblock borders.

use super::codec;
use super::ifd;
use super::overview;
use super::{BigTiff, Compress, Format, MaskChoice, Overviews, Predictor, Resampling, WriteOptions};
use crate::{LevelMeta, RasterError};
use mapfold_grid::{BlockGrid, DType, GeoBox, Shape, Window};

/// The image that a file is to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// The ground covered; its shape is the image's.
    pub geobox: GeoBox,
    /// Type of all bands.
    pub dtype: DType,
    /// Number of bands.
    pub bands: usize,
    /// Band names; shorter lists leave the rest unnamed.
    pub names: Vec<Option<String>>,
    /// Nodata value that the image brings along; [`WriteOptions::nodata`] goes before it.
    pub nodata: Option<f64>,
    /// Whether pixels may be invalid by mask.
    pub mask: bool,
    /// Scale and offset per band (1 and 0 are not written); shorter lists leave the rest at 1 and 0.
    pub scale_offset: Vec<(f64, f64)>,
    /// Metadata items of the dataset.
    pub tags: Vec<(String, String)>,
}

impl ImageSpec {
    /// An image without names, nodata, mask and tags.
    pub fn plain(geobox: GeoBox, dtype: DType, bands: usize) -> ImageSpec {
        let (names, scale_offset, tags) = (Vec::new(), Vec::new(), Vec::new());
        ImageSpec { geobox, dtype, bands, names, nodata: None, mask: false, scale_offset, tags }
    }
}

/// How invalid pixels are told from valid ones in this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Validity {
    /// By this value (NaN for floats, usually).
    InBand(f64),
    /// By an internal mask; values there are 0 (floats: NaN).
    Mask,
    /// Every pixel is valid. `strict`: an invalid one is an error, else it is written as 0 (floats: NaN).
    All {
        /// Whether the user did not ask for it.
        strict: bool,
    },
}

/// Everything fixed before the first pixel.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) spec: ImageSpec,
    pub(crate) format: Format,
    pub(crate) compress: Compress,
    pub(crate) effort: i32,
    pub(crate) predictor: u16,
    pub(crate) tile: usize,
    pub(crate) resampling: Resampling,
    pub(crate) validity: Validity,
    pub(crate) bigtiff: BigTiff,
    superblock: Shape,
    levels: Vec<LevelMeta>,
    in_pass: usize,
    header: u64,
    bounds: (usize, usize),
}

impl Layout {
    /// Fixes the layout. `superblock` is the unit of parallel work at level 0: each side a multiple of the tile's,
    /// or not smaller than the image's.
    ///
    /// # Errors
    /// [`RasterError::Options`] names the choice that does not go with the image or with another choice.
    pub fn new(spec: ImageSpec, options: &WriteOptions, superblock: Shape) -> Result<Layout, RasterError> {
        check_image(&spec)?;
        check_blocks(spec.geobox.shape, options.blocksize, superblock)?;
        let effort = check_effort(options)?;
        let predictor = choose_predictor(spec.dtype, options)?;
        let validity = choose_validity(&spec, options)?;
        let levels = levels_of(spec.geobox.shape, options);
        let in_pass = count_in_pass(&levels, superblock, options.blocksize);
        let tile_bytes = options.blocksize * options.blocksize * spec.dtype.size();
        let mask_bytes = options.blocksize * options.blocksize / 8;
        let bound = |n| codec::bound(options.compress, effort, n);
        let mut layout = Layout {
            format: options.format,
            compress: options.compress,
            effort,
            predictor,
            tile: options.blocksize,
            resampling: options.overview_resampling,
            validity,
            bigtiff: options.bigtiff,
            superblock,
            levels,
            in_pass,
            header: 0,
            bounds: (bound(tile_bytes), bound(mask_bytes)),
            spec,
        };
        layout.header = ifd::reserved_size(&layout);
        Ok(layout)
    }

    /// Shape and tile of every level, finest first. Level 0 is the image.
    pub fn levels(&self) -> &[LevelMeta] {
        &self.levels
    }

    /// Number of byte streams: one per level. Mask tiles follow their image tiles in the same stream.
    pub fn streams(&self) -> usize {
        self.levels.len()
    }

    /// The superblocks, in the order in which [`super::TileIndex::add_superblocks`] wants their parts.
    pub fn superblocks(&self) -> BlockGrid {
        BlockGrid::new(self.spec.geobox.shape, self.superblock)
    }

    /// Levels that [`super::encode_coarse`] has to make, finest first; those before are written by superblocks.
    pub fn coarse_levels(&self) -> std::ops::Range<usize> {
        self.in_pass..self.levels.len()
    }

    /// The units of work of a coarse level, in the order of their parts: windows of that level of 2 x 2 tiles.
    pub fn coarse_units(&self, level: usize) -> Vec<Window> {
        let side = 2 * self.tile;
        self.levels[level].shape.window().tiles(Shape { rows: side, cols: side }).collect()
    }

    /// Bytes from the start of the file that are kept for the header. Pixels follow directly, or after less than
    /// [`super::STEP`] zeros when there are coarse levels.
    pub fn header_size(&self) -> u64 {
        self.header
    }

    /// Value that stands at invalid pixels, when it is told by value.
    pub fn nodata(&self) -> Option<f64> {
        match self.validity {
            Validity::InBand(v) => Some(v),
            _ => None,
        }
    }

    /// Whether the file has an internal mask.
    pub fn has_mask(&self) -> bool {
        self.validity == Validity::Mask
    }

    /// Upper bound of the encoded bytes of a superblock, all levels together.
    pub fn max_part_bytes(&self, superblock: Window) -> u64 {
        let tiles: usize = (0..self.in_pass).map(|k| self.tiles_in(self.share(superblock, k))).sum();
        tiles as u64 * self.max_tile_bytes()
    }

    /// Upper bound of the encoded bytes of one unit of a coarse level.
    pub fn max_unit_bytes(&self, unit: Window) -> u64 {
        self.tiles_in(unit) as u64 * self.max_tile_bytes()
    }

    /// Upper bound of the bytes that one encoder holds beside the pushed block and the encoded bytes
    /// ([`Layout::max_part_bytes`]), when pushed blocks have at most the shape `cut`.
    ///
    /// Pixels wait in tiles of all bands (plus a mask byte per pixel): in the rows of tiles that one row of blocks
    /// touches and does not fill. Blocks of whole tiles leave none open at level 0.
    pub fn encoder_bytes(&self, cut: Shape) -> usize {
        let whole = self.superblocks().cell_window(0, 0);
        let fills = |side: usize, whole: usize| side.is_multiple_of(self.tile) || side >= whole;
        let (rows, cols) = (fills(cut.rows, whole.rows), fills(cut.cols, whole.cols));
        let crosses = !rows && !self.tile.is_multiple_of(cut.rows.max(1));
        let touched = cut.rows.div_ceil(self.tile) + usize::from(crosses);
        let held = |k: usize| {
            let w = self.share(whole, k);
            let open = if k > 0 { (touched >> k) + 1 } else { touched * usize::from(!(rows && cols)) };
            (w.cols.div_ceil(self.tile) * open).min(self.tiles_in(w))
        };
        ((0..self.in_pass).map(held).sum::<usize>() + 1) * self.open_tile_bytes() + self.thread_bytes()
    }

    /// Upper bound of the bytes that [`super::encode_coarse`] holds for a unit of a coarse level: its source window, two
    /// tiles, the encoded bytes and the scratch.
    pub fn coarse_bytes(&self, level: usize, unit: Window) -> usize {
        let source = overview::source_window(unit, self.levels[level - 1].shape, self.levels[level].shape);
        let valid = if self.has_mask() { 1 } else { self.spec.bands };
        let pixel = self.spec.bands * self.spec.dtype.size() + valid;
        let encoded = self.max_unit_bytes(unit) as usize;
        source.pixels() * pixel + 2 * self.open_tile_bytes() + self.thread_bytes() + encoded
    }

    /// One tile of all bands with mask.
    fn open_tile_bytes(&self) -> usize {
        self.tile * self.tile * (self.spec.bands * self.spec.dtype.size() + usize::from(self.has_mask()))
    }

    /// Scratch of a thread: predicted bytes, compressed bytes, validity, and a compressor's state.
    fn thread_bytes(&self) -> usize {
        let state = codec::state_bytes(self.compress, self.effort);
        self.tile * self.tile * (self.spec.dtype.size() + 3) + self.bounds.0 + state
    }

    pub(crate) fn max_tile_bytes(&self) -> u64 {
        let mask = if self.has_mask() { self.bounds.1 + 8 } else { 0 };
        ((self.bounds.0 + 8) * self.spec.bands + mask) as u64
    }

    /// Upper bound of the bytes of all pixels in the file.
    pub(crate) fn max_data_bytes(&self) -> u64 {
        (0..self.levels.len()).map(|k| self.tile_count(k) as u64).sum::<u64>() * self.max_tile_bytes()
    }

    /// Number of levels that superblocks write.
    pub(crate) fn in_pass(&self) -> usize {
        self.in_pass
    }

    /// The part of an in-pass level that a superblock holds.
    pub(crate) fn share(&self, superblock: Window, level: usize) -> Window {
        Window {
            row: superblock.row >> level,
            col: superblock.col >> level,
            rows: superblock.rows >> level,
            cols: superblock.cols >> level,
        }
    }

    /// Tiles down and across of a level.
    pub(crate) fn tile_grid(&self, level: usize) -> Shape {
        let s = self.levels[level].shape;
        Shape { rows: s.rows.div_ceil(self.tile), cols: s.cols.div_ceil(self.tile) }
    }

    /// Tiles of a level, counted once for all bands.
    pub(crate) fn tile_count(&self, level: usize) -> usize {
        self.tile_grid(level).pixels()
    }

    fn tiles_in(&self, window: Window) -> usize {
        window.rows.div_ceil(self.tile) * window.cols.div_ceil(self.tile)
    }

    /// Encoded pieces per tile position: one per band, one for the mask.
    pub(crate) fn planes(&self) -> usize {
        self.spec.bands + usize::from(self.has_mask())
    }

    /// Whether every piece is framed by its length, as GDAL's ghost area promises.
    pub(crate) fn framed(&self) -> bool {
        self.format == Format::Cog
    }
}

/// A wrong choice, told to the user.
pub(crate) fn wrong(what: impl Into<String>) -> RasterError {
    RasterError::Options { what: what.into() }
}

fn check_image(spec: &ImageSpec) -> Result<(), RasterError> {
    let s = spec.geobox.shape;
    let most = (1 << 30) - 1;
    if s.rows == 0 || s.cols == 0 || s.rows > most || s.cols > most {
        return Err(wrong(format!("an image of {s} pixels cannot be written; sides must be 1 to {most}")));
    }
    if spec.bands == 0 || spec.bands > usize::from(u16::MAX) {
        return Err(wrong(format!("an image of {} bands cannot be written; 1 to 65535 can", spec.bands)));
    }
    Ok(())
}

fn check_blocks(image: Shape, tile: usize, superblock: Shape) -> Result<(), RasterError> {
    if !(64..=4096).contains(&tile) || !tile.is_multiple_of(16) {
        return Err(wrong(format!("blocksize {tile} must be a multiple of 16 from 64 to 4096")));
    }
    let fits = |side: usize, whole: usize| side > 0 && (side.is_multiple_of(tile) || side >= whole);
    if !fits(superblock.rows, image.rows) || !fits(superblock.cols, image.cols) {
        return Err(wrong(format!("superblocks of {superblock} pixels are not whole tiles of {tile} pixels")));
    }
    Ok(())
}

fn check_effort(options: &WriteOptions) -> Result<i32, RasterError> {
    let effort = options.level.unwrap_or(options.compress.default_level());
    let (low, high) = match options.compress {
        Compress::None if options.level.is_some_and(|l| l != 0) => {
            return Err(wrong(format!(
                "compression level {effort} means nothing without compression; leave --level out"
            )));
        }
        Compress::None => return Ok(0),
        Compress::Deflate => (1, 12),
        Compress::Zstd => (1, 22),
    };
    if !(low..=high).contains(&effort) {
        return Err(wrong(format!("compression level {effort} of {} must be {low} to {high}", options.compress)));
    }
    Ok(effort)
}

fn choose_predictor(dtype: DType, options: &WriteOptions) -> Result<u16, RasterError> {
    let bare = options.compress == Compress::None;
    match options.predictor {
        Predictor::None => Ok(1),
        Predictor::Auto if bare => Ok(1),
        Predictor::Auto => Ok(if dtype.is_float() { 3 } else { 2 }),
        p if bare => Err(wrong(format!("predictor {p} does nothing without compression; choose deflate or zstd"))),
        Predictor::Float if !dtype.is_float() => {
            Err(wrong(format!("predictor float is for floats, not {dtype}; choose horizontal")))
        }
        Predictor::Horizontal if dtype == DType::F64 => {
            Err(wrong("predictor horizontal is not read by all for float64; choose float"))
        }
        Predictor::Float => Ok(3),
        Predictor::Horizontal => Ok(2),
    }
}

fn choose_validity(spec: &ImageSpec, options: &WriteOptions) -> Result<Validity, RasterError> {
    if let (MaskChoice::Internal, Some(v)) = (options.mask, options.nodata) {
        return Err(wrong(format!("nodata {v} and an internal mask contradict each other; choose one")));
    }
    let brought = if options.mask == MaskChoice::Internal { None } else { spec.nodata };
    if let Some(v) = options.nodata.or(brought) {
        return Ok(Validity::InBand(check_nodata(v, spec.dtype)?));
    }
    Ok(match options.mask {
        MaskChoice::Internal => Validity::Mask,
        _ if spec.dtype.is_float() => Validity::InBand(f64::NAN),
        MaskChoice::Auto if spec.mask => Validity::Mask,
        MaskChoice::Auto => Validity::All { strict: true },
        MaskChoice::None => Validity::All { strict: false },
    })
}

/// The nodata value as the type stores it.
fn check_nodata(v: f64, dtype: DType) -> Result<f64, RasterError> {
    let (low, high) = dtype.range();
    if dtype.is_float() {
        let fits = !v.is_finite() || (low..=high).contains(&v);
        let stored = if dtype == DType::F32 { f64::from(v as f32) } else { v };
        return fits
            .then_some(stored)
            .ok_or_else(|| wrong(format!("nodata {v:e} is outside {dtype} ({low:e} to {high:e})")));
    }
    if v.fract() != 0.0 || !(low..=high).contains(&v) {
        return Err(wrong(format!("nodata {v} cannot stand in {dtype} (whole numbers from {low} to {high})")));
    }
    Ok(v)
}

fn levels_of(image: Shape, options: &WriteOptions) -> Vec<LevelMeta> {
    let tile = options.blocksize;
    let most = match (options.overviews, options.format) {
        (Overviews::Count(n), _) => n,
        (Overviews::Auto, Format::Cog) => usize::MAX,
        _ => 0,
    };
    let until = if options.overviews == Overviews::Auto { tile } else { 1 };
    let mut shapes = vec![image];
    let mut last = image;
    while shapes.len() <= most && (last.rows > until || last.cols > until) {
        last = last.halved();
        shapes.push(last);
    }
    let block = Shape { rows: tile, cols: tile };
    shapes.into_iter().map(|shape| LevelMeta { shape, block }).collect()
}

fn count_in_pass(levels: &[LevelMeta], superblock: Shape, tile: usize) -> usize {
    let image = levels[0].shape;
    let whole = |side: usize, image: usize, k: usize| side >= image || side.is_multiple_of(tile << k);
    let mut k = 1;
    while k < levels.len() {
        let finer = levels[k - 1].shape;
        let halves = finer.rows.is_multiple_of(2) && finer.cols.is_multiple_of(2);
        let share = whole(superblock.rows, image.rows, k) && whole(superblock.cols, image.cols, k);
        if !halves || !share {
            break;
        }
        k += 1;
    }
    k
}
