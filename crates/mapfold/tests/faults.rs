//! What goes wrong while a job runs: it ends, it says why, and no committed work is lost.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold::coord::{EventLog, FailureKind, JobEvent, JobFolder, Subscriber};
use mapfold::engine::{Cancel, RunOptions, RunOutcome, run};
use mapfold::grid::{GeoBox, Shape};
use mapfold::plan::{Kind, PlanOptions};
use mapfold::prelude::*;
use mapfold::raster::write::WriteOptions;
use mapfold::store::Stores;
use mapfold::testing::Lab;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
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

/// Keeps why the job failed.
#[derive(Default)]
struct Why(Mutex<Option<FailureKind>>);

impl Subscriber for Why {
    fn event(&self, event: &JobEvent) {
        if let JobEvent::JobEnded { failure, .. } = event {
            *self.0.lock().unwrap() = failure.as_ref().map(|f| f.kind);
        }
    }
}

/// The kind of failure that the event log is told.
fn told(plan: &Plan, opts: RunOptions) -> Option<FailureKind> {
    let (why, events) = (Arc::new(Why::default()), EventLog::nowhere());
    events.subscribe(why.clone());
    run(plan, &RunOptions { events: Arc::new(events), ..opts }).unwrap_err();
    *why.0.lock().unwrap()
}

#[test]
fn the_event_log_is_told_who_can_do_something_about_a_failure() {
    let user = plan();
    user.range(2).try_map(|i| if i == 1 { Err(Error::job("one is bad")) } else { Ok(i) }).report("never").unwrap();
    assert_eq!(told(&user, opts(1, 1)), Some(FailureKind::User));
    let panics = plan();
    panics.range(2).map(|i| if i == 1 { panic!("one") } else { i }).report("never").unwrap();
    assert_eq!(told(&panics, opts(1, 1)), Some(FailureKind::Panic));
    let stopped = plan();
    stopped.range(2).report("never").unwrap();
    let cancel = Cancel::default();
    cancel.cancel(2);
    assert_eq!(told(&stopped, RunOptions { cancel, ..opts(1, 1) }), Some(FailureKind::Cancelled));
}

#[test]
fn the_event_log_is_told_whether_an_input_a_store_or_an_output_failed() {
    let lab = Lab::new();
    let copy = |loc: &Loc| {
        let p = Plan::new(lab.stores().clone(), PlanOptions::default());
        p.raster::<f32>([loc]).unwrap().write(&lab.loc("copy.tif"), Cog::default()).unwrap();
        p
    };
    let (bad, gone) = (lab.raster("1 2 | 3 4").unwrap(), lab.raster("1 2 | 3 4").unwrap());
    let mut bytes = lab.stores().get(&bad).unwrap().to_vec();
    let end = bytes.len();
    bytes[end - 12..].fill(0xA5);
    lab.stores().put(&bad, bytes.into()).unwrap();
    assert_eq!(told(&copy(&bad), opts(1, 1)), Some(FailureKind::Data));
    let planned = copy(&gone);
    lab.stores().delete(&gone).unwrap();
    assert_eq!(told(&planned, opts(1, 1)), Some(FailureKind::Io));

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.tif");
    let blocked = out.clone();
    let in_the_way = checkers(&out, move |_| std::fs::create_dir_all(blocked.join("x")).unwrap());
    assert_eq!(told(&in_the_way, opts(1, 1)), Some(FailureKind::Output));
}

/// A plan of some outputs of `side` x `side` pixels in a folder.
fn squares(folder: &Path, names: &[&str], side: usize) -> Plan {
    let p = plan();
    for name in names {
        let grid = GeoBox::plain(Shape { rows: side, cols: side });
        let ones = p.generate::<f32>(grid, "ones", None, |w| vec![1.0; w.pixels()]);
        let plain = GTiff { options: WriteOptions { blocksize: 64, ..GTiff::default().options } };
        ones.write(&Loc::local(folder.join(name)), plain).unwrap();
    }
    p
}

#[test]
fn outputs_on_one_disk_share_its_space() {
    let dir = tempfile::tempdir().unwrap();
    let free = Stores::new().disk(&Loc::local(dir.path())).unwrap().unwrap().free as f64;
    let likely = |p: &Plan| p.stages()[0].output().unwrap().estimate().0 as f64;
    let per_pixel = likely(&squares(dir.path(), &["a.tif"], 6400)) / 6400f64.powi(2);
    let side = ((0.7 * free / per_pixel).sqrt() as usize).next_multiple_of(64);
    let two = squares(dir.path(), &["a.tif", "b.tif"], side);
    assert!(likely(&two) < free, "one fits");
    let e = run(&two, &RunOptions { memory_limit: 1 << 50, ..opts(1, 1) }).unwrap_err();
    let told = e.to_string();
    assert!(told.contains("a.tif, ") && told.contains("b.tif: together need about"), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
}

/// Bytes that this thread has read so far, from the page cache too.
#[cfg(target_os = "linux")]
fn read_by_this_thread() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|l| l.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn the_program_is_read_once_however_many_outputs_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let program = std::fs::metadata("/proc/self/exe").unwrap().len();
    let three = squares(dir.path(), &["a.tif", "b.tif", "c.tif"], 64);
    let before = read_by_this_thread();
    run(&three, &opts(1, 1)).unwrap(); // Outputs are claimed on this thread.
    let read = read_by_this_thread() - before;
    assert!((program..2 * program).contains(&read), "{read} bytes were read, the program has {program}");
}
