//! The command `mapfold`: run jobs, look at rasters, make scenes and job crates.
//!
//! Verbs only: everything that a job can do is in the job's own binary too. `main` parses, one function per verb does
//! it, and the facade's `print_error` makes the exit code.

mod info;
mod new;
mod preview;
mod scene;
mod shell;
mod verbs;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use mapfold::{Builtin, Error, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    let jobs = verbs::builtins();
    if let Some(code) = mapfold::attend_if_called(&jobs) {
        return code;
    }
    let cmd = match command(&jobs) {
        Ok(cmd) => cmd,
        Err(e) => return mapfold::print_error(&e, false),
    };
    let matches = cmd.clone().get_matches();
    let done = match matches.subcommand() {
        Some(("run", m)) => return run(&jobs, m),
        Some((verb, m)) => verbs::other(verb, m, cmd, &jobs),
        None => Err(Error::usage("no verb; `mapfold --help` lists them")),
    };
    match done {
        Ok(code) => code,
        Err(e) => mapfold::print_error(&e, mapfold::watch::colour_on_stderr()),
    }
}

fn run(jobs: &[Builtin], m: &ArgMatches) -> ExitCode {
    let chosen = m.subcommand().and_then(|(name, m)| jobs.iter().find(|j| j.name() == name).map(|j| (j, m)));
    match chosen {
        Some((job, m)) => job.run(m),
        None => mapfold::print_error(&Error::usage("no job; `mapfold list` lists them"), false),
    }
}

const EXAMPLES: &str = "Examples:
  mapfold run ndvi --red scene.tif#B04 --nir scene.tif#B08 --out ndvi.tif
  mapfold run stats ndvi.tif --json
  mapfold info ndvi.tif
  mapfold preview ndvi.tif -o ndvi.png --ramp ndvi
  mapfold gen scene scenes --size 2048
  mapfold new my-job";

/// The whole command, jobs and verbs.
fn command(jobs: &[Builtin]) -> Result<Command> {
    let mut run = Command::new("run")
        .about("Run a job")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("JOB")
        .subcommand_help_heading("Jobs");
    for job in jobs {
        run = run.subcommand(job.command()?);
    }
    Ok(Command::new("mapfold")
        .version(env!("CARGO_PKG_VERSION"))
        .about("MapReduce-style batch processing of Earth data")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run)
        .subcommand(Command::new("list").about("List the built-in jobs").arg(verbs::json_flag()))
        .subcommand(info::InfoArgs::augment_args(Command::new("info").about("Show what a raster file says of itself")))
        .subcommand(preview::PreviewArgs::augment_args(Command::new("preview").about("Draw a raster as a PNG")))
        .subcommand(verbs::gen_command())
        .subcommand(new::NewArgs::augment_args(Command::new("new").about("Write a job crate of your own")))
        .subcommand(verbs::completion_command())
        .subcommand(verbs::man_command())
        .subcommand(verbs::bench_command()))
}

/// The arguments of a verb, parsed.
fn parsed<A: Args + FromArgMatches>(m: &ArgMatches) -> Result<A> {
    A::from_arg_matches(m).map_err(|e| Error::usage(e.to_string()))
}
