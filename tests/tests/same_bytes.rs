//! The same bytes for any number of threads, any windows, any memory limit.
#![allow(clippy::unwrap_used)]

use mapfold_tests::Desk;
use serde_json::Value;

const THREADS: [usize; 3] = [1, 2, 4];
/// The last are odd on purpose: no window is a codec tile, none is a multiple of another.
const CHUNKS: [&str; 5] = ["auto", "native", "256,64", "7,2048", "1,37,53"];

/// Where two files differ, in words; `None` when they are equal.
fn difference(a: &[u8], b: &[u8]) -> Option<String> {
    let at = a.iter().zip(b).position(|(x, y)| x != y);
    let lengths = (a.len() != b.len()).then(|| a.len().min(b.len()));
    at.or(lengths).map(|at| format!("{} and {} bytes, first difference at {at}", a.len(), b.len()))
}

/// The limit that the program's refusal of `limit` says to try.
fn proposed(desk: &Desk, args: &str, limit: &str) -> String {
    let refused =
        desk.run(&format!("{args} --memory-limit {limit}")).refused(2, &["MiB", "--memory-limit"]).with_remedy();
    let mut words =
        refused.err.split([' ', ',', '\n']).skip_while(|w| *w != "try:").skip_while(|w| *w != "--memory-limit");
    words.nth(1).unwrap_or_else(|| panic!("no limit in the remedy: {refused}")).to_owned()
}

/// The least `--memory-limit` to a mebibyte: what follows what the program says.
fn least_memory(desk: &Desk, args: &str) -> String {
    let mut limit = proposed(desk, args, "1MiB");
    while desk.run(&format!("{args} --explain --memory-limit {limit}")).code != 0 {
        let next = proposed(desk, args, &limit);
        assert_ne!(next, limit, "{args}");
        limit = next;
    }
    limit
}

/// Runs one command under every circumstance; all outputs must be the bytes of the first.
fn same_bytes(options: &str) {
    let desk = Desk::new();
    let base = format!("run ndvi {} --out out.tif --overwrite -q {options}", desk.scene(1000));
    desk.run(&base).fine();
    let first = desk.bytes("out.tif");
    let same = |line: &str| {
        desk.run(line).fine();
        assert_eq!(difference(&first, &desk.bytes("out.tif")), None, "{line}");
    };
    for threads in THREADS {
        CHUNKS.iter().for_each(|chunks| same(&format!("{base} --threads {threads} --chunks {chunks}")));
    }
    for (threads, chunks) in [(1, "auto"), (2, "native"), (4, "7,2048")] {
        let line = format!("{base} --threads {threads} --chunks {chunks}");
        same(&format!("{line} --memory-limit {}", least_memory(&desk, &line)));
        same(&format!("{line} --memory-limit 2GiB"));
    }
}

#[test]
fn cog_deflate() {
    same_bytes("--compress deflate --level 1 --blocksize 256");
}

#[test]
fn cog_zstd() {
    same_bytes("--compress zstd --blocksize 128 --tile 256");
}

#[test]
fn gtiff_deflate() {
    same_bytes("--format gtiff --compress deflate --level 1 --blocksize 128 --tile 384");
}

#[test]
fn gtiff_zstd_rounded() {
    same_bytes("--format gtiff --compress zstd --dtype int16 --nodata -9999");
}

#[test]
fn the_memory_limit_that_a_refusal_proposes_is_accepted() {
    let desk = Desk::new();
    let base = format!("run ndvi {} --out out.tif --overwrite -q --tile 256 --blocksize 64", desk.scene(1000));
    for options in ["--threads 1", "--threads 2 --chunks native", "--threads 4"] {
        for limit in ["1MiB", "28MiB"] {
            let line = format!("{base} {options}");
            desk.run(&format!("{line} --memory-limit {}", proposed(&desk, &line, limit))).fine();
        }
    }
}

#[test]
fn windows_of_a_few_pixels() {
    let desk = Desk::new();
    let base = format!("run ndvi {} --out out.tif --overwrite -q --blocksize 64", desk.scene(200));
    desk.run(&base).fine();
    let first = desk.bytes("out.tif");
    for (threads, chunks) in [(1, "1,17,23"), (4, "1,17,23"), (2, "1,1,200"), (2, "1,200,1")] {
        desk.run(&format!("{base} --threads {threads} --chunks {chunks}")).fine();
        assert_eq!(difference(&first, &desk.bytes("out.tif")), None, "{threads} threads, {chunks}");
    }
}

#[test]
fn statistics() {
    let desk = Desk::new();
    let scene = desk.scene(1000);
    let red = scene.split_whitespace().nth(1).unwrap().to_owned();
    let results = |line: &str| -> Value {
        let mut all = desk.run(line).fine().json();
        all.as_object_mut().unwrap().remove("run").unwrap_or_else(|| panic!("no run: {line}"));
        all
    };
    let base = format!("run stats {red} --json --histogram 32 --tile 256");
    let first = results(&base);
    assert!(first["bands"][0]["count"].as_u64().unwrap() > 900_000, "{first}");
    for threads in THREADS {
        for chunks in CHUNKS {
            for more in ["--partitions 1", "--partitions 7 --memory-limit 2GiB"] {
                let line = format!("{base} --threads {threads} --chunks {chunks} {more}");
                assert_eq!(results(&line), first, "{line}");
            }
        }
    }
}
