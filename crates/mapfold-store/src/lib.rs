//! From a [`Loc`] (a URL or a path) to bytes.
//!
//! One small interface over local disk, memory, HTTP(S), HDFS, S3, Google Cloud Storage and Azure; what each of them
//! cannot do is in [`Abilities`]. Everything a job reads or writes passes through here, so here live the
//! promises that must hold everywhere:
//!
//! - **exact reads**: a range comes back whole or as [`StoreError::Truncated`], never silently
//!   shorter or from another place;
//! - **put if absent** ([`Stores::create`], [`Replace::Never`]): of many writers exactly one wins,
//!   and what appears under a name appears whole;
//! - **no secret in a message**: `Display` and `Debug` of a [`Loc`] and of every [`StoreError`] are
//!   redacted ([`redact`]);
//! - **retry** of what may pass (429, 5xx, resets), and of nothing else.
//!
//! What it deliberately does not do: it knows no file format, it keeps no cache of contents, and it
//! does not list a store to find out what is true (a decision is a [`Stores::create`]).
//!
//! ```
//! use mapfold_store::{Loc, Stores};
//! # fn main() -> Result<(), mapfold_store::StoreError> {
//! let stores = Stores::new();
//! let loc = Loc::parse("memory://demo/hello.txt")?;
//! stores.put(&loc, "hello".into())?;
//! let two = stores.block_on(stores.read(&loc, 1..3))?;
//! assert_eq!(&two[..], b"el");
//! # Ok(())
//! # }
//! ```

mod abilities;
mod aws;
mod calls;
mod closest;
#[doc(hidden)]
pub mod conformance;
mod counters;
mod entry;
mod error;
mod hdfs;
mod http;
mod list;
mod loc;
mod local;
mod making;
mod many;
mod memory;
mod objects;
mod options;
mod pattern;
mod pieces;
mod portion;
mod private;
mod ranges;
mod recent;
mod redact;
mod remote;
mod remote_loc;
mod retry;
mod runtime;
pub mod secret;
mod settings;
mod stores;
mod transfer;
mod unique;
mod work_file;

pub use abilities::Abilities;
pub use aws::{AwsAnswer, AwsCall};
pub use calls::{Answer, Call};
pub use closest::closest;
pub use counters::StoreCounters;
pub use entry::Entry;
pub use error::StoreError;
pub use hdfs::Located;
pub use loc::{Loc, Scheme};
pub use making::buffered_at;
pub use many::many;
pub use options::StoreOptions;
pub use portion::{Carried, Porter, Portion, Section};
pub use redact::redact;
pub use secret::Secret;
pub use settings::{Settings, Shown};
pub use stores::{Disk, ObjectInfo, Replace, Stores};
pub use transfer::Moved;
pub use work_file::WorkFile;
