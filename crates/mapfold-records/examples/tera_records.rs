//! Records of the sort benchmark on stdout: `tera_records START COUNT`, as Hadoop's `teragen` makes them.
#![allow(clippy::unwrap_used)]

use std::io::Write;

fn main() {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|a| a.parse().expect("usage: tera_records START COUNT")).collect();
    let [start, count] = numbers[..] else { panic!("usage: tera_records START COUNT") };
    let (mut out, mut records) = (std::io::stdout().lock(), Vec::new());
    for from in (start..start + count).step_by(10_000) {
        records.clear();
        mapfold_records::tera::generate(from, (start + count - from).min(10_000), &mut records);
        out.write_all(&records).unwrap();
    }
}
