//! Keys: what values may be grouped by across an exchange.
//!
//! A key maps to Arrow columns, and its bytes are those columns in Arrow's row format: equal keys have equal bytes,
//! and bytes sort as keys do (columns from left to right; strings by their UTF-8 bytes). Sorting, grouping, hashing
//! and range cuts then need the bytes only, for a key of any type, and Rust's `Ord` and `Hash` of a key are not asked:
//! both may change with a compiler.
//!
//! Deliberately absent: floats (NaN, and -0 beside 0, make "equal" a question) and `usize` (differs by machine).

use crate::{Error, Result, TileKey, TimeKey};
use arrow_array::cast::AsArray;
use arrow_array::types::{self, ArrowPrimitiveType};
use arrow_array::{Array, ArrayRef, BooleanArray, NullArray, PrimitiveArray, StringArray};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, TimeUnit};
use std::fmt::Debug;
use std::sync::Arc;

/// A value that can be grouped by: booleans, integers, strings, tiles, times, `()` and tuples of 2 to 4 of them.
pub trait Key: Clone + Send + Sync + PartialEq + Debug + 'static {
    /// Types of the columns; none holds nulls.
    fn fields() -> Vec<DataType>;
    /// The columns of some keys, each as long as `keys`.
    fn to_arrays(keys: &[Self]) -> Vec<ArrayRef>;
    /// The keys of some columns.
    ///
    /// # Errors
    /// When number, types or lengths of the columns are not those of this key, or one holds nulls.
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<Self>>;

    /// Appends the row bytes of this key: those of [`encode_keys`], without the detour by arrays.
    ///
    /// # Errors
    /// When a `Key` gives columns of other types than it says.
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        encode_keys(std::slice::from_ref(self))?.iter().for_each(|row| out.extend_from_slice(row));
        Ok(())
    }

    /// Takes a key off the front of row bytes.
    ///
    /// # Errors
    /// When they do not begin with a key of this type.
    fn read_row(row: &mut &[u8]) -> Result<Self> {
        let found = row_len(&Self::fields(), row).and_then(|len| row.split_at_checked(len));
        let (mine, rest) = found.ok_or_else(no_key::<Self>)?;
        *row = rest;
        decode_keys(&[mine])?.pop().ok_or_else(no_key::<Self>)
    }
}

fn no_key<K: Key>() -> Error {
    Error::job(format!("some exchanged bytes are no {}", std::any::type_name::<K>()))
}

/// The key that row bytes are.
///
/// # Errors
/// When they are no key of this type, or more than one.
pub(crate) fn read_whole<K: Key>(mut row: &[u8]) -> Result<K> {
    let key = K::read_row(&mut row)?;
    if row.is_empty() { Ok(key) } else { Err(no_key::<K>()) }
}

/// The row bytes of keys, one value per key. One call per batch: it sets up a converter.
///
/// ```
/// # fn main() -> mapfold_plan::Result<()> {
/// use mapfold_plan::{decode_keys, encode_keys};
/// let keys = [(7i64, "b".to_string()), (-1, "a".to_string())];
/// let rows = encode_keys(&keys)?;
/// assert!(rows[1] < rows[0]); // bytes sort as keys do
/// assert_eq!(decode_keys::<(i64, String)>(&[&rows[0], &rows[1]])?, keys);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When a `Key` gives columns of other types than it says.
pub fn encode_keys<K: Key>(keys: &[K]) -> Result<Vec<Vec<u8>>> {
    let rows = converter(K::fields())?.convert_columns(&K::to_arrays(keys))?;
    Ok(rows.iter().map(|row| row.as_ref().to_vec()).collect())
}

/// The keys of row bytes.
///
/// # Errors
/// When some bytes are no key of this type.
pub fn decode_keys<K: Key>(rows: &[&[u8]]) -> Result<Vec<K>> {
    let fields = K::fields();
    if let Some(bad) = rows.iter().position(|row| !is_whole(&fields, row)) {
        return Err(Error::job(format!("key {bad} of a batch is no {}", std::any::type_name::<K>())));
    }
    // Strings are decoded as bytes, which are coded alike: arrow-row panics on bytes that are not UTF-8.
    let converter = converter(fields.iter().map(|f| if *f == DataType::Utf8 { DataType::Binary } else { f.clone() }))?;
    let parser = converter.parser();
    let columns = converter.convert_rows(rows.iter().map(|row| parser.parse(row)))?;
    let columns = columns.into_iter().map(|column| match column.as_binary_opt::<i32>() {
        Some(bytes) => Ok(Arc::new(StringArray::try_from_binary(bytes.clone())?) as ArrayRef),
        None => Ok(column),
    });
    K::from_arrays(&columns.collect::<Result<Vec<_>>>()?)
}

/// The partition of a key: a fixed hash (XXH3, 64 bits) of its row bytes, scaled to `0..partitions`.
///
/// The hash is part of the format: a job that is resumed by a later mapfold finds each key where it was.
pub fn partition_of(row: &[u8], partitions: u32) -> u32 {
    scaled(crate::hash64(row), partitions)
}

/// A hash scaled to `0..partitions`.
#[inline]
pub(crate) fn scaled(hash: u64, partitions: u32) -> u32 {
    ((u128::from(hash) * u128::from(partitions)) >> 64) as u32
}

fn converter(fields: impl IntoIterator<Item = DataType>) -> Result<RowConverter> {
    Ok(RowConverter::new(fields.into_iter().map(SortField::new).collect())?)
}

/// Whether bytes are as long as the row format wants them for these columns: arrow-row panics on others.
fn is_whole(fields: &[DataType], row: &[u8]) -> bool {
    row_len(fields, row) == Some(row.len())
}

/// Bytes that these columns have at the front of a row; `None` where it ends too early or holds what no key has.
pub(crate) fn row_len(fields: &[DataType], row: &[u8]) -> Option<usize> {
    let rest = fields.iter().try_fold(row, |row, field| row.get(column_len(field, row)?..));
    rest.map(|rest| row.len() - rest.len())
}

/// First byte of a number that is there.
const VALID: u8 = 1;
/// What a column of nothing has.
const NULL: [u8; 2] = [2, 3];

/// Bytes of the first column of a row; `None` where the row ends too early or holds what no key has.
fn column_len(field: &DataType, row: &[u8]) -> Option<usize> {
    let fixed = match field {
        DataType::Null => return row.starts_with(&NULL).then_some(NULL.len()),
        DataType::Utf8 => return string_len(row),
        DataType::Boolean => 1,
        other => other.primitive_width()?,
    };
    (row.first() == Some(&VALID)).then_some(1 + fixed)
}

/// A string: 1 = empty; 2 = four blocks of 8 bytes, then blocks of 32. A byte after each block is 255 for "goes on",
/// else the number of bytes used in it.
fn string_len(row: &[u8]) -> Option<usize> {
    match row.first()? {
        1 => return Some(1),
        2 => {}
        _ => return None,
    }
    let mut at = 1;
    for block in [8; 4].into_iter().chain(std::iter::repeat(32)) {
        at += block + 1;
        match *row.get(at - 1)? {
            255 => {}
            used if (1..=block).contains(&usize::from(used)) => return Some(at),
            _ => return None,
        }
    }
    None
}

/// Appends a string as [`string_len`] describes it.
fn write_string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.push(if rest.is_empty() { 1 } else { 2 });
    let mut blocks = [8; 4].into_iter().chain(std::iter::repeat(32));
    while let (false, Some(block)) = (rest.is_empty(), blocks.next()) {
        let used = rest.len().min(block);
        out.extend_from_slice(&rest[..used]);
        out.resize(out.len() + block - used, 0);
        rest = &rest[used..];
        out.push(if rest.is_empty() { used as u8 } else { 255 });
    }
}

/// Takes such a string off the front of a row.
fn read_string(row: &mut &[u8]) -> Option<String> {
    let (mine, rest) = row.split_at_checked(string_len(row)?)?;
    *row = rest;
    let (mut bytes, mut left) = (Vec::with_capacity(mine.len()), &mine[1..]);
    let mut blocks = [8usize; 4].into_iter().chain(std::iter::repeat(32));
    while let (false, Some(block)) = (left.is_empty(), blocks.next()) {
        let used = if left[block] == 255 { block } else { usize::from(left[block]) };
        bytes.extend_from_slice(&left[..used]);
        left = &left[block + 1..];
    }
    String::from_utf8(bytes).ok()
}

/// Takes `N` bytes behind a mark off the front of a row.
fn read_fixed<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    let (mark, rest) = row.split_first()?;
    let (bytes, rest) = rest.split_first_chunk::<N>()?;
    *row = rest;
    (*mark == VALID).then_some(*bytes)
}

/// The one column of a key of one column.
fn only_column<K: Key>(arrays: &[ArrayRef]) -> Result<&ArrayRef> {
    let wanted = K::fields();
    match arrays {
        [one] if *one.data_type() == wanted[0] && (wanted[0] == DataType::Null || one.null_count() == 0) => Ok(one),
        _ => Err(wrong_columns::<K>(arrays)),
    }
}

fn wrong_columns<K: Key>(arrays: &[ArrayRef]) -> Error {
    let found: Vec<String> = arrays.iter().map(|a| format!("{} ({} nulls)", a.data_type(), a.null_count())).collect();
    let wanted: Vec<String> = K::fields().iter().map(ToString::to_string).collect();
    Error::job(format!("a key has the columns [{}], not [{}]", wanted.join(", "), found.join(", ")))
}

/// Keys that are one column of numbers.
macro_rules! numbers {
    ($($key:ty: $arrow:ident, |$k:ident| $number:expr, |$n:ident| $back:expr;)*) => {$(
        impl Key for $key {
            fn fields() -> Vec<DataType> {
                vec![types::$arrow::DATA_TYPE]
            }
            fn to_arrays(keys: &[Self]) -> Vec<ArrayRef> {
                let numbers = keys.iter().map(|$k| $number);
                vec![Arc::new(PrimitiveArray::<types::$arrow>::from_iter_values(numbers))]
            }
            fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<Self>> {
                let column = only_column::<Self>(arrays)?.as_primitive::<types::$arrow>();
                Ok(column.values().iter().map(|$n| $back).collect())
            }
            fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
                out.push(VALID);
                // Big endian with the sign turned round sorts as the numbers do.
                out.extend_from_slice(&(*self ^ ((<$key>::MIN != 0) as $key) << (<$key>::BITS - 1)).to_be_bytes());
                Ok(())
            }
            fn read_row(row: &mut &[u8]) -> Result<Self> {
                let bytes = read_fixed(row).ok_or_else(no_key::<Self>)?;
                Ok(<$key>::from_be_bytes(bytes) ^ ((<$key>::MIN != 0) as $key) << (<$key>::BITS - 1))
            }
        }
    )*};
}
numbers! {
    u8: UInt8Type, |k| *k, |n| *n;
    u16: UInt16Type, |k| *k, |n| *n;
    u32: UInt32Type, |k| *k, |n| *n;
    u64: UInt64Type, |k| *k, |n| *n;
    i8: Int8Type, |k| *k, |n| *n;
    i16: Int16Type, |k| *k, |n| *n;
    i32: Int32Type, |k| *k, |n| *n;
    i64: Int64Type, |k| *k, |n| *n;
}

impl Key for bool {
    fn fields() -> Vec<DataType> {
        vec![DataType::Boolean]
    }
    fn to_arrays(keys: &[bool]) -> Vec<ArrayRef> {
        vec![Arc::new(BooleanArray::from(keys.to_vec()))]
    }
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<bool>> {
        Ok(only_column::<bool>(arrays)?.as_boolean().values().iter().collect())
    }
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&[VALID, u8::from(*self)]);
        Ok(())
    }
    fn read_row(row: &mut &[u8]) -> Result<bool> {
        read_fixed(row).map(|[byte]| byte != 0).ok_or_else(no_key::<bool>)
    }
}

impl Key for String {
    fn fields() -> Vec<DataType> {
        vec![DataType::Utf8]
    }
    fn to_arrays(keys: &[String]) -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from_iter_values(keys))]
    }
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<String>> {
        let column = only_column::<String>(arrays)?.as_string::<i32>();
        Ok(column.iter().flatten().map(str::to_owned).collect())
    }
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        write_string(self, out);
        Ok(())
    }
    fn read_row(row: &mut &[u8]) -> Result<String> {
        read_string(row).ok_or_else(no_key::<String>)
    }
}

/// One group of everything.
impl Key for () {
    fn fields() -> Vec<DataType> {
        vec![DataType::Null]
    }
    fn to_arrays(keys: &[()]) -> Vec<ArrayRef> {
        vec![Arc::new(NullArray::new(keys.len()))]
    }
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<()>> {
        Ok(vec![(); only_column::<()>(arrays)?.len()])
    }
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&NULL);
        Ok(())
    }
    fn read_row(row: &mut &[u8]) -> Result<()> {
        *row = row.strip_prefix(&NULL).ok_or_else(no_key::<()>)?;
        Ok(())
    }
}

impl Key for TimeKey {
    fn fields() -> Vec<DataType> {
        vec![DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))]
    }
    fn to_arrays(keys: &[TimeKey]) -> Vec<ArrayRef> {
        let column = PrimitiveArray::<types::TimestampMillisecondType>::from_iter_values(keys.iter().map(|k| k.0));
        vec![Arc::new(column.with_timezone("UTC"))]
    }
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<TimeKey>> {
        let column = only_column::<TimeKey>(arrays)?.as_primitive::<types::TimestampMillisecondType>();
        Ok(column.values().iter().map(|ms| TimeKey(*ms)).collect())
    }
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        self.0.write_row(out)
    }
    fn read_row(row: &mut &[u8]) -> Result<TimeKey> {
        i64::read_row(row).map(TimeKey)
    }
}

impl Key for TileKey {
    fn fields() -> Vec<DataType> {
        <(u32, u32)>::fields()
    }
    fn to_arrays(keys: &[TileKey]) -> Vec<ArrayRef> {
        let pairs: Vec<(u32, u32)> = keys.iter().map(|k| (k.row, k.col)).collect();
        <(u32, u32)>::to_arrays(&pairs)
    }
    fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<TileKey>> {
        let pairs = <(u32, u32)>::from_arrays(arrays)?;
        Ok(pairs.into_iter().map(|(row, col)| TileKey { row, col }).collect())
    }
    fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
        (self.row, self.col).write_row(out)
    }
    fn read_row(bytes: &mut &[u8]) -> Result<TileKey> {
        <(u32, u32)>::read_row(bytes).map(|(row, col)| TileKey { row, col })
    }
}

/// The columns of the members of a tuple, side by side.
macro_rules! tuples {
    ($(($($k:ident $i:tt),*))*) => {$(
        impl<$($k: Key),*> Key for ($($k,)*) {
            fn fields() -> Vec<DataType> {
                [$($k::fields()),*].concat()
            }
            fn to_arrays(keys: &[Self]) -> Vec<ArrayRef> {
                [$($k::to_arrays(&keys.iter().map(|k| k.$i.clone()).collect::<Vec<_>>())),*].concat()
            }
            fn from_arrays(arrays: &[ArrayRef]) -> Result<Vec<Self>> {
                if arrays.len() != Self::fields().len() || arrays.iter().any(|a| a.len() != arrays[0].len()) {
                    return Err(wrong_columns::<Self>(arrays));
                }
                let mut rest = arrays;
                let mut members = ($({
                    let (mine, others) = rest.split_at($k::fields().len());
                    rest = others;
                    $k::from_arrays(mine)?.into_iter()
                },)*);
                debug_assert!(rest.is_empty());
                let next = || Some(($(members.$i.next()?,)*));
                Ok(std::iter::from_fn(next).collect())
            }
            fn write_row(&self, out: &mut Vec<u8>) -> Result<()> {
                $(self.$i.write_row(out)?;)*
                Ok(())
            }
            fn read_row(row: &mut &[u8]) -> Result<Self> {
                Ok(($($k::read_row(row)?,)*))
            }
        }
    )*};
}
tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));
