//! How the values of options are written.

use super::{Box4, Workers};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use mapfold_grid::{DType, Shape, Window};
use mapfold_launch::Target;
use mapfold_plan::memory::Chunks;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Workers, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let workers = Workers { least: between::<1, 1024>(least)?, most: between::<1, 1024>(most)? };
        if workers.least > workers.most {
            return Err(format!("{text:?}: the smaller number comes first, {}..{}", workers.most, workers.least));
        }
        Ok(workers)
    }
}

impl std::fmt::Display for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", self.most),
            false => write!(f, "{}..{}", self.least, self.most),
        }
    }
}

pub(super) fn parse_target(text: &str) -> Result<Target, String> {
    text.parse()
}

/// An address, with a port or without.
pub(super) fn parse_bind(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let without = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    text.parse().or_else(|_| without()).map_err(|_| {
        format!("{text:?} is no address; write 10.0.0.5, 10.0.0.5:7077 or 0.0.0.0 (names go into --advertise)")
    })
}

pub(super) fn parse_host(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let good = !text.is_empty() && text.chars().all(fits);
    if good { Ok(text.to_owned()) } else { Err(format!("{text:?} is no name of a host, and no address")) }
}

/// One of the names of an enum: clap then completes them, lists them in `--help` and finds the nearest one.
pub(super) fn choice<T>(names: &'static [&'static [&'static str]]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    let value = |n: &&'static [&'static str]| PossibleValue::new(n[0]).aliases(n[1..].iter().copied());
    PossibleValuesParser::new(names.iter().map(value)).try_map(|name| name.parse::<T>().map_err(Unknown))
}

pub(super) fn dtypes() -> impl TypedValueParser<Value = DType> {
    let value = |d: DType| PossibleValue::new(d.name()).alias(format!("{d:?}").to_lowercase());
    PossibleValuesParser::new(DType::ALL.map(value)).try_map(|name| name.parse::<DType>().map_err(Unknown))
}

/// A name that clap let through and the enum did not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unknown(String);

pub(super) fn parse_count<N: FromStr>(text: &str) -> Result<N, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a whole number, or out of range"))
}

pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number; write -9999, 0.5 or nan"))
}

/// Seconds, or a part of one.
pub(super) fn parse_patience(text: &str) -> Result<f64, String> {
    let seconds = text.trim().parse::<f64>().ok().filter(|s| (0.01..=86_400.0).contains(s));
    seconds.ok_or_else(|| format!("{text:?} is no number of seconds from 0.01 to 86400"))
}

/// A whole number within bounds.
pub(super) fn between<const LOW: u32, const HIGH: u32>(text: &str) -> Result<u32, String> {
    let n = parse_count::<u32>(text)?;
    if (LOW..=HIGH).contains(&n) { Ok(n) } else { Err(format!("{n} is out of range: give {LOW} to {HIGH}")) }
}

pub(super) fn numbers<N: FromStr>(text: &str, what: &str) -> Result<Vec<N>, String> {
    let one = |w: &str| w.trim().parse::<N>().map_err(|_| format!("{w:?} in {text:?} is not a number; write {what}"));
    text.split(',').map(one).collect()
}

pub(super) fn parse_tile(text: &str) -> Result<usize, String> {
    let edge = text.parse().ok().filter(|n: &usize| *n > 0 && n.is_multiple_of(64) && *n <= 1 << 20);
    edge.ok_or_else(|| format!("{text:?}: give a multiple of 64, such as 1024"))
}

pub(super) fn parse_chunks(text: &str) -> Result<Chunks, String> {
    const WHAT: &str = "auto, native, ROWS,COLS or BANDS,ROWS,COLS";
    match text {
        "auto" => return Ok(Chunks::Auto),
        "native" => return Ok(Chunks::Native),
        _ => {}
    }
    let n: Vec<usize> = numbers(text, WHAT)?;
    match n.as_slice() {
        [rows, cols] | [_, rows, cols] if *rows > 0 && *cols > 0 => {
            Ok(Chunks::Shape(Shape { rows: *rows, cols: *cols }))
        }
        _ => Err(format!("{text:?}: write {WHAT}, all above 0")),
    }
}

pub(super) fn parse_bbox(text: &str) -> Result<Box4, String> {
    let n: Vec<f64> = numbers(text, "WEST,SOUTH,EAST,NORTH")?;
    match n.as_slice() {
        [w, s, e, n] if w < e && s < n => Ok(Box4([*w, *s, *e, *n])),
        _ => Err(format!("{text:?}: write WEST,SOUTH,EAST,NORTH with WEST < EAST and SOUTH < NORTH")),
    }
}

pub(super) fn parse_window(text: &str) -> Result<Window, String> {
    let n: Vec<i64> = numbers(text, "COL,ROW,WIDTH,HEIGHT")?;
    match n.as_slice() {
        [col, row, w, h] if *col >= 0 && *row >= 0 && *w > 0 && *h > 0 => {
            Ok(Window { row: *row, col: *col, rows: *h as usize, cols: *w as usize })
        }
        _ => Err(format!("{text:?}: write COL,ROW,WIDTH,HEIGHT, none negative")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_to_listen_at() {
        assert_eq!(parse_bind("10.0.0.5").unwrap().to_string(), "10.0.0.5:0");
        assert_eq!(parse_bind("[::1]:7077").unwrap().to_string(), "[::1]:7077");
        assert_eq!(parse_bind("::").unwrap().to_string(), "[::]:0");
        assert!(parse_bind("myhost").is_err() && parse_host("a b").is_err() && parse_host("a,b").is_err());
        assert_eq!(parse_host("head.example.org").unwrap(), "head.example.org");
    }

    #[test]
    fn windows_and_boxes_as_gdal_writes_them() {
        assert_eq!(parse_window("10,20,30,40").unwrap(), Window { col: 10, row: 20, cols: 30, rows: 40 });
        assert!(parse_window("10,20,0,40").is_err() && parse_window("a,1,1,1").is_err());
        assert_eq!(parse_bbox("-1,-2,3,4").unwrap(), Box4([-1.0, -2.0, 3.0, 4.0]));
        assert!(parse_bbox("3,0,1,1").is_err());
        assert_eq!(parse_chunks("1,1024,512").unwrap(), Chunks::Shape(Shape { rows: 1024, cols: 512 }));
        assert!(parse_chunks("0,5").is_err() && parse_chunks("big").is_err());
        assert_eq!(parse_tile("1024").unwrap(), 1024);
        assert_eq!("3".parse(), Ok(Workers { least: 3, most: 3 }));
        assert_eq!("2..8".parse(), Ok(Workers { least: 2, most: 8 }));
        for bad in ["", "0", "0..4", "8..2", "2..", "..4", "2..2000", "two", "2-8", "-1"] {
            assert!(bad.parse::<Workers>().is_err(), "{bad}");
        }
        assert!(parse_tile("0").is_err() && parse_tile("100").is_err() && parse_tile("-64").is_err());
    }
}
