//! A bounded map that forgets what was not used lately.
//!
//! Two generations instead of a linked list: when the young one is full it becomes the old one, and
//! the old one is dropped. Between `limit` and `2 * limit` entries survive; each operation is O(1).

use std::collections::HashMap;
use std::hash::Hash;

pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    pub(crate) fn new(limit: usize) -> Recent<K, V> {
        Recent { young: HashMap::new(), old: HashMap::new(), limit }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(key.clone(), value.clone());
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(crate) fn forget(&mut self, matches: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| !matches(key));
        self.old.retain(|key, _| !matches(key));
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn keeps_what_is_used_and_stays_bounded() {
        let mut recent = Recent::new(4);
        recent.insert(0, 0);
        for n in 1..100 {
            recent.insert(n, n);
            assert_eq!(recent.get(&0), Some(0), "used at every step, after {n}");
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!(recent.get(&1), None);
        recent.forget(|key| *key == 0);
        assert_eq!(recent.get(&0), None);
    }
}
