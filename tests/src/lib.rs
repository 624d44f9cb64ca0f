//! Helpers of the end-to-end tests: the program itself, a folder to use it in, oracles.
//!
//! What it is: [`mapfold()`] builds the program as a user would and [`Desk`] runs it in a fresh folder; [`Ran`] says what
//! it must have printed; [`oracle()`] asks NumPy and GDAL whether a result is right.
//! Why so: these tests see what a user sees (files, text, exit codes), so no internal change can make them pass wrongly.
//! What it does not do: call mapfold's libraries.
#![allow(clippy::print_stderr)] // A test that is not run must say so.

pub mod desk;
pub mod far;
pub mod far_room;
pub mod fault_proxy;
pub mod gate;
pub mod http;
pub mod identity;
pub mod parts;
pub mod patch;
pub mod ran;
pub mod sshd;

pub use desk::{Desk, data};
pub use far::{Far, far};
pub use fault_proxy::FaultProxy;
pub use gate::Gate;
pub use parts::{OwnPart, Part, own_part, own_part_with, part};
pub use ran::Ran;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The checkout that is tested: cargo says at run time where the tested package is. What was compiled in may be another
/// clone that used the same target folder.
///
/// # Panics
/// When that is in no checkout.
pub fn checkout() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let is_root = |folder: &&Path| folder.join("Cargo.lock").is_file();
    Path::new(&package).ancestors().find(is_root).expect("a package lies in a checkout").to_path_buf()
}

/// `cargo`, without what the cargo around this test tells about its own package: build scripts that watch such a
/// variable would run, and all above them be compiled, again.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars() {
        if own.iter().any(|o| name.starts_with(o)) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// `(target folder, profile folder)` of this test: `…/debug/deps/errors-1a2b` is in the folder `debug`.
pub fn target() -> (PathBuf, String) {
    let me = std::env::current_exe().expect("a test has a path");
    let profile = me.ancestors().nth(2).expect("a test lies in TARGET/PROFILE/deps");
    let name = profile.file_name().expect("a profile has a name").to_string_lossy().into_owned();
    (profile.parent().expect("a profile lies in a target folder").to_path_buf(), name)
}

/// The program, built once per test process in the profile and target folder of the test; or the one that
/// `MAPFOLD_TEST_BIN` names (a release, say).
///
/// # Panics
/// When it does not build.
pub fn mapfold() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let given = std::env::var_os("MAPFOLD_TEST_BIN").map(PathBuf::from);
        given.unwrap_or_else(|| built(&["--bin", "mapfold"]).join("mapfold"))
    })
}

/// The example `indices` of the crate `mapfold`, a job of two outputs as a program: built like [`mapfold()`].
///
/// # Panics
/// When it does not build.
pub fn indices() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built(&["--example", "indices"]).join("examples/indices"))
}

/// The example `shuffled` of the crate `mapfold`, records through an exchange: built like [`mapfold()`].
///
/// # Panics
/// When it does not build.
pub fn shuffled() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built(&["--example", "shuffled"]).join("examples/shuffled"))
}

/// An example of any package of this workspace.
///
/// # Panics
/// When it does not build.
pub fn example(name: &str) -> PathBuf {
    built(&["--example", name]).join("examples").join(name)
}

/// The example `smoothed` of the crate `mapfold`, a halo chain that two outputs use: built like [`mapfold()`].
///
/// # Panics
/// When it does not build.
pub fn smoothed() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built(&["--example", "smoothed"]).join("examples/smoothed"))
}

/// The example `components` of the crate `mapfold`, an iteration to a fixed point: built like [`mapfold()`].
///
/// # Panics
/// When it does not build.
pub fn components() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built(&["--example", "components"]).join("examples/components"))
}

/// Another program of this workspace, a package with one binary of its own name.
///
/// # Panics
/// When it does not build.
pub fn program(package: &str) -> PathBuf {
    built(&["--bin", package]).join(package)
}

/// Builds a program with the features that the tests were built with, so that nothing below it is compiled again; gives the
/// folder of the profile.
fn built(what: &[&str]) -> PathBuf {
    let (target, folder) = target();
    let profile = if folder == "debug" { "dev" } else { &folder };
    let args = [&["build", "--quiet", "--workspace", "--all-features", "--profile", profile], what].concat();
    let done = cargo().args(&args).current_dir(checkout()).env("CARGO_TARGET_DIR", &target).output();
    let done = done.expect("cargo runs");
    assert!(done.status.success(), "cargo {args:?}:\n{}", String::from_utf8_lossy(&done.stderr));
    target.join(folder)
}

/// Says loudly that something was not tested; with `CI=true` that is a failure when `must`.
///
/// # Panics
/// With `CI=true` and `must`.
pub fn skipped(what: &str, must: bool) {
    eprintln!("SKIPPED: {what}");
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!(ci && must), "not tested, but CI=true: {what}");
}

/// Asks `tests/oracle/SCRIPT`; `None` (loudly) where there is no Python for it.
///
/// # Panics
/// When the oracle says no, and with `CI=true` when there is none.
pub fn oracle<A: AsRef<OsStr>>(script: &str, args: &[A]) -> Option<Value> {
    asked("MAPFOLD_TEST_PYTHON", script, args)
}

/// The same with the Python that has pandas and pyarrow.
///
/// # Panics
/// As [`oracle`].
pub fn pandas_oracle<A: AsRef<OsStr>>(script: &str, args: &[A]) -> Option<Value> {
    asked("MAPFOLD_TEST_PANDAS", script, args)
}

fn asked<A: AsRef<OsStr>>(variable: &str, script: &str, args: &[A]) -> Option<Value> {
    let Some(python) = std::env::var_os(variable) else {
        skipped(&format!("oracle {script} (set up by `make test`)"), true);
        return None;
    };
    let path = checkout().join("tests/oracle").join(script);
    let done = Command::new(python).args(["-W", "ignore"]).arg(path).args(args).output().expect("Python runs");
    let words: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
    let said = String::from_utf8_lossy(&done.stdout);
    let all = format!("{script} {}\n{said}{}", words.join(" "), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{all}");
    Some(serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {all}")))
}
