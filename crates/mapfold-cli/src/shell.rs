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
    for verb in cmd.get_subcommands().filter(|v| shown(v)) {
        pages(verb.clone(), dir, written)?;
    }
    let name = cmd.get_display_name().unwrap_or_else(|| cmd.get_name()).to_owned();
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(cmd.name(name))?)?;
    written.push(path);
    Ok(())
}

fn shown(verb: &Command) -> bool {
    !verb.is_hide_set() && verb.get_name() != "help"
}

/// One page. The synopsis is the usage line of `--help` (clap_mangen would list every option without its value), and
/// the blocks under `--help` are sections with their lines kept.
fn page(mut cmd: Command) -> io::Result<Vec<u8>> {
    let usage = cmd.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let more = cmd.get_after_long_help().or(cmd.get_after_help()).map(ToString::to_string).unwrap_or_default();
    let verbs = cmd.get_subcommands().filter(|v| shown(v)).cloned().collect::<Vec<_>>();
    let title = cmd.get_name().to_uppercase();
    let man = clap_mangen::Man::new(cmd).title(title);
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    writeln!(out, ".SH SYNOPSIS\n.nf\n{}\n.fi", roff(&usage))?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if !verbs.is_empty() {
        writeln!(out, ".SH SUBCOMMANDS")?;
    }
    for verb in verbs {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let name = verb.get_display_name().unwrap_or_else(|| verb.get_name());
        writeln!(out, ".TP\n\\fB{}\\fR(1)\n{}", roff(name), roff(&about))?;
    }
    sections(&more, &mut out)?;
    Ok(out)
}

/// `Examples:` and the like become headings; what stands under them keeps its lines.
fn sections(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let mut open = false;
    for line in text.lines().filter(|l| !l.is_empty()) {
        if let Some(heading) = line.strip_suffix(':').filter(|h| !h.starts_with(' ')) {
            writeln!(out, "{}.SH {}\n.nf", if open { ".fi\n" } else { "" }, roff(&heading.to_uppercase()))?;
            open = true;
        } else {
            writeln!(out, "{}", roff(line.strip_prefix("  ").unwrap_or(line)))?;
        }
    }
    if open { writeln!(out, ".fi") } else { Ok(()) }
}

/// Text as roff takes it: backslashes, hyphens and a line's first dot escaped.
fn roff(text: &str) -> String {
    let safe = text.replace('\\', "\\e").replace('-', "\\-");
    if safe.starts_with(['.', '\'']) { format!("\\&{safe}") } else { safe }
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
        let top = fs::read_to_string(folder.join("mapfold.1")).unwrap();
        assert!(
            top.contains("\\fBmapfold\\-run\\fR(1)") && !top.contains("secret") && !top.contains("help(1)"),
            "{top}"
        );
    }
}
