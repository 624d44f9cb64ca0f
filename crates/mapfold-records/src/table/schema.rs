//! The columns of a CSV file: given, or guessed from its beginning.
//!
//! The guess, by the rows that are complete in the sample: `int64` if every field is an integer that fits 64 bits;
//! else `float64` if every field is a number; else `bool` if every field is `true` or `false`; else `string`. Empty fields
//! say nothing; a column of empty fields only is `string`. A column with a field like `007` is `string`: a number would lose
//! what it says. A field in quotes is text. Names come from the header, or are `column_1`, `column_2`, … . If a later row does
//! not fit the guess, reading fails and names row and column: a guess is never widened in the middle, since other
//! splits would not know.

use super::build::boolean;
use super::csv::{CsvOptions, last_row_end};
use super::number;
use arrow_schema::{DataType, Field, Schema};
use mapfold_plan::{Error, Result};

/// A field of a sample, and whether it was quoted.
type Sampled = (Vec<u8>, bool);

/// Guesses the columns of a file from its first bytes (a MiB is plenty).
///
/// ```
/// use mapfold_records::table::{CsvOptions, infer_schema};
/// let schema = infer_schema(b"id,code,t\n1,007,2.5\n2,,3\n", &CsvOptions::default())?;
/// let types: Vec<String> = schema.fields().iter().map(|f| format!("{}:{}", f.name(), f.data_type())).collect();
/// assert_eq!(types, ["id:Int64", "code:Utf8", "t:Float64"]);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
///
/// # Errors
/// When there is no row, rows differ in their number of fields, or a name comes twice.
pub fn infer_schema(sample: &[u8], options: &CsvOptions) -> Result<Schema> {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let whole = match last_row_end(sample, options.quote) {
        0 => sample, // one row without a line end
        end => &sample[..end],
    };
    let mut rows = rows(whole, options);
    let names = if options.header { rows.next() } else { None };
    let mut kinds: Vec<Option<DataType>> = Vec::new();
    for (number, row) in rows.enumerate() {
        let width = names.as_ref().map_or(row.len(), Vec::len);
        if row.len() != width || (!kinds.is_empty() && kinds.len() != width) {
            let (row, width) = (row.len(), if kinds.is_empty() { width } else { kinds.len() });
            let what = format!("row {} has {row} fields, the rows before have {width}", number + 1);
            return Err(Error::input(what).with_remedy("check the delimiter and the quotes of that row"));
        }
        kinds.resize(width, None);
        row.iter().zip(&mut kinds).for_each(|(field, kind)| widen(kind, field));
    }
    let names = match names {
        Some(names) => names.into_iter().map(|(name, _)| String::from_utf8(name)).collect::<Result<Vec<_>, _>>()?,
        None => (1..=kinds.len()).map(|i| format!("column_{i}")).collect(),
    };
    kinds.resize(names.len(), None);
    let fields =
        names.into_iter().zip(kinds).map(|(name, kind)| Field::new(name, kind.unwrap_or(DataType::Utf8), true));
    checked(fields.collect())
}

/// Columns as `NAME:TYPE,NAME:TYPE`; types are `int64`, `float64`, `bool`, `string`, and `category` for text with few
/// distinct values.
///
/// # Errors
/// Usage errors: an unknown type, or a name that comes twice.
pub fn parse_schema(text: &str) -> Result<Schema> {
    let field = |part: &str| {
        let usage =
            |what: String| Error::usage(what).with_remedy("such as --schema id:int64,depth:float64,name:string");
        let (name, kind) = part.rsplit_once(':').ok_or_else(|| usage(format!("{part:?} is not NAME:TYPE")))?;
        let kind = match kind {
            "int64" => DataType::Int64,
            "float64" => DataType::Float64,
            "bool" => DataType::Boolean,
            "string" => DataType::Utf8,
            "category" => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            other => return Err(usage(format!("there is no column type {other:?}"))),
        };
        Ok(Field::new(name, kind, true))
    };
    checked(text.split(',').map(field).collect::<Result<_>>()?)
}

fn checked(fields: Vec<Field>) -> Result<Schema> {
    if fields.is_empty() {
        return Err(Error::input("there is no row to take columns from").with_remedy("give them with --schema"));
    }
    let twice = fields.iter().enumerate().find(|(i, f)| fields[..*i].iter().any(|g| g.name() == f.name()));
    match twice {
        Some((_, field)) => Err(Error::input(format!("two columns are called {:?}", field.name()))),
        None => Ok(Schema::new(fields)),
    }
}

/// The type of a column once this field is in it.
fn widen(kind: &mut Option<DataType>, (text, quoted): &Sampled) {
    if text.is_empty() && !quoted {
        return;
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let padded = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
    let own = match text {
        _ if *quoted || padded => DataType::Utf8,
        _ if number::int(text).is_some() => DataType::Int64,
        _ if number::float(text).is_some() => DataType::Float64,
        _ if boolean(text).is_some() => DataType::Boolean,
        _ => DataType::Utf8,
    };
    *kind = Some(match kind.take() {
        None => own,
        Some(old) if old == own => own,
        Some(DataType::Int64 | DataType::Float64) if matches!(own, DataType::Int64 | DataType::Float64) => {
            DataType::Float64
        }
        Some(_) => DataType::Utf8,
    });
}

/// Length of the first row, its line end included.
pub(super) fn first_row_len(text: &[u8], quote: Option<u8>) -> usize {
    let mut inside = false;
    for (i, byte) in text.iter().enumerate() {
        inside ^= Some(*byte) == quote;
        match byte {
            b'\r' if !inside => return i + 1 + usize::from(text.get(i + 1) == Some(&b'\n')),
            b'\n' if !inside => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// The rows of a sample, byte by byte; blank lines are no rows.
fn rows<'a>(mut text: &'a [u8], options: &'a CsvOptions) -> impl Iterator<Item = Vec<Sampled>> + 'a {
    std::iter::from_fn(move || {
        loop {
            let len = first_row_len(text, options.quote);
            let (row, rest) = text.split_at(len);
            if len == 0 {
                return None;
            }
            text = rest;
            let row = row.strip_suffix(b"\n").unwrap_or(row);
            let row = row.strip_suffix(b"\r").unwrap_or(row);
            if !row.is_empty() {
                return Some(fields(row, options));
            }
        }
    })
}

fn fields(row: &[u8], options: &CsvOptions) -> Vec<Sampled> {
    let (mut fields, mut field, mut inside, mut quoted, mut last_quote) = (Vec::new(), Vec::new(), false, false, false);
    for byte in row {
        let is_quote = Some(*byte) == options.quote;
        if is_quote {
            if last_quote && !inside {
                field.push(*byte); // the second of a doubled one
            }
            (inside, quoted) = (!inside, true);
        } else if *byte == options.delimiter && !inside {
            fields.push((std::mem::take(&mut field), std::mem::take(&mut quoted)));
        } else {
            field.push(*byte);
        }
        last_quote = is_quote;
    }
    fields.push((field, quoted));
    fields
}
