//! Rows of a batch as JSON, for reports.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, types};
use arrow_schema::DataType;
use mapfold_plan::{Error, Result};
use serde_json::{Map, Value};

/// One object per row, columns in their order. NaN becomes null, infinities the texts `inf` and `-inf`.
///
/// ```
/// use arrow_array::{ArrayRef, Int64Array, RecordBatch};
/// let n: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![Some(3), None]));
/// let rows = mapfold_records::table::rows(&RecordBatch::try_from_iter([("n", n)])?)?;
/// assert_eq!(serde_json::to_string(&rows)?, r#"[{"n":3},{"n":null}]"#);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
///
/// # Errors
/// A usage error for columns other than integers of 64 bits, floats, truth values and text.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let schema = batch.schema();
    let named = || schema.fields().iter().zip(batch.columns());
    let row = |row: usize| named().map(|(f, column)| Ok((f.name().clone(), value(column, row)?))).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn value(column: &ArrayRef, row: usize) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Int64 => column.as_primitive::<types::Int64Type>().value(row).into(),
        DataType::Float64 => float(column.as_primitive::<types::Float64Type>().value(row)),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        other => return Err(Error::usage(format!("a column of {other} cannot be shown"))),
    })
}

fn float(v: f64) -> Value {
    if v.is_infinite() { v.to_string().into() } else { v.into() }
}
