//! The state of a table as records of an exchange: one with the sums of each group, one for each distinct value of each
//! group. What an exchange brings back is in order, so whoever takes it in (`rows.rs`) needs no table.
//!
//! ```text
//! key of the group (`order.rs`), 00                 -> a cell per input with sums
//! key of the group, 01 + number of the input, value -> nothing
//! ```

use super::column::Cell;
use super::{GroupTable, order};
use mapfold_plan::Result;

/// Follows the key of a group before its sums.
pub(super) const SUMS: u8 = 0;

impl GroupTable {
    /// Gives the state of all groups away: records of keys and values for an exchange. Keys sort as the result is sorted;
    /// their first [`GroupTable::key_len`] bytes name the group. [`super::GroupRows`] takes them in.
    ///
    /// # Errors
    /// When the state cannot be encoded.
    pub fn records(&self, mut put: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for group in 0..self.len() as u32 {
            key.clear();
            self.keys.write(group, &mut key);
            key.push(SUMS);
            value.clear();
            for sums in self.inputs.iter().filter_map(|i| i.sums.as_ref()) {
                value = postcard::to_extend(&sums.cell(group), value)?;
            }
            put(&key, &value);
        }
        for (number, distinct) in (1u8..).zip(&self.inputs).filter_map(|(n, i)| Some((n, i.distinct.as_ref()?))) {
            for (group, bytes) in distinct.all() {
                key.clear();
                self.keys.write(group, &mut key);
                key.push(number);
                key.extend_from_slice(bytes);
                put(&key, &[]);
            }
        }
        Ok(())
    }

    /// How many first bytes of a record's key name its group.
    pub fn key_len(&self) -> impl Fn(&[u8]) -> usize + Clone + Send + Sync + 'static {
        let kinds = self.keys.kinds.clone();
        move |key| order::len(&kinds, key)
    }
}

impl super::Distinct {
    /// Each group with each of its values.
    fn all(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.pairs.iter().filter_map(|bytes| bytes.first_chunk::<8>()).map(|pair| {
            let word = u64::from_le_bytes(*pair);
            ((word >> 32) as u32, self.values.get(word as u32))
        })
    }
}

/// The cells of a record.
///
/// # Errors
/// When the bytes are none, or too many.
pub(super) fn cells(mut bytes: &[u8], mut take: impl FnMut(Cell)) -> Result<()> {
    while !bytes.is_empty() {
        let (cell, rest) = postcard::take_from_bytes(bytes)?;
        take(cell);
        bytes = rest;
    }
    Ok(())
}
