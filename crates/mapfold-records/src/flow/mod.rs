//! Records in plans: sources and outputs for jobs.
//!
//! | here | what |
//! |---|---|
//! | [`RecordVerbs`] | `p.text(…)`, `p.key_values(…)`, `p.records(…)`, `p.table(…)` |
//! | [`TextOut`], [`TableOut`] | folders of part files, or one file |
//! | [`Pipe`] | another program's hands: lines in, lines out |
//! | [`sample_keys`] | keys for a total order |
//! | [`text_growth`], [`OpenTable::growth`] | how much a fold keeps and gives away |
//!
//! A split of a local file is read piece by piece while it is computed: the system reads ahead, and a split may be
//! larger than memory. From afar the engine fetches a split before it is computed.

mod bytes;
mod growth;
mod input;
mod out;
mod pipe;
mod sample;
mod table;
mod table_out;
mod text;
mod text_out;
mod verbs;

pub use growth::text_growth;
pub use out::PartStream;
pub use pipe::{FeedError, Pipe, pipe_splits};
pub use sample::{KeySample, Keys, sample_keys};
pub use table::{OpenTable, TableOptions};
pub use table_out::{TableFormat, TableOut};
pub use text::TextOptions;
pub use text_out::{TextOut, TextRecords};
pub use verbs::RecordVerbs;
