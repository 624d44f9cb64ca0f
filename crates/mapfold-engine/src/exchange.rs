//! The engine's part of the exchange: where pieces are, and how they travel between workers.
//!
//! What records are, how they are buffered, sorted and merged is `mapfold_plan::exchange`. Here are the files that
//! they spill to (`files`), the account of what is held in memory (`hub`), the container that timely carries (`wire`),
//! what is sent when (`outbox`: byte credits), and what becomes of what arrives (`collect`).

mod collect;
mod files;
mod hub;
mod outbox;
mod wire;

pub use collect::{Ack, Collector};
pub use files::Scratch;
pub use hub::Hub;
pub use outbox::{Outbox, Stall};
pub use wire::{ByPartition, Records};
