//! `--detach`: the program starts itself again in a session of its own and returns when that one runs.
//!
//! The process left behind has no terminal: what it says goes to `logs/launcher.log` in the job's folder. If it fails
//! before the job has begun, what it said is said here, with its exit code, and nothing is left.
#![allow(clippy::print_stderr)] // The hint, and what the other process said.

use crate::{Error, Result, says};
use mapfold_coord::events::{event_path, jobs_folder};
use mapfold_coord::{Follow, JobEvent, JobId, Line};
use mapfold_plan::Kind;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// Called in the process that is left behind: no terminal's end reaches it.
pub(crate) fn settle() {
    let _ = rustix::process::setsid(); // It fails only where it is done already.
}

/// Starts this very command again in the background.
///
/// # Errors
/// When there is no place for its log, or it cannot be started.
pub(crate) fn launch(json: bool) -> Result<ExitCode> {
    let id = JobId::random().map_err(|e| Error::caused(Kind::Job, e))?;
    let folder = jobs_folder().ok_or_else(|| Error::input("--detach needs a place: set HOME or XDG_STATE_HOME"))?;
    let folder = folder.join(id.to_string());
    let log = folder.join("logs/launcher.log");
    let cannot =
        |e: std::io::Error| Error::caused(Kind::Input, e).with_remedy(format!("{} must be writable", folder.display()));
    let child = start(&id, &log).map_err(cannot)?;
    match begun(child, &id).map_err(cannot)? {
        None => Ok(say(&id, json)),
        Some(code) => {
            eprint!("{}", fs::read_to_string(&log).unwrap_or_default());
            let _ = fs::remove_dir_all(&folder); // There is no job.
            Ok(ExitCode::from(code))
        }
    }
}

fn start(id: &JobId, log: &Path) -> std::io::Result<Child> {
    log.parent().map_or(Ok(()), fs::create_dir_all)?;
    let out = File::options().create(true).append(true).open(log)?;
    let err = out.try_clone()?;
    // In its very place: behind `--` it would be an input.
    let named = |a: std::ffi::OsString| if a == "--detach" { format!("--job-id={id}").into() } else { a };
    let (args, secrets) = crate::store_args::without_secrets(std::env::args_os().skip(1));
    let args = args.into_iter().map(named);
    Command::new(std::env::current_exe()?).args(args).envs(secrets).stdin(Stdio::null()).stdout(out).stderr(err).spawn()
}

/// Waits until the job has begun, `None`, or its process has ended before: its exit code.
fn begun(mut child: Child, id: &JobId) -> std::io::Result<Option<u8>> {
    loop {
        let ended = child.try_wait()?;
        if has_begun(id) {
            return Ok(None);
        }
        if let Some(status) = ended {
            return Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_begun(id: &JobId) -> bool {
    let lines = event_path(id).and_then(|path| Follow::open(&path, 0).ok()?.lines(4).ok());
    let started = |e: JobEvent| matches!(e, JobEvent::JobStarted { .. });
    lines.is_some_and(|lines| lines.iter().filter_map(Line::event).any(|timed| started(timed.event)))
}

fn say(id: &JobId, json: bool) -> ExitCode {
    if json {
        return says::print_json(&serde_json::json!({ "id": id }));
    }
    eprintln!("runs in the background: mapfold status {}", mapfold_watch::shelf::short(&id.to_string()));
    says::print_text(&format!("{id}\n"))
}
