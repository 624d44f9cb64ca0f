//! The engine's part of the exchange: where pieces are, and how they travel between workers.
//!
//! What records are, how they are buffered, sorted and merged is `mapfold_plan::exchange`. Here are the files that
//! they spill to (`files`), the account of what is held in memory (`hub`) and the container that timely carries
//! (`wire`).

mod files;
mod hub;
mod wire;

pub use files::Scratch;
pub use hub::Hub;
pub use wire::{ByPartition, Records};
