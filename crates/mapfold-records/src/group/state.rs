//! The state of a table as bytes, cut by partition, and taken in again.

use super::column::Column;
use super::{GroupTable, Input};
use mapfold_plan::{Error, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct State {
    /// Key bytes: those of all columns of group 0, then of group 1.
    keys: Vec<Bytes>,
    rows: Vec<u64>,
    inputs: Vec<Part>,
}

/// Of one input: sums, and the distinct values of each group.
type Part = (Option<Column>, Option<Vec<Vec<Bytes>>>);

/// Byte strings, which serde would otherwise take for sequences of numbers.
mod serde_bytes_vec {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) struct Bytes(pub(super) Vec<u8>);

    impl AsRef<[u8]> for Bytes {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
            from.deserialize_bytes(Visitor)
        }
    }

    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Bytes;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }
        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes(bytes.to_vec()))
        }
    }
}

use serde_bytes_vec::Bytes;

impl GroupTable {
    /// The state, one piece of bytes per partition. A group's partition is a fixed hash of its key, so that the pieces
    /// of the same number of all tables together hold all that there is of their groups.
    ///
    /// # Errors
    /// When the state cannot be encoded.
    pub fn partials(&self, partitions: u32) -> Result<Vec<Vec<u8>>> {
        let mut groups = vec![Vec::new(); partitions as usize];
        for group in 0..self.rows.len() as u32 {
            let key = postcard::to_stdvec(&self.keys.get(group))?;
            groups[mapfold_plan::partition_of(&key, partitions) as usize].push(group);
        }
        groups.iter().map(|groups| Ok(postcard::to_stdvec(&self.state(groups))?)).collect()
    }

    fn state(&self, groups: &[u32]) -> State {
        let keys = groups.iter().flat_map(|g| self.keys.get(*g)).map(|bytes| Bytes(bytes.to_vec()));
        State {
            keys: keys.collect(),
            rows: groups.iter().map(|g| self.rows[*g as usize]).collect(),
            inputs: self
                .inputs
                .iter()
                .map(|i| (i.sums.as_ref().map(|s| s.select(groups)), i.values_of(groups)))
                .collect(),
        }
    }

    /// Takes in what [`GroupTable::partials`] of a table of the same plan gave.
    ///
    /// # Errors
    /// When the bytes are no such state.
    pub fn merge(&mut self, partial: &[u8]) -> Result<()> {
        let state: State = postcard::from_bytes(partial)?;
        let width = self.keys.fields.len();
        let shaped = state.keys.len() == state.rows.len() * width && state.inputs.len() == self.inputs.len();
        if !shaped || !self.inputs.iter().zip(&state.inputs).all(|(mine, theirs)| mine.takes(theirs, state.rows.len()))
        {
            return Err(Error::job("a partial result is of another plan"));
        }
        let groups: Vec<u32> = state.keys.chunks(width).map(|key| self.keys.intern(key)).collect();
        self.rows.resize(self.keys.len(), 0);
        groups.iter().zip(&state.rows).for_each(|(group, rows)| self.rows[*group as usize] += rows);
        for (mine, (sums, distinct)) in self.inputs.iter_mut().zip(state.inputs) {
            if let (Some(mine), Some(theirs)) = (&mut mine.sums, sums) {
                mine.resize(self.rows.len());
                mine.merge(theirs, &groups);
            }
            if let Some(values) = distinct {
                mine.take_values(&groups, &values);
            }
        }
        Ok(())
    }
}

impl Input {
    fn takes(&self, (sums, distinct): &Part, groups: usize) -> bool {
        let with_squares = self.sums.as_ref().is_some_and(Column::has_squares);
        sums.is_some() == self.sums.is_some()
            && sums.as_ref().is_none_or(|s| s.fits(groups, with_squares))
            && distinct.is_some() == self.distinct.is_some()
            && distinct.as_ref().is_none_or(|d| d.len() == groups)
    }

    fn values_of(&self, groups: &[u32]) -> Option<Vec<Vec<Bytes>>> {
        let distinct = self.distinct.as_ref()?;
        let by_group = distinct.by_group();
        let bytes = |value: &u32| Bytes(distinct.values.get(*value).to_vec());
        Some(groups.iter().map(|g| by_group.get(g).into_iter().flatten().map(bytes).collect()).collect())
    }

    fn take_values(&mut self, groups: &[u32], values: &[Vec<Bytes>]) {
        let Some(distinct) = &mut self.distinct else { return };
        for (group, values) in groups.iter().zip(values) {
            for value in values {
                let value = distinct.values.intern(value.as_ref());
                distinct.pairs.intern_word(u64::from(*group) << 32 | u64::from(value));
            }
        }
    }
}

impl super::Distinct {
    /// The values of each group that has any.
    pub(super) fn by_group(&self) -> std::collections::BTreeMap<u32, Vec<u32>> {
        let mut by_group = std::collections::BTreeMap::<u32, Vec<u32>>::new();
        for pair in self.pairs.iter().filter_map(|bytes| bytes.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*pair);
            by_group.entry((word >> 32) as u32).or_default().push(word as u32);
        }
        by_group
    }
}
