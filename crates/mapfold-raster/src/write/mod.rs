//! TIFF and COG out: one pass over the pixels, in parallel, the same bytes however the work was cut.
//!
//! Pure code over values: no threads, no files. A caller
//! 1. makes a [`Layout`], which fixes everything that does not depend on pixels;
//! 2. feeds each superblock to its own encoder ([`Layout::encoder`]), on any thread, in any order, and keeps the
//!    bytes of each [`EncodedPart`] wherever it likes, one stream per level;
//! 3. enters the records into a [`TileIndex`] and makes the levels that cross superblock borders with
//!    [`encode_coarse`], unit by unit, level by level;
//! 4. calls [`assemble`] for the header and the order of the segments, and concatenates.
//!
//! Files have all bands apart (planar), pieces of a tile side by side. Statistics, nodata, GeoKeys, band names and an
//! internal mask are written as GDAL writes them. Deliberately absent: LZW, LERC and JPEG out, chunky pixels, colour
//! tables, writing into existing files.
//!
//! ```
//! use mapfold_grid::{Block, DType, GeoBox, Shape};
//! use mapfold_raster::write::{ImageSpec, Layout, TileIndex, WriteOptions, assemble};
//! use std::sync::Arc;
//!
//! let shape = Shape { rows: 2, cols: 3 };
//! let grid = Arc::new(GeoBox::plain(shape));
//! let spec = ImageSpec::plain(GeoBox::plain(shape), DType::F32, 1);
//! let layout = Arc::new(Layout::new(spec, &WriteOptions::default(), Shape { rows: 512, cols: 512 })?);
//!
//! let mut encoder = layout.encoder::<f32>(shape.window())?;
//! encoder.push(&Block::new(grid, shape.window(), 1, vec![1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0])?)?;
//! let part = encoder.finish()?;
//!
//! let mut index = TileIndex::new(&layout);
//! index.add_superblocks(&layout, &[part.meta.clone()])?;
//! let file = assemble(&layout, &index, &[part.meta])?;
//! assert_eq!((file.statistics[0].valid, file.statistics[0].max), (5, 6.0));
//! assert_eq!(file.size, file.header.len() as u64 + part.segments[0].bytes.len() as u64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assemble;
mod coarse;
mod codec;
mod encoder;
mod ifd;
mod index;
mod layout;
mod metadata;
pub(crate) mod options;
mod overview;
mod part;
mod predictor;
mod stats;
mod tile;

pub use assemble::{Assembly, Piece, STEP, assemble};
pub use coarse::encode_coarse;
pub use encoder::SuperblockEncoder;
pub use index::{Streams, TileIndex};
pub use layout::{ImageSpec, Layout};
pub use options::{BigTiff, Compress, Format, MaskChoice, Overviews, Predictor, Resampling, WriteOptions};
pub use part::{EncodedPart, LevelLens, PartMeta, Segment};
pub use stats::{BandStatistics, BandSums, ExactSums, TileMoments};
