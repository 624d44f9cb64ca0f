//! From a job function to a program: arguments, plan, run, report, exit code.

use crate::args::{Color, RunArgs};
use crate::watching::Watched;
use crate::{Error, Result, carried, describe, detach, member, on_emr, on_yarn, says, split};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser, ValueHint};
use mapfold_coord::{EventLog, JobId};
use mapfold_engine::{RunOptions, RunOutcome};
use mapfold_launch::Target;
use mapfold_plan::{Kind, Plan, explain};
use mapfold_store::{Loc, Stores};
use mapfold_watch::{Progress, ProgressOptions, RunReport};
use serde::{Serialize, de::DeserializeOwned};
use std::any::TypeId;
use std::process::ExitCode;
use std::sync::Arc;

/// Turns a job function into a program: `fn main() -> ExitCode { mapfold::main(ndvi) }`.
///
/// The program has the job's own parameters and the run options (`--help` shows both).
pub fn main<P: Parser + Serialize + DeserializeOwned>(
    job: impl Fn(P, &Plan) -> Result<()> + Send + Sync + 'static,
) -> ExitCode {
    serve(Builtin::new(&program_name(), job))
}

/// As [`main`], for a job without rasters: it has no options about them (see [`Builtin::records`]).
pub fn records_main<P: Parser + Serialize + DeserializeOwned>(
    job: impl Fn(P, &Plan) -> Result<()> + Send + Sync + 'static,
) -> ExitCode {
    serve(Builtin::new(&program_name(), job).records())
}

#[allow(clippy::needless_pass_by_value)] // it is the program
fn serve(entry: Builtin) -> ExitCode {
    if let Some(code) = member::attend_if_called(std::slice::from_ref(&entry)) {
        return code;
    }
    let parsed = match entry.command() {
        Ok(cmd) => cmd.try_get_matches(),
        Err(e) => return says::print_error(&e, false),
    };
    parsed.map_or_else(|e| says::print_usage_error(&e), |matches| entry.run(&matches))
}

fn program_name() -> String {
    let path = std::env::args().next().unwrap_or_default();
    std::path::Path::new(&path).file_name().map_or("job".into(), |n| n.to_string_lossy().into_owned())
}

type RunFn = Box<dyn Fn(&str, &ArgMatches) -> ExitCode + Send + Sync>;
type PlanFn = Box<dyn Fn(&str, &Plan) -> Result<()> + Send + Sync>;

/// A job linked into another program, such as the `mapfold` command.
pub struct Builtin {
    name: String,
    own: Command,
    reports_only: bool,
    records: bool,
    run: RunFn,
    plan: PlanFn,
}

impl Builtin {
    /// A job under a name.
    pub fn new<P: Parser + Serialize + DeserializeOwned>(
        name: &str,
        job: impl Fn(P, &Plan) -> Result<()> + Send + Sync + 'static,
    ) -> Builtin {
        let own = P::command().name(name.to_string());
        let described = own.clone();
        let job = Arc::new(job);
        let again = job.clone();
        let plan = move |params: &str, plan: &Plan| again(serde_json::from_str(params)?, plan);
        let run = move |name: &str, m: &ArgMatches| {
            let parsed = RunArgs::from_arg_matches(m);
            let args = match parsed {
                Ok(args) => args,
                Err(e) => return says::print_usage_error(&e),
            };
            if let Err(e) = args.stores.install() {
                return says::print_job_error(&args, &e, false);
            }
            if args.describe {
                return says::print_json(&describe::schema(&described));
            }
            if args.is_left_here() {
                let launched = detach::launch(args.json);
                return launched.unwrap_or_else(|e| says::print_job_error(&args, &e, false));
            }
            match P::from_arg_matches(m) {
                Ok(_) if args.is_for_others() => {
                    let launched = launch_elsewhere(&args, name, &described, m);
                    launched.unwrap_or_else(|e| says::print_job_error(&args, &e, colour(&args)))
                }
                Ok(params) => finish(&args, run_job(name, &*job, params, &args)),
                Err(e) => says::print_usage_error(&e),
            }
        };
        Builtin {
            name: name.to_string(),
            own,
            reports_only: false,
            records: false,
            run: Box::new(run),
            plan: Box::new(plan),
        }
    }

    /// With lines under its help: commands that work when they are pasted.
    #[must_use]
    pub fn examples(mut self, lines: &str) -> Builtin {
        self.own = self.own.after_help(format!("Examples:\n{lines}"));
        self
    }

    /// For a job that only reports: its help leaves out the options of raster writers (giving one is an error).
    #[must_use]
    pub fn reports_only(mut self) -> Builtin {
        self.reports_only = true;
        self
    }

    /// For a job without rasters: its help leaves out all that is said about rasters, and giving it is an error.
    #[must_use]
    pub fn records(mut self) -> Builtin {
        self.records = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls the job with parameters as they travelled to a member process.
    pub(crate) fn plan(&self, params: &str, plan: &Plan) -> Result<()> {
        (self.plan)(params, plan)
    }

    /// What it does, in one line.
    pub fn about(&self) -> String {
        self.own.get_about().map(ToString::to_string).unwrap_or_default()
    }

    /// Its command with the run options added.
    ///
    /// # Errors
    /// When a parameter of the job has the name of a run option: names both.
    pub fn command(&self) -> Result<Command> {
        let options = RunArgs::augment_args(Command::new("run options"));
        for own in self.own.get_arguments() {
            let counts = |o: &&Arg| !(self.records && crate::args::is_of_rasters(o) && own.get_id() != o.get_id());
            let clash = options.get_arguments().filter(counts).find(|o| {
                own.get_id() == o.get_id()
                    || (own.get_long().is_some() && own.get_long() == o.get_long())
                    || (own.get_short().is_some() && own.get_short() == o.get_short())
            });
            if let Some(o) = clash {
                let what = format!(
                    "the job's parameter {} has the name of the run option --{}",
                    own.get_id(),
                    o.get_long().unwrap_or_default()
                );
                return Err(Error::usage(what).with_remedy("rename the parameter"));
            }
        }
        // `--describe` asks about a job without its parameters.
        let describing = std::env::args_os().any(|a| a == "--describe");
        let own = self.own.clone().mut_args(|a| shown(if describing { a.required(false) } else { a }));
        let needs_some = self.own.get_arguments().any(clap::Arg::is_required_set);
        // Augmenting would put the group's own description over the job's.
        let (about, long) = (own.get_about().cloned(), own.get_long_about().cloned());
        let (reports_only, records) = (self.reports_only, self.records);
        let less = |a: Arg| match a.get_help_heading() {
            Some(crate::args::RASTER_OUTPUT) if reports_only => a.hide(true),
            // Out of the way of the job's own options: `--format` of records is another thing.
            _ if records && crate::args::is_of_rasters(&a) => {
                let long = format!("raster-{}", a.get_long().unwrap_or_default());
                a.hide(true).long(long)
            }
            _ => a,
        };
        let with_options = RunArgs::augment_args(own).about(about.unwrap_or_default()).mut_args(less);
        let told = long.map_or_else(|| with_options.clone().long_about(None), |l| with_options.clone().long_about(l));
        Ok(told.arg_required_else_help(needs_some))
    }

    /// Runs it; the exit code says how it ended.
    pub fn run(&self, matches: &ArgMatches) -> ExitCode {
        if let Err(e) = self.refuse_rasters(matches) {
            return says::print_error(&e, mapfold_watch::colour_on_stderr());
        }
        (self.run)(&self.name, matches)
    }
}

impl Builtin {
    /// Nothing that a user says is ignored.
    fn refuse_rasters(&self, matches: &ArgMatches) -> Result<()> {
        let options = RunArgs::augment_args(Command::new("run options"));
        let said = |a: &&Arg| {
            let source = matches.value_source(a.get_id().as_str());
            crate::args::is_of_rasters(a) && source == Some(clap::parser::ValueSource::CommandLine)
        };
        match options.get_arguments().find(said) {
            Some(a) if self.records => {
                let what = format!("--{} is about rasters; this job has none", a.get_id());
                Err(Error::usage(what).with_remedy("leave it out"))
            }
            _ => Ok(()),
        }
    }
}

/// A parameter that is a location says so in its help, and shells complete file names for it.
fn shown(arg: Arg) -> Arg {
    if arg.get_value_parser().type_id() != TypeId::of::<Loc>() {
        return arg;
    }
    let arg = arg.value_hint(ValueHint::AnyPath);
    if arg.is_positional() { arg } else { arg.value_name("LOC") }
}

/// Has another machine run this command, and says what became of it.
fn launch_elsewhere(args: &RunArgs, name: &str, own: &Command, m: &ArgMatches) -> Result<ExitCode> {
    if let Some(loc) = relative(own, m) {
        let what = format!("{loc}: a relative path; the processes of a cluster have folders of their own");
        let remedy = "give the whole path, of a folder that all nodes share, or a location such as hdfs:///…";
        return Err(Error::usage(what).with_remedy(remedy));
    }
    match &args.target {
        Some(Target::Emr(id)) => on_emr::launch(args, name, id),
        _ => on_yarn::launch(args, name).inspect_err(on_emr::leave_error),
    }
}

/// A location among a job's own parameters that means something else in another folder.
fn relative(own: &Command, m: &ArgMatches) -> Option<String> {
    let locations = own.get_arguments().filter(|a| a.get_value_parser().type_id() == TypeId::of::<Loc>());
    let all = locations.filter_map(|a| m.try_get_many::<Loc>(a.get_id().as_str()).ok()?);
    let is_relative = |loc: &&Loc| {
        let listed = loc.as_text().strip_prefix('@').filter(|l| !l.contains("://")).map(std::path::Path::new);
        loc.local_path().or(listed).is_some_and(std::path::Path::is_relative)
    };
    all.flatten().find(is_relative).map(ToString::to_string)
}

/// What a job came to: an explanation or a run.
pub enum Done {
    /// `--explain`
    Explained(explain::Explain),
    /// A run.
    Ran(Box<RunOutcome>, Box<RunReport>),
}

/// Plans and runs a job with these options: what [`main`] does after parsing, without printing results.
///
/// # Errors
/// Those of planning and running.
pub fn run_job<P: Serialize>(
    name: &str,
    job: impl Fn(P, &Plan) -> Result<()>,
    params: P,
    args: &RunArgs,
) -> Result<Done> {
    says::set_up_logging(args.verbose, colour(args));
    if args.watch.job_id.is_some() {
        detach::settle();
    }
    let json = serde_json::to_value(&params)?;
    let mut opts = args.run_options(name, json)?;
    crate::allocator::bound(opts.memory_limit);
    let plan = Plan::new(Stores::new(), args.plan_options());
    plan.set(args.read_options());
    plan.set(args.write_overrides());
    mapfold_engine::install_panic_hook();
    mapfold_engine::guarded(|| job(params, &plan))?;
    plan.check()?;
    check_outputs(&plan, args)?;
    if args.explain {
        return Ok(Done::Explained(explain::explain(&plan, opts.budget(), opts.chunks, &opts.params)?));
    }
    log_plan(&plan, &opts);
    let id = match args.watch.job_id {
        Some(id) => id,
        None => JobId::random().map_err(|e| Error::caused(Kind::Job, e))?,
    };
    carried::crew(args, &plan, &id, &mut opts)?; // Until it has come together, Ctrl-C ends all at once.
    let _ = opts.cancel.on_signals();
    let progress = Progress::start(ProgressOptions {
        quiet: args.quiet || args.json && !says::is_terminal(),
        verbose: args.verbose > 0,
    });
    let events = Arc::new(EventLog::open(&id));
    events.subscribe(Arc::new(progress.clone()));
    opts.events = events.clone();
    on_yarn::within::settle_in(&id, &mut opts);
    let watched = Watched::start(&args.watch, args.quiet, &events, &progress)?;
    opts.job = Some(id);
    opts.settings = args.settings()?;
    split::note(id, &plan, args, &opts);
    let done = mapfold_engine::run(&plan, &opts);
    progress.finish();
    let done = done.map(|outcome| {
        let mut report = says::report(&outcome, &opts);
        watched.report(&mut report, &events);
        Done::Ran(Box::new(outcome), Box::new(report))
    });
    watched.end();
    done
}

/// Options of raster writers are refused where nothing is written: nothing that a user says is ignored.
fn check_outputs(plan: &Plan, args: &RunArgs) -> Result<()> {
    let said = args.write.said();
    if said.is_empty() || plan.stages().iter().any(|s| s.output().is_some()) {
        return Ok(());
    }
    let what = format!("this job writes no raster, so {} would do nothing", said.join(", "));
    Err(Error::usage(what).with_remedy("leave it out"))
}

fn colour(args: &RunArgs) -> bool {
    match args.color {
        Color::Auto => mapfold_watch::colour_on_stderr(),
        Color::Always => true,
        Color::Never => false,
    }
}

/// What `-v` and `-vv` tell of a plan.
fn log_plan(plan: &Plan, opts: &RunOptions) {
    for f in plan.files().iter().filter(|f| f.made.is_none()) {
        tracing::debug!("input {}: {} bytes", f.loc, f.info.size);
    }
    for stage in plan.stages() {
        tracing::info!("planned {}: {} splits", stage.label(), stage.domain().splits());
    }
    let limit = mapfold_watch::human::bytes(opts.memory_limit);
    tracing::info!("{} files to read, {} threads, memory limit {limit}", plan.files().len(), opts.threads);
}

fn finish(args: &RunArgs, done: Result<Done>) -> ExitCode {
    let color = colour(args);
    match done {
        Ok(Done::Explained(e)) if args.json => says::print_json(&e),
        Ok(Done::Explained(e)) => says::print_text(&e.text()),
        Ok(Done::Ran(outcome, report)) => says::print_outcome(args, &outcome, &report, color),
        Err(e) => says::print_job_error(args, &e, color),
    }
}
