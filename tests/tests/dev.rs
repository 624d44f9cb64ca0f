//! `mapfold dev`: one command brings a real server up, from the program alone, and says how to use it.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::lives;
use mapfold_tests::{Desk, mapfold, part};
use serde_json::Value;

/// The light part: what it needs is here when the tests' own runs.
fn can_run() -> bool {
    part("gcs").is_some()
}

#[test]
fn up_status_env_down() {
    if !can_run() {
        return;
    }
    let desk = Desk::new();
    let up = desk.run("dev up gcs").fine();
    for word in
        ["gs://mapfold", "double ", "eval \"$(mapfold dev env)\"", "export GOOGLE_BASE_URL=", "mapfold dev down"]
    {
        assert!(up.out.contains(word), "{word}: {up}");
    }
    let status = desk.run("dev status --json").fine().json();
    let pid = status["parts"]["gcs"]["processes"]["double"].as_u64().unwrap();
    assert!(lives(u32::try_from(pid).unwrap()));
    let again = desk.run("dev up gcs --json").fine().json();
    assert_eq!(again["parts"]["gcs"]["processes"]["double"], pid, "what runs is left alone");
    assert_eq!(again["parts"]["gcs"]["at"], "gs://mapfold");

    let base = again["env"]["GOOGLE_BASE_URL"].as_str().unwrap();
    let said = desk.run("dev env").fine();
    assert!(said.out.contains(&format!("export GOOGLE_BASE_URL='{base}'")), "{said}");
    let mut shell = desk.command("bash");
    let path = mapfold().parent().unwrap().to_str().unwrap();
    let script = format!("PATH={path}:$PATH; eval \"$(mapfold dev env)\" && curl -s $GOOGLE_BASE_URL/_health");
    let answer = shell.args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "ok\n");

    desk.run("dev down").fine();
    assert!(!lives(u32::try_from(pid).unwrap()));
    let down = desk.run("dev status").fine();
    assert!(down.out.contains("double down"), "{down}");
    desk.run("dev down --delete").fine();
    assert_eq!(desk.run("dev status --json").fine().json()["parts"], Value::Object(serde_json::Map::new()));
}

#[test]
fn what_is_not_there_is_said() {
    let desk = Desk::new();
    desk.run("dev up hdsf").refused(2, &["'hdsf'", "'hdfs'"]);
    desk.run("dev env").refused(3, &["nothing was started"]).with_remedy();
    desk.run("dev status").fine().says(&["nothing was started", "mapfold dev up"]);
    let poor = [("PATH", "/nowhere")];
    desk.start_program(mapfold(), "dev up hdfs", &poor).wait().refused(3, &["bash does not start"]).with_remedy();
}

#[test]
fn programs_that_are_missing_are_named_together() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("bin")).unwrap();
    for tool in ["bash", "env", "cat", "dirname", "sed", "id", "flock", "setsid", "curl"] {
        let found =
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|p| p.join(tool)).find(|p| p.exists());
        std::os::unix::fs::symlink(found.unwrap(), desk.path("bin").join(tool)).unwrap();
    }
    let path = desk.arg("bin");
    let cache = desk.arg("cache");
    let poor = [("PATH", path.as_str()), ("JAVA_HOME", ""), ("XDG_CACHE_HOME", cache.as_str())];
    let ran = desk.start_program(mapfold(), "dev up hdfs s3", &poor).wait();
    let ran = ran.refused(3, &["not found: java (runs Hadoop)", "mvn", "go (builds MinIO", "openjdk-17"]).with_remedy();
    assert!(!ran.err.contains("curl"), "what is there is not named: {ran}");
}
