//! CSV out: a header, fields quoted where they must be, numbers in the shortest form that reads back as the same value.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, types};
use arrow_schema::{DataType, Schema};
use mapfold_plan::{Error, Result};
use std::io::Write;

/// Writes batches as CSV with `\n` line ends.
///
/// ```
/// use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
/// use mapfold_records::table::CsvWriter;
/// let columns: [(&str, ArrayRef); 2] = [
///     ("name", std::sync::Arc::new(StringArray::from(vec![Some("a \"b\""), None, Some("")]))),
///     ("x", std::sync::Arc::new(Float64Array::from(vec![0.1, 2.0, 1e300]))),
/// ];
/// let batch = RecordBatch::try_from_iter(columns)?;
/// let mut writer = CsvWriter::new(Vec::new(), b',');
/// writer.header(&batch.schema())?;
/// writer.write(&batch)?;
/// assert_eq!(writer.into_inner(), b"name,x\n\"a \"\"b\"\"\",0.1\n,2.0\n\"\",1e+300\n");
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvWriter<W> {
    out: W,
    delimiter: u8,
    row: Vec<u8>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes to `out`, in pieces of a batch.
    pub fn new(out: W, delimiter: u8) -> CsvWriter<W> {
        CsvWriter { out, delimiter, row: Vec::new() }
    }

    /// Writes the names of the columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn header(&mut self, schema: &Schema) -> Result<()> {
        for (i, field) in schema.fields().iter().enumerate() {
            self.separate(i);
            self.text(field.name());
        }
        self.row.push(b'\n');
        self.flush()
    }

    /// Writes rows. Null is an empty field, empty text is `""`.
    ///
    /// # Errors
    /// Those of `out`; a usage error for a column of a type that CSV does not have.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for (i, array) in batch.columns().iter().enumerate() {
                self.separate(i);
                if array.is_valid(row) {
                    self.value(array, row)?;
                }
            }
            self.row.push(b'\n');
        }
        self.flush()
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn separate(&mut self, column: usize) {
        if column > 0 {
            self.row.push(self.delimiter);
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.row)?;
        self.row.clear();
        Ok(())
    }

    fn value(&mut self, array: &ArrayRef, row: usize) -> Result<()> {
        macro_rules! integers {
            ($($kind:ident $arrow:ident),*) => {
                match array.data_type() {
                    $(DataType::$kind => write!(self.row, "{}", array.as_primitive::<types::$arrow>().value(row))?,)*
                    _ => return self.other(array, row),
                }
            };
        }
        integers!(
            Int64 Int64Type, Int32 Int32Type, Int16 Int16Type, Int8 Int8Type, UInt64 UInt64Type, UInt32 UInt32Type,
            UInt16 UInt16Type, UInt8 UInt8Type
        );
        Ok(())
    }

    /// A value that is no integer.
    fn other(&mut self, array: &ArrayRef, row: usize) -> Result<()> {
        match array.data_type() {
            DataType::Float32 => {
                let value = array.as_primitive::<types::Float32Type>().value(row);
                self.row.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
            }
            DataType::Float64 => self.float(array.as_primitive::<types::Float64Type>().value(row)),
            DataType::Boolean => write!(self.row, "{}", array.as_boolean().value(row))?,
            DataType::Utf8 => self.text(array.as_string::<i32>().value(row)),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let codes = dictionary.keys().as_primitive_opt::<types::Int32Type>();
                let codes = codes.ok_or_else(|| Error::usage("a dictionary of other than int32 codes"))?;
                self.value(dictionary.values(), codes.value(row) as usize)?;
            }
            other => return Err(Error::usage(format!("a column of type {other} cannot be written as CSV"))),
        }
        Ok(())
    }

    fn float(&mut self, value: f64) {
        self.row.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }

    fn text(&mut self, text: &str) {
        let needs = |b: u8| b == self.delimiter || matches!(b, b'"' | b'\n' | b'\r');
        if !text.is_empty() && !text.bytes().any(needs) {
            return self.row.extend_from_slice(text.as_bytes());
        }
        self.row.push(b'"');
        self.row.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        self.row.push(b'"');
    }
}
