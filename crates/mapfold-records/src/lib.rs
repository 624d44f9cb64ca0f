//! Records: text, compressed text, tables, and what is done with them in bulk.
//!
//! Kernels over bytes and Arrow batches; each is synchronous, single-threaded and free of I/O but for [`Ranges`]. Who
//! splits the work, runs it in parallel and writes the results is the engine; [`flow`] brings them into plans.
//!
//! Deliberately absent: geometry (`mapfold-vector`), threads, timely.
#![warn(missing_docs)]

mod compressed;
pub mod flow;
pub mod group;
mod intern;
mod ranges;
mod scan;
pub mod sort;
pub mod table;
pub mod tera;
pub mod text;
mod words;

pub use arrow_array::RecordBatch;
pub use arrow_schema::{Schema, SchemaRef};
pub use compressed::{Codec, CompressedLines, Decoded};
pub use intern::Interner;
pub use ranges::{InMemory, Ranges, Stored};
pub use words::{WordCounts, each_word};
