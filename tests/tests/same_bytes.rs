//! The same bytes for any number of threads, any windows, any memory limit.
#![allow(clippy::unwrap_used)]

use mapfold_tests::Desk;
use serde_json::Value;

const THREADS: [usize; 3] = [1, 2, 4];
const CHUNKS: [&str; 5] = ["auto", "native", "1,17,23", "7,2048", "256,256"];

/// Where two files differ, in words; `None` when they are equal.
fn difference(a: &[u8], b: &[u8]) -> Option<String> {
    let at = a.iter().zip(b).position(|(x, y)| x != y);
    let lengths = (a.len() != b.len()).then(|| a.len().min(b.len()));
    at.or(lengths).map(|at| format!("{} and {} bytes, first difference at {at}", a.len(), b.len()))
}

/// The least `--memory-limit` by the program's own words: what its refusal says to try.
fn least_memory(desk: &Desk, args: &str) -> String {
    let refused = desk.run(&format!("{args} --memory-limit 1MiB")).refused(2, &["1 MiB", "--memory-limit"]).with_remedy();
    let mut words = refused.err.split([' ', ',', '\n']).skip_while(|w| *w != "try:").skip_while(|w| *w != "--memory-limit");
    words.nth(1).unwrap_or_else(|| panic!("no limit in the remedy: {refused}")).to_owned()
}

/// Runs one command under every circumstance; all outputs must be the bytes of the first.
fn same_bytes(options: &str) {
    let desk = Desk::new();
    let base = format!("run ndvi {} --out out.tif --overwrite -q {options}", desk.scene(1500));
    desk.run(&base).fine();
    let first = desk.bytes("out.tif");
    for threads in THREADS {
        for chunks in CHUNKS {
            let args = format!("{base} --threads {threads} --chunks {chunks}");
            for limit in [least_memory(&desk, &args), "2GiB".into()] {
                let line = format!("{args} --memory-limit {limit}");
                desk.run(&line).fine();
                let found = difference(&first, &desk.bytes("out.tif"));
                assert_eq!(found, None, "{line}");
            }
        }
    }
}

#[test]
fn cog_deflate() {
    same_bytes("--compress deflate --level 1 --blocksize 256");
}

#[test]
fn cog_zstd() {
    same_bytes("--compress zstd --blocksize 128 --tile 512");
}

#[test]
fn gtiff_deflate() {
    same_bytes("--format gtiff --compress deflate --level 1 --tile 256");
}

#[test]
fn gtiff_zstd_rounded() {
    same_bytes("--format gtiff --compress zstd --dtype int16 --nodata -9999");
}

#[test]
fn statistics() {
    let desk = Desk::new();
    let scene = desk.scene(1500);
    let red = scene.split_whitespace().nth(1).unwrap().to_owned();
    let results = |line: &str| -> Value {
        let mut all = desk.run(line).fine().json();
        all.as_object_mut().unwrap().remove("run").unwrap_or_else(|| panic!("no run: {line}"));
        all
    };
    let base = format!("run stats {red} --json --histogram 32 --tile 256");
    let first = results(&base);
    assert!(first["bands"][0]["count"].as_u64().unwrap() > 1_000_000, "{first}");
    for threads in THREADS {
        for chunks in CHUNKS {
            for more in ["--partitions 1", "--partitions 7 --memory-limit 2GiB"] {
                let line = format!("{base} --threads {threads} --chunks {chunks} {more}");
                assert_eq!(results(&line), first, "{line}");
            }
        }
    }
}
