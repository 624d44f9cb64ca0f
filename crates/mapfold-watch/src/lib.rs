//! What people see of a run: the progress bar while it goes on, the report when it is over.
//!
//! Everything here is drawn from [`JobEvent`](mapfold_coord::JobEvent)s and plain numbers: [`Progress`] subscribes to
//! the events of one job, [`RunReport`] is a plain struct that whoever ran the job fills in. Drawing is kept apart
//! from counting ([`Meter`] is pure and takes the time as an argument), so that every line has a test.
//!
//! Deliberately absent: clocks and measurements (the engine and the facade make them), error messages (one place,
//! the facade, prints those), anything on stdout. Where stderr is no terminal nothing is drawn.
//!
//! ```
//! use mapfold_watch::human;
//! assert_eq!(human::bytes(96 * 1024 * 1024), "96.0 MiB");
//! assert_eq!(human::seconds(0.0123), "12 ms");
//! ```
#![warn(missing_docs)]

pub mod human;
mod meter;
mod progress;
mod report;
mod style;
mod table;
mod text;

pub use meter::{Meter, PIXELS, StageMeter};
pub use progress::{Progress, ProgressOptions};
pub use report::{MemberReport, MemoryReport, OutputReport, RunReport, StageReport};
pub use style::{Style, colour_on_stderr, colour_on_stdout};
pub use table::{Align, Table};
