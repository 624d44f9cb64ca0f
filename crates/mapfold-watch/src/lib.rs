//! What people see of a run: the progress bar while it goes on, the report when it is over, and from another terminal
//! or program whatever the event log tells: [`shelf`] finds jobs, [`JobView`] is one, [`words`] and [`json`] say it,
//! [`serve`] does so over HTTP while the job runs.
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
pub mod json;
mod live;
mod meter;
pub mod metrics;
mod progress;
mod report;
pub mod serve;
pub mod shelf;
mod spread;
mod style;
mod table;
mod text;
pub mod view;
pub mod words;

pub use live::Live;
pub use meter::{Meter, PIXELS, StageMeter};
pub use progress::{Progress, ProgressOptions};
pub use report::{MemberReport, MemoryReport, OutputReport, RunReport, StageReport};
pub use serve::{Askers, Dashboard, DashboardAddress, Shown, Token};
pub use spread::{Skew, Spread};
pub use style::{Style, colour_on_stderr, colour_on_stdout};
pub use table::{Align, Table};
pub use view::{JobState, JobView};
