//! From sorted records to batches of the result: what a reducer does, row by row, in the memory of one batch.

use super::column::Column;
use super::order::{self, Kind, Value};
use super::state::{self, SUMS};
use super::{AggregateKind, GroupTable};
use arrow_array::builder::{BooleanBuilder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use mapfold_plan::{Error, Result};
use std::sync::Arc;

/// Rows of a result in the making; see [`GroupTable::rows`].
pub struct GroupRows {
    keys: Vec<KeyColumn>,
    inputs: Vec<Kept>,
    wanted: Vec<(usize, AggregateKind)>,
    rows: usize,
    /// The distinct value that came last, with the number of its input; of the row at hand.
    last: Vec<u8>,
}

/// What is kept of an input.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) sums: Option<Column>,
    pub(super) distinct: Vec<i64>,
}

struct KeyColumn {
    field: Field,
    kind: Kind,
    values: Builder,
}

enum Builder {
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

impl GroupTable {
    /// Takes in the records of tables of this plan, in the order of their keys.
    ///
    /// ```
    /// use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    /// use mapfold_records::group::{Aggregate, GroupTable};
    /// let station: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![7, 3, 7]));
    /// let batch = RecordBatch::try_from_iter([("station", station)])?;
    /// let mut table = GroupTable::new(&batch.schema(), &["station"], &"station:count".parse::<Aggregate>()?.into())?;
    /// table.add(&batch)?;
    /// let mut records = Vec::new();
    /// table.records(|key, value| records.push((key.to_vec(), value.to_vec())))?;
    /// records.sort(); // what an exchange does
    /// let (mut rows, len) = (table.rows(), table.key_len());
    /// for (key, value) in &records {
    ///     let (group, rest) = key.split_at(len(key));
    ///     rows.begin(group)?; // each record is a group of its own here
    ///     rows.put(rest, value)?;
    /// }
    /// assert_eq!(rows.take()?.column(1).as_ref(), &Int64Array::from(vec![1, 2]));
    /// # Ok::<(), mapfold_plan::Error>(())
    /// ```
    pub fn rows(&self) -> GroupRows {
        let key = |(field, kind): (&Field, &Kind)| KeyColumn::new(field.clone(), *kind);
        let kept = |i: &super::Input| Kept {
            name: i.name.clone(),
            data_type: i.data_type.clone(),
            sums: i.sums.as_ref().map(Column::like),
            distinct: Vec::new(),
        };
        GroupRows {
            keys: self.keys.fields.iter().zip(&self.keys.kinds).map(key).collect(),
            inputs: self.inputs.iter().map(kept).collect(),
            wanted: self.wanted.clone(),
            rows: 0,
            last: Vec::new(),
        }
    }
}

impl GroupRows {
    /// Begins the row of the next group.
    ///
    /// # Errors
    /// When the key is none of this plan.
    pub fn begin(&mut self, key: &[u8]) -> Result<()> {
        let mut rest = key;
        for column in &mut self.keys {
            let (value, behind) = order::first(column.kind, rest)?;
            column.values.append(value)?;
            rest = behind;
        }
        self.rows += 1;
        self.last.clear();
        for input in &mut self.inputs {
            input.distinct.push(0);
            if let Some(sums) = &mut input.sums {
                sums.resize(self.rows);
            }
        }
        Ok(())
    }

    /// Takes in a record of the group at hand: what follows the group in its key, and its value.
    ///
    /// # Errors
    /// When it is none of this plan.
    pub fn put(&mut self, rest: &[u8], value: &[u8]) -> Result<()> {
        let foreign = || Error::job("a partial result is of another plan");
        let row = self.rows.checked_sub(1).ok_or_else(foreign)?;
        let Some((tag, _)) = rest.split_first() else { return Err(foreign()) };
        if *tag != SUMS {
            // Equal values come one after the other.
            let input = self.inputs.get_mut(usize::from(*tag) - 1).ok_or_else(foreign)?;
            input.distinct[row] += i64::from(self.last != rest);
            self.last.clear();
            self.last.extend_from_slice(rest);
            return Ok(());
        }
        let mut columns = self.inputs.iter_mut().filter_map(|i| Some((i.data_type.is_integer(), i.sums.as_mut()?)));
        let mut fits = true;
        state::cells(value, |cell| match columns.next() {
            Some((ints, column)) => fits &= column.take_in(row, cell, ints),
            None => fits = false,
        })?;
        if fits && columns.next().is_none() { Ok(()) } else { Err(foreign()) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows so far as a batch: key columns, then one column `COLUMN_KIND` per aggregate. Text comes as plain strings,
    /// integers of all widths as `Int64`. What follows is of the next batch.
    ///
    /// # Errors
    /// When a sum of integers does not fit into 64 bits.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
        for key in &mut self.keys {
            let array = key.values.finish();
            columns.push((Field::new(key.field.name(), array.data_type().clone(), true), array));
        }
        for (at, kind) in &self.wanted {
            let array = self.inputs[*at].column(*kind, self.rows as u32)?;
            let name = format!("{}_{}", self.inputs[*at].name, kind.name());
            columns.push((Field::new(name, array.data_type().clone(), true), array));
        }
        self.rows = 0;
        for input in &mut self.inputs {
            input.distinct.clear();
            input.sums = input.sums.as_ref().map(Column::like);
        }
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

impl KeyColumn {
    fn new(field: Field, kind: Kind) -> KeyColumn {
        let values = match (kind, field.data_type()) {
            (Kind::Text, _) => Builder::Text(StringBuilder::new()),
            (Kind::Number, DataType::Boolean) => Builder::Bool(BooleanBuilder::new()),
            (Kind::Number, _) => Builder::Int(Int64Builder::new()),
        };
        KeyColumn { field, kind, values }
    }
}

impl Builder {
    fn append(&mut self, value: Value) -> Result<()> {
        match (self, value) {
            (Builder::Int(b), Value::Number(v)) => b.append_value(v),
            (Builder::Int(b), _) => b.append_null(),
            (Builder::Bool(b), Value::Number(v)) => b.append_value(v != 0),
            (Builder::Bool(b), _) => b.append_null(),
            (Builder::Text(b), Value::Text(text)) => b.append_value(std::str::from_utf8(&text)?),
            (Builder::Text(b), _) => b.append_null(),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Int(b) => Arc::new(b.finish()),
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
        }
    }
}
