//! Runs a plan on timely dataflow workers.
//!
//! | threads | do | never do |
//! |---|---|---|
//! | timely workers (`worker`) | leases, grants, exchange, frontiers | user code, decoding, blocking I/O |
//! | compute pool (`pool`) | decode, user closures, encode, under the panic guard | waiting for I/O that was not asked for ahead |
//! | the store's runtime (`fetch`) | reads ahead of need, within the memory plan | CPU work |
//! | the caller's thread (`run`) | commit log every 100 ms, signals | anything else |
//!
//! Splits are leased from the coordinator (`mapfold-coord`). An attempt's product is held until the coordinator
//! grants its emission; then records go through timely's exchange, and parts are appended to working files that
//! become the output by one rename at the end. Standalone is the same dataflow in one process, without sockets.
//!
//! Deliberately absent: file formats, HTTP, starting processes.
#![warn(missing_docs)]

mod attempt;
mod attend;
mod commit;
mod crew;
mod exchange;
mod failure;
mod fetch;
mod flight;
mod groups;
mod guard;
mod link;
mod measure;
mod member;
pub mod mesh;
mod near;
mod options;
mod orders;
mod outcome;
mod parts;
mod pool;
mod porters;
mod reproduce;
mod rounds;
mod run;
mod shell;
mod sides;
mod signal;
mod source;
mod space;
mod streams;
mod worker;

pub use attend::{Door, FENCED, Line, Own, attend, enlist};
pub use crew::{Crew, Ended, Meeting, Room};
pub use guard::{guarded, install_panic_hook};
pub use measure::{Usage, peak_rss, usage};
pub use options::{MemoryLimit, RunOptions, Shuffle, default_memory_limit};
pub use orders::Orders;
pub use outcome::{OutputDone, RunOutcome, StageDone};
pub use reproduce::{OneSplit, ReadOf, Reproduced, reproduce};
pub use run::run;
pub use signal::Cancel;
