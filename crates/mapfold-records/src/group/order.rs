//! Keys of groups as bytes that sort as the result does, so that an exchange brings them in order.
//!
//! ```text
//! per column   01, then the value; 02 for null, which so comes last
//! numbers      eight bytes, big-endian, the sign flipped
//! text         its bytes, each 00 as 00 01; then 00 00
//! ```
//! A key says by itself where it ends, so more can follow it: what sorts within the group.

use mapfold_plan::{Error, Result};

const VALUE: u8 = 1;
const NULL: u8 = 2;

/// How a column's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers and booleans.
    Number,
    /// Text.
    Text,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Number(i64),
    Text(Vec<u8>),
}

/// Appends null.
pub(super) fn push_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Appends a number.
pub(super) fn push_number(v: i64, out: &mut Vec<u8>) {
    out.push(VALUE);
    out.extend_from_slice(&(v as u64 ^ 1 << 63).to_be_bytes());
}

/// Appends text.
pub(super) fn push_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(VALUE);
    let mut from = 0;
    for at in memchr::memchr_iter(0, text) {
        out.extend_from_slice(&text[from..=at]);
        out.push(1);
        from = at + 1;
    }
    out.extend_from_slice(&text[from..]);
    out.extend_from_slice(&[0, 0]);
}

/// Bytes of the first value of a key; those that are there when it is cut off.
fn first_len(kind: Kind, key: &[u8]) -> usize {
    if key.first() != Some(&VALUE) {
        return key.len().min(1);
    }
    if kind == Kind::Number {
        return key.len().min(9);
    }
    let mut at = 1;
    while let Some(zero) = memchr::memchr(0, &key[at..]) {
        at += zero + 2;
        if key.get(at - 1) != Some(&1) {
            return at.min(key.len());
        }
    }
    key.len()
}

/// Bytes of a key's values.
pub(super) fn len(kinds: &[Kind], key: &[u8]) -> usize {
    kinds.iter().fold(0, |at, kind| at + first_len(*kind, &key[at..]))
}

/// The first value of a key, and what follows it.
///
/// # Errors
/// When it is none.
pub(super) fn first(kind: Kind, key: &[u8]) -> Result<(Value, &[u8])> {
    let damaged = || Error::job("a key of a group is damaged (please report this)");
    let (value, rest) = key.split_at(first_len(kind, key));
    let value = match (value, kind) {
        ([NULL], _) => Value::Null,
        ([VALUE, number @ ..], Kind::Number) => {
            let number = number.try_into().map_err(|_| damaged())?;
            Value::Number((u64::from_be_bytes(number) ^ 1 << 63) as i64)
        }
        ([VALUE, text @ .., 0, 0], Kind::Text) => Value::Text(unescaped(text)),
        _ => return Err(damaged()),
    };
    Ok((value, rest))
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in memchr::memchr_iter(0, text) {
        out.extend_from_slice(&text[from..=at]);
        from = at + 2;
    }
    out.extend_from_slice(&text[from.min(text.len())..]);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Nulls last, numbers by value, text by bytes.
    fn rank(key: &(Option<i64>, Option<Vec<u8>>)) -> (bool, Option<i64>, bool, Option<Vec<u8>>) {
        (key.0.is_none(), key.0, key.1.is_none(), key.1.clone())
    }

    fn written(key: &(Option<i64>, Option<Vec<u8>>)) -> Vec<u8> {
        let mut out = Vec::new();
        match key.0 {
            Some(v) => push_number(v, &mut out),
            None => push_null(&mut out),
        }
        match &key.1 {
            Some(text) => push_text(text, &mut out),
            None => push_null(&mut out),
        }
        out
    }

    proptest! {
        #[test]
        fn keys_sort_as_values_and_say_where_they_end(
            mut keys in prop::collection::vec(
                (prop::option::of(any::<i64>()), prop::option::of(prop::collection::vec(0u8..3, 0..6))), 1..30),
            tail in prop::collection::vec(any::<u8>(), 0..5),
        ) {
            let kinds = [Kind::Number, Kind::Text];
            let mut bytes: Vec<Vec<u8>> = keys.iter().map(written).collect();
            keys.sort_by_key(rank);
            bytes.sort();
            for (key, bytes) in keys.iter().zip(&bytes) {
                let longer = [bytes.as_slice(), &tail].concat();
                prop_assert_eq!(len(&kinds, &longer), bytes.len());
                let (number, rest) = first(Kind::Number, &longer).unwrap();
                let (text, rest) = first(Kind::Text, rest).unwrap();
                prop_assert_eq!(number, key.0.map_or(Value::Null, Value::Number));
                prop_assert_eq!(text, key.1.clone().map_or(Value::Null, Value::Text));
                prop_assert_eq!(rest, tail.as_slice());
                for cut in 0..bytes.len() {
                    prop_assert!(len(&kinds, &bytes[..cut]) <= cut);
                }
            }
        }
    }
}
