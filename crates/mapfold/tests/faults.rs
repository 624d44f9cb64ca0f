//! What goes wrong while a job runs: it ends, it says why, and no committed work is lost.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold::coord::JobFolder;
use mapfold::engine::{Cancel, RunOptions, RunOutcome, run};
use mapfold::grid::{GeoBox, Shape};
use mapfold::plan::{Kind, PlanOptions};
use mapfold::prelude::*;
use mapfold::raster::write::WriteOptions;
use mapfold::store::Stores;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn opts(workers: usize, threads: usize) -> RunOptions {
    RunOptions { workers, threads, ..RunOptions::default() }
}

fn plan() -> Plan {
    Plan::new(Stores::new(), PlanOptions { tile: Some(64), ..PlanOptions::default() })
}

/// Runs a plan on a thread of its own; a run that hangs is a failed test, not a test that hangs.
fn ends(plan: Plan, opts: RunOptions) -> Result<RunOutcome> {
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || drop(tx.send(run(&plan, &opts))));
    rx.recv_timeout(Duration::from_secs(20)).expect("the run ends")
}

#[test]
fn a_later_stage_without_splits_ends() {
    for workers in [1, 3] {
        let p = plan();
        p.range(3).report("three").unwrap();
        p.range(0).report("none").unwrap();
        let got = ends(p, opts(workers, 2)).unwrap().reports;
        assert_eq!((got[0].values.len(), got[1].values.len()), (3, 0));
    }
}

#[test]
fn workers_may_come_late_to_a_stage() {
    for _ in 0..20 {
        let p = plan();
        (0..10).for_each(|i| p.range(1).report(&format!("stage{i}")).unwrap());
        assert_eq!(ends(p, opts(3, 2)).unwrap().reports.len(), 10);
    }
}

#[test]
fn a_failed_job_waits_for_no_one_and_does_not_abort() {
    let p = plan();
    let slow = |i: u64| {
        if i == 0 {
            return Err(Error::job("zero is bad"));
        }
        std::thread::sleep(Duration::from_millis(300));
        Ok(i)
    };
    p.range(4).try_map(slow).report("never").unwrap();
    assert_eq!(ends(p, opts(1, 2)).unwrap_err().what(), "zero is bad");
    std::thread::sleep(Duration::from_millis(600)); // The slow closure ends after its job.
}

/// 16 splits of 64 x 64 pixels; `at` is told of each window before it is computed.
fn checkers(out: &Path, at: impl Fn(Window) + Send + Sync + 'static) -> Plan {
    let p = plan();
    let grid = GeoBox::plain(Shape { rows: 256, cols: 256 });
    let made = p.generate::<f32>(grid, "checkers", None, move |w| {
        at(w);
        (0..w.pixels()).map(|i| (i as i64 + w.row * 7 + w.col) as f32).collect()
    });
    let plain = GTiff { options: WriteOptions { blocksize: 64, ..GTiff::default().options } };
    made.write(&Loc::local(out), plain).unwrap();
    p
}

#[test]
fn what_is_decided_and_in_its_place_is_left_alone_by_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.tif");
    run(&checkers(&out, |_| ()), &opts(1, 1)).unwrap();
    let whole = std::fs::read(&out).unwrap();
    std::fs::remove_file(&out).unwrap();

    // A folder in the way: the job is decided, but cannot be published.
    let blocked = out.clone();
    let block = move |w: Window| {
        if w.row > 128 {
            std::fs::create_dir_all(blocked.join("x")).unwrap();
        }
    };
    run(&checkers(&out, block), &opts(1, 1)).unwrap_err();
    let folder = dir.path().join(".out.tif.mapfold");
    assert!(folder.join("manifest.json").exists(), "decided");
    std::fs::remove_dir_all(&out).unwrap();

    // The process died after the rename, before the folder was removed.
    std::fs::rename(folder.join("parts/stream-0"), &out).unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), whole);
    run(&checkers(&out, |_| ()), &RunOptions { resume: true, ..opts(1, 1) }).unwrap();
    assert!(std::fs::read(&out).unwrap() == whole, "the output is as it was");
    assert!(!folder.exists());
}

#[test]
fn a_resume_that_is_stopped_early_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.tif");
    // Stopped in the last row of splits. (A run that fails by its data or its code leaves nothing: no resume could end.)
    let first = Cancel::default();
    let stopper = first.clone();
    let stop_late = move |w: Window| {
        if w.row >= 192 {
            stopper.cancel(2);
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    run(&checkers(&out, stop_late), &RunOptions { cancel: first, ..opts(1, 1) }).unwrap_err();
    let folder = JobFolder::for_output(&Loc::local(&out));
    assert!(Path::new(&folder.to_string()).exists());

    let cancel = Cancel::default();
    cancel.cancel(2);
    let stop = RunOptions { resume: true, cancel, ..opts(1, 1) };
    // Slow, so that nothing new is stored before the run is stopped.
    let slow = |_: Window| std::thread::sleep(Duration::from_millis(200));
    assert_eq!(run(&checkers(&out, slow), &stop).unwrap_err().kind(), Kind::Interrupted);
    assert!(Path::new(&folder.to_string()).exists(), "the work of the first run is still there");

    let computed = Arc::new(AtomicUsize::new(0));
    let count = computed.clone();
    let count = move |_: Window| {
        count.fetch_add(1, SeqCst);
    };
    let done = run(&checkers(&out, count), &RunOptions { resume: true, ..opts(1, 1) }).unwrap();
    assert!(computed.load(SeqCst) < 16 && done.stages[0].resumed > 0, "not everything again");
}
