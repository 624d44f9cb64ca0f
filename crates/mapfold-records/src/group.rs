//! Grouping batches by key columns: count, mean, minimum, maximum, sum, standard deviation, number of distinct values.
//!
//! A [`GroupTable`] takes batches in and gives its state away as records whose keys sort as the result does; [`GroupRows`]
//! takes such records in, sorted by whoever moves them, and gives batches out. So neither side holds more than its share,
//! however many groups and distinct values there are.
//! Group numbers come from [`Interner`](crate::Interner)s, one per key column and one more per further key, which numbers
//! pairs; a dictionary-coded key is looked up once per distinct value of a batch, not once per row.
//!
//! Sums are exact, hence means and deviations are rounded once and come out with the same bits for any order and split
//! (see `column.rs`). Rules: a null or NaN is no value; a null key is a group of its own, as in SQL, and comes last; floats
//! are no keys; `std` divides by n - 1, as pandas and SQL do.
//! Deliberately absent: medians and quantiles, which have no small state; spilling, for which the owner of a table watches
//! [`GroupTable::memory`] and gives its records away.

mod column;
mod keys;
mod order;
mod output;
mod rows;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use rows::GroupRows;
pub use spec::{Aggregate, AggregateKind, Aggregates};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, types};
use arrow_schema::DataType;
use column::Column;
use keys::Keys;
use mapfold_plan::{Error, Result};
use std::borrow::Cow;

/// The distinct values of a column by group.
#[derive(Clone, Debug, Default)]
struct Distinct {
    values: crate::Interner,
    /// Group and value, as one word.
    pairs: crate::Interner,
}

/// One input column and what is kept of it.
#[derive(Clone, Debug)]
struct Input {
    name: String,
    data_type: DataType,
    sums: Option<Column>,
    distinct: Option<Distinct>,
}

/// Columns that can be aggregated at once: a record of the exchange names its column by one byte.
const MOST_INPUTS: usize = 250;

/// Groups and their aggregates.
///
/// ```
/// use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
/// use mapfold_records::group::{Aggregate, GroupTable};
/// use std::sync::Arc;
/// let columns: [(&str, ArrayRef); 2] = [
///     ("station", Arc::new(Int64Array::from(vec![7, 3, 7]))),
///     ("temperature", Arc::new(Float64Array::from(vec![1.0, 5.0, 2.0]))),
/// ];
/// let batch = RecordBatch::try_from_iter(columns)?;
/// let mut table = GroupTable::new(&batch.schema(), &["station"], &"temperature:mean,max".parse::<Aggregate>()?.into())?;
/// table.add(&batch)?;
/// let result = table.finish()?;
/// let names: Vec<_> = result.schema().fields().iter().map(|f| f.name().clone()).collect();
/// assert_eq!(names, ["station", "temperature_mean", "temperature_max"]);
/// assert_eq!(result.column(1).as_ref(), &Float64Array::from(vec![5.0, 1.5]));
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupTable {
    keys: Keys,
    inputs: Vec<Input>,
    wanted: Vec<(usize, AggregateKind)>,
    /// Group of each row of the batch at hand.
    groups: Vec<u32>,
}

impl GroupTable {
    /// An empty table for batches of this schema.
    ///
    /// # Errors
    /// Usage errors: no such column, a key of a type that is no key, an aggregate of a type that has none.
    pub fn new(schema: &arrow_schema::Schema, by: &[&str], aggregates: &spec::Aggregates) -> Result<GroupTable> {
        let by = by.iter().map(|name| spec::field(schema, name)).collect::<Result<Vec<_>>>()?;
        let mut table =
            GroupTable { keys: Keys::new(&by)?, inputs: Vec::new(), wanted: Vec::new(), groups: Vec::new() };
        for aggregate in &aggregates.0 {
            table.want(spec::field(schema, &aggregate.column)?, aggregate)?;
        }
        Ok(table)
    }

    fn want(&mut self, field: &arrow_schema::Field, aggregate: &Aggregate) -> Result<()> {
        let known = self.inputs.iter().position(|i| i.name == *field.name());
        let at = known.unwrap_or(self.inputs.len());
        if known.is_none() {
            if at == MOST_INPUTS {
                return Err(Error::usage(format!("aggregates of more than {MOST_INPUTS} columns")));
            }
            let data_type = field.data_type().clone();
            self.inputs.push(Input { name: field.name().clone(), data_type, sums: None, distinct: None });
        }
        for kind in &aggregate.kinds {
            spec::check(field, *kind)?;
            self.wanted.push((at, *kind));
        }
        let input = &mut self.inputs[at];
        let kinds: Vec<_> = self.wanted.iter().filter(|(i, _)| *i == at).map(|(_, kind)| *kind).collect();
        let with_squares = kinds.contains(&AggregateKind::Std);
        input.sums = kinds.iter().any(|k| *k != AggregateKind::Nunique).then(|| Column::new(with_squares));
        input.distinct = kinds.contains(&AggregateKind::Nunique).then(Distinct::default);
        Ok(())
    }

    /// Takes a batch in; columns are found by name.
    ///
    /// # Errors
    /// When a column is missing or of another type than while planning.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.keys.number(batch, &mut self.groups)?;
        for input in &mut self.inputs {
            let array = keys::column(batch, &input.name, &input.data_type)?;
            if let Some(sums) = &mut input.sums {
                sums.resize(self.keys.len());
                add_values(sums, &self.groups, array)?;
            }
            if let Some(distinct) = &mut input.distinct {
                distinct.add(&self.groups, array)?;
            }
        }
        Ok(())
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        let inputs = self.inputs.iter().map(|i| {
            let distinct = i.distinct.as_ref().map_or(0, |d| d.values.memory() + d.pairs.memory());
            distinct + i.sums.as_ref().map_or(0, Column::memory)
        });
        inputs.sum::<usize>() + self.keys.memory() + self.groups.capacity() * 4
    }
}

impl Distinct {
    fn add(&mut self, groups: &[u32], array: &ArrayRef) -> Result<()> {
        let floats = as_f64(array);
        let mut values = Vec::new();
        match &floats {
            // Adding 0 turns -0 into 0: they are one value.
            Some(floats) => values.extend(floats.iter().map(|v| self.values.intern_word((v + 0.0).to_bits()))),
            None => keys::number_values(array, &mut self.values, &mut values)?,
        }
        let nulls = array.logical_nulls();
        for (i, (group, value)) in groups.iter().zip(values).enumerate() {
            let is_nan = floats.as_ref().is_some_and(|floats| floats[i].is_nan());
            if !is_nan && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)) {
                self.pairs.intern_word(u64::from(*group) << 32 | u64::from(value));
            }
        }
        Ok(())
    }
}

/// Floats of either width; `None` for what is no float.
fn as_f64(array: &ArrayRef) -> Option<Cow<'_, [f64]>> {
    match array.data_type() {
        DataType::Float64 => Some(Cow::Borrowed(array.as_primitive::<types::Float64Type>().values())),
        DataType::Float32 => {
            let values = array.as_primitive::<types::Float32Type>().values().iter();
            Some(Cow::Owned(values.map(|v| f64::from(*v)).collect()))
        }
        _ => None,
    }
}

/// Adds a column of numbers. What is neither is only counted.
fn add_values(sums: &mut Column, groups: &[u32], array: &ArrayRef) -> Result<()> {
    let nulls = array.logical_nulls().filter(|n| n.null_count() > 0);
    macro_rules! add {
        ($method:ident, $values:expr) => {
            match &nulls {
                None => sums.$method(groups, $values, |_| true),
                Some(nulls) => sums.$method(groups, $values, |i| nulls.is_valid(i)),
            }
        };
    }
    if let Some(floats) = as_f64(array) {
        add!(add_floats, &floats);
        return Ok(());
    }
    match array.data_type() {
        DataType::Int64 => add!(add_ints, array.as_primitive::<types::Int64Type>().values()),
        other => match keys::as_i64(array) {
            Some(values) => add!(add_ints, &values?),
            None if spec::is_counted(other) => add!(add_ints, &vec![0; array.len()]),
            None => return Err(Error::usage(format!("a column of {other} has no aggregates"))),
        },
    }
    Ok(())
}
