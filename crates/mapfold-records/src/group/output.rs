//! From what is kept of an input to a column of the result.

use super::column::{Column, unrank};
use super::rows::Kept;
use super::{AggregateKind, GroupTable};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use mapfold_plan::{Error, Result};
use std::sync::Arc;

impl GroupTable {
    /// The result, in memory: key columns, then one column `COLUMN_KIND` per aggregate, sorted by keys (integers by value,
    /// text by bytes, nulls last). Where there may be more groups than memory holds, an exchange sorts
    /// [`GroupTable::records`] instead.
    ///
    /// # Errors
    /// When a sum of integers does not fit into 64 bits.
    pub fn finish(self) -> Result<RecordBatch> {
        let mut records = Vec::new();
        self.records(|key, value| records.push((key.to_vec(), value.to_vec())))?;
        records.sort_unstable();
        let (mut rows, len) = (self.rows(), self.key_len());
        let mut group: &[u8] = &[];
        for (key, value) in &records {
            let (of, rest) = key.split_at(len(key));
            if rows.is_empty() || of != group {
                rows.begin(of)?;
                group = of;
            }
            rows.put(rest, value)?;
        }
        rows.take()
    }
}

impl Kept {
    /// An aggregate of the first `rows` rows.
    pub(super) fn column(&self, kind: AggregateKind, rows: u32) -> Result<ArrayRef> {
        if kind == AggregateKind::Nunique {
            return Ok(Arc::new(Int64Array::from(self.distinct.clone())));
        }
        let ints = self.data_type.is_integer();
        let Some(sums) = &self.sums else { return Err(Error::job("an aggregate without its sums")) };
        let integers =
            |values: &mut dyn Iterator<Item = Option<i64>>| Arc::new(values.collect::<Int64Array>()) as ArrayRef;
        let groups = 0..rows;
        Ok(match (kind, ints) {
            (AggregateKind::Count, _) => integers(&mut groups.map(|g| Some(sums.count(g) as i64))),
            (AggregateKind::Min, true) => integers(&mut groups.map(|g| sums.range(g).map(|r| r.0))),
            (AggregateKind::Max, true) => integers(&mut groups.map(|g| sums.range(g).map(|r| r.1))),
            (AggregateKind::Min, false) => floats(groups.map(|g| sums.range(g).map(|r| unrank(r.0)))),
            (AggregateKind::Max, false) => floats(groups.map(|g| sums.range(g).map(|r| unrank(r.1)))),
            (AggregateKind::Sum, true) => int_sums(&self.name, sums, rows)?,
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

fn int_sums(name: &str, sums: &Column, rows: u32) -> Result<ArrayRef> {
    let sum = |group: u32| {
        let sum = sums.int_sum(group);
        i64::try_from(sum)
            .map_err(|_| Error::job(format!("the sum {sum} of column {name:?} does not fit into 64 bits")))
    };
    Ok(Arc::new(Int64Array::from((0..rows).map(sum).collect::<Result<Vec<_>>>()?)))
}
