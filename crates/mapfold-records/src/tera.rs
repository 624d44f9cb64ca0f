//! The sort benchmark's records: a generator and a check, byte for byte those of Hadoop's TeraGen and TeraValidate.
//!
//! A record is 100 bytes: a key of 10 bytes, then the number of the row in hexadecimal and a filler. Row `n` follows from
//! `n` alone (a 128-bit linear congruential generator that can skip ahead; Nyberg's gensort), so any split can be made
//! anywhere. The checksum is the sum of the records' CRC-32 in 128 bits: the same for any order, so that sorted output
//! can be compared with its input.

use crate::sort::{KEY, RECORD};

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
const INCREMENT: u128 = 0x4a69_6d47_7261_7952_4950_2020_2020_2001;
const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// The generator's state after `n` steps from 0: the affine step, raised to the power `n` by squaring.
fn skip_ahead(mut n: u128) -> u128 {
    let (mut state, mut a, mut c) = (0u128, MULTIPLIER, INCREMENT);
    while n > 0 {
        if n & 1 == 1 {
            state = state.wrapping_mul(a).wrapping_add(c);
        }
        c = c.wrapping_mul(a.wrapping_add(1));
        a = a.wrapping_mul(a);
        n >>= 1;
    }
    state
}

/// Writes the records of rows `start..start + count` behind `out`.
///
/// ```
/// use mapfold_records::tera::{Summary, generate};
/// let mut records = Vec::new();
/// generate(0, 1000, &mut records);
/// assert_eq!(records.len(), 100_000);
/// let mut again = Vec::new();
/// generate(500, 1, &mut again);
/// assert_eq!(&records[50_000..50_100], &again[..]);
/// ```
pub fn generate(start: u64, count: u64, out: &mut Vec<u8>) {
    let mut random = skip_ahead(u128::from(start));
    for row in start..start + count {
        random = random.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        out.extend_from_slice(&record(random, u128::from(row)));
    }
}

fn record(random: u128, row: u128) -> [u8; RECORD] {
    let digit = |of: u128, place: usize| DIGITS[(of >> (124 - 4 * place)) as usize & 15];
    let mut record = [0; RECORD];
    record[..KEY].copy_from_slice(&random.to_be_bytes()[..KEY]);
    record[10..12].copy_from_slice(&[0x00, 0x11]);
    (0..32).for_each(|i| record[12 + i] = digit(row, i));
    record[44..48].copy_from_slice(&[0x88, 0x99, 0xaa, 0xbb]);
    (0..48).for_each(|i| record[48 + i] = digit(random, 20 + i / 4));
    record[96..].copy_from_slice(&[0xcc, 0xdd, 0xee, 0xff]);
    record
}

/// What a stretch of records comes to; stretches are put together in order with [`Summary::then`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records.
    pub count: u64,
    /// Sum of their CRC-32.
    pub checksum: u128,
    /// Bytes behind the last whole record.
    pub rest: usize,
    /// First and last key.
    pub keys: Option<([u8; KEY], [u8; KEY])>,
    /// Number of the first record whose key is below the one before.
    pub unsorted_at: Option<u64>,
}

impl Summary {
    /// The summary of some records.
    ///
    /// ```
    /// use mapfold_records::{sort, tera};
    /// let (mut records, mut sorted) = (Vec::new(), Vec::new());
    /// tera::generate(0, 100, &mut records);
    /// sort::gather_records(&records, &sort::order_of_records(&records), &mut sorted);
    /// let (before, after) = (tera::Summary::of(&records), tera::Summary::of(&sorted));
    /// assert!(before.unsorted_at.is_some() && after.unsorted_at.is_none());
    /// assert_eq!((before.count, before.checksum), (after.count, after.checksum));
    /// ```
    pub fn of(records: &[u8]) -> Summary {
        let (rows, rest) = records.as_chunks::<RECORD>();
        let mut summary = Summary { rest: rest.len(), ..Summary::default() };
        for row in rows {
            let mut key = [0; KEY];
            key.copy_from_slice(&row[..KEY]);
            let checksum = u128::from(crc32fast::hash(row));
            summary = summary.then(&Summary { count: 1, checksum, rest: 0, keys: Some((key, key)), unsorted_at: None });
        }
        summary.rest = rest.len();
        summary
    }

    /// This stretch followed by another.
    #[must_use]
    pub fn then(&self, next: &Summary) -> Summary {
        let crossing = match (&self.keys, &next.keys) {
            (Some((_, last)), Some((first, _))) if first < last => Some(self.count),
            _ => None,
        };
        let inside = next.unsorted_at.map(|at| at + self.count);
        let keys = match (self.keys, next.keys) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (one, other) => one.or(other),
        };
        Summary {
            count: self.count + next.count,
            checksum: self.checksum.wrapping_add(next.checksum),
            rest: self.rest + next.rest,
            keys,
            unsorted_at: self.unsorted_at.or(crossing).or(inside),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of Hadoop 3.4.2's own TeraGen, as its Java class writes them: `tests/oracle/hadoop_lines.py` compares byte
    /// for byte where there is a JDK.
    #[test]
    fn rows_are_those_of_hadoops_teragen() {
        for (start, count, crc) in [(0, 10_000, 0xfe21_8e62_u32), (12_345_678_901, 1000, 0x56de_898f)] {
            let mut records = Vec::new();
            generate(start, count, &mut records);
            assert_eq!(crc32fast::hash(&records), crc, "rows from {start}");
        }
    }

    /// Law: a check of pieces is a check of the whole.
    #[test]
    fn summaries_of_pieces_make_the_summary_of_the_whole() {
        let mut records = Vec::new();
        generate(1 << 40, 50, &mut records);
        let whole = Summary::of(&records);
        for cut in 0..=50 {
            let (a, b) = records.split_at(cut * RECORD);
            assert_eq!(Summary::of(a).then(&Summary::of(b)), whole, "cut at {cut}");
        }
        assert_eq!(Summary::of(&records[..250]).rest, 50);
    }
}
