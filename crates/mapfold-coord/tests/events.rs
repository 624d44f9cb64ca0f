//! The event log: what is written is read back, many splits take few lines, nothing is fatal.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapfold_coord::events::{EventLog, JobEvent, Outcome, SPLIT_LINES, Subscriber, VERSION, read_events};
use mapfold_coord::process::Process;
use mapfold_coord::{Attempt, Counters, Failure, FailureKind, JobId, MemberId, PhaseTimes, SplitId, StageId};

fn split_done(split: u64) -> JobEvent {
    JobEvent::SplitDone {
        stage: StageId(0),
        split: SplitId(split),
        attempt: Attempt(0),
        member: MemberId(0),
        times: PhaseTimes { nanos: [1; 7] },
        bytes_in: 10,
        bytes_out: 1,
    }
}

fn ended() -> JobEvent {
    JobEvent::JobEnded {
        at: None,
        outcome: Outcome::Failed,
        wall_seconds: 0.1,
        user_seconds: 0.2,
        sys_seconds: 0.0,
        peak_bytes: Some(u64::MAX),
        times: PhaseTimes::default(),
        counters: Counters::default(),
        failure: Some(Failure::new(FailureKind::Io, "a \"quoted\"\nline").with_remedy("wait")),
        stage: None,
        place: Some("block (3,9)".to_owned()),
    }
}

#[derive(Default)]
struct Count(AtomicU64);

impl Subscriber for Count {
    fn event(&self, _: &JobEvent) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_event_is_read_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs/x/events.ndjson");
    let started = JobEvent::JobStarted {
        id: JobId::random().unwrap(),
        name: "ndvi".to_owned(),
        params: [("eps".to_owned(), serde_json::json!(0.5))].into(),
        process: Process::here(),
        version: VERSION,
    };
    let events = [started, split_done(3), ended()];
    let log = EventLog::open_at(&path);
    events.iter().for_each(|event| log.emit(event));
    let read = read_events(&path).unwrap();
    assert!(read.iter().map(|timed| &timed.event).eq(&events), "{read:?}");
}

#[test]
fn many_splits_take_few_lines_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let log = EventLog::open_at(&path);
    let count = Arc::new(Count::default());
    log.subscribe(count.clone());
    (0..100_000).for_each(|split| log.emit(&split_done(split)));
    log.emit(&ended());
    assert_eq!(count.0.load(Ordering::Relaxed), 100_001);
    let events = read_events(&path).unwrap();
    assert!((events.len() as u64) < SPLIT_LINES + 200);
    let (mut splits, mut bytes) = (0, 0);
    for timed in &events {
        let (more, read) = match timed.event {
            JobEvent::SplitDone { bytes_in, .. } => (1, bytes_in),
            JobEvent::SplitsDone { splits, bytes_in, .. } => (splits, bytes_in),
            _ => (0, 0),
        };
        splits += more;
        bytes += read;
    }
    assert_eq!((splits, bytes), (100_000, 1_000_000));
    assert!(matches!(events.last().unwrap().event, JobEvent::JobEnded { .. }));
}

#[test]
fn a_torn_last_line_and_unknown_events_do_not_hide_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    EventLog::open_at(&path).emit(&split_done(1));
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"at_ms\":1,\"event\":\"of_the_future\",\"x\":1}\n{\"at_ms\":2,\"ev").unwrap();
    let events = read_events(&path).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].event, JobEvent::Unknown);
    file.write_all(b"\nnonsense\n").unwrap();
    let message = read_events(&path).unwrap_err().to_string();
    assert!(message.contains("line 3"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_subscribers() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let log = EventLog::open_at(&in_the_way.join("jobs/events.ndjson"));
    let count = Arc::new(Count::default());
    log.subscribe(count.clone());
    log.emit(&split_done(0));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(log.path(), None);
}

/// A full disk is met with one warning and no file.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_file_and_not_the_job() {
    let log = EventLog::open_at(std::path::Path::new("/dev/full"));
    (0..1_000).for_each(|split| log.emit(&split_done(split)));
    log.end();
    assert_eq!(log.path(), None);
}
