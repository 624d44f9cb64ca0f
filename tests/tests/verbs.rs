//! The verbs that look and help: what they print is for people on a terminal and for tools as JSON.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, data, mapfold};

#[test]
fn list_names_the_jobs() {
    let desk = Desk::new();
    let text = desk.run("list").fine().out;
    assert!(text.contains("ndvi") && text.contains("stats"), "{text}");
    let json = desk.run("list --json").fine().json();
    let names: Vec<_> = json.as_array().unwrap().iter().map(|j| j["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ndvi", "stats", "normalize", "wordcount", "sort", "aggregate", "streaming"]);
}

#[test]
fn info_says_what_the_file_says() {
    let desk = Desk::new();
    let text = desk.run(&format!("info {}", data("s2/S2_20150830.tif"))).fine().out;
    for word in ["100", "101", "32633", "uint16", "B8A", "0.0001", "deflate"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    desk.run(&format!("info {} --json", data("s2/S2_20150830.tif"))).fine().json();
}

#[test]
fn a_job_describes_its_parameters() {
    let schema = Desk::new().run("run ndvi --describe").fine().json();
    assert_eq!(schema["properties"]["eps"]["default"].to_string().trim_matches('"'), "0", "{schema}");
    assert!(schema["required"].as_array().unwrap().iter().any(|r| r == "red"), "{schema}");
}

#[test]
fn completion_and_manual_pages() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.run(&format!("completion {shell}")).fine().out;
        assert!(script.contains("ndvi") && script.contains("memory-limit"), "{shell}");
    }
    desk.run("man pages").fine();
    let pages = mapfold_tests::desk::names(&desk.path("pages"));
    assert!(pages.iter().any(|p| p == "mapfold.1") && pages.len() > 5, "{pages:?}");
}

#[test]
fn quiet_is_quiet_and_results_alone_are_on_stdout() {
    let desk = Desk::new();
    let scene = desk.scene(300);
    let quiet = desk.run(&format!("run ndvi {scene} --out out.tif -q")).fine();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    let told = desk.run(&format!("run ndvi {scene} --out out.tif --overwrite")).fine();
    assert_eq!(told.out, "", "a report is not a result: {told}");
    for word in ["ndvi: done", "user", "sys", "decode", "encode", "out.tif", "peak"] {
        assert!(told.err.contains(word), "{word}: {told}");
    }
    assert!(!told.err.contains('\u{1b}') && !told.err.contains('\r'), "no terminal, no colours, no bar: {told}");
    let json = desk.run(&format!("run ndvi {scene} --out out.tif --overwrite --json")).fine();
    assert_eq!((json.json()["run"]["outcome"].as_str(), json.err.as_str()), (Some("committed"), ""), "{json}");
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error_and_a_reader_that_has_enough_is_none() {
    let desk = Desk::new();
    let scene = data("s2/S2_20150830.tif");
    desk.run(&format!("run stats {scene}")).fine();
    let lines = [format!("run stats {scene} --json"), format!("cat {scene}"), "completion bash".into(), "list".into()];
    for line in lines {
        let ran = |redirect: &str| {
            let shell = format!("{} {line} {redirect}", mapfold().display());
            desk.command("bash").args(["-o", "pipefail", "-c", &shell]).output().unwrap()
        };
        let full = ran("> /dev/full");
        assert_eq!(full.status.code(), Some(3), "{line}");
        let told = String::from_utf8_lossy(&full.stderr).into_owned();
        assert!(told.contains("stdout") && told.contains("No space left") && told.contains("try"), "{line}: {told}");
        let closed = ran("| true");
        assert_eq!((closed.status.code(), closed.stderr.len()), (Some(0), 0), "{line}: {closed:?}");
    }
}

#[test]
fn a_scene_is_the_same_every_time() {
    let (a, b) = (Desk::new(), Desk::new());
    let (scene, again) = (a.scene(200), b.scene(200));
    assert_eq!(scene, again);
    let red = scene.split_whitespace().nth(1).unwrap();
    assert!(a.bytes(red) == b.bytes(red));
    a.run("gen scene scene200 --size 200 --bands B04,B08").refused(3, &["B04.tif", "--overwrite"]);
}
