//! From groups to one sorted batch.

use super::column::{Column, unrank};
use super::keys::NULL;
use super::{AggregateKind, GroupTable, Input};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use mapfold_plan::{Error, Result};
use std::cmp::Ordering;
use std::sync::Arc;

impl GroupTable {
    /// The result: key columns, then one column `COLUMN_KIND` per aggregate, sorted by keys (integers by value, text by
    /// bytes, nulls last). Text comes as plain strings, integers of all widths as `Int64`.
    ///
    /// # Errors
    /// When a sum of integers does not fit into 64 bits.
    pub fn finish(self) -> Result<RecordBatch> {
        let order = self.order();
        let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
        for (i, field) in self.keys.fields.iter().enumerate() {
            let bytes = order.iter().map(|g| self.keys.get(*g)[i]);
            let array = key_array(field.data_type(), bytes)?;
            columns.push((Field::new(field.name(), array.data_type().clone(), true), array));
        }
        for (at, kind) in &self.wanted {
            let array = self.inputs[*at].column(*kind, &order)?;
            let name = format!("{}_{}", self.inputs[*at].name, kind.name());
            columns.push((Field::new(name, array.data_type().clone(), true), array));
        }
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    /// Groups in the order of their keys.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        let keys: Vec<Vec<&[u8]>> = order.iter().map(|g| self.keys.get(*g)).collect();
        let numeric: Vec<bool> = self.keys.fields.iter().map(|f| is_word(f.data_type())).collect();
        order.sort_by(|a, b| {
            let pairs = keys[*a as usize].iter().zip(&keys[*b as usize]).zip(&numeric);
            pairs.map(|((a, b), numeric)| compare(a, b, *numeric)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        });
        order
    }
}

/// Whether a key is eight bytes of a number.
fn is_word(data_type: &DataType) -> bool {
    data_type.is_integer() || *data_type == DataType::Boolean
}

fn compare(a: &[u8], b: &[u8], numeric: bool) -> Ordering {
    let nulls = (a == NULL).cmp(&(b == NULL));
    nulls.then_with(|| if numeric { word(a).cmp(&word(b)) } else { a.cmp(b) })
}

/// The number of a key; `None` of null.
fn word(bytes: &[u8]) -> Option<i64> {
    bytes.first_chunk::<8>().map(|chunk| i64::from_le_bytes(*chunk))
}

fn key_array<'a>(data_type: &DataType, keys: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Boolean => Arc::new(keys.map(|k| word(k).map(|w| w != 0)).collect::<BooleanArray>()),
        kind if kind.is_integer() => Arc::new(keys.map(word).collect::<Int64Array>()),
        _ => {
            let text = |bytes: &'a [u8]| if bytes == NULL { Ok(None) } else { std::str::from_utf8(bytes).map(Some) };
            Arc::new(keys.map(text).collect::<Result<StringArray, _>>()?)
        }
    })
}

impl Input {
    fn column(&self, kind: AggregateKind, order: &[u32]) -> Result<ArrayRef> {
        if kind == AggregateKind::Nunique {
            let by_group = self.distinct.as_ref().map(super::Distinct::by_group).unwrap_or_default();
            let counts = order.iter().map(|g| by_group.get(g).map_or(0, Vec::len) as i64);
            return Ok(Arc::new(Int64Array::from_iter_values(counts)));
        }
        let ints = self.data_type.is_integer();
        let Some(sums) = &self.sums else { return Err(Error::job("an aggregate without its sums")) };
        let integers =
            |values: &mut dyn Iterator<Item = Option<i64>>| Arc::new(values.collect::<Int64Array>()) as ArrayRef;
        let groups = order.iter().copied();
        Ok(match (kind, ints) {
            (AggregateKind::Count, _) => integers(&mut groups.map(|g| Some(sums.count(g) as i64))),
            (AggregateKind::Min, true) => integers(&mut groups.map(|g| sums.range(g).map(|r| r.0))),
            (AggregateKind::Max, true) => integers(&mut groups.map(|g| sums.range(g).map(|r| r.1))),
            (AggregateKind::Min, false) => floats(groups.map(|g| sums.range(g).map(|r| unrank(r.0)))),
            (AggregateKind::Max, false) => floats(groups.map(|g| sums.range(g).map(|r| unrank(r.1)))),
            (AggregateKind::Sum, true) => int_sums(&self.name, sums, order)?,
            (AggregateKind::Sum, false) => floats(groups.map(|g| Some(sums.moments(g).sum()))),
            (AggregateKind::Mean, _) => floats(groups.map(|g| sums.moments(g).mean())),
            (AggregateKind::Std, _) => floats(groups.map(|g| sums.moments(g).std(1))),
            (AggregateKind::Nunique, _) => integers(&mut std::iter::empty()),
        })
    }
}

fn floats(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

fn int_sums(name: &str, sums: &Column, order: &[u32]) -> Result<ArrayRef> {
    let sum = |g: &u32| {
        let sum = sums.int_sum(*g);
        i64::try_from(sum)
            .map_err(|_| Error::job(format!("the sum {sum} of column {name:?} does not fit into 64 bits")))
    };
    Ok(Arc::new(Int64Array::from(order.iter().map(sum).collect::<Result<Vec<_>>>()?)))
}
