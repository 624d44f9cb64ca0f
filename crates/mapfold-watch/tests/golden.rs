//! The texts people see, word for word.
#![allow(clippy::unwrap_used)]

use mapfold_coord::events::Outcome;
use mapfold_coord::{Attempt, Counters, Failure, FailureKind, JobEvent, MemberId, Phase, PhaseTimes, SplitId, StageId};
use mapfold_watch::{Meter, OutputReport, PIXELS, RunReport};
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn planned(stage: u32, label: &str, splits: u64, already_done: u64) -> JobEvent {
    JobEvent::StagePlanned { stage: StageId(stage), label: label.to_owned(), splits, already_done, bytes_in: None }
}

fn done(stage: u32, splits: u64, times: PhaseTimes) -> JobEvent {
    JobEvent::SplitsDone {
        stage: StageId(stage),
        splits,
        times,
        bytes_in: splits * MIB,
        bytes_out: splits * MIB / 2,
        in_flight: None,
    }
}

fn failed(skipped: bool) -> JobEvent {
    let failure = Failure::new(FailureKind::Io, "connection reset");
    JobEvent::SplitFailed {
        stage: StageId(0),
        split: SplitId(3),
        attempt: Attempt(0),
        failure,
        skipped,
        place: String::new(),
    }
}

fn pixels(n: u64) -> JobEvent {
    let mut counters = Counters::default();
    counters.add(PIXELS, n);
    JobEvent::Counters { counters }
}

fn times(millis: [(Phase, u64); 3]) -> PhaseTimes {
    let mut t = PhaseTimes::default();
    millis.into_iter().for_each(|(phase, ms)| t.add(phase, Duration::from_millis(ms)));
    t
}

fn ended(outcome: Outcome) -> JobEvent {
    let mut counters = Counters::default();
    counters.add(PIXELS, 120_560_400);
    counters.add("blocks", 484);
    JobEvent::JobEnded {
        at: None,
        outcome,
        wall_seconds: 4.77,
        user_seconds: 8.71,
        sys_seconds: 0.43,
        peak_bytes: Some(200 * MIB),
        times: PhaseTimes::default(),
        counters,
        failure: None,
        stage: None,
        place: None,
    }
}

fn report() -> RunReport {
    let mut report = RunReport::new("ndvi");
    report.threads = 2;
    report.event(&planned(0, "map at src/main.rs:19", 484, 0));
    report.event(&done(0, 483, times([(Phase::Decode, 3100), (Phase::Compute, 450), (Phase::Encode, 4900)])));
    report.event(&failed(false));
    report.event(&done(0, 1, PhaseTimes::default()));
    report.event(&JobEvent::StageDone { stage: StageId(0), seconds: 4.6 });
    report.event(&ended(Outcome::Committed));
    report.memory.predicted_bytes = Some(230 * MIB);
    report.memory.limit_bytes = Some(256 * MIB);
    report.outputs.push(OutputReport {
        path: "out/ndvi.tif".to_owned(),
        bytes: Some(301_000_000),
        what: "COG 10980x10980 float32".to_owned(),
    });
    report.warnings.push("red.tif: sidecar red.tif.aux.xml was not read".to_owned());
    report
}

#[test]
fn the_report_is_aligned_plain_words() {
    let want = "\
ndvi: done in 4.8 s (user 8.7 s, sys 0.4 s, 2 threads)
stages
  stage                    splits  retries   wall  read  decode  compute  exchange  encode  write  bytes read  bytes written
  0 map at src/main.rs:19     484        1  4.6 s   0 s   3.1 s    0.5 s       0 s   4.9 s    0 s   484.0 MiB      242.0 MiB
outputs
  out/ndvi.tif  287.1 MiB  COG 10980x10980 float32
counters
  blocks          484
  pixels  120,560,400
memory
  peak 200.0 MiB, predicted 230.0 MiB, limit 256.0 MiB, used 87 % of the prediction
warning: red.tif: sidecar red.tif.aux.xml was not read
";
    let text = report().text(false);
    assert_eq!(text, want, "\n{text}");
}

#[test]
fn colour_changes_nothing_but_colour() {
    let coloured = report().text(true);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, report().text(false));
    assert!(coloured.contains("\u{1b}[32mdone\u{1b}[0m"));
}

#[test]
fn a_report_of_nothing_has_no_empty_sections() {
    let text = RunReport::new("x").text(false);
    assert_eq!(text, "x: stopped after 0 s (user 0 s, sys 0 s, 1 thread)\n");
}

#[test]
fn skipped_parts_are_told_in_the_headline_and_the_table() {
    let mut report = report();
    report.event(&failed(true));
    report.event(&ended(Outcome::CommittedWithSkips));
    let text = report.text(false);
    assert!(text.starts_with("ndvi: done, with parts left out, in 4.8 s"), "{text}");
    assert!(text.contains("retries  skipped"), "{text}");
}

#[test]
fn json_names_every_phase_in_seconds_and_leaves_no_field_out() {
    let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
    assert_eq!(json["outcome"], "committed");
    assert_eq!(json["stages"][0]["seconds"]["decode"], 3.1);
    assert_eq!(json["stages"][0]["seconds"]["wait"], 0.0);
    assert!(json["stages"][0]["user_seconds"].is_null());
    assert_eq!(json["memory"]["limit_bytes"], 256 * MIB);
    assert_eq!(json["counters"]["blocks"], 484);
    assert!(json.get("failure").is_some());
}

#[test]
fn the_bar_speaks_of_stage_splits_speed_and_time_left() {
    let mut meter = Meter::default();
    assert_eq!(meter.line(0.2), "mapfold  planning  0.2 s");
    meter.event(&planned(0, "map", 400, 0));
    meter.tick(1.0);
    assert_eq!(meter.line(1.0), "mapfold 1/1  0/400 splits  0 %  1.0 s  read 0 B  written 0 B  map");
    meter.event(&done(0, 100, PhaseTimes::default()));
    meter.event(&pixels(100_000_000));
    let want = "mapfold 1/1  100/400 splits  25 %  ETA 6.0 s  50.0 MPix/s  read 100.0 MiB  written 50.0 MiB  map";
    assert_eq!(meter.line(3.0), want);
    meter.event(&failed(false));
    meter.event(&JobEvent::StageDone { stage: StageId(0), seconds: 4.0 });
    let line = meter.line(4.0);
    assert!(line.contains("400/400 splits  100 %  finishing") && line.ends_with("failed attempts: 1  map"), "{line}");
}

#[test]
fn the_estimate_follows_the_last_seconds_not_the_first() {
    let mut meter = Meter::default();
    meter.event(&planned(0, "map", 1000, 0));
    // 10 splits in the first 100 s, then 10 splits per second.
    meter.tick(0.0);
    meter.event(&done(0, 10, PhaseTimes::default()));
    for second in 100..130 {
        meter.tick(f64::from(second));
        meter.event(&done(0, 10, PhaseTimes::default()));
    }
    let left = meter.remaining(130.0).unwrap();
    assert!((left - 69.0).abs() < 69.0 * 0.2, "{left}");
}

#[test]
fn a_resumed_stage_counts_what_was_done_but_not_into_its_speed() {
    let mut meter = Meter::default();
    meter.event(&planned(0, "map", 100, 90));
    meter.tick(0.0);
    assert_eq!(meter.fraction(), 0.9);
    let event = JobEvent::SplitDone {
        stage: StageId(0),
        split: SplitId(95),
        attempt: Attempt(0),
        member: MemberId(0),
        times: PhaseTimes::default(),
        bytes_in: 1,
        bytes_out: 1,
    };
    meter.event(&event);
    assert_eq!(meter.remaining(1.0), Some(9.0));
}
