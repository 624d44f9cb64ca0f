//! What a job is before it runs: lazy flows over places, cut into stages and splits.
//!
//! A [`Flow`] is a handle on a chain of typed nodes. Nothing is read while it is built, except headers: planning
//! questions (what is in this file?) go through [`Plan::ask`] and are recorded. `write`, `report` and `combine` close
//! a stage: the typed chain disappears behind [`Stage`], which is all that the engine sees.
//!
//! Evaluation is *output-driven*: a stage's splits are pieces of its output ([`Place`]s), and every node asks its
//! input for the place that it needs, so that halos compose back to the sources and nothing is computed that nobody
//! writes. The same walk, done without pixels, names the bytes to fetch ([`Node::needs`]) and the memory that will be
//! alive ([`Node::memory`]).
//!
//! Deliberately absent: timely, threads, file formats. A format crate adds its verbs as extension traits.
#![warn(missing_docs)]

mod clock;
mod combine;
#[doc(hidden)]
pub mod control;
mod cx;
mod domain;
mod error;
pub mod exact;
pub mod exchange;
pub mod explain;
mod flow;
mod fold_all;
mod fold_splits;
mod group;
pub mod growth;
mod halo;
mod hash;
mod inputs;
mod iterate;
mod key;
pub mod memory;
mod node;
mod plan;
mod report;
mod side;
mod sink;
mod stack;
mod stage;
mod stored;
mod template;
mod union;

pub use clock::{Clock, Phase};
pub use combine::{Addend, Combine, Count, Max, Mean, Min, Ranked, Sum, assert_combine_laws};
pub use cx::{Cx, FetchedFiles, NoFiles};
pub use domain::{Cut, Domain, Load, Place, RasterDomain, RasterDomains, TileKey, TimeKey};
pub use error::{Error, Kind, Result};
pub use exchange::{Keyed, RangePartitioner, Values};
pub use flow::Flow;
pub use group::{Grouped, Over, PlannedKey, Tile, Time};
pub use hash::{FileHash, hash64, redacted};
pub use iterate::{Heard, Round, Rounds, Say};
pub use key::{Key, decode_keys, encode_keys, partition_of};
pub use node::{FileId, Need, Node, Step};
pub use plan::{Answer, FileEntry, Plan, PlanOptions, StageId};
pub use report::Reported;
pub use side::{MOST_SIDE, Side, Sides, gathered};
pub use sink::{
    Assignment, FinishCx, Output, OutputShape, Part, PartFile, PartFolder, PartRecord, PartWriter, Sink, SinkInput,
    SinkRun, StoredSegment, Units,
};
pub use stack::Stack;
pub use stage::{Fetch, Product, Stage, StageKind};
pub use stored::{ScratchFiles, StoredFile};
pub use template::panic_text;
