//! Inputs and outputs in stores on servers: the bytes of a local run, whole or not at all, nothing beside them, no upload
//! left open.
//!
//! What lies in a store is asked by another client (`tests/oracle/far.py`). The servers are started by `cluster/part.sh`.
//! The table of all jobs, stores and modes is made by `bench/stores.py`; here each store sees each job once or twice.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Far, far, mapfold};
use std::fmt::Write as _;
use std::fs;

/// A store, and inputs here and there.
struct Room {
    far: Far,
    here: Inputs,
    there: Inputs,
}

/// Where a run finds its inputs.
struct Inputs {
    red: String,
    nir: String,
    text: String,
    table: String,
}

impl Room {
    fn new(part: &'static str) -> Option<Room> {
        Some(Room::of(far(part)?))
    }

    fn of(far: Far) -> Room {
        let scene = far.desk.scene(600);
        let band = |n: usize| scene.split(' ').nth(n).unwrap().to_owned();
        words(&far);
        let here = Inputs { red: band(1), nir: band(3), text: "in.txt".into(), table: "in.csv".into() };
        let sent = |from: &str, name: &str| {
            let (file, fragment) = from.split_once('#').map_or((from, String::new()), |(f, n)| (f, format!("#{n}")));
            far.upload(file, &format!("in/{name}")) + &fragment
        };
        let there = Inputs {
            red: sent(&here.red, "red.tif"),
            nir: sent(&here.nir, "nir.tif"),
            text: sent(&here.text, "in.txt"),
            table: sent(&here.table, "in.csv"),
        };
        Room { far, here, there }
    }

    /// Runs a job in the store.
    fn run(&self, job: &Job, more: &str) -> mapfold_tests::Ran {
        self.far.run(&job.line(&self.there, &self.far.loc(job.out), more))
    }

    /// The same, killed at a step.
    fn killed(&self, job: &Job, more: &str, step: &str) {
        let line = job.line(&self.there, &self.far.loc(job.out), more);
        let ran = self.far.start(mapfold(), &line, &format!("{step}=abort")).wait();
        assert_eq!(ran.code, 137, "{} {step} was not reached: {ran}", self.far.name);
    }

    /// What a local run makes; it is run the first time.
    fn want(&self, job: &Job) -> Vec<(String, Vec<u8>)> {
        let desk = &self.far.desk;
        if !desk.path(job.out).exists() {
            desk.run(&job.line(&self.here, job.out, "")).fine();
        }
        if !job.folder {
            return vec![(String::new(), desk.bytes(job.out))];
        }
        let names = fs::read_dir(desk.path(job.out)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "_SUCCESS").collect();
        names.sort();
        names.into_iter().map(|name| (name.clone(), desk.bytes(&format!("{}/{name}", job.out)))).collect()
    }

    /// What is there: the same, and nothing beside it.
    #[track_caller]
    fn is_right(&self, job: &Job, when: &str) {
        let part = self.far.name;
        let mut there = match job.folder {
            true => self.far.tree(job.out),
            false => vec![(String::new(), self.far.bytes(job.out))],
        };
        let files = there.len();
        there.retain(|(name, _)| name != "_SUCCESS");
        assert_eq!(files - there.len(), usize::from(job.folder), "{part} {} {when}: is it whole?", job.out);
        assert!(there == self.want(job), "{part} {} {when}: other bytes", job.out);
    }

    /// Nothing but inputs and outputs is in the test's folder of the store.
    #[track_caller]
    fn nothing_beside(&self, outputs: &[&str]) {
        let known = |name: &String| outputs.iter().any(|out| name == out || name.starts_with(&format!("{out}/")));
        let strange = |name: &String| !name.starts_with("in/") && !known(name);
        let left: Vec<String> = self.far.names("").into_iter().filter(strange).collect();
        assert_eq!(left, [""; 0], "{}: left beside the outputs", self.far.name);
        assert_eq!(self.far.uploads(outputs), [""; 0], "{}: uploads left open", self.far.name);
    }

    fn is_seen(&self, job: &Job) -> bool {
        let done = if job.folder { format!("{}/_SUCCESS", job.out) } else { job.out.to_owned() };
        self.far.names("").contains(&done)
    }
}

/// A job with an output.
struct Job {
    out: &'static str,
    folder: bool,
    line: fn(&Inputs) -> String,
}

impl Job {
    fn line(&self, inputs: &Inputs, out: &str, more: &str) -> String {
        format!("run {} --out {out} -q {more}", (self.line)(inputs))
    }
}

const NDVI: Job = Job {
    out: "ndvi.tif",
    folder: false,
    line: |at| format!("ndvi --red {} --nir {} --tile 256 --blocksize 128", at.red, at.nir),
};
const WORDS: Job =
    Job { out: "words", folder: true, line: |at| format!("wordcount {} --split-size 65536", at.text) };
const SORT: Job = Job { out: "sorted", folder: true, line: |at| format!("sort {} --split-size 65536", at.text) };
const TABLE: Job = Job {
    out: "table.parquet",
    folder: false,
    line: |at| format!("aggregate {} --by city --agg value:sum,mean --agg n:max", at.table),
};
const JOBS: [Job; 4] = [NDVI, WORDS, SORT, TABLE];
const OUTPUTS: [&str; 4] = [NDVI.out, WORDS.out, SORT.out, TABLE.out];

/// Lines of words, enough for several splits of 64 KiB, and a table.
fn words(far: &Far) {
    let (mut text, mut table) = (String::new(), String::from("city,value,n\n"));
    for i in 0..12_000u64 {
        let mixed = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "word{} and{} {i}", (mixed >> 33) % 5000, mixed % 31).unwrap();
        writeln!(table, "c{},{},{i}", (mixed >> 40) % 97, (i % 1000) as f64 / 8.0).unwrap();
    }
    fs::write(far.desk.path("in.txt"), text).unwrap();
    fs::write(far.desk.path("in.csv"), table).unwrap();
}

fn each_job_makes_the_bytes_of_a_local_run(part: &'static str) {
    let Some(room) = Room::new(part) else { return };
    for mode in ["", "--mode pseudo --workers 2 --overwrite"] {
        for job in &JOBS {
            room.run(job, mode).fine();
            room.is_right(job, mode);
        }
        room.nothing_beside(&OUTPUTS);
    }
    for job in &JOBS {
        room.run(job, "").refused(3, &[job.out, "--overwrite"]);
        room.is_right(job, "after a refusal");
    }
    // Over another result: fewer parts than before, and other bytes.
    room.run(&WORDS, "--partitions 1 --overwrite").fine();
    assert_eq!(room.far.names(WORDS.out), ["_SUCCESS", "part-r-00000"], "{part}");
    room.run(&NDVI, "--compress none --overwrite").fine();
    assert!(room.far.bytes(NDVI.out) != room.want(&NDVI)[0].1, "{part}: it was not replaced");
    for job in [&WORDS, &NDVI] {
        room.run(job, "--overwrite").fine();
        room.is_right(job, "over another result");
    }
    room.nothing_beside(&OUTPUTS);
}

/// Steps of the commit protocol, in order (crate `mapfold-coord`, `failpoint.rs`).
const STEPS: [&str; 8] =
    ["claimed", "planned", "logged:1", "laid-out", "before-decision", "decided", "revealed", "before-cleaning"];
/// Those after which an output is to be seen.
const AFTER: [&str; 2] = ["revealed", "before-cleaning"];

fn killed_at_a_step_it_goes_on(part: &'static str, steps: &[&str]) {
    let Some(room) = Room::new(part) else { return };
    for job in [&NDVI, &WORDS] {
        for step in steps {
            room.killed(job, "", step);
            assert_eq!(room.is_seen(job), AFTER.contains(step), "{part} {} {step}: is it to be seen?", job.out);
            room.run(job, "--resume").fine();
            room.is_right(job, step);
            room.nothing_beside(&[job.out]);
            room.far.run(&format!("rm -r {}", room.far.loc(job.out))).fine();
        }
        // The same over another result, which must not be lost before the decision.
        let other = if job.folder { "--partitions 1" } else { "--compress none" };
        for step in ["before-decision", "decided", "revealed"] {
            room.run(job, &format!("{other} --overwrite")).fine();
            room.killed(job, "--overwrite", step);
            assert!(room.is_seen(job), "{part} {} {step}: neither the older result nor the new one", job.out);
            room.run(job, "--resume").fine();
            room.is_right(job, step);
        }
        room.nothing_beside(&[NDVI.out, WORDS.out]);
        room.far.run(&format!("rm -r {}", room.far.loc(job.out))).fine();
    }
}

fn what_is_given_up_is_swept(part: &'static str) {
    let Some(room) = Room::new(part) else { return };
    let far = &room.far;
    room.killed(&WORDS, "", "before-decision");
    let open = far.uploads(&[WORDS.out]).len();
    assert_eq!(open > 0, ["s3", "gcs"].contains(&part), "{part}: {open} uploads are open");
    if part == "s3" {
        far.begin_upload(&format!("{}/part-r-00000", WORDS.out)); // Its process died before it could note the id.
    }
    let kept = far.run(&format!("fsck {} --clean", far.loc(WORDS.out)));
    assert_eq!(kept.code, 1, "undecided work is not removed by --clean: {kept}");
    assert!(far.uploads(&[WORDS.out]).len() >= open, "{part}: fsck ended uploads of work that can be resumed");
    far.run(&format!("fsck {} --discard", far.loc(WORDS.out))).fine();
    assert_eq!(far.uploads(&[WORDS.out]), [""; 0], "{part}");
    room.nothing_beside(&[]);
    if ["s3", "gcs", "azure"].contains(&part) {
        // As a member leaves it that comes late, when all is over.
        far.upload("in.txt", &format!(".{}.mapfold/parts/late", WORDS.out));
        let root = far.loc("");
        assert_eq!(far.run(&format!("fsck {root}")).code, 1, "{part}: it is not seen");
        far.run(&format!("fsck {root} --clean")).fine();
        room.nothing_beside(&[]);
    }
}

#[test]
fn faults_of_the_server_change_no_byte() {
    let Some(far) = far("s3") else { return };
    let faults = "--seed 5 --error-500 0.01 --error-503 0.01 --reset 0.01 --lost-answer 0.01 --cut 0.01";
    let variables = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"];
    let Some((far, proxy)) = far.through(&variables, faults) else { return };
    let room = Room::of(far);
    for mode in ["", "--mode pseudo --workers 2 --overwrite"] {
        for job in [&NDVI, &WORDS] {
            room.run(job, mode).fine();
            room.is_right(job, mode);
        }
    }
    let report = proxy.report();
    let hurt: u64 = report["faults"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    assert!(hurt >= 10, "{report}");
    room.nothing_beside(&[NDVI.out, WORDS.out]);
}

macro_rules! for_each_store {
    ($($store:ident $steps:expr;)*) => {
        $(mod $store {
            #[test]
            fn each_job_makes_the_bytes_of_a_local_run() {
                super::each_job_makes_the_bytes_of_a_local_run(stringify!($store));
            }

            #[test]
            fn killed_at_a_step_it_goes_on() {
                super::killed_at_a_step_it_goes_on(stringify!($store), $steps);
            }

            #[test]
            fn what_is_given_up_is_swept() {
                super::what_is_given_up_is_swept(stringify!($store));
            }
        })*
    };
}

for_each_store! {
    s3 &super::STEPS;
    hdfs &super::STEPS;
    azure &["before-decision", "decided", "revealed"];
    gcs &["before-decision", "decided", "revealed"];
}
