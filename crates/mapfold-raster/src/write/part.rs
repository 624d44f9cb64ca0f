//! What one unit of work leaves behind: encoded bytes for the streams and a small record for the finish.

use super::stats::BandSums;
use serde::{Deserialize, Serialize};

/// Encoded bytes of one unit of work, for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The stream: the level.
    pub stream: u32,
    /// Pieces in row order of the tiles; of a tile, band by band, then the mask.
    pub bytes: Vec<u8>,
}

/// All that one superblock, or one unit of a coarse level, becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedPart {
    /// One segment per level that the part holds pixels of, finest first. A segment may be empty.
    pub segments: Vec<Segment>,
    /// The record for the finish.
    pub meta: PartMeta,
}

/// The record of a part: small, and all that the finish needs besides the bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartMeta {
    /// Lengths of the pieces of each segment, finest level first. 0 = left out: every pixel is nodata, or 0.
    pub levels: Vec<LevelLens>,
    /// Sums per band for the statistics (none in parts of coarse levels).
    pub sums: Vec<BandSums>,
    /// Valid pixels that were equal to the nodata value and were moved to the value beside it, all bands together.
    pub moved_off_nodata: u64,
}

/// Lengths of the pieces of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelLens {
    /// The level.
    pub level: u32,
    /// In the order of [`Segment::bytes`].
    pub lens: Vec<u32>,
}
