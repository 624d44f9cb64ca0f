//! A folder to use the program in.

use crate::{Ran, checkout, mapfold};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A file of `tests/data`, as an argument.
///
/// # Panics
/// When it is not there (a band behind `#` aside).
pub fn data(name: &str) -> String {
    let path = checkout().join("tests/data").join(name);
    let text = path.to_str().expect("the checkout's path is text").to_owned();
    let file = text.split('#').next().unwrap_or(&text);
    assert!(Path::new(file).exists(), "{file} is missing");
    text
}

/// A new folder, where the program runs and leaves its state; removed at the end.
#[derive(Debug)]
pub struct Desk(TempDir);

impl Default for Desk {
    fn default() -> Desk {
        Desk::new()
    }
}

impl Desk {
    /// An empty one.
    ///
    /// # Panics
    /// When the system gives none.
    pub fn new() -> Desk {
        Desk(tempfile::Builder::new().prefix("mapfold-test-").tempdir().expect("a temporary folder"))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path in it, as an argument of a program that runs elsewhere.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("a temporary path is text").to_owned()
    }

    /// The bytes of a file in it.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Writes a program of a few lines of shell; gives its path, as an argument of a program that runs elsewhere.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn script(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("made a program");
        self.arg(name)
    }

    /// Makes a folder `in/` of so many files with lines, each a split.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn files_of_lines(&self, files: usize) {
        fs::create_dir(self.path("in")).expect("made");
        for file in 0..files {
            let text: String = (0..4000).map(|n| format!("{file} {n} {}\n", n * 7919 % 1009)).collect();
            fs::write(self.path(&format!("in/{file:03}.txt")), text).expect("written");
        }
    }

    /// A foreign program, to run in this folder.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = Command::new(program);
        c.current_dir(self.0.path()).env("XDG_STATE_HOME", self.path("state")).stdin(Stdio::null());
        c.env_remove("MAPFOLD_FAIL_POINTS")
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .env_remove("MAPFOLD_MEMORY_LIMIT")
            .env("NO_COLOR", "1");
        c
    }

    /// Runs `mapfold ARGS…` here: words are split at blanks, so a path with blanks must not be given.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run(&self, args: &str) -> Ran {
        self.start(args).wait()
    }

    /// Starts `mapfold ARGS…` and does not wait.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(&self, args: &str) -> Running {
        self.start_program(mapfold(), args, &[])
    }

    /// Starts a program with variables set in its environment, and does not wait.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_program(&self, program: &Path, args: &str, variables: &[(&str, &str)]) -> Running {
        let mut c = self.command(program);
        c.args(args.split_whitespace()).envs(variables.iter().copied());
        let set: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Running::start(c, format!("{set}{name} {args}"))
    }

    /// Starts `mapfold ARGS…`, an NDVI to `out.tif`, and waits until the commit log has so many records.
    ///
    /// # Panics
    /// When it is over before, or has not come so far in a minute.
    pub fn start_until_logged(&self, args: &str, records: usize) -> Running {
        let mut run = self.start(args);
        let began = std::time::Instant::now();
        while self.logged() < records {
            assert!(!run.ended(), "over before it could be disturbed: {}", run.wait());
            assert!(began.elapsed() < Duration::from_secs(60), "no split was committed in a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        run
    }

    /// Records in the commit log of a run that writes `out.tif`.
    pub fn logged(&self) -> usize {
        fs::read_dir(self.path(".out.tif.mapfold/log")).map_or(0, Iterator::count)
    }

    /// An NDVI to `out.tif` in 64 splits (256 in a release) that are slow to encode: some seconds of work.
    ///
    /// # Panics
    /// When the scene cannot be made.
    pub fn slow_ndvi(&self) -> String {
        let size = if cfg!(debug_assertions) { 2048 } else { 4096 };
        let slow = "--format gtiff --compress deflate --level 12 --tile 256 --blocksize 256";
        format!("run ndvi {} --out out.tif {slow}", self.scene(size))
    }

    /// Starts `PROGRAM ARGS…` here with fail points (`logged:2=abort`; crate `mapfold-coord`, `failpoint.rs`).
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start_failing(&self, program: &Path, args: &str, points: &str) -> Running {
        self.start_program(program, args, &[("MAPFOLD_FAIL_POINTS", points)])
    }

    /// What the event logs of all jobs say so far, one after the other.
    pub fn events(&self) -> String {
        let Ok(jobs) = std::fs::read_dir(self.path("state/mapfold/jobs")) else { return String::new() };
        let logs = jobs.flatten().map(|job| job.path().join("events.ndjson"));
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect()
    }

    /// Names here that a run left, hidden ones too; `state` aside.
    ///
    /// # Panics
    /// When the folder cannot be read.
    pub fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// Makes one scene here and gives `--red … --nir …` for it.
    ///
    /// # Panics
    /// When that fails.
    pub fn scene(&self, size: usize) -> String {
        let made = self.run(&format!("gen scene scene{size} --size {size} --bands B04,B08 --nodata-wedge")).fine();
        let find = |band: &str| made.out.lines().find(|l| l.contains(band)).map(|l| l.trim().to_owned());
        let band = |band: &str| find(band).unwrap_or_else(|| panic!("no {band}: {made}"));
        format!("--red {} --nir {}", band("B04"), band("B08"))
    }
}

/// Names in a folder, hidden ones too, sorted; `state` and scenes aside.
///
/// # Panics
/// When the folder cannot be read.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder that can be read");
    let mut all: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    all.retain(|n| n != "state" && !n.starts_with("scene"));
    all.sort();
    all
}

/// A run that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    out: std::thread::JoinHandle<String>,
    err: std::thread::JoinHandle<String>,
}

fn drain(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// When that fails.
    pub fn start(mut command: Command, line: String) -> Running {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{line}: {e}"));
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Running { child, line, out: drain(out), err: drain(err) }
    }

    /// Sends a signal by its name: INT, TERM, KILL.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, name: &str) {
        assert!(signal(name, self.child.id()), "kill -{name} {}", self.child.id());
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for its end, watching its memory.
    ///
    /// # Panics
    /// After five minutes.
    pub fn wait(self) -> Ran {
        self.wait_for(Duration::from_secs(300))
    }

    /// The same, of what has so much time: all that is below a job may have to be compiled first.
    ///
    /// # Panics
    /// After that time.
    pub fn wait_for(mut self, most: Duration) -> Ran {
        let (mut peak, began) = (0, std::time::Instant::now());
        let status = loop {
            peak = peak.max(resident_peak(self.child.id()));
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if began.elapsed() > most {
                let _ = self.child.kill();
                panic!("{} did not end in {} seconds", self.line, most.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let text = |t: std::thread::JoinHandle<String>| t.join().expect("reading does not panic");
        Ran { line: self.line, code, out: text(self.out), err: text(self.err), peak }
    }
}

/// `VmHWM` of a process in bytes; 0 when it is gone.
pub fn resident_peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// The living children of a process, oldest first.
///
/// # Panics
/// When `/proc` cannot be read.
pub fn children(pid: u32) -> Vec<u32> {
    let parent = |child: u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        let mut after = stat.rsplit_once(") ")?.1.split(' ');
        (after.next()? != "Z").then(|| after.next()?.parse::<u32>().ok())?
    };
    let all = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let mut found: Vec<u32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    found.retain(|child| parent(*child) == Some(pid));
    found.sort_unstable();
    found
}

/// Whether a process lives; one that has ended and was not waited for does not.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Sends a signal by its name; `false` when there is no such process (any more).
///
/// # Panics
/// Where there is no `kill`.
pub fn signal(name: &str, pid: u32) -> bool {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).output();
    sent.expect("kill runs").status.success()
}

/// Waits until something is there, at most a minute.
///
/// # Panics
/// When it has not come.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so, at most a minute.
///
/// # Panics
/// When it has not become so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits until the event log of a job of this desk has `mark`.
///
/// # Panics
/// After a minute, or when the run ends before.
pub fn until_event(desk: &Desk, run: &mut Running, mark: &str) {
    let began = Instant::now();
    while !desk.events().contains(mark) {
        assert!(began.elapsed() < Duration::from_secs(60) && !run.ended(), "no {mark}: {}", desk.events());
        std::thread::sleep(Duration::from_millis(5));
    }
}
