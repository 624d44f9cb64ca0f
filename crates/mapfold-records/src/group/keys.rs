//! From key columns to group numbers.

use super::order::{self, Kind};
use crate::Interner;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, types};
use arrow_schema::{DataType, Field};
use mapfold_plan::{Error, Result};

/// The key of null: no valid UTF-8, and no eight bytes, so no value has it.
pub(super) const NULL: &[u8] = b"\xff";

/// Columns of keys, each with its distinct values, and the pairs that make up groups.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) fields: Vec<Field>,
    /// How the values of each column are written.
    pub(super) kinds: Vec<Kind>,
    pub(super) values: Vec<Interner>,
    /// `pairs[i]`: (group by the columns before, value of column i + 1), as one word.
    pub(super) pairs: Vec<Interner>,
}

impl Keys {
    pub(super) fn new(fields: &[&Field]) -> Result<Keys> {
        if fields.is_empty() {
            return Err(Error::usage("no column to group by").with_remedy("name one or more"));
        }
        for field in fields {
            let kind = field.data_type();
            if !(kind.is_integer() || super::spec::is_counted(kind)) {
                let what = format!("column {:?} of type {kind} cannot be grouped by", field.name());
                return Err(Error::usage(what).with_remedy("group by integers, text or booleans"));
            }
        }
        let is_number = |f: &Field| f.data_type().is_integer() || *f.data_type() == DataType::Boolean;
        Ok(Keys {
            kinds: fields.iter().map(|f| if is_number(f) { Kind::Number } else { Kind::Text }).collect(),
            fields: fields.iter().map(|f| (*f).clone()).collect(),
            values: vec![Interner::default(); fields.len()],
            pairs: vec![Interner::default(); fields.len() - 1],
        })
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        self.pairs.last().unwrap_or(&self.values[0]).len()
    }

    /// The group of each row.
    pub(super) fn number(&mut self, batch: &RecordBatch, groups: &mut Vec<u32>) -> Result<()> {
        let mut next = Vec::new();
        for (i, (field, values)) in self.fields.iter().zip(&mut self.values).enumerate() {
            let array = column(batch, field.name(), field.data_type())?;
            if i == 0 {
                number_values(array, values, groups)?;
                continue;
            }
            number_values(array, values, &mut next)?;
            let pairs = &mut self.pairs[i - 1];
            groups.iter_mut().zip(&next).for_each(|(group, value)| *group = pairs.intern_word(pair(*group, *value)));
        }
        Ok(())
    }

    /// Appends the key of a group.
    pub(super) fn write(&self, group: u32, out: &mut Vec<u8>) {
        if let [values] = &self.values[..] {
            return write_value(self.kinds[0], values.get(group), out);
        }
        let (mut group, mut key) = (group, vec![&b""[..]; self.values.len()]);
        for i in (1..self.values.len()).rev() {
            let word = word(self.pairs[i - 1].get(group)) as u64;
            key[i] = self.values[i].get(word as u32);
            group = (word >> 32) as u32;
        }
        key[0] = self.values[0].get(group);
        self.kinds.iter().zip(key).for_each(|(kind, bytes)| write_value(*kind, bytes, out));
    }

    pub(super) fn memory(&self) -> usize {
        self.values.iter().chain(&self.pairs).map(Interner::memory).sum()
    }
}

fn write_value(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
    match kind {
        _ if bytes == NULL => order::push_null(out),
        Kind::Text => order::push_text(bytes, out),
        Kind::Number => order::push_number(word(bytes), out),
    }
}

/// The number of an interned word.
fn word(bytes: &[u8]) -> i64 {
    bytes.first_chunk::<8>().map_or(0, |chunk| i64::from_le_bytes(*chunk))
}

fn pair(group: u32, value: u32) -> u64 {
    u64::from(group) << 32 | u64::from(value)
}

/// A column by name, of the type it had while planning; text may come with or without a dictionary.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str, planned: &DataType) -> Result<&'a ArrayRef> {
    let array = batch.column_by_name(name).ok_or_else(|| Error::input(format!("a batch has no column {name:?}")))?;
    if plain(array.data_type()) != plain(planned) {
        return Err(Error::input(format!("column {name:?} is {planned} in the plan and {} here", array.data_type())));
    }
    Ok(array)
}

fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, of) => of,
        other => other,
    }
}

/// The number of each value of a column; nulls have one too.
pub(super) fn number_values(array: &ArrayRef, table: &mut Interner, ids: &mut Vec<u32>) -> Result<()> {
    ids.clear();
    ids.reserve(array.len());
    match array.data_type() {
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            let (data, ends) = (strings.value_data(), strings.value_offsets());
            let id = |i: usize, table: &mut Interner| table.intern_in(data, ends[i] as usize, ends[i + 1] as usize);
            each(array, table, ids, id);
        }
        DataType::LargeUtf8 => {
            let strings = array.as_string::<i64>();
            each(array, table, ids, |i, table| table.intern(strings.value(i).as_bytes()));
        }
        DataType::Boolean => {
            let bits = array.as_boolean();
            each(array, table, ids, |i, table| table.intern_word(u64::from(bits.value(i))));
        }
        DataType::Dictionary(_, _) => number_dictionary(array, table, ids)?,
        DataType::Int64 => {
            let values = array.as_primitive::<types::Int64Type>().values();
            each(array, table, ids, |i, table| table.intern_word(values[i] as u64));
        }
        other => {
            let values =
                as_i64(array).ok_or_else(|| Error::usage(format!("values of {other} cannot be compared")))??;
            each(array, table, ids, |i, table| table.intern_word(values[i] as u64));
        }
    }
    Ok(())
}

#[inline(always)]
fn each(array: &ArrayRef, table: &mut Interner, ids: &mut Vec<u32>, id: impl Fn(usize, &mut Interner) -> u32) {
    match array.logical_nulls().filter(|n| n.null_count() > 0) {
        None => ids.extend((0..array.len()).map(|i| id(i, table))),
        Some(nulls) => {
            ids.extend((0..array.len()).map(|i| if nulls.is_valid(i) { id(i, table) } else { table.intern(NULL) }));
        }
    }
}

/// Looks each distinct value up once, when its first row comes: numbers are given in the order of rows, and dictionary
/// entries without a row get none.
fn number_dictionary(array: &ArrayRef, table: &mut Interner, ids: &mut Vec<u32>) -> Result<()> {
    const UNKNOWN: u32 = u32::MAX;
    let dictionary = array.as_any_dictionary();
    let strings = dictionary.values().as_string_opt::<i32>();
    let strings = strings.ok_or_else(|| Error::usage(format!("{} cannot be grouped by", array.data_type())))?;
    if strings.is_empty() {
        ids.extend((0..array.len()).map(|_| table.intern(NULL))); // all rows are null, and codes mean nothing
        return Ok(());
    }
    let mut known = vec![UNKNOWN; strings.len()];
    let nulls = dictionary.keys().nulls();
    for (i, code) in dictionary.normalized_keys().into_iter().enumerate() {
        if nulls.is_some_and(|n| n.is_null(i)) || strings.is_null(code) {
            ids.push(table.intern(NULL));
            continue;
        }
        if known[code] == UNKNOWN {
            known[code] = table.intern(strings.value(code).as_bytes());
        }
        ids.push(known[code]);
    }
    Ok(())
}

/// Integers of any width as `i64`; an error where a `u64` does not fit. `None` for what is no integer.
pub(super) fn as_i64(array: &ArrayRef) -> Option<Result<Vec<i64>>> {
    macro_rules! widen {
        ($($kind:ident $arrow:ident),*) => {
            match array.data_type() {
                $(DataType::$kind => array.as_primitive::<types::$arrow>().values().iter().map(|v| i64::from(*v)).collect(),)*
                DataType::UInt64 => return Some(from_u64(array)),
                _ => return None,
            }
        };
    }
    let values: Vec<i64> = widen!(
        Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type, UInt8 UInt8Type, UInt16 UInt16Type,
        UInt32 UInt32Type
    );
    Some(Ok(values))
}

fn from_u64(array: &ArrayRef) -> Result<Vec<i64>> {
    let values = array.as_primitive::<types::UInt64Type>().values().iter();
    let fit = values.map(|v| i64::try_from(*v));
    fit.collect::<Result<_, _>>().map_err(|_| Error::input("an unsigned integer above 2^63 cannot be aggregated"))
}
