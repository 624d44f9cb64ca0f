//! Tables: CSV and Parquet in and out, as Arrow batches.
//!
//! CSV has a schema that is guessed from its beginning or given ([`infer_schema`], [`parse_schema`]), and is read by
//! [`CsvReader`] (a split of a file) or [`CsvParser`] (any bytes). Parquet is read by row groups from bytes that were
//! fetched before ([`parquet`]). Only the columns that are asked for are parsed.

pub mod parquet;

mod build;
mod csv;
mod csv_out;
mod csv_reader;
mod number;
mod rows;
mod schema;

pub use csv::{CsvOptions, CsvParser};
pub use csv_out::CsvWriter;
pub use csv_reader::CsvReader;
pub use rows::rows;
pub use schema::{infer_schema, parse_schema};
