//! `mapfold logs`: what the processes of a job have written, file by file or as it comes.

use super::{LOOK_EVERY, LogsArgs, find, go_on, reading};
use crate::verbs;
use mapfold::coord::JobId;
use mapfold::watch::{JobView, shelf, words};
use mapfold::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes at the end of a log in which its last lines are looked for.
const END: u64 = 64 << 10;

/// One log: its name, its place, and how far it was shown.
struct Log {
    name: String,
    path: PathBuf,
    shown: u64,
}

pub fn show(args: &LogsArgs) -> Result<ExitCode> {
    let id = find(&args.job)?;
    let mut reading = reading(&id)?;
    let mut logs = Vec::new();
    loop {
        let open = reading.view.state().is_open(); // Before the look: what was written until then is shown.
        find_more(&mut logs, &id, args.member);
        let several = args.follow && args.member.is_none();
        logs.iter_mut().try_for_each(|log| more(log, several, args.member.is_none()))?;
        if !args.follow || !open {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
        go_on(&mut reading)?;
    }
    if logs.is_empty() { Err(no_logs(&id, args.member)) } else { Ok(ExitCode::SUCCESS) }
}

fn no_logs(id: &JobId, member: Option<u32>) -> Error {
    let others: Vec<String> = logs(id).into_iter().map(|(name, _)| name).collect();
    match (member, others.as_slice()) {
        (Some(n), [_, ..]) => {
            Error::input(format!("member {n} has no log")).with_remedy(format!("there are {}", others.join(", ")))
        }
        _ => Error::input("this job has no logs: it was one process, which wrote to its terminal")
            .with_remedy("`--detach` or `--mode pseudo` keep logs"),
    }
}

/// The logs that are there, by name.
fn logs(id: &JobId) -> Vec<(String, PathBuf)> {
    let entries = shelf::logs(id).and_then(|folder| std::fs::read_dir(folder).ok());
    let paths = entries.into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
    let mut all: Vec<(String, PathBuf)> = paths.filter_map(|p| Some((name(&p)?, p))).collect();
    // The launcher first, then members by number.
    all.sort_by_key(|(name, _)| (name.starts_with("member-"), name.len(), name.clone()));
    all
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_suffix(".log")?.to_owned())
}

/// Logs that have come since.
fn find_more(known: &mut Vec<Log>, id: &JobId, member: Option<u32>) {
    for (name, path) in logs(id) {
        let wanted = member.is_none_or(|n| name == format!("member-{n}"));
        if wanted && !known.iter().any(|log| log.path == path) {
            known.push(Log { name, path, shown: 0 });
        }
    }
}

/// Shows what a log has got since: whole lines, each with its log's name where they are mixed.
fn more(log: &mut Log, mixed: bool, named: bool) -> Result<()> {
    let text = read_from(&log.path, log.shown).map_err(|e| Error::input(format!("{}: {e}", log.path.display())))?;
    let whole = if mixed { text.rfind('\n').map_or(0, |end| end + 1) } else { text.len() };
    if log.shown == 0 && named && !mixed {
        verbs::say(&format!("==> {} <==\n", log.name))?;
    }
    log.shown += whole as u64;
    let prefix = if mixed { format!("{}: ", log.name) } else { String::new() };
    let lines: String = text[..whole].lines().map(|line| format!("{prefix}{}\n", words::clean(line))).collect();
    verbs::say(&lines).map(drop)
}

fn read_from(path: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // A character that is cut at the end waits for its rest.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(bytes.len(), |end| end + 1);
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(e) => Ok(String::from_utf8_lossy(&e.as_bytes()[..whole]).into_owned()),
    }
}

/// The ends of the logs that say most about how a job ended: of members that were lost, else of the launcher.
pub fn tails(id: &JobId, view: &JobView, lines: usize) -> Vec<(String, Vec<String>)> {
    let lost = |name: &str| {
        let member = name.strip_prefix("member-").and_then(|n| n.parse::<u32>().ok());
        member.and_then(|n| view.members.get(&n)).is_some_and(|m| m.lost.is_some())
    };
    let all = logs(id);
    let of_lost = all.iter().filter(|(name, _)| lost(name)).take(3);
    let chosen = of_lost.chain(all.iter().filter(|(name, _)| name == "launcher"));
    chosen.map(|(name, path)| (format!("{name}.log"), tail(path, lines))).collect()
}

fn tail(path: &Path, lines: usize) -> Vec<String> {
    let size = path.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
        file.take(END).read_to_end(&mut bytes)
    });
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].iter().map(|l| (*l).to_owned()).collect()
}
