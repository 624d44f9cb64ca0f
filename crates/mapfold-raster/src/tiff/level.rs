//! One image of a file: where its codec tiles lie and how they are coded.
//!
//! A strip is a codec tile as wide as the image; the last strip is cut at the image's end, tiles are not. Long
//! uncompressed strips are cut into shorter ones here, because any row of them can be had by itself.

use super::codec::Codec;
use super::fault::Fault;
use super::ifd::{Ifd, Layout};
use super::tags::*;
use mapfold_grid::{BlockGrid, DType, Shape};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Largest side of an image.
const MAX_SIDE: u64 = i32::MAX as u64;
/// Largest image, in bytes of all its bands: 2^50, far beyond real files, far below overflow.
const MAX_BYTES: u64 = 1 << 50;
/// Largest codec tile, decompressed: what one thread may have to hold. A gibibyte is a whole Sentinel-2 band as f64.
const MAX_TILE: u64 = 1 << 30;
/// Uncompressed strips are cut to about this many bytes.
const CUT_STRIP: usize = 256 << 10;

/// An image of the file with everything that decoding needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) shape: Shape,
    pub(crate) block: Shape,
    pub(crate) striped: bool,
    pub(crate) planar: bool,
    pub(crate) bands: usize,
    pub(crate) dtype: DType,
    /// One bit per sample: masks only.
    pub(crate) one_bit: bool,
    pub(crate) big_endian: bool,
    pub(crate) codec: Codec,
    pub(crate) predictor: u16,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

/// One codec tile of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileAt {
    pub(crate) row: usize,
    pub(crate) col: usize,
    /// Position in the file's list of tiles.
    pub(crate) index: usize,
}

impl Level {
    /// Reads a directory; `mask` allows one bit per sample.
    pub(crate) fn from_ifd(ifd: &Ifd, layout: Layout, file_size: u64, mask: bool) -> Result<Level, Fault> {
        let bands = ifd.uint(SAMPLES_PER_PIXEL)?.unwrap_or(1);
        let (dtype, one_bit) = sample_type(ifd, mask)?;
        let shape = image_shape(ifd, bands, dtype)?;
        let codec = Codec::from_code(ifd.uint(COMPRESSION)?.unwrap_or(1))?;
        refuse_codings(ifd)?;
        let striped = !ifd.has(TILE_OFFSETS) && !ifd.has(TILE_WIDTH);
        let planar = is_planar(ifd, bands)?;
        let predictor = predictor(ifd, codec, dtype, one_bit)?;
        let block = block_shape(ifd, shape, striped)?;
        let (bands, big_endian) = (bands as usize, layout.big_endian);
        let (offsets, lengths) = (Vec::new(), Vec::new());
        let mut level = Level {
            shape,
            block,
            striped,
            planar,
            bands,
            dtype,
            one_bit,
            big_endian,
            codec,
            predictor,
            offsets,
            lengths,
        };
        level.read_tile_list(ifd)?;
        level.cut_strips(file_size);
        level.check_tile_size()?;
        Ok(level)
    }

    fn read_tile_list(&mut self, ifd: &Ifd) -> Result<(), Fault> {
        let (at, len) =
            if self.striped { (STRIP_OFFSETS, STRIP_BYTE_COUNTS) } else { (TILE_OFFSETS, TILE_BYTE_COUNTS) };
        let list = |tag: u16| ifd.uints(tag)?.ok_or_else(|| Fault::Damaged(format!("tag {tag} is missing")));
        let (mut offsets, mut lengths) = (list(at)?, list(len)?);
        let planes = if self.planar { self.bands } else { 1 };
        let want = self.grid().len().saturating_mul(planes);
        if offsets.len() < want || lengths.len() < want {
            let (have, s) = (offsets.len().min(lengths.len()), self.shape);
            return Fault::damaged(format!("an image of {s} pixels needs {want} codec tiles, but {have} are listed"));
        }
        offsets.truncate(want);
        lengths.truncate(want);
        (self.offsets, self.lengths) = (offsets, lengths);
        Ok(())
    }

    /// Cuts long uncompressed strips into equal shorter ones, when all of them are whole in the file.
    fn cut_strips(&mut self, file_size: u64) {
        let (row, old, strips) = (self.row_bytes(), self.block.rows, self.grid().len());
        let most = (CUT_STRIP / row.max(1)).max(1);
        if !self.striped || self.codec != Codec::None || old <= 2 * most {
            return;
        }
        let whole = |i: usize| {
            let (at, want) = (self.offsets[i], (self.tile_rows(i % strips) * row) as u64);
            at != 0 && self.lengths[i] >= want && at.checked_add(want).is_some_and(|end| end <= file_size)
        };
        if !(0..self.offsets.len()).all(whole) {
            return;
        }
        // Several strips: the new height must divide the old one, so that no new strip crosses a border.
        let divides = |k: &usize| strips == 1 || old.is_multiple_of(*k);
        let rows = (1..=most).rev().find(divides).unwrap_or(1);
        let piece = |j: usize| (j * rows / old, (j * rows % old * row) as u64);
        let (planes, pieces) = (self.offsets.len() / strips, self.shape.rows.div_ceil(rows));
        let all = (0..planes).flat_map(|b| (0..pieces).map(move |j| (b * strips, piece(j))));
        let cut = all.map(|(first, (strip, skip))| {
            let (at, len) = (self.offsets[first + strip], self.lengths[first + strip]);
            (at + skip, (len - skip).min((rows * row) as u64))
        });
        (self.offsets, self.lengths) = cut.unzip();
        self.block.rows = rows;
    }

    fn check_tile_size(&self) -> Result<(), Fault> {
        let bytes = (self.row_bytes() as u64).saturating_mul(self.block.rows as u64);
        if bytes > MAX_TILE {
            return Fault::unsupported(format!(
                "a codec tile of {} pixels ({} MiB; at most 1024 MiB)",
                self.block,
                bytes >> 20
            ));
        }
        Ok(())
    }

    /// How the image is cut.
    pub(crate) fn grid(&self) -> BlockGrid {
        BlockGrid::new(self.shape, self.block)
    }

    /// Samples of a pixel that lie together in one tile.
    pub(crate) fn tile_bands(&self) -> usize {
        if self.planar { 1 } else { self.bands }
    }

    /// Bytes of one row of a decompressed tile.
    pub(crate) fn row_bytes(&self) -> usize {
        let samples = self.block.cols * self.tile_bands();
        if self.one_bit { samples.div_ceil(8) } else { samples * self.dtype.size() }
    }

    /// Rows that a tile in this row of tiles holds.
    pub(crate) fn tile_rows(&self, row: usize) -> usize {
        if self.striped { self.block.rows.min(self.shape.rows - row * self.block.rows) } else { self.block.rows }
    }

    /// The tile number `cell` of the grid that holds `band`.
    pub(crate) fn tile(&self, cell: usize, band: usize) -> TileAt {
        let (row, col) = self.grid().cell(cell);
        TileAt { row, col, index: if self.planar { band * self.grid().len() + cell } else { cell } }
    }

    /// Where a tile lies; `None` when it was never written. Uncompressed tiles are cut to what they hold.
    pub(crate) fn range(&self, tile: TileAt) -> Option<Range<u64>> {
        let (at, mut len) = (self.offsets[tile.index], self.lengths[tile.index]);
        if at == 0 && len == 0 {
            return None;
        }
        if self.codec == Codec::None {
            len = len.min((self.row_bytes() * self.tile_rows(tile.row)) as u64);
        }
        Some(at..at.saturating_add(len))
    }
}

fn image_shape(ifd: &Ifd, bands: u64, dtype: DType) -> Result<Shape, Fault> {
    let side = |tag, name: &str| match ifd.uint(tag)? {
        Some(n @ 1..=MAX_SIDE) => Ok(n),
        Some(n) => Fault::damaged(format!("its {name} is {n}")),
        None => Fault::damaged(format!("its {name} is missing")),
    };
    let (rows, cols) = (side(IMAGE_LENGTH, "height")?, side(IMAGE_WIDTH, "width")?);
    if bands == 0 || bands > u64::from(u16::MAX) {
        return Fault::damaged(format!("it says it has {bands} bands"));
    }
    let bytes = (rows * cols).checked_mul(bands * dtype.size() as u64);
    if bytes.is_none_or(|n| n > MAX_BYTES) {
        return Fault::damaged(format!("{rows}x{cols} pixels of {bands} bands are more than a pebibyte"));
    }
    Ok(Shape { rows: rows as usize, cols: cols as usize })
}

/// The type of all samples and whether they are single bits.
fn sample_type(ifd: &Ifd, mask: bool) -> Result<(DType, bool), Fault> {
    let same = |tag, default| -> Result<u64, Fault> {
        let all = ifd.uints(tag)?.unwrap_or_default();
        let first = all.first().copied().unwrap_or(default);
        if all.iter().any(|v| *v != first) { Fault::unsupported("bands of different types") } else { Ok(first) }
    };
    let (bits, format) = (same(BITS_PER_SAMPLE, 1)?, same(SAMPLE_FORMAT, 1)?);
    let dtype = match (bits, format) {
        (1, 1) if mask => return Ok((DType::U8, true)),
        (8, 1 | 4) => DType::U8,
        (8, 2) => DType::I8,
        (16, 1 | 4) => DType::U16,
        (16, 2) => DType::I16,
        (32, 1 | 4) => DType::U32,
        (32, 2) => DType::I32,
        (32, 3) => DType::F32,
        (64, 3) => DType::F64,
        _ => return Fault::unsupported(refused_type(bits, format)),
    };
    Ok((dtype, false))
}

fn refused_type(bits: u64, format: u64) -> String {
    match (bits, format) {
        (_, 5) => format!("complex integers of {bits} bits"),
        (_, 6) => format!("complex numbers of {bits} bits"),
        (64, 1) => "uint64 samples".into(),
        (64, 2) => "int64 samples".into(),
        (16, 3) => "float16 samples".into(),
        (_, 1 | 2 | 4) => format!("samples of {bits} bits"),
        _ => format!("samples of {bits} bits in sample format {format}"),
    }
}

fn refuse_codings(ifd: &Ifd) -> Result<(), Fault> {
    if let Some(name) = coded_photometric(ifd.uint(PHOTOMETRIC)?.unwrap_or(1)) {
        return Fault::unsupported(format!("{name} colours"));
    }
    match ifd.uint(FILL_ORDER)?.unwrap_or(1) {
        1 => Ok(()),
        n => Fault::unsupported(format!("bit order (FillOrder) {n}")),
    }
}

fn is_planar(ifd: &Ifd, bands: u64) -> Result<bool, Fault> {
    match ifd.uint(PLANAR_CONFIG)?.unwrap_or(1) {
        1 => Ok(false),
        2 => Ok(bands > 1),
        n => Fault::damaged(format!("its planar configuration is {n}")),
    }
}

/// The predictor counts only with a compression, as in libtiff.
fn predictor(ifd: &Ifd, codec: Codec, dtype: DType, one_bit: bool) -> Result<u16, Fault> {
    if codec == Codec::None {
        return Ok(1);
    }
    match ifd.uint(PREDICTOR)?.unwrap_or(1) {
        1 => Ok(1),
        2 if !one_bit => Ok(2),
        3 if dtype.is_float() => Ok(3),
        n => Fault::unsupported(format!("predictor {n} on {} samples", if one_bit { "1-bit" } else { dtype.name() })),
    }
}

fn block_shape(ifd: &Ifd, shape: Shape, striped: bool) -> Result<Shape, Fault> {
    if striped {
        let rows = ifd.uint(ROWS_PER_STRIP)?.unwrap_or(u64::MAX).min(shape.rows as u64);
        return match rows {
            0 => Fault::damaged("it says it has 0 rows per strip"),
            rows => Ok(Shape { rows: rows as usize, cols: shape.cols }),
        };
    }
    let side = |tag| match ifd.uint(tag)? {
        Some(n @ 1..=MAX_SIDE) => Ok(n as usize),
        Some(n) => Fault::damaged(format!("its tile size (tag {tag}) is {n}")),
        None => Fault::damaged(format!("it has no tile size (tag {tag})")),
    };
    Ok(Shape { rows: side(TILE_LENGTH)?, cols: side(TILE_WIDTH)? })
}
