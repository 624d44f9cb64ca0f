//! The exchange: records move from the splits that put them to the partitions that reduce them.
//!
//! ```text
//! map side                                              reduce side
//! put(key, value) -> fold table -> MapOutput -> pieces -> Groups (sort or merge) -> key, values
//!                    (combiner)    buffers      of each    spills beyond its budget
//!                                  spill        partition
//! ```
//! | module | what it is |
//! |---|---|
//! | [`segment`](Segment) | records in one flat buffer, the only form in which they are kept, sent and spilled |
//! | `store` | pieces: segments in memory or in files; the trait of the files |
//! | `output` | the map side's buffers by partition, within a budget |
//! | `fold` | a hash table without an allocation per key, for combiners |
//! | `order`, `runs`, `groups` | the reduce side: one sort in memory, or sorted runs and a merge of many passes |
//! | `partition` | which partition a key falls into |
//! | `prefetch` | a hint to the processor; the one module of this crate with `unsafe` |
//! | `raw`, `keyed` | the API over bytes, and the typed one above it |
//!
//! **Law:** a partition's records come in the order (key bytes, split, sequence), and every value of a key comes exactly
//! once, for any number of workers and threads, any order of attempts and any memory limit. What memory changes is how
//! often a combiner is applied and in which grouping; combiners are associative (see [`crate::Combine`]).
//!
//! Measured with `cargo run --release -p mapfold-plan --example exchange_speed` (CPU ns per record, one thread of a loaded
//! machine with two; the floor of a sort is `Vec<(u64, u32)>::sort_unstable` and a copy in order):
//!
//! | 10 M records of 100 bytes | 32 partitions | 512 partitions | floor |
//! |---|---:|---:|---:|
//! | make, put, partition, seal | 73 | 137 | |
//! | sort, group, copy in order | 190 | 135 | 100 |
//!
//! 100 M tokens of 4 bytes folded: 23 ns each with 1000 different ones, 174 ns with 200,000 (the table leaves the cache).
//!
//! Deliberately absent: who sends what to whom. The engine moves pieces; a durable exchange between processes moves
//! [`Stored`] records of them (see `store`).

mod fold;
mod groups;
mod keyed;
mod order;
mod output;
mod partition;
mod prefetch;
mod raw;
mod runs;
mod segment;
mod stage;
mod store;

pub use groups::{RawGroup, RawGroups, RawValues};
pub use keyed::{Arranged, Keyed, SortedValues, Values};
pub use output::MapOutput;
pub use partition::{Partitioner, RangePartitioner, seeded_picks};
pub use raw::{Emit, RawCombiner, Shuffled};
pub use segment::{MAX_ITEM, Origin, Segment, SegmentBuf};
pub(crate) use stage::{MapSide, Spread, close, reduce_side};
pub use store::{Exchanging, NoStore, Piece, PieceAt, SegmentStore, Stored};
