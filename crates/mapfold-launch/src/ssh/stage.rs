//! The program on another host: there once, named by its SHA-256, under `~/.cache/mapfold/bin`.
//!
//! A shell there says what machine it is and whether it has the program; if not it takes the bytes from its standard
//! input, checks their digest, and only then gives the file its name. In the end it becomes the program. All of that is
//! one command of one session, so `ssh` authenticates once. Nothing in it is secret, for others of that host can see it.

use crate::error::LaunchError;
use crate::host::HOST_OPTION;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The first word of the shell there; what comes before it is a greeting of the host.
const BEGIN: &str = "mapfold-stage-1";

/// A program that can be brought to other hosts.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Where it is here.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal digits.
    pub hash: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Staged {
    /// The program that runs.
    ///
    /// # Errors
    /// [`LaunchError::NoProgram`] when it cannot be read.
    pub fn this_program() -> Result<Staged, LaunchError> {
        let path = std::env::current_exe().map_err(|source| LaunchError::NoProgram { source })?;
        Staged::of(&path)
    }

    /// Another one.
    ///
    /// # Errors
    /// [`LaunchError::NoProgram`] when it cannot be read.
    pub fn of(path: &Path) -> Result<Staged, LaunchError> {
        let failed = |source| LaunchError::NoProgram { source };
        let mut file = File::open(path).map_err(failed)?;
        let hash = mapfold_wire::sha256(&mut file).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Staged { path: path.to_owned(), hash, size })
    }

    /// The command for the shell there. It has no quote of its kind within and no word of the user's.
    pub(super) fn script(&self) -> String {
        let Staged { hash, size, .. } = self;
        let take = format!(
            "mkdir -p \"$d\" || exit 61; echo want; t=\"$d/.{hash}.$$\"; \
             head -c {size} > \"$t\" || {{ rm -f \"$t\"; exit 62; }}; \
             case \"$(sha256sum < \"$t\")\" in {hash}*) chmod 700 \"$t\" && mv -f \"$t\" \"$f\" || exit 62;; \
             *) rm -f \"$t\"; exit 63;; esac; echo stored"
        );
        let script = format!(
            "umask 077; echo {BEGIN} \"$(uname -s)\" \"$(uname -m)\"; \
             d=\"${{XDG_CACHE_HOME:-$HOME/.cache}}/mapfold/bin\"; f=\"$d/{hash}\"; \
             if [ -x \"$f\" ]; then echo have; else {take}; fi; touch \"$f\"; exec \"$f\" {HOST_OPTION}"
        );
        format!("exec sh -c '{script}'")
    }
}

/// What a host said before it became the program.
#[derive(Debug)]
pub(super) enum StageError {
    /// It is of another kind.
    Machine { system: String, machine: String },
    /// The line ended, or something else answered.
    Ended,
    /// The program here cannot be read.
    Here(io::Error),
}

/// Talks to the shell there until it becomes the program; true if the program had to be brought. `said` reads its
/// lines; `answered` is called when the first has come.
pub(super) fn stage(
    program: &Staged,
    to: &mut impl Write,
    said: &mut Lines<impl Read>,
    answered: impl FnOnce(),
) -> Result<bool, StageError> {
    let first = loop {
        let line = said.next().ok_or(StageError::Ended)?;
        if let Some(rest) = line.strip_prefix(BEGIN) {
            break rest.trim().to_owned();
        }
    };
    answered();
    let (system, machine) = first.split_once(' ').unwrap_or((&first, ""));
    if system != "Linux" || machine != std::env::consts::ARCH {
        return Err(StageError::Machine { system: system.to_owned(), machine: machine.to_owned() });
    }
    match said.next().as_deref() {
        Some("have") => return Ok(false),
        Some("want") => {}
        _ => return Err(StageError::Ended),
    }
    let mut file = File::open(&program.path).map_err(StageError::Here)?;
    // What cannot be sent is told by how the session ends.
    io::copy(&mut file, to).and_then(|_| to.flush()).map_err(|_| StageError::Ended)?;
    match said.next().as_deref() {
        Some("stored") => Ok(true),
        _ => Err(StageError::Ended),
    }
}

/// Lines of a stream of which not a byte more is read: frames follow.
pub(super) struct Lines<R>(pub(super) R);

impl<R: Read> Lines<R> {
    /// The longest line that is believed.
    const LONGEST: usize = 64 * 1024;

    /// The next line, without its end; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Option<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line.len() < Self::LONGEST {
            match self.0.read(&mut byte) {
                Ok(0) => return None,
                Ok(_) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
                Ok(_) => line.push(byte[0]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    /// Runs the script as sshd would: by the user's shell.
    fn run(shell: &str, program: &Staged, cache: &Path) -> (Result<bool, StageError>, i32) {
        let mut child = Command::new(shell)
            .args(["-c", &program.script()])
            .env("XDG_CACHE_HOME", cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let staged = stage(program, &mut to, &mut Lines(from), || ());
        drop(to);
        (staged, child.wait().unwrap().code().unwrap())
    }

    #[test]
    fn a_program_is_brought_once_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
        let staged = Staged::of(&program).unwrap();
        let cache = folder.path().join("cache with blank");
        let (brought, code) = run("sh", &staged, &cache);
        assert_eq!((brought.unwrap(), code), (true, 7), "it ran");
        let (brought, code) = run("bash", &staged, &cache);
        assert_eq!((brought.unwrap(), code), (false, 7), "it was there");
        // Other bytes than promised: nothing gets the name.
        std::fs::write(&program, "#!/bin/sh\nexit 8\n").unwrap();
        let changed = Staged { hash: "0".repeat(64), ..staged };
        let (brought, code) = run("sh", &changed, &cache);
        assert!(matches!(brought, Err(StageError::Ended)) && code == 63, "{brought:?} {code}");
        assert_eq!(std::fs::read_dir(cache.join("mapfold/bin")).unwrap().count(), 1);
    }

    #[test]
    fn the_command_has_nothing_that_a_shell_could_misread() {
        let staged = Staged { path: PathBuf::new(), hash: "ab".repeat(32), size: 5 };
        let script = staged.script();
        let within = script.strip_prefix("exec sh -c '").unwrap().strip_suffix('\'').unwrap();
        assert!(!within.contains(['\'', '!', '\n', '`']), "{script}");
    }
}
