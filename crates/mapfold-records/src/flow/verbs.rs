//! Sources of records as verbs of a plan.

use super::input::Input;
use super::table::{OpenTable, TableOptions};
use super::text::{Fixed, Lines, TextOptions};
use crate::text::{LineBatch, Separator, key_value};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use mapfold_plan::{Flow, Plan, Result};
use mapfold_store::Loc;
use std::sync::Arc;

/// Record verbs of a plan. Inputs are files, patterns, lists, and folders (the files in them whose names do not begin
/// with `_` or `.`); how they are cut into splits follows from their sizes.
pub trait RecordVerbs {
    /// Lines of text files, batch by batch, without line ends: `\n`, `\r\n` and `\r`. Names that end with `.gz`, `.bz2`
    /// or `.zst` are decompressed, one split a file.
    ///
    /// ```
    /// use mapfold_plan::{Plan, PlanOptions};
    /// use mapfold_records::flow::{RecordVerbs, TextOptions};
    /// use mapfold_store::{Loc, Stores};
    /// let (stores, loc) = (Stores::new(), Loc::parse("memory://lab/poem.txt")?);
    /// stores.put(&loc, "to be\nor not\n".into())?;
    /// let p = Plan::new(stores, PlanOptions::default());
    /// let lengths = p.text([&loc], &TextOptions::default())?.flat_map(|batch| {
    ///     batch.iter().map(|(_, line)| line.len()).collect::<Vec<_>>()
    /// });
    /// lengths.report("lengths")?;
    /// # Ok::<(), mapfold_plan::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an input names nothing, or a file is not there.
    fn text<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>, options: &TextOptions) -> Result<Flow<LineBatch>>;

    /// Keys and values of lines, at the first separator.
    ///
    /// # Errors
    /// Those of [`RecordVerbs::text`].
    #[allow(clippy::type_complexity)]
    fn key_values<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        separator: Separator,
    ) -> Result<Flow<(Vec<u8>, Vec<u8>)>>;

    /// Records of `record` bytes each, many in a piece.
    ///
    /// # Errors
    /// When a file has another size than that of whole records.
    fn records<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        record: u64,
        split_size: Option<u64>,
    ) -> Result<Flow<Bytes>>;

    /// Rows of Parquet (a row group is a split) or CSV files, and their columns.
    ///
    /// # Errors
    /// When a file is neither, or has other columns than the first one.
    fn table<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        options: &TableOptions,
    ) -> Result<(Flow<RecordBatch>, SchemaRef)>;
}

impl RecordVerbs for Plan {
    fn text<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>, options: &TextOptions) -> Result<Flow<LineBatch>> {
        let input = Input::files(self, inputs)?.cut(options.split_size, 1)?;
        Ok(Flow::from_node(self, Arc::new(Lines::new(input, options.delimiter.clone()))))
    }

    fn key_values<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        separator: Separator,
    ) -> Result<Flow<(Vec<u8>, Vec<u8>)>> {
        let lines = self.text(inputs, &TextOptions::default())?;
        Ok(lines.flat_map(move |batch| {
            let cut = |(_, line): (u64, &[u8])| {
                let (key, value) = key_value(line, separator);
                (key.to_vec(), value.to_vec())
            };
            batch.iter().map(cut).collect::<Vec<_>>()
        }))
    }

    fn records<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        record: u64,
        split_size: Option<u64>,
    ) -> Result<Flow<Bytes>> {
        let input = Input::files(self, inputs)?.cut(split_size, record)?;
        Ok(Flow::from_node(self, Arc::new(Fixed::new(input, record)?)))
    }

    fn table<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Loc>,
        options: &TableOptions,
    ) -> Result<(Flow<RecordBatch>, SchemaRef)> {
        let table = OpenTable::open(self, inputs, options)?;
        let schema = table.schema().clone();
        Ok((table.flow(), schema))
    }
}
