//! A secret set in every way that there is appears nowhere: not in logs, events, manifests, pages, nor on the command line
//! of any process but the one that was started with it.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::wait_until;
use mapfold_tests::{Desk, mapfold};
use std::fs;
use std::path::Path;

const CANARY: &str = "c4n4ry";

fn variables() -> Vec<(&'static str, String)> {
    let named = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_BEARER_TOKEN",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_CLIENT_SECRET",
        "MAPFOLD_STORE__fs.azure.account.key.acc.dfs.core.windows.net",
    ];
    named.into_iter().map(|name| (name, format!("{CANARY}-{}", name.to_lowercase()))).collect()
}

fn clean(place: &str, text: &[u8]) {
    let found = text.windows(CANARY.len()).any(|w| w.eq_ignore_ascii_case(CANARY.as_bytes()));
    assert!(!found, "{place} holds the secret: {}", String::from_utf8_lossy(text));
}

fn clean_folder(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => clean_folder(&entry.path(), files),
            false => {
                *files += 1;
                clean(&entry.path().display().to_string(), &fs::read(entry.path()).unwrap_or_default());
            }
        }
    }
}

#[test]
fn a_secret_appears_nowhere() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let set = variables();
    let mut set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    set.push(("RUST_LOG", "trace"));
    let define = format!("-D fs.s3a.bucket.other.secret.key={CANARY}-flag -D aws_region=here");
    let args = format!("{line} --mode pseudo --workers 2 --threads 1 -v {define} --detach");
    let launched = desk.start_program(mapfold(), &args, &set).wait().fine();
    clean("stdout and stderr of --detach", format!("{}{}", launched.out, launched.err).as_bytes());
    wait_until("splits", || desk.logged() > 2 || desk.path("out.tif").exists());
    let mut looked_at = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let cwd = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        if cwd == fs::canonicalize(desk.path(".")).unwrap() {
            looked_at += 1;
            clean("a command line", &line);
        }
    }
    assert!(looked_at >= 2 || desk.path("out.tif").exists(), "launcher and members were there to be looked at");
    for verb in ["status ndvi --json", "logs ndvi", "why ndvi", "jobs --json"] {
        let told = desk.run(verb);
        clean(verb, format!("{}{}", told.out, told.err).as_bytes());
    }
    // The output is there a moment before the job says that it has ended.
    wait_until("the end", || desk.run("history ndvi").code == 0);
    let history = desk.run("history ndvi").fine();
    clean("history", format!("{}{}", history.out, history.err).as_bytes());
    let mut files = 0;
    clean_folder(&desk.path("."), &mut files);
    assert!(files > 5, "only {files} files were looked at");
    let shown = desk.start_program(mapfold(), &format!("config show --origin {define}"), &set).wait().fine();
    clean("config show", format!("{}{}", shown.out, shown.err).as_bytes());
    assert!(shown.out.matches("(set, not shown)").count() >= 10, "{shown}");
}

/// What fails with a secret in hand does not tell it: a location with a key, an endpoint that is not there.
#[test]
fn errors_do_not_tell_secrets() {
    let desk = Desk::new();
    let set = variables();
    let mut set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    set.extend([
        ("RUST_LOG", "trace"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/a"),
        ("AZURE_STORAGE_ACCOUNT", "a"),
        ("MAPFOLD_HTTP_RETRIES", "0"),
        ("GOOGLE_BASE_URL", "http://127.0.0.1:1"),
    ]);
    for verb in
        ["ls s3://bucket/x", "cat az://container/x", "cp gs://bucket/x y", &format!("cat az://c:{CANARY}@host/x")]
    {
        let told = desk.start_program(mapfold(), verb, &set).wait();
        assert_ne!(told.code, 0, "{verb}");
        clean(verb, format!("{}{}", told.out, told.err).as_bytes());
    }
}
