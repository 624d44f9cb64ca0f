//! A job on a YARN cluster: what the launcher does (submit, follow, bring home what was printed); and [`within`], what is
//! different in the coordinator, which runs the same command in the container of the application master.
//!
//! The launcher plans nothing and reads no input: the coordinator does, where the data is. What the coordinator printed,
//! said and recorded comes back as it was, with its exit code, so that a user sees what a run on this machine shows.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It passes on what another process of ours has said.

mod follow;
pub(crate) mod home;
mod mirror;
pub(crate) mod within;

use crate::args::RunArgs;
use crate::{Error, Result, on_emr, says};
use clap::Args;
use follow::Follower;
use home::{bring_home, end_log};
use mapfold_coord::process::Process;
use mapfold_coord::{EventLog, JobEvent, JobId};
use mapfold_engine::{Cancel, MemoryLimit};
use mapfold_launch::Room;
use mapfold_launch::yarn::{App, Outcome, Site, Submission, Submitted, YarnError};
use mapfold_plan::Kind;
use mapfold_store::{Secret, Settings, Stores};
use mirror::{Mirror, Of};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// How often an application master may be begun: the second goes on where the first one was.
const ATTEMPTS: u32 = 2;
/// Memory of a coordinator and of a member, and threads of a member, when the user says nothing: what schedulers that
/// were never tuned can give.
const COORDINATOR_MEMORY: u64 = 512 << 20;
const MEMBER_MEMORY: u64 = 1 << 30;
const MEMBER_THREADS: u32 = 1;

/// Options about clusters with a scheduler.
#[derive(Args, Clone, Debug)]
pub struct YarnArgs {
    /// Queue of the cluster's scheduler (--target yarn, emr) [default: the cluster's choice]
    #[arg(long, value_name = "QUEUE", help_heading = "Cluster")]
    pub queue: Option<String>,
    /// Name of the application, and of the step, in the cluster's lists (--target yarn, emr) [default: the job's]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub name: Option<String>,
    /// Memory of the coordinator in the application master's container (--target yarn, emr) [default: 512MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Cluster")]
    pub am_memory: Option<MemoryLimit>,
    /// Folder for the job's own files, which all nodes can read (--target yarn) [default: /user/NAME/.mapfold on the
    /// cluster's file system]; in S3 (--target emr) [default: beside the cluster's logs]
    #[arg(long, value_name = "LOC", help_heading = "Cluster")]
    pub staging: Option<mapfold_store::Loc>,
    /// Label of the nodes for the application master, or none (--target yarn, emr) [default: ON_DEMAND or CORE, where the
    /// cluster has such a label]
    #[arg(long, value_name = "LABEL", help_heading = "Cluster")]
    pub am_node_label: Option<String>,
}

impl YarnArgs {
    /// The options that were given, as they are typed.
    pub(crate) fn said(&self) -> Vec<&'static str> {
        let all = [
            ("--queue", self.queue.is_some()),
            ("--name", self.name.is_some()),
            ("--am-memory", self.am_memory.is_some()),
            ("--staging", self.staging.is_some()),
            ("--am-node-label", self.am_node_label.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// What a member may use on a cluster whose nodes this machine knows nothing of.
pub(crate) fn member_room(args: &RunArgs) -> Room {
    let threads = args.threads.map_or(MEMBER_THREADS, |n| u32::try_from(n).unwrap_or(u32::MAX));
    Room { threads, memory: args.memory_limit.map_or(MEMBER_MEMORY, |m| m.0) }
}

pub(crate) fn told(e: YarnError) -> Error {
    let remedy = e.remedy();
    let kind = if e.is_usage() { Kind::Usage } else { Kind::Input };
    let error = Error::caused(kind, e);
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Submits this very command, follows it to its end, and says what it said. Its exit code is the coordinator's.
///
/// # Errors
/// Those of the submission; when the application ends without leaving a result.
pub(crate) fn launch(args: &RunArgs, name: &str) -> Result<ExitCode> {
    says::set_up_logging(args.verbose, mapfold_watch::colour_on_stderr());
    let job = job_id(args)?;
    args.run_options(name, serde_json::Value::Null)?; // Options that contradict each other are refused here.
    let cancel = Cancel::default();
    let _ = cancel.on_signals();
    let (stores, site) = (Stores::new(), Site::from_env().map_err(told)?);
    let submitted = submission(args, name, job)?.submit(&stores, &site).map_err(told)?;
    let began = Instant::now();
    let of = Of { job, name: name.to_string(), application: submitted.application.clone() };
    let (log, followed) = follow(args, of, &submitted, &cancel);
    let (app, outcome) = match followed {
        Ok(ended) => ended,
        Err(e) => return Err(e.with_more_remedy(&format!("see {}", submitted.page()))),
    };
    submitted.clean();
    let Some(outcome) = outcome.filter(|_| app.state != "KILLED") else {
        return Err(without_outcome(&submitted, &app, cancel.signal())).inspect_err(|e| end_log(&log, began, e));
    };
    on_emr::leave(&outcome);
    let logs = format!("yarn logs -applicationId {}", submitted.application);
    Ok(bring_home(&job, (&log, began), &outcome, &logs))
}

/// The job's name for machines: given where it was left in the background, which has a session of its own then.
fn job_id(args: &RunArgs) -> Result<JobId> {
    let Some(id) = args.watch.job_id else {
        return JobId::random().map_err(|e| Error::caused(Kind::Job, e));
    };
    if !on_emr::is_step() {
        crate::detach::settle();
    }
    Ok(id)
}

/// Shows the application until it is over. Gives the job's log here, as far as it was copied, and the end.
fn follow(
    args: &RunArgs,
    of: Of,
    submitted: &Submitted,
    cancel: &Cancel,
) -> (EventLog, Result<(App, Option<Outcome>)>) {
    let quiet = args.quiet || args.json && !says::is_terminal();
    let mirror = Mirror::begin(submitted, of, quiet);
    let followed =
        Follower { submitted, cancel: cancel.clone(), mirror: &mirror, quiet, shown: String::new() }.follow();
    (mirror.end(), followed)
}

fn submission(args: &RunArgs, name: &str, job: JobId) -> Result<Submission> {
    let program = std::env::current_exe().map_err(|e| Error::caused(Kind::Job, e))?;
    let room = member_room(args);
    Ok(Submission {
        job,
        name: args.yarn.name.clone().unwrap_or_else(|| name.to_string()),
        queue: args.yarn.queue.clone(),
        program,
        arguments: arguments(&job)?,
        settings: settings(),
        member_memory: room.memory,
        member_threads: room.threads as usize,
        coordinator_memory: args.yarn.am_memory.map_or(COORDINATOR_MEMORY, |m| m.0),
        label: args.yarn.am_node_label.clone(),
        staging: args.yarn.staging.clone(),
        attempts: ATTEMPTS,
    })
}

/// The words of this command line, with the job's id in them: where the target is said, for behind `--` it would be an
/// input.
fn arguments(job: &JobId) -> Result<Vec<String>> {
    let mut words = Vec::new();
    // What is said here is seen by everybody on the nodes; secrets go with the settings, in a private file.
    let (args, _) = crate::store_args::without_secrets(std::env::args_os().skip(1));
    for word in args {
        let bad = |w: std::ffi::OsString| Error::usage(format!("{} is no UTF-8", w.to_string_lossy()));
        let word = word.into_string().map_err(bad)?;
        if word.starts_with("--job-id=") || word == "--detach" {
            continue;
        }
        if (word == "--target" || word.starts_with("--target="))
            && !words.iter().any(|w: &String| w.starts_with("--job-id="))
        {
            words.push(format!("--job-id={job}"));
        }
        words.push(word);
    }
    Ok(words)
}

/// The job's log on this machine, until the coordinator's own takes its place: `mapfold jobs` and `mapfold kill` know
/// the launcher by it.
pub(crate) fn begin_log(job: &JobId, name: &str, (what, number): (&str, &str)) -> EventLog {
    let log = EventLog::open(job);
    let params = BTreeMap::from([(what.to_string(), number.into())]);
    let version = mapfold_coord::events::VERSION;
    log.emit(&JobEvent::JobStarted { id: *job, name: name.to_string(), params, process: Process::here(), version });
    log.tick();
    log
}

/// An application that ended and left nothing: killed, or its master never ran.
fn without_outcome(submitted: &Submitted, app: &App, signal: usize) -> Error {
    let id = &submitted.application;
    let why = app.diagnostics.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("without a reason");
    if app.state == "KILLED" {
        let kind = if signal == 2 { Kind::Interrupted } else { Kind::Terminated };
        let what = format!("{id} was killed: {why}");
        return Error::new(kind, what).with_remedy("run the same command with --resume to go on");
    }
    let what = format!("{id} ended as {} and left no result: {why}", app.state);
    Error::job(what).with_remedy(format!("yarn logs -applicationId {id}"))
}

/// The settings of stores that this machine has, for the coordinator and its members. Who needs one and has none fails
/// there, with its name.
fn settings() -> Secret {
    match Settings::of_process() {
        Ok(settings) => settings.to_travel(),
        Err(error) => {
            tracing::warn!(%error, "the job gets no settings of stores from here");
            Settings::none().to_travel()
        }
    }
}
