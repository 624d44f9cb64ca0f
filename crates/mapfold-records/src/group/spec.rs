//! What is asked for: `COLUMN:mean,min,max,count`.

use arrow_schema::{DataType, Field, Schema};
use mapfold_plan::{Error, Result};
use std::str::FromStr;

/// A function of the values of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// Arithmetic mean; null without values.
    Mean,
    /// Smallest value; null without values.
    Min,
    /// Largest value; null without values.
    Max,
    /// Number of values.
    Count,
    /// Sum; 0 without values.
    Sum,
    /// Standard deviation of a sample (n - 1); null below two values.
    Std,
    /// Number of distinct values.
    Nunique,
}

impl AggregateKind {
    const NAMES: [(&'static str, AggregateKind); 7] = [
        ("mean", AggregateKind::Mean),
        ("min", AggregateKind::Min),
        ("max", AggregateKind::Max),
        ("count", AggregateKind::Count),
        ("sum", AggregateKind::Sum),
        ("std", AggregateKind::Std),
        ("nunique", AggregateKind::Nunique),
    ];

    /// The name, as on the command line and in `COLUMN_NAME` of the result.
    pub fn name(self) -> &'static str {
        AggregateKind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for AggregateKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<AggregateKind> {
        let found = AggregateKind::NAMES.iter().find(|(name, _)| *name == text);
        let all = || AggregateKind::NAMES.map(|(name, _)| name).join(", ");
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            Error::usage(format!("there is no aggregate {text:?}")).with_remedy(format!("one of {}", all()))
        })
    }
}

/// Functions of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// The column.
    pub column: String,
    /// What is asked for, in this order.
    pub kinds: Vec<AggregateKind>,
}

impl FromStr for Aggregate {
    type Err = Error;
    /// `COLUMN:KIND,KIND`; the last colon counts.
    fn from_str(text: &str) -> Result<Aggregate> {
        let Some((column, kinds)) = text.rsplit_once(':').filter(|(column, _)| !column.is_empty()) else {
            return Err(
                Error::usage(format!("{text:?} is not COLUMN:KIND,KIND")).with_remedy("such as depth:mean,count")
            );
        };
        let kinds = kinds.split(',').map(str::parse).collect::<Result<_>>()?;
        Ok(Aggregate { column: column.to_string(), kinds })
    }
}

/// All that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aggregates(pub Vec<Aggregate>);

impl From<Aggregate> for Aggregates {
    fn from(one: Aggregate) -> Aggregates {
        Aggregates(vec![one])
    }
}

/// A column by its name.
pub(super) fn field<'a>(schema: &'a Schema, name: &str) -> Result<&'a Field> {
    let all = || schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
    schema
        .field_with_name(name)
        .map_err(|_| Error::usage(format!("there is no column {name:?}")).with_remedy(format!("one of {}", all())))
}

/// Types whose values can only be counted.
pub(super) fn is_counted(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Boolean => true,
        DataType::Dictionary(_, of) => **of == DataType::Utf8,
        _ => false,
    }
}

/// Whether a column has this aggregate.
pub(super) fn check(field: &Field, kind: AggregateKind) -> Result<()> {
    let number = field.data_type().is_integer() || matches!(field.data_type(), DataType::Float64 | DataType::Float32);
    let counting = matches!(kind, AggregateKind::Count | AggregateKind::Nunique);
    if number || (counting && is_counted(field.data_type())) {
        return Ok(());
    }
    let what = format!("column {:?} is of type {}, which has no {}", field.name(), field.data_type(), kind.name());
    Err(Error::usage(what).with_remedy("count and nunique work for text; the others for numbers"))
}
