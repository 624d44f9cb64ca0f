//! `mapfold run ./my-job …`: a job that is not linked in here, by the path of its crate or of its program.
//!
//! A crate is built in release mode, and what it is asked by `--describe` shows that it is a job. Then its program takes
//! the place of this process, with all that was said behind the path: options, signals and exit codes are its own, and
//! members on other hosts get that very file.

use mapfold::{Error, Result};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The profile of cargo that job crates are built in; `release` unless the user says otherwise.
const PROFILE: &str = "MAPFOLD_JOB_PROFILE";

/// Runs a job by its path, when the command line has one; `builtin` says whether a word is a job's name.
pub fn take(mut args: impl Iterator<Item = OsString>, builtin: impl Fn(&str) -> bool) -> Option<Result<ExitCode>> {
    if args.next()? != "run" {
        return None;
    }
    let path = args.next()?;
    let text = path.to_str().unwrap_or_default();
    let is_path = text.contains('/') || text == "." || text == "..";
    let is_crate = || !text.starts_with('-') && !builtin(text) && Path::new(text).join("Cargo.toml").is_file();
    (is_path || is_crate()).then(|| run(Path::new(&path), args.collect()))
}

fn run(path: &Path, args: Vec<OsString>) -> Result<ExitCode> {
    let program = program(path)?;
    is_job(&program, path)?;
    let failed = Command::new(&program).args(args).exec(); // Comes back only when it fails.
    Err(Error::input(format!("{}: cannot be started: {failed}", program.display())))
}

/// The program at a path: built, when it is a crate; `CRATE#NAME` is one of several programs of a crate.
fn program(path: &Path) -> Result<PathBuf> {
    let text = path.to_string_lossy();
    let (folder, bin) = match text.rsplit_once('#') {
        Some((folder, bin)) if !path.exists() => (PathBuf::from(folder), Some(bin)),
        _ => (path.to_owned(), None),
    };
    if folder.is_file() && bin.is_none() {
        return Ok(std::path::absolute(&folder)?);
    }
    let nothing = |what: &str| {
        let remedy = "name the folder of a job crate, or a program; `mapfold list` lists the built-in jobs";
        Err(Error::usage(format!("{}: {what}", folder.display())).with_remedy(remedy))
    };
    match (folder.exists(), folder.join("Cargo.toml").is_file()) {
        (false, _) => nothing("there is no such job"),
        (true, false) => nothing("there is no Cargo.toml in it"),
        (true, true) => build(&folder, bin),
    }
}

fn build(folder: &Path, bin: Option<&str>) -> Result<PathBuf> {
    let profile = std::env::var(PROFILE).unwrap_or_else(|_| "release".to_owned());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--profile", &profile, "--message-format=json-render-diagnostics"]);
    if let Some(bin) = bin {
        cargo.args(["--bin", bin]);
    }
    // Building takes minutes: at a terminal one sees it; elsewhere what was said is shown when it has failed.
    let watched = std::io::stderr().is_terminal();
    cargo.stdin(Stdio::null()).stderr(if watched { Stdio::inherit() } else { Stdio::piped() });
    let built = cargo.output().map_err(|e| {
        let what = format!("{}: cargo cannot be started: {e}", folder.display());
        Error::usage(what).with_remedy("install Rust from https://rustup.rs, or name a program that is built already")
    })?;
    if !built.status.success() {
        let _ = std::io::stderr().write_all(&built.stderr); // A closed stderr has nobody to tell.
        let what = format!("{}: it does not build; cargo's messages are above", folder.display());
        return Err(Error::usage(what));
    }
    let made = executables(&String::from_utf8_lossy(&built.stdout));
    match made.as_slice() {
        [(_, program)] => Ok(program.clone()),
        [] => Err(Error::usage(format!("{}: the crate has no program", folder.display()))
            .with_remedy("a job has a src/main.rs; `mapfold new` makes one")),
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            let what = format!("{}: the crate has several programs: {}", folder.display(), names.join(", "));
            Err(Error::usage(what).with_remedy(format!("name one: {}#{}", folder.display(), names[0])))
        }
    }
}

/// Name and path of the programs that cargo says it has built.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let made = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = made.filter(|m| m["reason"] == "compiler-artifact" && m["target"]["kind"][0] == "bin");
    made.filter_map(|m| Some((m["target"]["name"].as_str()?.to_owned(), PathBuf::from(m["executable"].as_str()?))))
        .collect()
}

/// A job says what its parameters are.
fn is_job(program: &Path, named: &Path) -> Result<()> {
    let asked = Command::new(program).arg("--describe").stdin(Stdio::null()).output();
    let described = asked.ok().filter(|a| a.status.success());
    let schema = described.and_then(|a| serde_json::from_slice::<Value>(&a.stdout).ok());
    if schema.is_some_and(|s| s["properties"].is_object() && s["$schema"].is_string()) {
        return Ok(());
    }
    let what = format!("{}: this is no mapfold job: it does not answer --describe", named.display());
    Err(Error::usage(what).with_remedy("its main must call mapfold::main; `mapfold new` makes such a crate"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn taken(line: &str) -> Option<Result<ExitCode>> {
        take(line.split(' ').map(Into::into), |name| name == "ndvi")
    }

    #[test]
    fn only_paths_are_taken() {
        for line in ["run ndvi --red a/b", "run ndvy", "list", "run", "run --help", "jobs ./x"] {
            assert!(taken(line).is_none(), "{line}");
        }
        let error = |line| taken(line).unwrap().unwrap_err();
        assert!(error("run ./no-such-job --x").what().contains("no such job"));
        assert!(error("run ..").what().contains("no Cargo.toml") || Path::new("../Cargo.toml").exists());
        assert!(error("run /bin/true").what().contains("no mapfold job"));
    }

    #[test]
    fn cargos_messages_name_the_programs() {
        let lines = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"b"},"executable":"/t/b"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(lines), [("b".to_owned(), PathBuf::from("/t/b"))]);
    }
}
