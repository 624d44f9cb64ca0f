//! Real children: how they end is reported, what they say is kept, and none outlives its launcher.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mapfold_coord::Generation;
use mapfold_launch::{Carrier, Ended, Exit, LaunchError, Local, MemberSpec, Membership, TAIL_BYTES, inherit};
use mapfold_wire::Token;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const GRACE: Duration = Duration::from_secs(30);

fn spec(index: u32, script: &str) -> MemberSpec {
    let job = "00112233445566778899aabbccddeeff".parse().unwrap();
    let meet = "127.0.0.1:1".to_owned();
    let place =
        Membership { job, index, members: 4, generation: Generation(0), meet, tls: false, binary: None, folder: None };
    MemberSpec { place, token: Token::random().unwrap(), arguments: vec!["-c".into(), script.into()] }
}

fn carrier() -> (Local, TempDir) {
    let logs = tempfile::tempdir().unwrap();
    (Local::of("/bin/sh", logs.path()).unwrap(), logs)
}

fn next(carrier: &Local) -> Exit {
    carrier.next_exit(Instant::now() + Duration::from_secs(60)).expect("an exit is reported")
}

fn ran(script: &str) -> Exit {
    let (carrier, _logs) = carrier();
    let slot = carrier.start(&spec(2, script)).unwrap();
    let exit = next(&carrier);
    assert_eq!((exit.slot, exit.index), (slot, 2));
    exit
}

fn alive(pid: &str) -> bool {
    // A zombie has ended; who should reap it is another question.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A line that a member wrote to its log.
fn line(log: &Path) -> String {
    let mut text = String::new();
    until("a line in the log", GRACE, || {
        text = std::fs::read_to_string(log).unwrap_or_default();
        text.contains('\n')
    });
    text.lines().next().unwrap().to_owned()
}

#[test]
fn codes_and_signals_are_told_apart() {
    for code in [0, 1, 4, 255] {
        assert_eq!(ran(&format!("exit {code}")).ended, Ended::Code(code));
    }
    for signal in [6, 9, 11, 15] {
        assert_eq!(ran(&format!("kill -{signal} $$")).ended, Ended::Signal(signal));
    }
    assert_eq!(Ended::Signal(11).to_string(), "killed by signal 11 (SIGSEGV)");
    assert_eq!(Ended::Code(3).to_string(), "exit code 3");
}

#[test]
fn what_it_says_is_kept_and_its_end_is_reported() {
    let exit = ran("echo out; echo err >&2; exit 3");
    assert_eq!(exit.tail, "out\nerr\n");
    let long = ran("i=0; while [ $i -lt 9000 ]; do echo line number $i; i=$((i+1)); done; echo last");
    assert!(long.tail.len() as u64 <= TAIL_BYTES && long.tail.ends_with("line number 8999\nlast\n"));
    assert!(long.tail.starts_with("line number "));
}

#[test]
fn a_second_start_adds_to_the_log_but_reports_its_own_end() {
    let (carrier, _logs) = carrier();
    carrier.start(&spec(1, "echo first")).unwrap();
    assert_eq!(next(&carrier).tail, "first\n");
    carrier.start(&spec(1, "echo second")).unwrap();
    let exit = next(&carrier);
    assert_eq!(exit.tail, "second\n");
    assert_eq!(std::fs::read_to_string(exit.log.unwrap()).unwrap(), "first\nsecond\n");
}

#[test]
fn the_token_comes_through_the_pipe_and_is_seen_nowhere_else() {
    let (carrier, _logs) = carrier();
    let show = "read token; echo $token; tr '\\0' ' ' < /proc/$$/cmdline; echo; tr '\\0' '\\n' < /proc/$$/environ";
    let spec = spec(0, show);
    carrier.start(&spec).unwrap();
    let tail = next(&carrier).tail;
    let mut token = Vec::new();
    spec.token.write_to(&mut token).unwrap();
    let token = String::from_utf8(token).unwrap();
    assert_eq!(tail.lines().next(), Some(token.trim()));
    assert_eq!(tail.matches(token.trim()).count(), 1, "not among arguments or the environment");
    assert!(tail.contains("--mapfold-member job=00112233445566778899aabbccddeeff,index=0,members=4"), "{tail}");
}

#[test]
fn stopping_asks_first() {
    let (carrier, _logs) = carrier();
    let slot =
        carrier.start(&spec(0, "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done")).unwrap();
    line(&carrier.log(0));
    carrier.stop(slot, GRACE);
    let exit = next(&carrier);
    assert_eq!((exit.ended, exit.tail.ends_with("asked\n")), (Ended::Code(7), true));
    carrier.stop(slot, GRACE); // once more, of one that has ended: nothing to do
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace_with_all_it_started() {
    let (carrier, _logs) = carrier();
    let slot = carrier.start(&spec(0, "trap '' TERM; sleep 1000 & echo $!; wait; wait")).unwrap();
    let grandchild = line(&carrier.log(0));
    carrier.stop(slot, Duration::from_millis(50));
    assert_eq!(next(&carrier).ended, Ended::Signal(9));
    until("the grandchild is gone", GRACE, || !alive(&grandchild));
}

#[test]
fn what_a_member_left_behind_is_cleared_away() {
    let (carrier, _logs) = carrier();
    carrier.start(&spec(0, "sleep 1000 & echo $!")).unwrap();
    let exit = next(&carrier);
    assert_eq!(exit.ended, Ended::Code(0));
    until("the grandchild is gone", GRACE, || !alive(exit.tail.trim()));
}

#[test]
fn dropping_the_carrier_ends_its_members() {
    let (carrier, logs) = carrier();
    (0..4).for_each(|i| {
        carrier.start(&spec(i, "echo $$; exec sleep 1000")).unwrap();
    });
    let pids: Vec<String> = (0..4).map(|i| line(&carrier.log(i))).collect();
    assert!(pids.iter().all(|pid| alive(pid)));
    drop(carrier);
    assert!(!pids.iter().any(|pid| alive(pid)), "gone, and reaped, when drop returns");
    drop(logs);
}

#[test]
fn what_cannot_start_is_named() {
    let logs = tempfile::tempdir().unwrap();
    let missing = Local::of("/no/such/program", logs.path()).unwrap();
    let error = missing.start(&spec(0, "")).unwrap_err();
    assert!(matches!(error, LaunchError::Start { .. }) && error.to_string().contains("/no/such/program"), "{error}");
    let nowhere = Local::of("/bin/sh", logs.path().join("none")).unwrap();
    assert!(matches!(nowhere.start(&spec(0, "")).unwrap_err(), LaunchError::Log { .. }));
}

const LOGS: &str = "MAPFOLD_TEST_LOGS";
const PIDS: &str = "MAPFOLD_TEST_PIDS";

/// This test binary once more, as one of its ignored "tests" alone.
fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

#[test]
#[ignore = "a process of the tests below: a launcher of four members, until it is killed"]
fn role_of_a_launcher() {
    let carrier = Local::of("/bin/sh", std::env::var(LOGS).unwrap()).unwrap();
    // A thread that starts members and ends does not take them with it.
    std::thread::scope(|s| {
        s.spawn(|| {
            (0..4).for_each(|i| {
                carrier.start(&spec(i, "echo $$; exec sleep 1000")).unwrap();
            });
        });
    });
    let pids: Vec<String> = (0..4).map(|i| line(&carrier.log(i))).collect();
    sleep(Duration::from_millis(100));
    println!("{PIDS} {}", pids.join(" "));
    sleep(Duration::from_secs(1000));
}

#[test]
fn a_killed_launcher_takes_its_members_along() {
    let logs = tempfile::tempdir().unwrap();
    let mut launcher = role("role_of_a_launcher").env(LOGS, logs.path()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
    let pids = lines.map(Result::unwrap).find(|line| line.starts_with(PIDS)).unwrap();
    let pids: Vec<&str> = pids.split(' ').skip(1).collect();
    assert!(pids.len() == 4 && pids.iter().all(|pid| alive(pid)));
    launcher.kill().unwrap();
    until("all members are gone within 2 s", Duration::from_secs(2), || !pids.iter().any(|pid| alive(pid)));
    launcher.wait().unwrap();
}

#[test]
#[ignore = "a process of the test below: a member that waits for its launcher's end"]
fn role_of_a_member() {
    let inherited = inherit().unwrap();
    println!("ready");
    inherited.lifeline.wait();
    println!("alone");
    std::process::exit(9);
}

/// The pipe alone, without the kernel's signal: its writing end closes with the launcher.
#[test]
fn a_member_notices_that_its_launcher_is_gone() {
    let mut member = role("role_of_a_member").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = member.stdin.take().unwrap();
    Token::random().unwrap().write_to(&mut pipe).unwrap();
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("ready")));
    drop(pipe);
    assert!(lines.any(|line| line == "alone"));
    assert_eq!(member.wait().unwrap().code(), Some(9));
}
