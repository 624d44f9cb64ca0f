//! Records of the sort benchmark, as Hadoop's `teragen` makes them and `teravalidate` checks them.
//!
//! ```text
//! tera_records START COUNT     records on stdout
//! tera_records check FILE...   their number, checksum and order, files one behind the other; exit 1 when not sorted
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mapfold_records::sort::RECORD;
use mapfold_records::tera::{Summary, generate};
use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: tera_records START COUNT, or tera_records check FILE...";

fn make(start: u64, count: u64) -> ExitCode {
    let (mut out, mut records) = (std::io::stdout().lock(), Vec::new());
    for from in (start..start + count).step_by(10_000) {
        records.clear();
        generate(from, (start + count - from).min(10_000), &mut records);
        out.write_all(&records).unwrap();
    }
    ExitCode::SUCCESS
}

fn check(files: &[String]) -> ExitCode {
    let mut all = Summary::default();
    for name in files {
        let mut file = File::open(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut piece = Vec::new();
        loop {
            piece.clear();
            Read::by_ref(&mut file).take(10_000 * RECORD as u64).read_to_end(&mut piece).unwrap();
            if piece.is_empty() {
                break;
            }
            all = all.then(&Summary::of(&piece));
        }
    }
    let sorted = all.unsorted_at.is_none() && all.rest == 0;
    let at = all.unsorted_at.map_or("sorted".to_string(), |at| format!("NOT SORTED at record {at}"));
    println!("{} records, checksum {:x}, {} bytes behind them, {at}", all.count, all.checksum, all.rest);
    if sorted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((verb, files)) if verb == "check" => check(files),
        Some((start, [count])) => make(start.parse().expect(USAGE), count.parse().expect(USAGE)),
        _ => panic!("{USAGE}"),
    }
}
