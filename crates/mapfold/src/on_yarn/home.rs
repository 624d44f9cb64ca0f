//! What comes home from a job that ran elsewhere (YARN, EMR): what it printed and said, its exit code, its log. A job that
//! left no log gets its end written into the one that was begun here.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It passes on what another process of ours has said.

use crate::{Error, says};
use mapfold_coord::events::event_path;
use mapfold_coord::{Counters, EventLog, Failure, FailureKind, JobEvent, JobId, PhaseTimes};
use mapfold_launch::yarn::Outcome;
use mapfold_watch::shelf;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// The end of a job that left no log of its own: without it `mapfold jobs` would take it for one whose process died.
pub(crate) fn end_log(log: &EventLog, began: Instant, error: &Error) {
    let (outcome, kind) = match error.is_stop() {
        true => (mapfold_coord::events::Outcome::Cancelled, FailureKind::Cancelled),
        false => (mapfold_coord::events::Outcome::Failed, FailureKind::Internal),
    };
    let failure = Failure::new(kind, error.to_string());
    log.emit(&JobEvent::JobEnded {
        outcome,
        wall_seconds: began.elapsed().as_secs_f64(),
        user_seconds: 0.0,
        sys_seconds: 0.0,
        peak_bytes: None,
        times: PhaseTimes::default(),
        counters: Counters::default(),
        failure: Some(match error.remedy() {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        }),
        at: None,
        stage: None,
        place: None,
    });
}

/// Says what the coordinator said, keeps its log, and gives its exit code.
pub(crate) fn bring_home(job: &JobId, begun: (&EventLog, Instant), outcome: &Outcome, logs: &str) -> ExitCode {
    match outcome.events.is_empty() {
        true => end_log(begun.0, begun.1, &said(outcome)), // It was refused before it began.
        false => keep_log(job, &outcome.events),
    }
    keep_words(job, outcome, logs);
    let _ = std::io::stderr().write_all(&outcome.stderr);
    match says::print_bytes(&outcome.stdout) {
        Ok(_) => ExitCode::from(u8::try_from(outcome.exit).unwrap_or(1)),
        Err(e) => says::print_error(&e, mapfold_watch::colour_on_stderr()),
    }
}

/// For `mapfold logs`: what the coordinator said, and where the logs of its members are.
fn keep_words(job: &JobId, outcome: &Outcome, logs: &str) {
    let Some(folder) = shelf::logs(job) else { return };
    let note = format!("\nlogs of all containers: {logs}\n");
    let all = [outcome.stderr.as_slice(), note.as_bytes()].concat();
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("coordinator.log"), all));
    if let Err(e) = kept {
        tracing::info!("{}: {e}", folder.display());
    }
}

fn keep_log(job: &JobId, events: &[u8]) {
    let Some(path) = event_path(job) else { return };
    let kept = std::fs::write(path.with_extension("new"), events);
    let kept = kept.and_then(|()| std::fs::rename(path.with_extension("new"), &path));
    if let Err(e) = kept {
        tracing::warn!("the job's log could not be kept in {}: {e}", path.display());
    }
}

/// The error that the coordinator printed.
fn said(outcome: &Outcome) -> Error {
    let text = String::from_utf8_lossy(&outcome.stderr);
    let line = |begin: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(begin)).map(str::to_owned);
    let what = line("error: ").unwrap_or_else(|| format!("it ended with exit code {}", outcome.exit));
    let error = Error::job(what);
    match line("try: ") {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}
