//! Compressing and decompressing one codec tile, with compressors and rooms that a thread keeps.
//!
//! Building a compressor costs as much as a small tile, so each thread has one of each kind and changes it only when
//! another level is asked for. Errors of a codec are errors of the write: a tile is never left empty because its
//! encoder failed.

use super::Compress;
use super::layout::{Layout, wrong};
use super::predictor;
use crate::RasterError;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use mapfold_grid::Pixel;
use std::cell::RefCell;

/// What a thread keeps between tiles.
#[derive(Default)]
struct Scratch {
    plain: Vec<u8>,
    packed: Vec<u8>,
    deflate: Option<(i32, Compressor)>,
    inflate: Option<Decompressor>,
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
    unzstd: Option<zstd::bulk::Decompressor<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Most bytes that `n` bytes can become.
pub(crate) fn bound(compress: Compress, effort: i32, n: usize) -> usize {
    match compress {
        Compress::None => n,
        Compress::Zstd => zstd::zstd_safe::compress_bound(n),
        Compress::Deflate => compressor(effort).map_or(n + n / 8 + 64, |mut c| c.zlib_compress_bound(n)),
    }
}

/// Bytes that a compressor keeps for itself, at most, for tiles of 1 MiB: from the sizes of their tables, rounded up.
pub(crate) fn state_bytes(compress: Compress, effort: i32) -> usize {
    match (compress, effort) {
        (Compress::None, _) => 0,
        (Compress::Deflate, ..10) => 1 << 20,
        (Compress::Deflate, _) => 10 << 20,
        (Compress::Zstd, ..4) => 2 << 20,
        (Compress::Zstd, ..13) => 8 << 20,
        (Compress::Zstd, _) => 24 << 20,
    }
}

fn compressor(effort: i32) -> Result<Compressor, RasterError> {
    let level = CompressionLvl::new(effort).map_err(|_| wrong(format!("DEFLATE has no level {effort}")))?;
    Ok(Compressor::new(level))
}

/// Appends one band of a tile to `out`, predicted and compressed and, in a COG, framed by its length. Returns the
/// length without the frame.
pub(crate) fn append_tile<T: Pixel>(layout: &Layout, values: &[T], out: &mut Vec<u8>) -> Result<u32, RasterError> {
    SCRATCH.with_borrow_mut(|s| {
        s.plain.resize(size_of_val(values), 0);
        predictor::apply(values, layout.tile, layout.predictor, &mut s.plain);
        s.append(layout, out)
    })
}

/// Appends one mask tile: one bit per pixel, 1 = valid, most significant first.
pub(crate) fn append_mask(layout: &Layout, mask: &[u8], out: &mut Vec<u8>) -> Result<u32, RasterError> {
    SCRATCH.with_borrow_mut(|s| {
        let pack = |eight: &[u8]| eight.iter().fold(0, |byte, m| byte << 1 | u8::from(*m != 0));
        s.plain.clear();
        s.plain.extend(mask.chunks_exact(8).map(pack));
        s.append(layout, out)
    })
}

impl Scratch {
    fn append(&mut self, layout: &Layout, out: &mut Vec<u8>) -> Result<u32, RasterError> {
        let bytes = self.compressed(layout)?;
        let len =
            u32::try_from(bytes.len()).map_err(|_| wrong("a tile grew beyond 4 GiB; choose a smaller blocksize"))?;
        if !layout.framed() {
            out.extend_from_slice(bytes);
            return Ok(len);
        }
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
        let tail: [u8; 4] = *out.last_chunk().expect("at least the length was written");
        out.extend_from_slice(&tail);
        Ok(len)
    }

    fn compressed(&mut self, layout: &Layout) -> Result<&[u8], RasterError> {
        let (compress, effort) = (layout.compress, layout.effort);
        if compress == Compress::None {
            return Ok(&self.plain);
        }
        let bound = bound_kept(self, layout)?;
        if self.packed.len() < bound {
            self.packed.resize(bound, 0);
        }
        let n = match compress {
            Compress::Deflate => {
                let c = keep(&mut self.deflate, effort, || compressor(effort))?;
                c.zlib_compress(&self.plain, &mut self.packed).map_err(|e| wrong(format!("DEFLATE failed: {e}")))?
            }
            _ => {
                let c = keep(&mut self.zstd, effort, || zstd_compressor(effort))?;
                c.compress_to_buffer(&self.plain, &mut self.packed[..])
                    .map_err(|e| wrong(format!("ZSTD failed: {e}")))?
            }
        };
        Ok(&self.packed[..n])
    }
}

fn bound_kept(s: &mut Scratch, layout: &Layout) -> Result<usize, RasterError> {
    match layout.compress {
        Compress::Deflate => {
            let c = keep(&mut s.deflate, layout.effort, || compressor(layout.effort))?;
            Ok(c.zlib_compress_bound(s.plain.len()))
        }
        other => Ok(bound(other, layout.effort, s.plain.len())),
    }
}

fn zstd_compressor(effort: i32) -> Result<zstd::bulk::Compressor<'static>, RasterError> {
    zstd::bulk::Compressor::new(effort).map_err(|e| wrong(format!("ZSTD level {effort}: {e}")))
}

/// The kept compressor, replaced when it has another level.
fn keep<C>(
    kept: &mut Option<(i32, C)>,
    effort: i32,
    make: impl FnOnce() -> Result<C, RasterError>,
) -> Result<&mut C, RasterError> {
    if kept.as_ref().is_none_or(|(e, _)| *e != effort) {
        *kept = Some((effort, make()?));
    }
    Ok(&mut kept.as_mut().expect("was just filled").1)
}

/// Decodes one band of a tile that [`append_tile`] wrote (`packed` without its frame).
pub(crate) fn read_tile<T: Pixel>(layout: &Layout, packed: &[u8], out: &mut [T]) -> Result<(), RasterError> {
    SCRATCH.with_borrow_mut(|s| {
        s.expand(layout.compress, packed, size_of_val(out))?;
        predictor::undo(&mut s.plain, layout.tile, layout.predictor, out);
        Ok(())
    })
}

/// Decodes a mask tile that [`append_mask`] wrote: 0 or 1 per pixel.
pub(crate) fn read_mask(layout: &Layout, packed: &[u8], out: &mut [u8]) -> Result<(), RasterError> {
    SCRATCH.with_borrow_mut(|s| {
        s.expand(layout.compress, packed, out.len() / 8)?;
        for (eight, byte) in out.chunks_exact_mut(8).zip(&s.plain) {
            eight.iter_mut().enumerate().for_each(|(i, o)| *o = byte >> (7 - i) & 1);
        }
        Ok(())
    })
}

impl Scratch {
    fn expand(&mut self, compress: Compress, packed: &[u8], len: usize) -> Result<(), RasterError> {
        self.plain.resize(len, 0);
        let damaged = |why: String| wrong(format!("a tile that was just written cannot be read back ({why})"));
        let got = match compress {
            Compress::None if packed.len() == len => {
                self.plain.copy_from_slice(packed);
                len
            }
            Compress::None => packed.len(),
            Compress::Deflate => {
                let d = self.inflate.get_or_insert_with(Decompressor::new);
                d.zlib_decompress(packed, &mut self.plain).map_err(|e| damaged(e.to_string()))?
            }
            Compress::Zstd => {
                if self.unzstd.is_none() {
                    self.unzstd = Some(zstd::bulk::Decompressor::new().map_err(|e| damaged(e.to_string()))?);
                }
                let d = self.unzstd.as_mut().expect("was just filled");
                d.decompress_to_buffer(packed, &mut self.plain[..]).map_err(|e| damaged(e.to_string()))?
            }
        };
        if got == len { Ok(()) } else { Err(damaged(format!("{got} of {len} bytes"))) }
    }
}
