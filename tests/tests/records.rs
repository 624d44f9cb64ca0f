//! Jobs over records, end to end: the same bytes for any members and any memory; folders appear whole, or not at all.
#![allow(clippy::unwrap_used)]

use mapfold_tests::Desk;
use std::fs;
use std::process::Command;

/// Lines of words: enough for several splits of 64 KiB.
fn text(desk: &Desk) -> String {
    let mut random = 1u64;
    let mut line = || {
        let word = |_| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            format!("word{}", (random >> 33) % 5000)
        };
        (0..8).map(word).collect::<Vec<_>>().join(" ") + "\n"
    };
    let text: String = (0..8000).map(|_| line()).collect();
    fs::write(desk.path("in.txt"), &text).unwrap();
    text
}

/// Name and bytes of every part.
fn parts(desk: &Desk, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(desk.path(out)).unwrap().map(|e| e.unwrap()).collect();
    all.sort_by_key(fs::DirEntry::file_name);
    let named = all.iter().map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).unwrap()));
    named.filter(|(name, _)| name != "_SUCCESS").collect()
}

fn joined(desk: &Desk, out: &str) -> Vec<u8> {
    parts(desk, out).into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn shell(desk: &Desk, script: &str) -> Vec<u8> {
    let out = desk.command("sh").args(["-c", script]).env("LC_ALL", "C").output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

const PSEUDO: [&str; 3] = ["--mode pseudo --workers 1", "--mode pseudo --workers 2", "--mode pseudo --workers 3"];

#[test]
fn words_are_those_of_sort_and_uniq_for_any_members() {
    let desk = Desk::new();
    text(&desk);
    let line = |out: &str, more: &str| format!("run wordcount in.txt --out {out} --split-size 65536 -q {more}");
    desk.run(&line("one", "")).fine();
    let want = shell(&desk, r#"tr -s ' ' '\n' < in.txt | sort | uniq -c | awk '{ print $2 "\t" $1 }' | sort"#);
    let mut got: Vec<u8> = joined(&desk, "one");
    fs::write(desk.path("got"), &got).unwrap();
    got = shell(&desk, "sort got");
    assert!(got == want);
    for more in PSEUDO.into_iter().chain(["--threads 1 --memory-limit 96MiB", "--threads 4"]) {
        desk.run(&line("many", &format!("{more} --overwrite"))).fine();
        assert!(parts(&desk, "many") == parts(&desk, "one"), "{more}");
    }
    assert_eq!(desk.names(), ["got", "in.txt", "many", "one"], "nothing beside the outputs");
}

#[test]
fn sorted_lines_are_those_of_sort_for_any_members() {
    let desk = Desk::new();
    text(&desk);
    let want = shell(&desk, "sort in.txt");
    for more in PSEUDO.into_iter().chain(["", "--threads 1 --memory-limit 96MiB"]) {
        desk.run(&format!("run sort in.txt --out out --split-size 65536 --overwrite -q {more}")).fine();
        assert!(joined(&desk, "out") == want, "{more}");
    }
}

#[test]
fn compressed_text_is_read_by_its_name() {
    let desk = Desk::new();
    text(&desk);
    shell(&desk, "mkdir in && gzip -c in.txt > in/a.gz && bzip2 -c in.txt > in/b.bz2");
    desk.run("run sort in --out out -q").fine();
    assert!(joined(&desk, "out") == shell(&desk, "cat in.txt in.txt | sort"));
}

#[test]
fn a_folder_is_replaced_only_when_asked_and_only_a_result() {
    let desk = Desk::new();
    text(&desk);
    fs::write(desk.path("small.txt"), "b\na\n").unwrap();
    desk.run("run sort in.txt --out out -q").fine();
    let before = parts(&desk, "out");
    desk.run("run sort small.txt --out out -q").refused(3, &["out", "--overwrite"]);
    assert!(parts(&desk, "out") == before);
    desk.run("run sort small.txt --out out -q --overwrite").fine();
    assert_eq!(joined(&desk, "out"), b"a\nb\n");
    fs::create_dir(desk.path("mine")).unwrap();
    fs::write(desk.path("mine/thesis"), "years").unwrap();
    desk.run("run sort small.txt --out mine -q --overwrite").refused(2, &["mine", "not written by a job"]);
    assert_eq!(desk.names(), ["in.txt", "mine", "out", "small.txt"]);
}

#[test]
fn a_crash_at_any_step_leaves_nothing_or_all_and_resume_completes_it() {
    let desk = Desk::new();
    text(&desk);
    fs::write(desk.path("small.txt"), "b\na\n").unwrap();
    desk.run("run sort in.txt --out want -q").fine();
    for point in ["logged:1", "laid-out", "before-decision", "decided", "revealed", "before-cleaning"] {
        desk.run("run sort small.txt --out out -q --overwrite").fine();
        let line = "run sort in.txt --out out -q --overwrite";
        desk.start_failing(mapfold_tests::mapfold(), line, &format!("{point}=abort")).wait();
        let there = joined(&desk, "out");
        assert!(there == b"a\nb\n" || there == joined(&desk, "want"), "{point}: half a result");
        let resumed = desk.run("run sort in.txt --out out -q --resume");
        assert_eq!(resumed.code, 0, "{point}: {resumed}");
        assert!(parts(&desk, "out") == parts(&desk, "want"), "{point}");
        assert_eq!(desk.names(), ["in.txt", "out", "small.txt", "want"], "{point}");
    }
}

#[test]
fn success_says_what_is_in_the_folder() {
    let desk = Desk::new();
    fs::write(desk.path("in.txt"), "b a b\n").unwrap();
    desk.run("run wordcount in.txt --out out --partitions 1 -q").fine();
    let told: serde_json::Value = serde_json::from_slice(&desk.bytes("out/_SUCCESS")).unwrap();
    assert_eq!((&told["records"], &told["bytes"]), (&2.into(), &8.into()), "{told}");
    assert_eq!(told["files"][0]["name"], "part-r-00000");
    assert_eq!(desk.bytes("out/part-r-00000"), b"a\t1\nb\t2\n");
}

#[test]
fn streaming_commands_in_any_members_give_the_same() {
    let desk = Desk::new();
    text(&desk);
    let line = |out: &str, more: &str| {
        let mut c: Command = desk.command(mapfold_tests::mapfold());
        c.args(["run", "streaming", "in.txt", "--out", out, "--split-size", "65536", "-q", "--overwrite"]);
        c.args(["--mapper", "tr -s ' ' '\\n'", "--reducer", "uniq -c"]).args(more.split_whitespace());
        let ran = c.output().unwrap();
        assert!(ran.status.success(), "{more}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    line("one", "");
    for more in PSEUDO {
        line("many", more);
        assert!(parts(&desk, "many") == parts(&desk, "one"), "{more}");
    }
}

/// pandas for tables, plain Python for words and lines: all kinds of values, keys, outputs and modes.
#[test]
fn jobs_over_records_are_equal_to_pandas_and_python() {
    let program = mapfold_tests::mapfold();
    if let Some(said) = mapfold_tests::pandas_oracle("records.py", &[program]) {
        assert!(said["comparisons"].as_u64() > Some(90), "{said}");
    }
}

/// Readers, writers and grouping of the kernels.
#[test]
fn tables_are_equal_to_pandas_and_pyarrow() {
    let program = mapfold_tests::example("table_of");
    if let Some(said) = mapfold_tests::pandas_oracle("tables.py", &[program]) {
        assert_eq!(said["faults"], serde_json::json!([]), "{said}");
    }
}
