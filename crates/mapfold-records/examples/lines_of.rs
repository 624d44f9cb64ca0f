//! The lines of splits, as text, to be compared with Hadoop's own reader by tests/oracle/hadoop_lines.py.
//!
//! usage: lines_of CASES, where each line of CASES is `PATH START LEN DELIMITER`, the delimiter in hexadecimal or `-`.
//! Prints `case N`, then `OFFSET KEY VALUE` of every line, key and value in hexadecimal.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mapfold_records::InMemory;
use mapfold_records::text::{Delimiter, FileSplit, LineBatch, LineOptions, LineReader, key_value};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn main() {
    let cases = std::fs::read_to_string(std::env::args().nth(1).expect("usage: lines_of CASES")).unwrap();
    for (number, case) in cases.lines().enumerate() {
        let [path, start, len, delimiter] = case.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let delimiter =
            if delimiter == "-" { Delimiter::Newline } else { Delimiter::bytes(&unhex(delimiter)).unwrap() };
        let split = FileSplit { file: 0, start: start.parse().unwrap(), len: len.parse().unwrap() };
        let options = LineOptions { delimiter, ..LineOptions::default() };
        let input = InMemory::new(path, std::fs::read(path).unwrap());
        let mut reader = LineReader::new(input, split, options).unwrap();
        let mut batch = LineBatch::default();
        println!("case {number}");
        while reader.next_batch(&mut batch).unwrap() {
            for (offset, line) in batch.iter() {
                let (key, value) = key_value(line, Default::default());
                println!("{offset} {} {}", hex(key), hex(value));
            }
        }
    }
}
