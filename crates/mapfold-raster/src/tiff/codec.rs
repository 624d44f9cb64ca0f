//! Decompressing one codec tile into room of exactly its size.

use super::fault::Fault;
use super::tags::compression_name;
use libdeflater::{DecompressionError, Decompressor};
use serde::{Deserialize, Serialize};

/// The compressions that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Codec {
    None,
    Deflate,
    Zstd,
}

/// Decompressors kept between tiles, as [`Scratch`](crate::Scratch) lends them.
pub(crate) struct Tools<'a> {
    pub(crate) inflate: &'a mut Option<Decompressor>,
    pub(crate) unzstd: &'a mut Option<zstd::bulk::Decompressor<'static>>,
}

impl Codec {
    pub(crate) fn from_code(code: u64) -> Result<Codec, Fault> {
        match code {
            1 => Ok(Codec::None),
            8 | 32946 => Ok(Codec::Deflate),
            50000 => Ok(Codec::Zstd),
            other => Fault::unsupported(compression_name(other)),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Deflate => "deflate",
            Codec::Zstd => "zstd",
        }
    }

    /// Whether `packed` bytes can be `want` bytes at all: known before memory is taken for them.
    pub(crate) fn can_hold(self, packed: &[u8], want: usize) -> bool {
        match self {
            Codec::None => packed.len() >= want,
            // DEFLATE packs at most 258 bytes into 2 bits.
            Codec::Deflate => want / 1032 <= packed.len(),
            // The frame says its size; without that, a block of 128 KiB takes 4 bytes at least.
            Codec::Zstd => match zstd::zstd_safe::get_frame_content_size(packed) {
                Ok(Some(size)) => size >= want as u64,
                Ok(None) => want / (32 << 10) <= packed.len(),
                Err(_) => false,
            },
        }
    }

    /// Fills `out` completely from `packed`, or says why not.
    pub(crate) fn unpack(self, packed: &[u8], out: &mut [u8], tools: Tools<'_>) -> Result<(), String> {
        let got = match self {
            Codec::None => copy(packed, out),
            Codec::Deflate => {
                let tool = tools.inflate.get_or_insert_with(Decompressor::new);
                tool.zlib_decompress(packed, out).map_err(|e| deflate_error(&e, out.len()))?
            }
            Codec::Zstd => {
                let tool = match tools.unzstd {
                    Some(tool) => tool,
                    none => {
                        none.insert(zstd::bulk::Decompressor::new().map_err(|e| format!("cannot be decoded: {e}"))?)
                    }
                };
                tool.decompress_to_buffer(packed, out).map_err(|e| format!("is corrupt: ZSTD says {e}"))?
            }
        };
        if got < out.len() {
            return Err(format!("is truncated: it holds {got} of {} bytes", out.len()));
        }
        Ok(())
    }
}

fn copy(packed: &[u8], out: &mut [u8]) -> usize {
    let n = packed.len().min(out.len());
    out[..n].copy_from_slice(&packed[..n]);
    n
}

fn deflate_error(error: &DecompressionError, want: usize) -> String {
    match error {
        DecompressionError::BadData => "is corrupt: its DEFLATE data is damaged or cut off".into(),
        DecompressionError::InsufficientSpace => format!("is corrupt: it holds more than its {want} bytes"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn unpack(codec: Codec, packed: &[u8], want: usize) -> Result<Vec<u8>, String> {
        let mut out = vec![0; want];
        codec.unpack(packed, &mut out, Tools { inflate: &mut None, unzstd: &mut None }).map(|()| out)
    }

    #[test]
    fn short_tiles_are_errors_in_every_codec() {
        let data = vec![7u8; 1000];
        let mut z = vec![0; 100];
        let n = libdeflater::Compressor::default().zlib_compress(&data, &mut z).unwrap();
        let packed = [
            (Codec::None, data.clone()),
            (Codec::Deflate, z[..n].to_vec()),
            (Codec::Zstd, zstd::bulk::compress(&data, 1).unwrap()),
        ];
        for (codec, bytes) in packed {
            assert_eq!(unpack(codec, &bytes, 1000).unwrap(), data, "{codec:?}");
            let why = unpack(codec, &bytes, 1001).unwrap_err();
            assert!(why.contains("1000 of 1001"), "{codec:?}: {why}");
            assert!(unpack(codec, &bytes[..bytes.len() - 1], 1000).is_err(), "{codec:?} cut off");
        }
    }
}
