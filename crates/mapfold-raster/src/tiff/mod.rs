//! TIFF, BigTIFF and COG in.
//!
//! [`open`] reads the header (one or two requests for a COG) and gives a [`TiffSource`], a plain value that knows
//! where every codec tile lies. It can be written down and read back, so that a recorded plan needs no I/O. Read are
//! tiles and strips, chunky and planar, uncompressed, DEFLATE and ZSTD with predictors 1 to 3, the eight types of
//! [`DType`](mapfold_grid::DType), overviews and internal masks. Everything else is refused by name.
//!
//! An own reader because the decoder is what a raster job spends its time in: libdeflate into room of exactly the
//! tile's size leaves out what general readers do around it. Deliberately absent: threads, caches of tiles, colour
//! conversion, sidecar files (named in a warning).

mod assemble;
mod bands;
mod codec;
mod decode;
mod fault;
mod gdal;
mod geo;
mod ifd;
mod level;
mod place;
pub(crate) mod predict;
mod remote;
mod tags;

pub use bands::select_bands;

use crate::{Fetched, PixelsMut, RasterError, RasterMeta, RasterSource, Scratch, Want};
use bytes::Bytes;
use decode::Job;
use level::Level;
use mapfold_grid::{Shape, Window};
use mapfold_store::{Loc, Stores};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A TIFF file whose header has been read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TiffSource {
    loc: Loc,
    /// Length of the file in bytes.
    size: u64,
    meta: RasterMeta,
    levels: Vec<Level>,
    /// One per level, or none.
    masks: Vec<Level>,
}

/// Reads the header of the file at `loc` (its fragment is not looked at: see [`select_bands`]).
///
/// # Errors
/// The store's error, "not a TIFF", a feature refused by name, or what is wrong with the header.
pub fn open(stores: &Stores, loc: &Loc) -> Result<TiffSource, RasterError> {
    let size = stores.block_on(stores.head(loc))?.size;
    let fetch = |ranges: &[Range<u64>]| Ok(stores.block_on(stores.read_ranges(loc, ranges))?);
    let read = || assemble::assemble(loc, &mut remote::Fetching::new(size, fetch)?, sidecars(loc));
    read().map_err(|fault| fault.at(loc))
}

/// Reads the header of a file that is in memory; `loc` is its name in messages.
///
/// # Errors
/// As [`open`], without those of a store.
pub fn open_bytes(mut file: Bytes, loc: &Loc) -> Result<TiffSource, RasterError> {
    assemble::assemble(loc, &mut file, Vec::new()).map_err(|fault| fault.at(loc))
}

/// Files beside a local one that other readers would take into account.
fn sidecars(loc: &Loc) -> Vec<String> {
    let Some(path) = loc.local_path() else { return Vec::new() };
    let beside = |ending: &&str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::path::Path::new(&name).exists()
    };
    let found = [".aux.xml", ".ovr", ".msk"].into_iter().filter(beside);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    found.map(|ending| format!("the file {name}{ending} beside it is not read")).collect()
}

impl TiffSource {
    fn request<T>(&self, why: String) -> Result<T, RasterError> {
        Err(RasterError::Request { loc: self.loc.clone(), why })
    }

    fn check(&self, want: &Want) -> Result<&Level, RasterError> {
        let Some(level) = self.levels.get(want.level) else {
            return self.request(format!("level {} was asked for, but it has {}", want.level, self.levels.len()));
        };
        if let Some(band) = want.bands.iter().find(|b| **b >= level.bands) {
            return self.request(format!("band {} was asked for, but it has {}", band + 1, level.bands));
        }
        let w = want.window;
        if !inside(w, level.shape) {
            return self.request(format!("{w} were asked for, but level {} has {} pixels", want.level, level.shape));
        }
        Ok(level)
    }

    fn job<'a>(&'a self, want: &Want, level: &'a Level, fill: f64) -> Job<'a> {
        Job { loc: &self.loc, file_size: self.size, level, level_number: want.level, window: want.window, fill }
    }

    fn check_room(&self, want: &Want, pixels: usize, mask: Option<usize>) -> Result<(), RasterError> {
        let n = want.window.pixels();
        let values = n.saturating_mul(want.bands.len());
        if pixels == values && mask.is_none_or(|m| m == n) {
            return Ok(());
        }
        self.request(format!(
            "room for {pixels} values and {mask:?} mask entries was given; {values} and {n} are needed"
        ))
    }
}

fn inside(w: Window, shape: Shape) -> bool {
    let fits = |at: i64, len: usize, all: usize| usize::try_from(at).is_ok_and(|at| at <= all && len <= all - at);
    fits(w.row, w.rows, shape.rows) && fits(w.col, w.cols, shape.cols)
}

impl RasterSource for TiffSource {
    fn meta(&self) -> &RasterMeta {
        &self.meta
    }

    fn loc(&self) -> &Loc {
        &self.loc
    }

    fn needs(&self, want: &Want, out: &mut Vec<Range<u64>>) -> Result<(), RasterError> {
        let level = self.check(want)?;
        let mut found = Vec::new();
        self.job(want, level, 0.0).needs(&want.bands, &mut found)?;
        if let Some(mask) = self.masks.get(want.level) {
            self.job(want, mask, 0.0).needs(&[0], &mut found)?;
        }
        found.sort_by_key(|r| (r.start, r.end));
        found.dedup();
        out.append(&mut found);
        Ok(())
    }

    fn decode(
        &self,
        want: &Want,
        fetched: &dyn Fetched,
        scratch: &mut Scratch,
        mut pixels: PixelsMut<'_>,
        mask: Option<&mut [u8]>,
    ) -> Result<(), RasterError> {
        let level = self.check(want)?;
        self.check_room(want, pixels.len(), mask.as_ref().map(|m| m.len()))?;
        let fill = self.meta.bands[0].nodata.unwrap_or(0.0);
        self.job(want, level, fill).bands(&want.bands, fetched, scratch, &mut pixels)?;
        let Some(room) = mask else { return Ok(()) };
        let Some(level) = self.masks.get(want.level) else {
            room.fill(1);
            return Ok(());
        };
        self.job(want, level, 0.0).bands(&[0], fetched, scratch, &mut PixelsMut::U8(room))?;
        room.iter_mut().for_each(|m| *m = u8::from(*m != 0));
        Ok(())
    }
}
