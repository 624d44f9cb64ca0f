//! A hash table from key bytes to states: what a combiner folds into, before records leave the map side.
//!
//! Keys lie one behind the other in one buffer, states in one vector; a slot of the table is 8 bytes (half of the hash
//! and an index), searched linearly. So a new key costs no allocation, and a known one a comparison. The hash is XXH3,
//! as everywhere: with it the table is the same on every machine, and what it gives out is sorted anyway.
//!
//! Deliberately absent: removal of single keys. The table is emptied as a whole.

use super::order::{self, index};
use super::output::MapOutput;
use super::segment::{MAX_ITEM, too_large};
use crate::Result;

/// Most bytes of a table, however much memory there is. A plan constant, so that where a table is cut depends on memory
/// only when memory is short.
const MOST: u64 = 16 << 20;

/// The share of a fold table in a map side's budget.
pub(crate) fn share(budget: u64) -> u64 {
    (budget / 2).min(MOST)
}

/// A table from keys to states.
pub(crate) struct FoldTable<S> {
    /// 0, or the upper half of the hash and the number of the entry plus one.
    slots: Vec<u64>,
    keys: Vec<u8>,
    entries: Vec<Entry<S>>,
}

struct Entry<S> {
    state: S,
    key_end: u32,
    partition: u32,
    hash: u64,
}

impl<S> Default for FoldTable<S> {
    fn default() -> Self {
        FoldTable { slots: Vec::new(), keys: Vec::new(), entries: Vec::new() }
    }
}

impl<S> FoldTable<S> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory in use: what states own elsewhere aside.
    pub fn bytes(&self) -> u64 {
        (self.slots.len() * 8 + self.keys.len() + self.entries.len() * size_of::<Entry<S>>()) as u64
    }

    fn key(&self, entry: usize) -> &[u8] {
        let from = if entry == 0 { 0 } else { self.entries[entry - 1].key_end };
        &self.keys[from as usize..self.entries[entry].key_end as usize]
    }

    /// The state of a key, when it has one.
    #[inline]
    pub fn get(&mut self, key: &[u8], hash: u64) -> Option<&mut S> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let entry = (slot as u32 - 1) as usize;
            if slot >> 32 == hash >> 32 && self.key(entry) == key {
                return Some(&mut self.entries[entry].state);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a key that is not there.
    ///
    /// # Errors
    /// When the key is too large.
    pub fn insert(&mut self, key: &[u8], hash: u64, partition: u32, state: S) -> Result<()> {
        if key.len() > MAX_ITEM {
            return Err(too_large(key, &[]));
        }
        if self.entries.len() * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        self.keys.extend_from_slice(key);
        let entry = Entry { state, key_end: self.keys.len() as u32, partition, hash };
        self.entries.push(entry);
        self.place(hash, self.entries.len() as u32);
        Ok(())
    }

    fn place(&mut self, hash: u64, number: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = hash >> 32 << 32 | u64::from(number);
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots.clear();
        self.slots.resize(size, 0);
        for entry in 0..self.entries.len() {
            self.place(self.entries[entry].hash, entry as u32 + 1);
        }
    }

    /// Puts everything out, by partition and key, and empties the table but for its memory.
    pub fn drain(
        &mut self,
        out: &mut MapOutput<'_>,
        mut encode: impl FnMut(&S, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        out.begin_sorted();
        let mut value = Vec::new();
        for (partition, entries) in self.by_partition().into_iter().enumerate() {
            let sorted = order::sorted(entries.len(), |i| self.key(entries[i] as usize));
            for packed in sorted {
                let entry = entries[index(packed)] as usize;
                value.clear();
                encode(&self.entries[entry].state, &mut value)?;
                out.put(partition as u32, self.key(entry), &value)?;
            }
        }
        out.end_sorted();
        self.slots.fill(0);
        self.keys.clear();
        self.entries.clear();
        Ok(())
    }

    /// Numbers of the entries of each partition.
    fn by_partition(&self) -> Vec<Vec<u32>> {
        let count = self.entries.iter().map(|e| e.partition as usize + 1).max().unwrap_or(0);
        let mut all = vec![Vec::new(); count];
        for (number, entry) in self.entries.iter().enumerate() {
            all[entry.partition as usize].push(number as u32);
        }
        all
    }
}
