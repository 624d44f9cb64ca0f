//! From fields of text to Arrow columns.

use super::number;
use crate::Interner;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use mapfold_plan::{Error, Result};
use std::sync::Arc;

/// A column under construction.
#[derive(Debug)]
pub(super) struct Builder {
    values: Values,
    /// Validity, from the first null on.
    valid: Option<BooleanBufferBuilder>,
    len: usize,
}

#[derive(Debug)]
enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text {
        data: Vec<u8>,
        ends: Vec<i32>,
    },
    /// Codes of a dictionary that begins anew with each batch.
    Codes {
        words: Interner,
        codes: Vec<i32>,
    },
}

/// What a field can be that does not fit its column.
pub(super) struct Unfit;

impl Builder {
    /// A column of this type; `as_dictionary` for text that is grouped by.
    pub(super) fn new(data_type: &DataType) -> Result<Builder> {
        let values = match data_type {
            DataType::Int64 => Values::Int(Vec::new()),
            DataType::Float64 => Values::Float(Vec::new()),
            DataType::Boolean => Values::Bool(Vec::new()),
            DataType::Utf8 => Values::Text { data: Vec::new(), ends: vec![0] },
            DataType::Dictionary(_, _) => Values::Codes { words: Interner::default(), codes: Vec::new() },
            other => {
                return Err(Error::usage(format!("CSV has no columns of type {other}"))
                    .with_remedy("one of int64, float64, bool, string"));
            }
        };
        Ok(Builder { values, valid: None, len: 0 })
    }

    /// Takes a field in. An empty one is null, but for text in quotes.
    #[inline(always)]
    pub(super) fn push(&mut self, data: &[u8], start: usize, end: usize, quoted: bool) -> Result<(), Unfit> {
        if start == end && !quoted {
            self.push_null();
            return Ok(());
        }
        match &mut self.values {
            Values::Int(values) => values.push(number::int(&data[start..end]).ok_or(Unfit)?),
            Values::Float(values) => values.push(number::float(&data[start..end]).ok_or(Unfit)?),
            Values::Codes { words, codes } => codes.push(words.intern_in(data, start, end) as i32),
            Values::Text { data: all, ends } => {
                all.extend_from_slice(&data[start..end]);
                ends.push(i32::try_from(all.len()).map_err(|_| Unfit)?);
            }
            Values::Bool(values) => values.push(boolean(&data[start..end]).ok_or(Unfit)?),
        }
        self.len += 1;
        if let Some(valid) = &mut self.valid {
            valid.append(true);
        }
        Ok(())
    }

    #[cold]
    fn push_null(&mut self) {
        let len = self.len;
        let valid = self.valid.get_or_insert_with(|| {
            let mut valid = BooleanBufferBuilder::new(len + 1024);
            valid.append_n(len, true);
            valid
        });
        valid.append(false);
        self.len += 1;
        match &mut self.values {
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bool(values) => values.push(false),
            Values::Text { data, ends } => ends.push(data.len() as i32),
            Values::Codes { codes, .. } => codes.push(0),
        }
    }

    /// The column so far; the builder begins anew.
    pub(super) fn take(&mut self) -> Result<ArrayRef> {
        self.len = 0;
        let nulls = self.valid.take().map(|mut valid| NullBuffer::new(valid.finish()));
        Ok(match &mut self.values {
            Values::Int(values) => Arc::new(Int64Array::new(taken(values).into(), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(taken(values).into(), nulls)),
            Values::Bool(values) => Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls)),
            Values::Text { data, ends } => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                Arc::new(StringArray::try_new(ends, taken(data).into(), nulls)?)
            }
            Values::Codes { words, codes } => {
                let names = words.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>()?;
                let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
                words.clear();
                let keys = arrow_array::PrimitiveArray::<Int32Type>::new(taken(codes).into(), nulls);
                Arc::new(DictionaryArray::try_new(keys, names)?)
            }
        })
    }
}

/// The values; room for as many is left behind.
fn taken<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

/// `true` and `false`, in any case.
pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}
