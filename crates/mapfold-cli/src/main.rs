//! The command `mapfold`: run jobs, look at rasters, make scenes and job crates.
//!
//! Verbs only: everything that a job can do is in the job's own binary too. `main` parses, one function per verb does
//! it, and the facade's `print_error` makes the exit code.

mod bundle;
mod cluster;
mod config;
mod dev;
mod examples;
mod files;
mod fsck;
mod info;
mod jobs;
mod manifest;
mod new;
mod own_job;
mod preview;
mod scene;
mod shell;
mod verbs;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use mapfold::{Builtin, Error, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    let built_in = verbs::builtins();
    if let Some(code) = mapfold::attend_if_called(&built_in) {
        return code;
    }
    let is_builtin = |name: &str| built_in.iter().any(|job| job.name() == name);
    if let Some(done) = own_job::take(std::env::args_os().skip(1), is_builtin) {
        return done.unwrap_or_else(|e| mapfold::print_error(&e, mapfold::watch::colour_on_stderr()));
    }
    let cmd = match command(&built_in) {
        Ok(cmd) => cmd,
        Err(e) => return mapfold::print_error(&e, false),
    };
    // For this project's own measurements; shells would complete it, hidden or not.
    let with_bench = cmd.clone().subcommand(verbs::bench_command());
    let matches = match with_bench.try_get_matches() {
        Ok(matches) => matches,
        Err(e) => return mapfold::print_usage_error(&e),
    };
    let done = match matches.subcommand() {
        Some(("run", m)) => return run(&built_in, m),
        Some(("split", m)) => jobs::split(&built_in, m),
        Some((verb, m)) => {
            jobs::run(verb, m).or_else(|| files::run(verb, m)).unwrap_or_else(|| verbs::other(verb, m, cmd, &built_in))
        }
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

/// The whole command, jobs and verbs.
fn command(jobs: &[Builtin]) -> Result<Command> {
    let mut run = Command::new("run")
        .about("Run a job")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("JOB")
        .subcommand_help_heading("Jobs")
        .after_help(
            "`mapfold run JOB --help` shows the options of a job, with examples.\n\
             A job of your own runs by its path, built in release mode: `mapfold run ./my-job …`",
        );
    for job in jobs {
        run = run.subcommand(job.command()?);
    }
    let info = info::InfoArgs::augment_args(Command::new("info")).after_help(examples::text(examples::INFO));
    let preview = preview::PreviewArgs::augment_args(Command::new("preview"));
    let new = new::NewArgs::augment_args(Command::new("new")).after_help(examples::text(examples::NEW));
    Ok(Command::new("mapfold")
        .version(env!("CARGO_PKG_VERSION"))
        .about("MapReduce-style batch processing of Earth data")
        .after_help(examples::text(examples::MAPFOLD))
        .after_long_help(examples::long())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run)
        .subcommand(Command::new("list").about("List the built-in jobs").arg(verbs::json_flag()))
        .subcommands(jobs::commands())
        .subcommands(files::commands())
        .subcommand(config::command())
        .subcommand(info)
        .subcommand(preview.after_help(examples::text(examples::PREVIEW)))
        .subcommand(verbs::gen_command())
        .subcommand(new)
        .subcommand(
            bundle::BundleArgs::augment_args(Command::new("bundle")).after_help(examples::text(examples::BUNDLE)),
        )
        .subcommand(
            manifest::ManifestArgs::augment_args(Command::new("manifest"))
                .after_help(examples::text(examples::MANIFEST)),
        )
        .subcommand(cluster::command())
        .subcommand(dev::command())
        .subcommand(fsck::FsckArgs::augment_args(Command::new("fsck")).after_help(examples::text(examples::FSCK)))
        .subcommand(verbs::completion_command())
        .subcommand(verbs::man_command()))
}

/// The arguments of a verb, parsed.
fn parsed<A: Args + FromArgMatches>(m: &ArgMatches) -> Result<A> {
    A::from_arg_matches(m).map_err(|e| Error::usage(e.to_string()))
}
