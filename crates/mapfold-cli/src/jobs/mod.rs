//! The verbs about jobs that run or have run: `jobs`, `status`, `history`, `logs`, `why`, `split`, `scale`,
//! `kill`.
//!
//! All read the event logs in the user's state folder, so they work for a job of any program, while it runs and years
//! later. `split` runs a piece of one again, elsewhere and without an output. Only `scale` and `kill` do anything to a job, and only by asking it.

mod kill;
mod logs;
mod scale;

use crate::{examples, parsed, verbs};
use clap::{ArgMatches, Args, Command};
use mapfold::coord::JobId;
use mapfold::coord::events::event_path;
use mapfold::watch::shelf::{self, NotFound, Reading};
use mapfold::watch::{JobState, JobView, colour_on_stdout, json, words};
use mapfold::{AskedSplit, Builtin, Error, Result, print_bytes};
use serde_json::Value;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// How often a watched job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Lines of a log's end that `why` shows.
const TAIL: usize = 8;

/// List jobs that run or have run, newest first
#[derive(Args, Clone, Debug)]
pub struct JobsArgs {
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Show how a job is: stages, splits, members, memory
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Its name, or the begin of its id
    job: String,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
    /// Again and again until it has ended
    #[arg(long)]
    watch: bool,
}

/// List finished jobs, or show the final report of one
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// Its name, or the begin of its id
    job: Option<String>,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Show what the processes of a job have written to their logs
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// Its name, or the begin of its id
    job: String,
    /// Of this member process only
    #[arg(long, value_name = "N")]
    member: Option<u32>,
    /// Go on until the job has ended
    #[arg(long)]
    follow: bool,
}

/// Tell why a job failed: the first cause, what came before, what to do
#[derive(Args, Clone, Debug)]
pub struct WhyArgs {
    /// Its name, or the begin of its id
    job: String,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Give a running job more or fewer member processes, within the range that it was started with
#[derive(Args, Clone, Debug)]
pub struct ScaleArgs {
    /// Its name, or the begin of its id
    job: String,
    /// How many members it is to have; those that are too many finish what they hold and go
    #[arg(value_name = "N", value_parser = members)]
    members: u32,
}

fn members(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of members"))
}

/// Stop a running job as Ctrl-C does: nothing is left half done
#[derive(Args, Clone, Debug)]
pub struct KillArgs {
    /// Its name, or the begin of its id
    job: String,
    /// Seconds to wait for its end
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

/// The verbs.
pub fn commands() -> [Command; 8] {
    let job = |name: &'static str, lines: &str| Command::new(name).after_help(examples::text(lines));
    [
        JobsArgs::augment_args(job("jobs", examples::JOBS)),
        StatusArgs::augment_args(job("status", examples::STATUS)),
        HistoryArgs::augment_args(job("history", examples::HISTORY)),
        LogsArgs::augment_args(job("logs", examples::LOGS)),
        WhyArgs::augment_args(job("why", examples::WHY)),
        AskedSplit::augment_args(job("split", examples::SPLIT)),
        ScaleArgs::augment_args(job("scale", examples::SCALE)),
        KillArgs::augment_args(job("kill", examples::KILL)),
    ]
}

/// Does one; `None` where it is another room's verb.
pub fn run(verb: &str, m: &ArgMatches) -> Option<Result<ExitCode>> {
    Some(match verb {
        "jobs" => parsed(m).and_then(|args: JobsArgs| list(args.json, args.limit, |_| true)),
        "status" => parsed(m).and_then(|args: StatusArgs| status(&args)),
        "history" => parsed(m).and_then(|args: HistoryArgs| history(&args)),
        "logs" => parsed(m).and_then(|args: LogsArgs| logs::show(&args)),
        "why" => parsed(m).and_then(|args: WhyArgs| why(&args)),
        "scale" => parsed(m).and_then(|args: ScaleArgs| scale::scale(&args)),
        "kill" => parsed(m).and_then(|args: KillArgs| kill::kill(&args)),
        _ => return None,
    })
}

/// The job that the user means.
fn find(text: &str) -> Result<JobId> {
    shelf::find(text).map_err(|e| match e {
        NotFound::Several(ids) => Error::usage(format!("several jobs begin with {text:?}: {}", ids.join(", ")))
            .with_remedy("give more of its id"),
        NotFound::Nothing(like) if !like.is_empty() => Error::input(format!("no job is called {text:?}"))
            .with_remedy(format!("did you mean {}?", like.join(" or "))),
        NotFound::Nothing(_) => {
            Error::input(format!("no job is called {text:?}")).with_remedy("`mapfold jobs` lists them")
        }
        _ => Error::input("no job has run here yet").with_remedy("run one: `mapfold run --help`"),
    })
}

/// The job as far as its log tells it now.
fn reading(id: &JobId) -> Result<Reading> {
    let path = event_path(id).ok_or_else(|| Error::input("neither XDG_STATE_HOME nor HOME is set"))?;
    Reading::open(&path).map_err(|e| Error::input(format!("{}: {e}", path.display())))
}

fn print_json(value: &Value) -> Result<ExitCode> {
    verbs::say(&format!("{value:#}\n"))
}

fn list(as_json: bool, limit: usize, wanted: impl Fn(JobState) -> bool) -> Result<ExitCode> {
    let views = shelf::jobs().into_iter().filter_map(|kept| shelf::read(&kept.id).ok());
    // A run that was refused before it began has nothing to list.
    let views = views.filter(|view| !view.id.is_empty() && wanted(view.state()));
    let views: Vec<JobView> = views.take(limit).collect();
    if as_json {
        return print_json(&views.iter().map(json::job).collect());
    }
    if views.is_empty() {
        verbs::note("no jobs yet");
        return Ok(ExitCode::SUCCESS);
    }
    verbs::say(&words::jobs(&views))
}

fn status(args: &StatusArgs) -> Result<ExitCode> {
    let reading = reading(&find(&args.job)?)?;
    let colour = colour_on_stdout();
    let told = |view: &JobView| match (args.json, args.watch) {
        (true, true) => format!("{}\n", json::all(view)), // One line each time.
        (true, false) => format!("{:#}\n", json::all(view)),
        (false, _) => words::status(view, colour),
    };
    if !args.watch {
        return verbs::say(&told(&reading.view));
    }
    let clears = std::io::stdout().is_terminal() && !args.json;
    watch(reading, |view| format!("{}{}", if clears { "\u{1b}[H\u{1b}[2J" } else { "" }, told(view)))
}

/// Tells how the job is, again and again until it has ended or nobody looks any more.
fn watch(mut reading: Reading, told: impl Fn(&JobView) -> String) -> Result<ExitCode> {
    loop {
        let over = !reading.view.state().is_open();
        if !print_bytes(told(&reading.view).as_bytes())? || over {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK_EVERY);
        go_on(&mut reading)?;
    }
}

/// Reads what was written since; a job that ends meanwhile is read to its end.
fn go_on(reading: &mut Reading) -> Result<()> {
    reading.go_on().map_err(|e| Error::input(format!("the event log cannot be read: {e}")))
}

fn history(args: &HistoryArgs) -> Result<ExitCode> {
    let Some(job) = &args.job else {
        return list(args.json, args.limit, |state| !state.is_open());
    };
    let view = reading(&find(job)?)?.view;
    if view.state().is_open() {
        let what = format!("{} has not ended yet", words::clean(&view.name));
        return Err(Error::input(what).with_remedy(format!("mapfold status {}", shelf::short(&view.id))));
    }
    match (args.json, &view.report) {
        (true, Some(report)) => print_json(report),
        (true, None) => print_json(&json::all(&view)),
        (false, _) => verbs::say(&words::report(&view, colour_on_stdout())),
    }
}

fn why(args: &WhyArgs) -> Result<ExitCode> {
    let id = find(&args.job)?;
    let view = reading(&id)?.view;
    if args.json {
        return print_json(&json::all(&view));
    }
    verbs::say(&words::why(&view, &logs::tails(&id, &view, TAIL), colour_on_stdout()))
}

/// The verb that runs a split again.
pub fn split(builtins: &[Builtin], m: &ArgMatches) -> Result<ExitCode> {
    let asked: AskedSplit = parsed(m)?;
    mapfold::split(builtins, &asked, find(&asked.job)?)
}
