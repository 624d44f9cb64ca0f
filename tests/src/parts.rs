//! Real servers for tests: HDFS, YARN, MinIO, Azurite, a double of Google Cloud Storage, hosts for SSH.
//!
//! What it is: [`part`] gives a running part of `cluster/part.sh`, started at the first ask and shared by all test
//! processes of a run; [`own_part`] gives one that no other test sees, to be killed and started at will.
//! Why so: what can run here is not imitated. Starting HDFS takes ten seconds, so it is done once.
//! Who ends them: a keeper process, when the program that started the tests (cargo, nextest, `make test`) is gone,
//! however it went. A part that cannot be had is said loudly ([`skipped`]), and a failure with `CI=true`.
//! What it does not do: fetch. `make test` brings what parts are made of into the cache; a bare `cargo test` uses it.

use crate::{checkout, skipped, target};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Exit code of `part.sh` when a program or a download is missing; all others but 0 are faults.
const LACKING: i32 = 3;

/// A part that runs.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    run: PathBuf,
    owner: u32,
    settings: Vec<(&'static str, String)>,
    vars: BTreeMap<String, String>,
}

/// The part `hdfs`, `yarn`, `s3`, `azure`, `gcs`, `ssh` or `hdfs-krb`, shared with other tests: neither stop it nor count its files.
/// `None`, said loudly, where it cannot be had.
///
/// # Panics
/// With `CI=true` when it cannot be had, and when it does not start.
pub fn part(name: &str) -> Option<Part> {
    static SHARED: Mutex<Option<HashMap<String, Option<Part>>>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = shared.get_or_insert_default();
    let found = known.entry(name.to_owned()).or_insert_with(|| Part::up(name, &shared_run(), owner(), &[])).clone();
    drop(shared); // a panic of `skipped` must not poison it
    found.or_else(|| {
        skipped(&format!("part {name}"), true);
        None
    })
}

/// A part of this test's own, gone when it is dropped. Its processes may be stopped, killed and started.
#[derive(Debug)]
pub struct OwnPart {
    part: Part,
    _folder: TempDir,
}

/// Starts a part that only the caller sees. `None`, said loudly, where it cannot be had.
///
/// # Panics
/// With `CI=true` when it cannot be had, and when there is no temporary folder.
pub fn own_part(name: &str) -> Option<OwnPart> {
    own_part_with(name, &[])
}

/// The same, with variables of `cluster/part.sh` that change it.
///
/// # Panics
/// As [`own_part`].
pub fn own_part_with(name: &str, settings: &[(&'static str, &str)]) -> Option<OwnPart> {
    let folder = tempfile::Builder::new().prefix("mapfold-part-").tempdir().expect("a temporary folder");
    match Part::up(name, &folder.path().join("run"), std::process::id(), settings) {
        Some(part) => Some(OwnPart { part, _folder: folder }),
        None => {
            skipped(&format!("part {name}"), true);
            None
        }
    }
}

impl std::ops::Deref for OwnPart {
    type Target = Part;
    fn deref(&self) -> &Part {
        &self.part
    }
}

impl OwnPart {
    /// Ends one of its processes in order, by its name (`nn`, `dn1`, `minio`, ...).
    ///
    /// # Panics
    /// When that fails.
    pub fn stop(&self, process: &str) {
        self.part.script(&["stop", process]);
    }

    /// Kills one of its processes.
    ///
    /// # Panics
    /// When that fails.
    pub fn kill9(&self, process: &str) {
        self.part.script(&["kill9", process]);
    }

    /// Starts one of its processes and does not wait until it is healthy.
    ///
    /// # Panics
    /// When that fails.
    pub fn start(&self, process: &str) {
        self.part.script(&["start", process]);
    }

    /// Starts what does not run, and waits until all is healthy.
    ///
    /// # Panics
    /// When that fails.
    pub fn heal(&self) {
        self.part.script(&["up"]);
    }
}

impl Drop for OwnPart {
    fn drop(&mut self) {
        // yarn brought hdfs
        let _ = self.part.command(&["every", "wipe"]).output();
    }
}

impl Part {
    /// Starts it, or finds it running; `None`, with the reason on stderr, when something that it needs is missing.
    fn up(name: &str, run: &Path, owner: u32, settings: &[(&'static str, &str)]) -> Option<Part> {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let name = name.to_owned();
        let mut part = Part { name, run: run.to_owned(), owner, settings, vars: BTreeMap::new() };
        let name = &part.name;
        let done = part.command(&[name.as_str(), "up"]).output().expect("the checkout has cluster/part.sh");
        let said = String::from_utf8_lossy(&done.stderr);
        if done.status.code() == Some(LACKING) {
            eprintln!("{}", said.trim_end());
            return None;
        }
        assert!(done.status.success(), "part {name} does not start: {said}");
        let vars = part.script(&["vars"]);
        let vars = vars.lines().filter_map(|line| line.split_once('='));
        part.vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(part)
    }

    /// `cluster/part.sh WORDS...` in its run folder.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(checkout().join("cluster/part.sh"));
        command.args(words).env("MAPFOLD_PARTS_RUN", &self.run).stdin(Stdio::null());
        command
            .env("MAPFOLD_PARTS_OWNER", self.owner.to_string())
            .envs(self.settings.iter().map(|(name, value)| (*name, value)));
        if std::env::var_os("MAPFOLD_PARTS_OWNER").is_none() {
            command.env("MAPFOLD_PARTS_OFFLINE", "1");
        }
        command
    }

    /// Where it keeps data: `hdfs://127.0.0.1:19000`, `s3://mapfold`.
    ///
    /// # Panics
    /// For a part without storage.
    pub fn uri(&self) -> &str {
        self.var(&format!("MAPFOLD_PART_{}", self.name.to_uppercase().replace('-', "_")))
    }

    /// Where its processes keep data, logs and pids on this machine.
    pub fn home(&self) -> PathBuf {
        self.run.join(&self.name)
    }

    /// A folder in it that no other test uses; it is not made.
    pub fn folder(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}/test-{}-{count}", self.uri(), std::process::id())
    }

    /// A variable of a client's environment.
    ///
    /// # Panics
    /// When the part has no such variable.
    pub fn var(&self, name: &str) -> &str {
        self.vars.get(name).unwrap_or_else(|| panic!("part {} has no variable {name}", self.name))
    }

    /// The environment of a client: endpoints, credentials, `HADOOP_CONF_DIR`.
    pub fn vars(&self) -> Vec<(&str, &str)> {
        self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The number of one of its processes; `None` when it does not run.
    ///
    /// # Panics
    /// When there is no process of this name.
    pub fn pid(&self, process: &str) -> Option<u32> {
        self.script(&["pid", process]).trim().parse().ok()
    }

    /// Runs Hadoop's own `hdfs` or `yarn` on it; gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn hadoop(&self, tool: &str, args: &[&str]) -> String {
        let own = self.home().join("bin").join(tool);
        let path = if own.exists() { own } else { self.run.join("hadoop/bin").join(tool) };
        output(Command::new(path).args(args).envs(self.vars()))
    }

    fn script(&self, words: &[&str]) -> String {
        output(&mut self.command(&[&[self.name.as_str()], words].concat()))
    }
}

/// The run folder that `make test` made, or one beside the build's output.
fn shared_run() -> PathBuf {
    std::env::var_os("MAPFOLD_PARTS_RUN").map_or_else(|| target().0.join("mapfold-parts"), PathBuf::from)
}

/// Who started the tests.
fn owner() -> u32 {
    let given = std::env::var("MAPFOLD_PARTS_OWNER").ok().and_then(|pid| pid.parse().ok());
    given.unwrap_or_else(std::os::unix::process::parent_id)
}

fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
