//! A folder to use the program in.

use crate::{Ran, checkout, mapfold};
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
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
        self.start_failing(mapfold(), args, "")
    }

    /// Starts `PROGRAM ARGS…` here with fail points (`logged:2=abort`; crate `mapfold-coord`, `failpoint.rs`).
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start_failing(&self, program: &Path, args: &str, points: &str) -> Running {
        let mut c = self.command(program);
        c.args(args.split_whitespace()).env("MAPFOLD_FAIL_POINTS", points);
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Running::start(c, format!("MAPFOLD_FAIL_POINTS={points} {name} {args}"))
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
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().is_ok_and(|s| s.success()), "{kill}");
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
    pub fn wait(mut self) -> Ran {
        let (mut peak, began) = (0, std::time::Instant::now());
        let status = loop {
            peak = peak.max(resident_peak(self.child.id()));
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if began.elapsed() > Duration::from_secs(300) {
                let _ = self.child.kill();
                panic!("{} did not end in five minutes", self.line);
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
