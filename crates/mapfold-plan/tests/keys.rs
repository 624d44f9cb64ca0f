//! Keys: bytes sort as keys do, come back as they were, and fall into partitions that never change.
#![allow(clippy::unwrap_used)]

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, UInt8Array};
use mapfold_plan::{Key, TileKey, TimeKey, decode_keys, encode_keys, partition_of};
use std::sync::Arc;

fn rows<K: Key>(keys: &[K]) -> Vec<Vec<u8>> {
    encode_keys(keys).unwrap()
}

fn decode<K: Key>(rows: &[Vec<u8>]) -> mapfold_plan::Result<Vec<K>> {
    decode_keys(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The law of a key: for every pair, bytes compare as keys compare; and the keys come back.
fn is_lawful<K: Key + Ord>(keys: &[K]) {
    let rows = rows(keys);
    for (a, a_row) in keys.iter().zip(&rows) {
        for (b, b_row) in keys.iter().zip(&rows) {
            assert_eq!(a.cmp(b), a_row.cmp(b_row), "{a:?} and {b:?}");
        }
    }
    assert_eq!(decode::<K>(&rows).unwrap(), keys);
    assert!(encode_keys::<K>(&[]).unwrap().is_empty());
    assert_eq!(decode_keys::<K>(&[]).unwrap(), []);
    for row in &rows {
        let longer = [row.as_slice(), &[0]].concat();
        assert!(decode::<K>(&[longer]).is_err(), "a byte too many for {}", std::any::type_name::<K>());
        for len in 0..row.len() {
            assert!(decode::<K>(&[row[..len].to_vec()]).is_err(), "{len} bytes of {row:?}");
        }
    }
}

fn strings() -> Vec<String> {
    let some = ["", "a", "aa", "b", "a\0", "é", "z", "日本", "\u{10ffff}", "\u{e000}"].map(String::from);
    let long = [7, 8, 9, 31, 32, 33, 63, 64, 65, 200].map(|n| "x".repeat(n));
    some.into_iter().chain(long).collect()
}

#[test]
fn every_key_is_lawful() {
    is_lawful(&[false, true]);
    is_lawful(&[u8::MIN, 1, 127, 128, u8::MAX]);
    is_lawful(&[u16::MIN, 1, 255, 256, u16::MAX]);
    is_lawful(&[u32::MIN, 1, 65_536, u32::MAX]);
    is_lawful(&[u64::MIN, 1, 1 << 40, u64::MAX]);
    is_lawful(&[i8::MIN, -1, 0, 1, i8::MAX]);
    is_lawful(&[i16::MIN, -256, -1, 0, 1, i16::MAX]);
    is_lawful(&[i32::MIN, -1, 0, 1, i32::MAX]);
    is_lawful(&[i64::MIN, -1, 0, 1, i64::MAX]);
    is_lawful(&strings());
    is_lawful(&[()]);
    is_lawful(&[TimeKey(i64::MIN), TimeKey(-1), TimeKey(0), TimeKey(1_700_000_000_000)]);
}

#[test]
fn tuples_sort_from_left_to_right() {
    let tiles = [(0, 0), (0, u32::MAX), (1, 0), (256, 1), (1, 256)].map(|(row, col)| TileKey { row, col });
    is_lawful(&tiles);
    let named: Vec<(String, i64)> = strings().into_iter().flat_map(|s| [(s.clone(), -5), (s, 5)]).collect();
    is_lawful(&named);
    let nested = tiles.map(|tile| (tile, TimeKey(i64::from(tile.col) - 9), (tile.row == 1, "t".to_string())));
    is_lawful(&nested);
    is_lawful(&[(1u8, (), -1i8, 2u16), (1, (), -1, 1), (0, (), 1, 9)]);
}

#[test]
fn random_keys_are_lawful() {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut key = || {
        let length = next() % 40;
        let text: String = (0..length).map(|_| char::from_u32(next() as u32 % 0xd800).unwrap()).collect();
        (next() % 3 == 0, next() as i16 % 4, text, next())
    };
    is_lawful(&(0..60).map(|_| key()).collect::<Vec<(bool, i16, String, u64)>>());
}

#[test]
fn equal_keys_have_equal_bytes_in_any_batch() {
    let alone = rows(&[(5i32, "five".to_string())]);
    let among = rows(&[(1, String::new()), (5, "five".to_string()), (9, "nine".repeat(20))]);
    assert_eq!(alone[0], among[1]);
}

#[test]
fn the_bytes_are_pinned() {
    assert_eq!(rows(&[(7u16, "ab".to_string())])[0], b"\x01\x00\x07\x02ab\0\0\0\0\0\0\x02");
    assert_eq!(rows(&[-1i32])[0], [1, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(rows(&[()])[0], [2, 3]);
}

#[test]
fn foreign_bytes_and_columns_are_errors() {
    let not_text = b"\x02\xff\xfe\0\0\0\0\0\0\x02".to_vec();
    assert!(decode::<String>(&[not_text]).is_err());
    assert!(decode::<String>(&[b"\x02ab\0\0\0\0\0\0\x09".to_vec()]).is_err(), "9 of 8 bytes used");
    assert!(decode::<i32>(&[vec![0, 0, 0, 0, 0]]).is_err(), "a null");
    let column = |a: &dyn Array| -> Vec<ArrayRef> { vec![a.slice(0, a.len())] };
    assert!(i32::from_arrays(&column(&UInt8Array::from(vec![1]))).is_err());
    assert!(i32::from_arrays(&column(&Int32Array::from(vec![Some(1), None]))).is_err());
    assert!(i32::from_arrays(&[]).is_err());
    let uneven: [ArrayRef; 2] = [Arc::new(Int32Array::from(vec![1, 2])), Arc::new(Int32Array::from(vec![1]))];
    assert!(<(i32, i32)>::from_arrays(&uneven).is_err());
    let text = i32::from_arrays(&column(&Float64Array::from(vec![1.0]))).unwrap_err().to_string();
    assert_eq!(text, "a key has the columns [Int32], not [Float64 (0 nulls)]");
}

/// The numbers are those of the reference implementation of XXH3 (Python's xxhash) on bytes written by hand.
#[test]
fn partitions_are_pinned() {
    let placed = |key: &str| partition_of(&rows(&[key.to_string()])[0], 1000);
    assert_eq!(["", "a", "tile", "mapfold"].map(placed), [879, 366, 805, 407]);
    assert_eq!([0u64, 1, 2, 3].map(|k| partition_of(&rows(&[k])[0], 16)), [3, 9, 15, 13]);
    assert_eq!(partition_of(b"", 1 << 31), 377_700_354);
}

#[test]
fn partitions_are_in_range_and_even() {
    let rows = rows(&(0..10_000u64).collect::<Vec<_>>());
    for partitions in [1, 2, 7, 64] {
        let mut sizes = vec![0u32; partitions as usize];
        rows.iter().for_each(|row| sizes[partition_of(row, partitions) as usize] += 1);
        let fair = 10_000 / partitions;
        assert!(sizes.iter().all(|n| (fair / 2..=fair * 2).contains(n)), "{sizes:?}");
    }
}

/// A key's own way of writing rows gives the bytes of arrow-row, and reads them back.
fn writes_rows<K: Key>(keys: &[K]) {
    for (key, row) in keys.iter().zip(rows(keys)) {
        let mut written = Vec::new();
        key.write_row(&mut written).unwrap();
        assert_eq!(written, row, "{key:?}");
        let behind = [row.as_slice(), b"rest"].concat();
        let mut left = behind.as_slice();
        assert_eq!((K::read_row(&mut left).unwrap(), left), (key.clone(), &b"rest"[..]));
        for len in 0..row.len() {
            assert!(K::read_row(&mut &row[..len]).is_err(), "{len} bytes of {key:?}");
        }
    }
}

#[test]
fn rows_are_written_one_by_one_as_in_arrays() {
    writes_rows(&[false, true]);
    writes_rows(&[u8::MIN, 1, 127, 128, u8::MAX]);
    writes_rows(&[u16::MIN, 1, 255, 256, u16::MAX]);
    writes_rows(&[u32::MIN, 1, 65_536, u32::MAX]);
    writes_rows(&[u64::MIN, 1, 1 << 40, u64::MAX]);
    writes_rows(&[i8::MIN, -1, 0, 1, i8::MAX]);
    writes_rows(&[i16::MIN, -256, -1, 0, 1, i16::MAX]);
    writes_rows(&[i32::MIN, -1, 0, 1, i32::MAX]);
    writes_rows(&[i64::MIN, -1, 0, 1, i64::MAX]);
    writes_rows(&strings());
    writes_rows(&[()]);
    writes_rows(&[TimeKey(i64::MIN), TimeKey(-1), TimeKey(0), TimeKey(1_700_000_000_000)]);
    writes_rows(&[(-1i64, "b".to_string(), true), (7, String::new(), false)]);
    writes_rows(&[TileKey { row: 1, col: u32::MAX }]);
    assert!(String::read_row(&mut &[2, 255, 0, 0, 0, 0, 0, 0, 0, 1][..]).is_err(), "not UTF-8");
}
