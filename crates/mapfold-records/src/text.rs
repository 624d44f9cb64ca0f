//! Text as Hadoop reads and writes it: byte-range splits, lines with their offsets, keys and values, part files.
//!
//! - [`plan_splits`]: from files to splits, the arithmetic of `FileInputFormat`.
//! - [`LineReader`]: the lines of one split, the rules of `LineRecordReader`; [`LineStream`]: those of a stream.
//! - [`key_value`]: `KeyValueTextInputFormat`; [`TextWriter`], [`part_name`]: `TextOutputFormat`.
//!
//! Lines come in [`LineBatch`]es, slices of the piece that was read, so that nothing is copied and nothing is called per
//! line. Deliberately absent: character sets. A line is bytes; who needs text decides what is to happen to bytes that are
//! not UTF-8.

mod delimiter;
mod key_value;
mod lines;
mod reader;
mod splits;
mod writer;

pub use delimiter::Delimiter;
pub use key_value::{Separator, key_value};
pub use lines::{LineBatch, LineStream};
pub(crate) use reader::strip_bom;
pub use reader::{LineOptions, LineReader};
pub use splits::{FileSize, FileSplit, SplitOptions, is_hidden, plan_splits};
pub use writer::{PartKind, TextWriter, part_name};
