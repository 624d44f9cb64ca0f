//! What shells and `man` want to know of the command: completion scripts and manual pages, made from the same
//! description of the command line that parses it, so that they cannot disagree with it.

use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes the completion script for `shell`.
///
/// # Errors
/// When `out` cannot be written.
pub fn completion(cmd: &mut Command, shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let name = cmd.get_name().to_owned();
    // By way of memory: clap_complete panics where a write fails, and a closed pipe is no bug.
    let mut script = Vec::new();
    clap_complete::generate(shell, cmd, name, &mut script);
    out.write_all(&script)
}

/// Writes a manual page for the command and each of its verbs (`mapfold.1`, `mapfold-run-ndvi.1`, ...) into `dir`,
/// which is made, and returns their paths. Hidden verbs get none.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn man_pages(mut cmd: Command, dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    cmd.build();
    let mut written = Vec::new();
    pages(cmd, dir, &mut written)?;
    Ok(written)
}

fn pages(cmd: Command, dir: &Path, written: &mut Vec<PathBuf>) -> io::Result<()> {
    for verb in cmd.get_subcommands().filter(|v| !v.is_hide_set() && v.get_name() != "help") {
        pages(verb.clone(), dir, written)?;
    }
    let name = cmd.get_display_name().unwrap_or_else(|| cmd.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(cmd.name(name.clone())).render(&mut page)?;
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page)?;
    written.push(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let ndvi = Command::new("ndvi").about("Vegetation index").arg(Arg::new("red").long("red").help("Red band"));
        let run = Command::new("run").about("Run a job").subcommand(ndvi);
        let hidden = Command::new("secret").hide(true);
        Command::new("mapfold").about("Batch jobs over Earth data").version("0.1.0").subcommand(run).subcommand(hidden)
    }

    #[test]
    fn completion_knows_every_verb_and_option_in_every_shell() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut out = Vec::new();
            completion(&mut command(), shell, &mut out).unwrap();
            let script = String::from_utf8(out).unwrap();
            assert!(["mapfold", "run", "ndvi", "red"].iter().all(|word| script.contains(word)), "{shell}");
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_panic() {
        assert!(completion(&mut command(), Shell::Bash, &mut [0; 4].as_mut_slice()).is_err());
    }

    #[test]
    fn every_visible_verb_has_a_manual_page_with_its_full_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("man");
        let written = man_pages(command(), &folder).unwrap();
        let mut names: Vec<_> = written.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["mapfold-run-ndvi.1", "mapfold-run.1", "mapfold.1"]);
        let page = fs::read_to_string(folder.join("mapfold-run-ndvi.1")).unwrap();
        assert!(page.contains("Vegetation index") && page.contains("Red band"), "{page}");
        assert!(page.contains("\\-\\-red"), "{page}");
    }
}
