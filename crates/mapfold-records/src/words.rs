//! Counting words.
//!
//! A word is what Java's `StringTokenizer` gives with its default delimiters, which Hadoop's WordCount uses: bytes between
//! spaces, tabs, newlines, carriage returns and form feeds. Since every newline is one of these, a block of whole lines is
//! cut at once, without cutting lines first. Words are bytes: unlike Java, what is not UTF-8 stays as it is (Hadoop's
//! WordCount would count `\xff` and `\xfe` as one word, U+FFFD).

use crate::{Interner, scan};

/// Calls `visit` with from and to of every word.
#[inline(always)]
pub fn each_word(text: &[u8], mut visit: impl FnMut(usize, usize)) {
    let mut start = 0;
    scan::blocks(text, b' ', |at, block| {
        let low = scan::at_most(block, b' ');
        let rare = low & !scan::equal(block, b' ') & !scan::equal(block, b'\n');
        let blank = if rare == 0 { low } else { low & !not_blank(block, rare) };
        scan::bits(blank, |bit| {
            let end = at + bit;
            if end > start {
                visit(start, end.min(text.len()));
            }
            start = end + 1;
        });
    });
    if start < text.len() {
        visit(start, text.len());
    }
}

/// Those of the low bytes that are no blanks.
fn not_blank(block: &[u8; scan::BLOCK], low: u64) -> u64 {
    let mut not = 0;
    scan::bits(low, |bit| not |= u64::from(!matches!(block[bit], b'\t' | b'\r' | 12)) << bit);
    not
}

/// How often each word occurs.
///
/// ```
/// use mapfold_records::WordCounts;
/// let mut counts = WordCounts::default();
/// counts.add_text(b"to be or not\nto be");
/// let sorted: Vec<(&[u8], u64)> = counts.sorted();
/// assert_eq!(sorted, [(&b"be"[..], 2), (b"not", 1), (b"or", 1), (b"to", 2)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WordCounts {
    words: Interner,
    counts: Vec<u64>,
}

impl WordCounts {
    /// Counts the words of a text that begins and ends between words.
    pub fn add_text(&mut self, text: &[u8]) {
        each_word(text, |from, to| {
            let id = self.words.intern_in(text, from, to) as usize;
            match self.counts.get_mut(id) {
                Some(count) => *count += 1,
                None => self.counts.push(1),
            }
        });
    }

    /// Adds `count` to a word.
    pub fn add(&mut self, word: &[u8], count: u64) {
        let id = self.words.intern(word) as usize;
        match self.counts.get_mut(id) {
            Some(old) => *old += count,
            None => self.counts.push(count),
        }
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &WordCounts) {
        other.iter().for_each(|(word, count)| self.add(word, count));
    }

    /// Words and counts, in the order in which the words came first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.words.iter().zip(self.counts.iter().copied())
    }

    /// Words and counts, in the order of bytes (Hadoop's order of `Text`).
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by_key(|(word, _)| *word);
        all
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes held. A combiner writes its counts out and calls [`WordCounts::clear`] above its share.
    pub fn memory(&self) -> usize {
        self.words.memory() + self.counts.capacity() * size_of::<u64>()
    }

    /// Forgets all words and keeps the room.
    pub fn clear(&mut self) {
        self.words.clear();
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn naive(text: &[u8]) -> BTreeMap<&[u8], u64> {
        let mut counts = BTreeMap::new();
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 12);
        text.split(blank).filter(|w| !w.is_empty()).for_each(|w| *counts.entry(w).or_default() += 1);
        counts
    }

    proptest! {
        /// Law: words are what lies between blanks, for all bytes, control characters that are no blanks included.
        #[test]
        fn counts_are_those_of_a_map(text in prop::collection::vec(prop::sample::select(b"ab \n\t\r\x0c\x0b\x00\x1f\xffcdefghijklm".to_vec()), 0..400)) {
            let mut counts = WordCounts::default();
            counts.add_text(&text);
            prop_assert_eq!(counts.sorted(), naive(&text).into_iter().collect::<Vec<_>>());
        }

        /// Law: a text may be cut between words and the counts merged.
        #[test]
        fn merging_is_counting_the_whole(a in "[ab ]{0,60}", b in "[ab ]{0,60}") {
            let (mut whole, mut left, mut right) = (WordCounts::default(), WordCounts::default(), WordCounts::default());
            whole.add_text(format!("{a} {b}").as_bytes());
            left.add_text(a.as_bytes());
            right.add_text(b.as_bytes());
            left.merge(&right);
            prop_assert_eq!(left.sorted(), whole.sorted());
        }
    }
}
