//! From the directories of a file to one raster: full image, overviews, masks, and what the file says of itself.
//!
//! The first directory is the image. Further ones count when they are reduced images (overviews) or masks; other
//! pages are named in a warning. An overview that differs from the image in bands or type, or that cannot be read,
//! is left out with a warning, because the full image can still be read exactly.

use super::fault::Fault;
use super::geo::geobox;
use super::ifd::{Header, HeaderBytes, Ifd, parse};
use super::level::Level;
use super::tags::*;
use super::{TiffSource, gdal};
use crate::{BandMeta, Interleave, LevelMeta, RasterMeta};
use mapfold_grid::{DType, RasterType, Shape};
use mapfold_store::Loc;

/// More overviews than halvings of the largest image make no sense.
const MAX_OVERVIEWS: usize = 40;

/// Reads the header of a file.
pub(crate) fn assemble(loc: &Loc, file: &mut dyn HeaderBytes, mut warnings: Vec<String>) -> Result<TiffSource, Fault> {
    let header = parse(file)?;
    let Some(first) = header.ifds.first() else { return Fault::damaged("it has no image") };
    let main = Level::from_ifd(first, header.layout, file.size(), false)?;
    let mut images = Images { header: &header, file_size: file.size(), overviews: vec![], masks: vec![], pages: 0 };
    images.read_rest(&main, &mut warnings)?;
    let pages = images.pages;
    let (levels, masks) = images.matched(main, &mut warnings);
    if pages > 0 || header.more {
        warnings.push(format!(
            "it has {pages}{} further pages, which are not read",
            if header.more { " or more" } else { "" }
        ));
    }
    let is_cog = says_cog(file, header.layout.big_tiff)?;
    let meta = meta(first, &levels, !masks.is_empty(), is_cog, warnings)?;
    Ok(TiffSource { loc: loc.clone(), size: file.size(), meta, levels, masks })
}

struct Images<'a> {
    header: &'a Header,
    file_size: u64,
    overviews: Vec<Level>,
    masks: Vec<Level>,
    pages: usize,
}

impl Images<'_> {
    fn read_rest(&mut self, main: &Level, warnings: &mut Vec<String>) -> Result<(), Fault> {
        for ifd in &self.header.ifds[1..] {
            let kind = ifd.uint(NEW_SUBFILE_TYPE)?.unwrap_or(0);
            match (kind & 4 != 0, kind & 1 != 0) {
                (true, _) => self.mask(ifd)?,
                (_, true) => self.overview(ifd, main, warnings),
                _ => self.pages += 1,
            }
        }
        Ok(())
    }

    fn mask(&mut self, ifd: &Ifd) -> Result<(), Fault> {
        let mask = Level::from_ifd(ifd, self.header.layout, self.file_size, true).map_err(|e| match e {
            Fault::Unsupported(what) => Fault::Unsupported(format!("a mask with {what}")),
            Fault::Damaged(why) => Fault::Damaged(format!("its mask: {why}")),
            other => other,
        })?;
        if mask.bands != 1 || mask.dtype != DType::U8 {
            return Fault::unsupported(format!("a mask of {} bands of {}", mask.bands, mask.dtype));
        }
        self.masks.push(mask);
        Ok(())
    }

    fn overview(&mut self, ifd: &Ifd, main: &Level, warnings: &mut Vec<String>) {
        let ignored = match Level::from_ifd(ifd, self.header.layout, self.file_size, false) {
            Ok(level) => match unfit(&level, main) {
                None if self.overviews.len() == MAX_OVERVIEWS => "there are too many of them".into(),
                None => return self.overviews.push(level),
                Some(why) => why,
            },
            Err(Fault::Unsupported(what)) => format!("it uses {what}"),
            Err(Fault::Damaged(why)) => why,
            Err(other) => format!("{other:?}"),
        };
        warnings.push(format!("an overview is left out: {ignored}"));
    }

    /// Levels, finest first, and one mask for each of them when the image has a mask.
    fn matched(mut self, main: Level, warnings: &mut Vec<String>) -> (Vec<Level>, Vec<Level>) {
        self.overviews.sort_by_key(|l| std::cmp::Reverse(l.shape.pixels()));
        let mask_of = |shape: Shape| self.masks.iter().find(|m| m.shape == shape).cloned();
        let all = std::iter::once(main).chain(self.overviews);
        let Some(full) = all.clone().next().and_then(|main| mask_of(main.shape)) else {
            if !self.masks.is_empty() {
                warnings.push("a mask is left out: it has not the size of the image".into());
            }
            return (all.collect(), Vec::new());
        };
        let (mut levels, mut masks) = (Vec::new(), Vec::new());
        for level in all {
            let mask = if levels.is_empty() { Some(full.clone()) } else { mask_of(level.shape) };
            match mask {
                Some(mask) => {
                    levels.push(level);
                    masks.push(mask);
                }
                None => warnings.push(format!("an overview is left out: {} has no mask", level.shape)),
            }
        }
        (levels, masks)
    }
}

/// Why a level cannot be an overview of the image.
fn unfit(level: &Level, main: &Level) -> Option<String> {
    let (o, m) = (level.shape, main.shape);
    if level.bands != main.bands || level.dtype != main.dtype {
        let (n, t) = (level.bands, level.dtype);
        return Some(format!("it has {n} bands of {t}, the image {} of {}", main.bands, main.dtype));
    }
    let smaller = o.rows <= m.rows && o.cols <= m.cols && o != m;
    (!smaller).then(|| format!("its {o} pixels are not fewer than the image's {m}"))
}

/// GDAL's note behind the first header.
fn says_cog(file: &mut dyn HeaderBytes, big_tiff: bool) -> Result<bool, Fault> {
    let at = if big_tiff { 16 } else { 8 };
    let end = (at + 256).min(file.size());
    if at >= end {
        return Ok(false);
    }
    let note = file.read(std::slice::from_ref(&(at..end)))?;
    let text = String::from_utf8_lossy(&note[0]);
    Ok(text.starts_with("GDAL_STRUCTURAL_METADATA_SIZE=") && text.contains("LAYOUT=IFDS_BEFORE_DATA"))
}

fn meta(
    ifd: &Ifd,
    levels: &[Level],
    has_mask: bool,
    is_cog: bool,
    mut warnings: Vec<String>,
) -> Result<RasterMeta, Fault> {
    let main = &levels[0];
    let geobox = geobox(ifd, main.shape, &mut warnings)?;
    let nodata = nodata(ifd, main.dtype, &mut warnings);
    if has_mask && nodata.is_some() {
        warnings.push("it has both a mask and a nodata value; the mask decides".into());
    }
    warn_alpha(ifd, main.bands, &mut warnings)?;
    let one = BandMeta { name: None, dtype: main.dtype, nodata, scale: 1.0, offset: 0.0 };
    let mut bands = vec![one; main.bands];
    let tags = apply_items(ifd, &mut bands);
    let geo = geobox.crs.is_known() || geobox.crs.raster_type == RasterType::Point || ifd.has(MODEL_TIEPOINT);
    let format = if is_cog {
        "COG"
    } else if geo {
        "GeoTIFF"
    } else {
        "TIFF"
    };
    Ok(RasterMeta {
        format: format.into(),
        geobox,
        bands,
        levels: levels.iter().map(|l| LevelMeta { shape: l.shape, block: l.block }).collect(),
        interleave: if main.planar || main.bands == 1 { Interleave::Band } else { Interleave::Pixel },
        has_mask,
        compression: main.codec.name().into(),
        predictor: main.predictor,
        tags,
        warnings,
    })
}

fn nodata(ifd: &Ifd, dtype: DType, warnings: &mut Vec<String>) -> Option<f64> {
    let text = ifd.text(GDAL_NODATA).filter(|t| !t.trim().is_empty())?;
    match gdal::nodata(&text, dtype) {
        Ok(value) => Some(value),
        Err(why) => {
            warnings.push(why);
            None
        }
    }
}

fn warn_alpha(ifd: &Ifd, bands: usize, warnings: &mut Vec<String>) -> Result<(), Fault> {
    let extra = ifd.uints(EXTRA_SAMPLES)?.unwrap_or_default();
    let first = bands.saturating_sub(extra.len());
    for (i, _) in extra.iter().enumerate().filter(|(_, kind)| matches!(kind, 1 | 2)) {
        warnings.push(format!("band {} is an alpha band; it is read as a normal band", first + i + 1));
    }
    Ok(())
}

/// Names, scale and offset go to the bands, the other items are returned.
fn apply_items(ifd: &Ifd, bands: &mut [BandMeta]) -> Vec<(String, String)> {
    let text_tags = [(IMAGE_DESCRIPTION, "IMAGEDESCRIPTION"), (SOFTWARE, "SOFTWARE"), (DATE_TIME, "DATETIME")];
    let texts = text_tags.iter().filter_map(|(tag, name)| Some((format!("TIFFTAG_{name}"), ifd.text(*tag)?)));
    let mut tags: Vec<(String, String)> = texts.collect();
    for item in gdal::items(&ifd.text(GDAL_METADATA).unwrap_or_default()) {
        let number = item.text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        match (item.band.and_then(|b| bands.get_mut(b)), item.role.as_str(), number) {
            (Some(band), "description", _) => band.name = Some(item.text),
            (Some(band), "scale", Some(v)) => band.scale = v,
            (Some(band), "offset", Some(v)) => band.offset = v,
            _ => tags.push((item.label(), item.text)),
        }
    }
    tags
}
