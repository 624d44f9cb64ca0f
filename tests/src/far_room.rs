//! Jobs that read and write in a store on a server, and what a local run makes of the same inputs.

use crate::{Far, Ran, far, mapfold};
use std::fmt::Write as _;
use std::fs;

/// A store, and inputs here and there.
#[derive(Debug)]
pub struct Room {
    /// The store.
    pub far: Far,
    here: Inputs,
    /// Inputs in the store.
    pub there: Inputs,
}

/// Where a run finds its inputs.
#[derive(Debug)]
pub struct Inputs {
    /// A band of a scene.
    pub red: String,
    /// Another.
    pub nir: String,
    /// Lines of words.
    pub text: String,
    /// Comma-separated values.
    pub table: String,
}

impl Room {
    /// The store of a part; `None`, loudly, where it cannot be had.
    pub fn new(part: &'static str) -> Option<Room> {
        Some(Room::of(far(part)?))
    }

    /// The same in a store that is there.
    ///
    /// # Panics
    /// When the inputs cannot be made, or not be copied.
    pub fn of(far: Far) -> Room {
        let scene = far.desk.scene(600);
        let band = |n: usize| scene.split(' ').nth(n).expect("two bands").to_owned();
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
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run(&self, job: &Job, more: &str) -> Ran {
        self.far.run(&job.line(&self.there, &self.far.loc(job.out), more))
    }

    /// The same, killed at a step.
    ///
    /// # Panics
    /// When it does not come so far.
    #[track_caller]
    pub fn killed(&self, job: &Job, more: &str, step: &str) {
        let line = job.line(&self.there, &self.far.loc(job.out), more);
        let ran = self.far.start(mapfold(), &line, &format!("{step}=abort")).wait();
        assert_eq!(ran.code, 137, "{} {step} was not reached: {ran}", self.far.name);
    }

    /// What a local run makes; it is run the first time.
    ///
    /// # Panics
    /// When it fails.
    pub fn want(&self, job: &Job) -> Vec<(String, Vec<u8>)> {
        let desk = &self.far.desk;
        if !desk.path(job.out).exists() {
            desk.run(&job.line(&self.here, job.out, "")).fine();
        }
        if !job.folder {
            return vec![(String::new(), desk.bytes(job.out))];
        }
        let names = crate::desk::names(&desk.path(job.out)).into_iter().filter(|name| name != "_SUCCESS");
        names.map(|name| (name.clone(), desk.bytes(&format!("{}/{name}", job.out)))).collect()
    }

    /// What is there: the same, and nothing beside it.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn is_right(&self, job: &Job, when: &str) {
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
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn nothing_beside(&self, outputs: &[&str]) {
        let known = |name: &String| outputs.iter().any(|out| name == out || name.starts_with(&format!("{out}/")));
        let strange = |name: &String| !name.starts_with("in/") && !known(name);
        let left: Vec<String> = self.far.names("").into_iter().filter(strange).collect();
        assert_eq!(left, [""; 0], "{}: left beside the outputs", self.far.name);
        assert_eq!(self.far.uploads(outputs), [""; 0], "{}: uploads left open", self.far.name);
    }

    /// Whether an output is to be seen, whole.
    ///
    /// # Panics
    /// When the store does not answer.
    pub fn is_seen(&self, job: &Job) -> bool {
        let done = if job.folder { format!("{}/_SUCCESS", job.out) } else { job.out.to_owned() };
        self.far.names("").contains(&done)
    }
}

/// A job with an output.
#[derive(Debug)]
pub struct Job {
    /// The name of its output.
    pub out: &'static str,
    /// Whether that is a folder of parts.
    pub folder: bool,
    line: fn(&Inputs) -> String,
}

impl Job {
    fn line(&self, inputs: &Inputs, out: &str, more: &str) -> String {
        format!("run {} --out {out} -q {more}", (self.line)(inputs))
    }
}

/// An image.
pub const NDVI: Job = Job {
    out: "ndvi.tif",
    folder: false,
    line: |at| format!("ndvi --red {} --nir {} --tile 256 --blocksize 128", at.red, at.nir),
};
/// Counted words.
pub const WORDS: Job =
    Job { out: "words", folder: true, line: |at| format!("wordcount {} --split-size 65536", at.text) };
/// Sorted lines.
pub const SORT: Job = Job { out: "sorted", folder: true, line: |at| format!("sort {} --split-size 65536", at.text) };
/// A table of sums.
pub const TABLE: Job = Job {
    out: "table.parquet",
    folder: false,
    line: |at| format!("aggregate {} --by city --agg value:sum,mean --agg n:max", at.table),
};
/// All of them.
pub const JOBS: [Job; 4] = [NDVI, WORDS, SORT, TABLE];
/// Their outputs.
pub const OUTPUTS: [&str; 4] = [NDVI.out, WORDS.out, SORT.out, TABLE.out];

/// Lines of words, enough for several splits of 64 KiB, and a table.
fn words(far: &Far) {
    let (mut text, mut table) = (String::new(), String::from("city,value,n\n"));
    for i in 0..12_000u64 {
        let mixed = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "word{} and{} {i}", (mixed >> 33) % 5000, mixed % 31).expect("memory");
        writeln!(table, "c{},{},{i}", (mixed >> 40) % 97, (i % 1000) as f64 / 8.0).expect("memory");
    }
    fs::write(far.desk.path("in.txt"), text).expect("a desk takes files");
    fs::write(far.desk.path("in.csv"), table).expect("a desk takes files");
}
