//! Distinct byte strings, numbered as they come: the table under counting words and grouping rows.
//!
//! Open addressing with linear probing over slots of 24 bytes, at most half full. Up to 15 bytes of a key lie in the slot
//! itself, with their length in the 16th byte, so that a word or a number is found with one cache line and one comparison
//! (short-string inlining as in Umbra, Neumann and Freitag, CIDR 2020). Longer keys are compared in the arena, after their
//! hash. The arena holds every key once, in the order of numbers.
//!
//! Deliberately absent: removing keys. A table that became too large is written out and begun anew.

/// Bytes that fit into a slot.
const INLINE: usize = 15;
/// Length byte of a key that does not.
const LONG: u64 = 0xff << 56;
/// Slots up to which a table grows to four times its size.
const QUICK: usize = 1 << 12;
const EMPTY: Slot = Slot { low: 0, high: 0, id: u32::MAX };

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// First eight bytes, or the hash of a long key.
    low: u64,
    /// Next seven bytes and the length, or [`LONG`] and the lower part of the length.
    high: u64,
    id: u32,
}

/// Numbers byte strings: equal ones get equal numbers, new ones the next.
///
/// ```
/// use mapfold_records::Interner;
/// let mut words = Interner::default();
/// let ids: Vec<u32> = ["to", "be", "or", "not", "to", "be"].map(|w| words.intern(w.as_bytes())).into();
/// assert_eq!(ids, [0, 1, 2, 3, 0, 1]);
/// assert_eq!((words.len(), words.get(3)), (4, &b"not"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct Interner {
    slots: Vec<Slot>,
    arena: Vec<u8>,
    /// Where key `i` ends in the arena.
    ends: Vec<usize>,
}

impl Default for Interner {
    fn default() -> Interner {
        Interner { slots: vec![EMPTY; 64], arena: Vec::new(), ends: Vec::new() }
    }
}

impl Interner {
    /// The number of these bytes.
    ///
    /// # Panics
    /// Beyond 2^32 - 1 keys: callers watch [`Interner::memory`] and write out long before.
    #[inline]
    pub fn intern(&mut self, bytes: &[u8]) -> u32 {
        self.intern_in(bytes, 0, bytes.len())
    }

    /// The number of `data[start..end]`. Faster where bytes follow the key: they are loaded with it and masked off.
    ///
    /// # Panics
    /// As [`Interner::intern`], and when the range is outside.
    #[inline]
    pub fn intern_in(&mut self, data: &[u8], start: usize, end: usize) -> u32 {
        let len = end - start;
        if len > INLINE {
            return self.intern_long(&data[start..end]);
        }
        let word = match data[start..].first_chunk::<16>() {
            Some(chunk) => u128::from_le_bytes(*chunk) & MASKS[len],
            None => short_word(&data[start..end]),
        };
        self.find(word as u64, (word >> 64) as u64 | (len as u64) << 56, &data[start..end])
    }

    /// The number of the eight bytes of a word.
    #[inline]
    pub fn intern_word(&mut self, word: u64) -> u32 {
        self.find(word, 8 << 56, &word.to_le_bytes())
    }

    /// The number of a short key.
    #[inline(always)]
    fn find(&mut self, low: u64, high: u64, bytes: &[u8]) -> u32 {
        let mask = self.slots.len() - 1;
        let mut at = mix(low, high) & mask;
        loop {
            let slot = &self.slots[at];
            if slot.low == low && slot.high == high && slot.id != u32::MAX {
                return slot.id;
            }
            if slot.id == u32::MAX {
                return self.insert(at, low, high, bytes);
            }
            at = (at + 1) & mask;
        }
    }

    fn intern_long(&mut self, bytes: &[u8]) -> u32 {
        let (low, high) = (mapfold_plan::hash64(bytes), LONG | (bytes.len() as u64 & !LONG));
        let mask = self.slots.len() - 1;
        let mut at = mix(low, high) & mask;
        loop {
            let slot = self.slots[at];
            if slot.id == u32::MAX {
                return self.insert(at, low, high, bytes);
            }
            if slot.low == low && slot.high == high && self.get(slot.id) == bytes {
                return slot.id;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, low: u64, high: u64, bytes: &[u8]) -> u32 {
        assert!(self.ends.len() < u32::MAX as usize, "2^32 - 1 distinct keys in one table");
        let id = self.ends.len() as u32;
        self.slots[at] = Slot { low, high, id };
        self.arena.extend_from_slice(bytes);
        self.ends.push(self.arena.len());
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        id
    }

    /// Small tables grow fast; large ones by what their owner can afford.
    fn grow(&mut self) {
        let times = if self.slots.len() < QUICK { 4 } else { 2 };
        let mut slots = vec![EMPTY; self.slots.len() * times];
        let mask = slots.len() - 1;
        for slot in self.slots.iter().filter(|slot| slot.id != u32::MAX) {
            let mut at = mix(slot.low, slot.high) & mask;
            while slots[at].id != u32::MAX {
                at = (at + 1) & mask;
            }
            slots[at] = *slot;
        }
        self.slots = slots;
    }

    /// The key with this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.arena[start..self.ends[id]]
    }

    /// All keys, by number.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|id| self.get(id))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.arena.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Forgets all keys and keeps the room.
    pub fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.arena.clear();
        self.ends.clear();
    }
}

/// Ones over the first `i` bytes.
const MASKS: [u128; 16] = {
    let mut masks = [0; 16];
    let mut i = 1;
    while i < 16 {
        masks[i] = (1 << (i * 8)) - 1;
        i += 1;
    }
    masks
};

/// A key so near to the end of its data that 16 bytes cannot be loaded.
#[cold]
fn short_word(bytes: &[u8]) -> u128 {
    let mut word = [0; 16];
    word[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(word)
}

/// A multiplication to 128 bits, folded (wyhash's step): all bits of the key reach all bits of the result.
#[inline(always)]
fn mix(low: u64, high: u64) -> usize {
    let product = u128::from(low ^ 0xa076_1d64_78bd_642f) * u128::from(high ^ 0xe703_7ed1_a0b4_28db);
    (product as u64 ^ (product >> 64) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Law: the numbers are those of a map that gives each new key the next number.
        #[test]
        fn numbers_as_a_map_gives_them(
            keys in prop::collection::vec(prop::collection::vec(0u8..3, 0..24), 0..300),
            words in prop::collection::vec(any::<u16>(), 0..300),
        ) {
            let (mut table, mut map) = (Interner::default(), HashMap::new());
            let joined = keys.concat();
            let mut start = 0;
            for key in &keys {
                let next = map.len() as u32;
                let expected = *map.entry(key.clone()).or_insert(next);
                prop_assert_eq!(table.intern_in(&joined, start, start + key.len()), expected);
                prop_assert_eq!(table.intern(key), expected);
                prop_assert_eq!(table.get(expected), key.as_slice());
                start += key.len();
            }
            for word in words {
                let next = map.len() as u32;
                let expected = *map.entry(u64::from(word).to_le_bytes().to_vec()).or_insert(next);
                prop_assert_eq!(table.intern_word(u64::from(word)), expected);
            }
            prop_assert_eq!(table.len(), map.len());
            table.clear();
            prop_assert_eq!((table.intern(b"x"), table.len()), (0, 1));
        }
    }
}
