//! Jobs seen from another terminal: while they run, after they ended, after they died.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, children, wait_for};
use mapfold_tests::{Desk, Ran, program};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// Twenty seconds of work: nothing here waits for its end.
const LONG: &str = "--splits 400 --millis 100 --threads 2";
const PSEUDO: &str = "--mode pseudo --workers 2";

fn trial(desk: &Desk, args: &str) -> Running {
    desk.start_program(&program("mapfold-trial"), args, &[])
}

/// What `status` says of a job once it has some splits done.
fn under_way(desk: &Desk, job: &str) -> Value {
    wait_for("a split that is done", || {
        let ran = desk.run(&format!("status {job} --json"));
        let status = (ran.code == 0).then(|| ran.json())?;
        (status["splits"]["done"].as_u64()? > 2).then_some(status)
    })
}

/// One request over a connection of its own: the status line and headers, and the body.
fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

fn get(address: &str, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\nHost: {address}\nConnection: close\n\n"))
}

fn page(address: &str, path: &str) -> Value {
    let (head, body) = get(address, path);
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
}

fn address(status: &Value) -> String {
    status["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
}

/// Ids and data of so many events, from `last` on.
fn events(address: &str, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n{last}\r\n").unwrap();
    let (mut found, mut id) = (Vec::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            found.push((id.clone(), serde_json::from_str(data).unwrap()));
        }
        if found.len() == count {
            return found;
        }
    }
    panic!("the stream ended after {} events", found.len());
}

#[test]
fn a_running_job_is_seen_by_verbs_and_pages() {
    let desk = Desk::new();
    let run = trial(&desk, &format!("{LONG} {PSEUDO}"));
    let status = under_way(&desk, "mapfold-trial");
    assert_eq!(status["state"], "running");
    assert_eq!(status["pid"].as_u64(), Some(u64::from(run.pid())));
    assert_eq!(status["splits"]["all"], 400);
    let text = desk.run("status mapfold-trial").fine().out;
    for word in ["running for", "of 400 done", "in flight", "stages", "members", "memory", "http://127.0.0.1:"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let id = status["id"].as_str().unwrap();
    let listed = desk.run("jobs").fine().out;
    assert!(listed.contains(&id[..8]) && listed.contains("running"), "{listed}");
    assert_eq!(desk.run("jobs --json").fine().json()[0]["id"], id);
    assert!(desk.run("history").fine().says(&["no jobs"]).out.is_empty(), "it has not ended");

    let at = address(&status);
    assert_eq!(page(&at, "/api/v1/job")["id"], id);
    assert_eq!(page(&at, "/api/v1/stages")[0]["splits"], 400);
    let members = page(&at, "/api/v1/members");
    assert_eq!(members.as_array().unwrap().len(), 2, "{members}");
    assert!(members.as_array().unwrap().iter().any(|m| m["splits_done"].as_u64() > Some(0)), "{members}");
    let splits = page(&at, "/api/v1/splits?state=in_flight&limit=1");
    assert_eq!(splits["splits"].as_array().unwrap().len(), 1, "{splits}");
    assert_eq!(page(&at, "/api/v1/errors")["count"], 0);
    let metrics = get(&at, "/metrics").1;
    assert!(metrics.contains("\nmapfold_splits{stage=\"0\",state=\"all\"} 400\n"), "{metrics}");
    assert_eq!(get(&at, "/health").1, "ok\n");
    run.signal("TERM");
    run.wait();
}

#[test]
fn events_go_on_where_they_were_cut() {
    let desk = Desk::new();
    let run = trial(&desk, LONG);
    let at = address(&under_way(&desk, "mapfold-trial"));
    let first = events(&at, None, 8);
    assert_eq!(first[1].1["event"], "job_started");
    let next = events(&at, Some(&first[3].0), 4);
    assert_eq!(next, first[4..], "nothing twice, nothing left out");
    let wrong = |id: &str| {
        ask(&at, &format!("GET /events HTTP/1.1\nHost: localhost\nLast-Event-ID: {id}\nConnection: close\n\n")).0
    };
    for id in ["7", "99999999999", "x", "-1"] {
        assert!(wrong(id).starts_with("HTTP/1.1 400"), "{id}");
    }
    run.signal("TERM");
    run.wait();
}

#[test]
fn a_log_is_told_in_pieces_that_fit() {
    let desk = Desk::new();
    let run = trial(&desk, LONG);
    let at = address(&under_way(&desk, "mapfold-trial"));
    let (whole, mut told, mut next) = (page(&at, "/api/v1/events?limit=9"), Vec::new(), 0);
    for _ in 0..3 {
        let piece = page(&at, &format!("/api/v1/events?after={next}&limit=3"));
        assert_eq!(piece["began_ms"], whole["began_ms"]);
        told.extend(piece["events"].as_array().unwrap().clone());
        next = piece["next"].as_u64().unwrap();
    }
    assert_eq!((&json!(told), &json!(next)), (&whole["events"], &whole["next"]), "nothing twice, nothing left out");
    assert_eq!(told[1]["event"], "job_started");
    assert_eq!(page(&at, "/api/v1/job")["started_ms"], whole["began_ms"]);
    for wrong in ["after=7", "after=99999999999", "after=x", "after=-1", "from=0"] {
        assert!(get(&at, &format!("/api/v1/events?{wrong}")).0.starts_with("HTTP/1.1 400"), "{wrong}");
    }
    run.signal("TERM");
    run.wait();
}

#[test]
fn strangers_get_nothing() {
    let desk = Desk::new();
    let run = trial(&desk, LONG);
    let at = address(&under_way(&desk, "mapfold-trial"));
    let hosts = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "169.254.169.254", ""];
    for host in hosts {
        let (head, body) = ask(&at, &format!("GET /api/v1/job HTTP/1.1\nHost: {host}\nConnection: close\n\n"));
        assert!(head.starts_with("HTTP/1.1 403"), "{host}: {head}");
        assert!(!body.contains("trial"), "{host}: {body}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = ask(&at, &format!("{method} /api/v1/job HTTP/1.1\nHost: localhost\nConnection: close\n\n"));
        assert!(head.starts_with("HTTP/1.1 405"), "{method}: {head}");
    }
    let (head, body) = ask(&at, "HEAD /api/v1/job HTTP/1.1\nHost: localhost\nConnection: close\n\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
    assert!(head.contains("content-security-policy: default-src 'self'"), "{head}");
    assert!(!head.to_lowercase().contains("access-control"), "{head}");
    assert!(get(&at, "/api/v1/splits?limt=1").0.starts_with("HTTP/1.1 400"), "an option that is misspelt");
    assert!(get(&at, "/nothing").0.starts_with("HTTP/1.1 404"));
    // Silence and junk, more than it takes at once: those who ask properly are served all the same.
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(&at).unwrap()).collect();
    for mut junk in (0..50).map(|_| TcpStream::connect(&at).unwrap()) {
        junk.write_all(b"\0\xff\x16\x03\x01junk\r\n\r\n").unwrap();
    }
    drop(silent);
    assert_eq!(get(&at, "/health").1, "ok\n");
    run.signal("TERM");
    run.wait();
}

#[test]
fn nothing_is_served_beyond_this_machine_without_a_token() {
    let desk = Desk::new();
    for at in ["0.0.0.0:0", "[::]:0"] {
        let ran = trial(&desk, &format!("--splits 2 --dashboard {at}")).wait();
        ran.refused(2, &["needs a token", "--dashboard-token"]);
    }
    trial(&desk, "--splits 2 --dashboard 8787").wait().refused(2, &["--dashboard", "HOST:PORT"]);
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(desk.path("token"), token).unwrap();
    let with = format!("{LONG} --dashboard 0.0.0.0:0 --dashboard-token token");
    std::fs::set_permissions(desk.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    trial(&desk, &with).wait().refused(2, &["chmod 600"]);
    std::fs::set_permissions(desk.path("token"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let run = trial(&desk, &with);
    let status = under_way(&desk, "mapfold-trial");
    assert!(!status.to_string().contains(token), "the token is shown");
    let at = address(&status).replace("0.0.0.0", "127.0.0.1");
    assert!(get(&at, "/health").0.starts_with("HTTP/1.1 401"));
    let bearer = |token: &str| {
        ask(&at, &format!("GET /health HTTP/1.1\nHost: {at}\nAuthorization: Bearer {token}\nConnection: close\n\n")).0
    };
    assert!(bearer(&token.replace('0', "1")).starts_with("HTTP/1.1 401"));
    assert!(bearer(token).starts_with("HTTP/1.1 200"));
    run.signal("TERM");
    run.wait();
}

#[test]
fn a_run_in_the_background_outlives_who_started_it_and_can_be_stopped() {
    let desk = Desk::new();
    let ran = trial(&desk, &format!("{LONG} {PSEUDO} --detach")).wait().fine();
    let id = ran.out.trim().to_owned();
    assert!(id.len() == 32 && ran.err.contains(&format!("mapfold status {}", &id[..8])), "{ran}");
    let status = under_way(&desk, &id[..8]);
    let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    let session = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = session(pid).rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, pid.to_string(), "it leads a session of its own");
    let members = children(pid);
    desk.run(&format!("kill {}", &id[..8])).fine();
    assert_eq!(desk.run(&format!("status {id} --json")).fine().json()["state"], "stopped");
    for pid in members.iter().chain([&pid]) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{pid} lives");
    }
    let logs = desk.run(&format!("logs {id}")).fine().out;
    assert!(logs.contains("==> launcher <==") && logs.contains("stopped by TERM"), "{logs}");
    desk.run(&format!("kill {id}")).refused(3, &["does not run", "stopped"]);
    // What is wrong with the command is said at once.
    trial(&desk, "--splits 2 --dashboard 0.0.0.0:0 --detach").wait().refused(2, &["needs a token"]);
    assert_eq!(desk.run("jobs --json").fine().json().as_array().unwrap().len(), 1, "a refused run is no job");
}

#[test]
fn a_job_whose_process_is_gone_has_died() {
    let desk = Desk::new();
    let run = trial(&desk, LONG);
    let status = under_way(&desk, "mapfold-trial");
    run.signal("KILL");
    run.wait();
    let told = desk.run("status mapfold-trial").fine().out;
    assert!(told.contains("died"), "{told}");
    assert_eq!(desk.run("status mapfold-trial --json").fine().json()["state"], "died");
    let why = desk.run("why mapfold-trial").fine().out;
    assert!(why.contains(&format!("process {} is gone", status["pid"])) && why.contains("next"), "{why}");
    desk.run("kill mapfold-trial").refused(3, &["does not run", "died"]);
    // The number now belongs to somebody else: a stranger is never sent a signal.
    let log = desk.path(&format!("state/mapfold/jobs/{}/events.ndjson", status["id"].as_str().unwrap()));
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let text = text.replace(&format!("\"pid\":{}", status["pid"]), &format!("\"pid\":{}", stranger.id()));
    std::fs::write(&log, text).unwrap();
    desk.run("kill mapfold-trial").refused(3, &["does not run", "died"]);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn why_tells_the_chain_of_a_failure() {
    let desk = Desk::new();
    let job = format!("--splits 60 --millis 5 --bad 7 --harm abort {PSEUDO} --threads 2");
    assert_eq!(trial(&desk, &job).wait().code, 1);
    let why = desk.run("why mapfold-trial").fine().out;
    for word in ["failed after", "cause  ", "at: unit 7", "stage: ", "lost members", "SIGABRT", "memory", "next"] {
        assert!(why.contains(word), "{word}: {why}");
    }
    let json = desk.run("why mapfold-trial --json").fine().json();
    assert_eq!(json["errors"]["end"]["place"], "unit 7", "{json}");
    assert!(json["members_lost"].as_u64() >= Some(3), "{json}");
    // Left out, with leave: committed, and the one that is missing is named.
    let ran = trial(&desk, &format!("{job} --on-error skip --max-bad-splits 1")).wait();
    assert_eq!(ran.code, 4, "{ran}");
    let why = desk.run("why mapfold-trial").fine().out;
    assert!(why.contains("left out: split 7 of stage 0, unit 7"), "{why}");
    assert_eq!(desk.run("status mapfold-trial --json").fine().json()["state"], "done_with_skips");
}

#[test]
fn history_keeps_the_report_as_it_was_shown() {
    let desk = Desk::new();
    let shown = trial(&desk, &format!("--splits 40 --millis 5 {PSEUDO} --json")).wait().fine().json()["run"].clone();
    let kept = desk.run("history mapfold-trial --json").fine().json();
    assert_eq!(kept, shown);
    let skew = &shown["stages"][0]["split_seconds"];
    let [min, median, max] = ["min", "median", "max"].map(|k| skew[k].as_f64().unwrap());
    assert!(0.005 <= min && min <= median && median <= max, "{skew}");
    let memory = &shown["memory"];
    assert!(memory["predicted_bytes"].as_u64() > Some(0) && memory["peak_bytes"].as_u64() > Some(0), "{memory}");
    let text = desk.run("history mapfold-trial").fine().out;
    for word in ["done in", "times of splits", "slowest", "used "] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

fn refused(desk: &Desk, line: &str, words: &[&str]) -> Ran {
    desk.run(line).refused(3, words).with_remedy()
}

#[test]
fn a_misspelt_job_gets_the_nearest_name() {
    let desk = Desk::new();
    refused(&desk, "status anything", &["no job has run"]);
    trial(&desk, "--splits 4").wait().fine();
    refused(&desk, "status mapfold-trail", &["did you mean mapfold-trial"]);
    refused(&desk, "why zzzzzz", &["mapfold jobs"]);
    refused(&desk, "logs mapfold-trial", &["no logs", "--detach"]);
    let id = desk.run("jobs --json").fine().json()[0]["id"].as_str().unwrap().to_owned();
    let twin = format!("{}{}", &id[..6], "0".repeat(26));
    let folder = |id: &str| desk.path(&format!("state/mapfold/jobs/{id}"));
    std::fs::create_dir(folder(&twin)).unwrap();
    std::fs::copy(folder(&id).join("events.ndjson"), folder(&twin).join("events.ndjson")).unwrap();
    desk.run(&format!("status {}", &id[..6])).refused(2, &["several jobs"]).with_remedy();
    // One bad line costs that line, not the history.
    let log = folder(&id).join("events.ndjson");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, format!("{{\"at_ms\":1,\"event\":\"of_tomorrow\"}}\nnot json\n{text}")).unwrap();
    assert_eq!(desk.run(&format!("status {id} --json")).fine().json()["unread_events"], 2);
    desk.run(&format!("history {id}")).fine();
}

#[test]
fn off_is_off() {
    let desk = Desk::new();
    let run = trial(&desk, &format!("{LONG} --dashboard off"));
    let status = under_way(&desk, "mapfold-trial");
    assert_eq!(status["url"], Value::Null);
    run.signal("INT");
    assert_eq!(run.wait().code, 130);
    assert_eq!(desk.run("history mapfold-trial --json").fine().json()["state"], "stopped");
}
