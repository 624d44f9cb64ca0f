//! What a job says: results on stdout, everything else on stderr, and the one place that makes exit codes.
#![allow(clippy::print_stdout, clippy::print_stderr)] // This module is the voice of the program.

use crate::args::RunArgs;
use crate::store_args;
use crate::{Error, Result};
use mapfold_coord::events::MemberUse;
use mapfold_engine::{RunOptions, RunOutcome};
use mapfold_watch::{MemberReport, MemoryReport, OutputReport, RunReport, StageReport};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// Logs to stderr: `RUST_LOG`, else warnings, more with `-v`.
pub fn set_up_logging(verbose: u8, colour: bool) {
    use tracing_subscriber::EnvFilter;
    /// They tell of every connection, or of faults that we repair; and headers with signatures in them.
    const TALKATIVE: [&str; 6] = ["hyper", "hyper_util", "h2", "reqwest", "rustls", "object_store"];
    let but = |level: &str| TALKATIVE.map(|name| format!("{name}={level},")).concat() + "hdfs_native=error";
    let (level, of_libraries) = [("warn", "warn"), ("info", "info"), ("debug", "info")][usize::from(verbose.min(2))];
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = asked.map(|text| {
        let understood = EnvFilter::try_new(format!("{text},{}", but("info")));
        understood.inspect_err(|e| eprintln!("warning: RUST_LOG={text:?} is not understood ({e}): it is ignored"))
    });
    let usual = || EnvFilter::new(format!("{level},{}", but(of_libraries)));
    let filter = filter.and_then(Result::ok).unwrap_or_else(usual);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let _ = log.with_target(false).without_time().try_init();
}

/// Whether stderr is a terminal.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Bytes of a result on stdout. `false` when nobody reads any more (`| head`), which is no error.
///
/// # Errors
/// When they cannot be written: a result that is cut short must not pass for a whole one.
pub fn print_bytes(bytes: &[u8]) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::input(format!("the result cannot be written to stdout: {e}"))
            .with_remedy("make room, or send stdout elsewhere; files that were written are whole")),
    }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|e| json!({ "error": e.to_string() }).to_string()) + "\n"
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> ExitCode {
    print_text(&json_text(value))
}

/// Prints text as it is.
pub fn print_text(text: &str) -> ExitCode {
    let printed = print_bytes(text.as_bytes());
    printed.map_or_else(|e| print_error(&e, mapfold_watch::colour_on_stderr()), |_| ExitCode::SUCCESS)
}

/// Prints the results and the report of a run.
pub fn print_outcome(args: &RunArgs, outcome: &RunOutcome, report: &RunReport, color: bool) -> ExitCode {
    let results: String = if args.json {
        let mut all = Map::new();
        outcome.reports.iter().for_each(|r| drop(all.insert(r.name.clone(), Value::Array(r.values.clone()))));
        all.insert("run".into(), serde_json::to_value(report).unwrap_or(Value::Null));
        json_text(&all)
    } else {
        outcome.reports.iter().map(|r| crate::table::text(&r.values)).collect()
    };
    let printed = print_bytes(results.as_bytes());
    if !args.quiet && !args.json {
        eprint!("{}", report.text(color));
    } else if !args.json {
        outcome.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
    }
    match printed {
        Err(e) => print_error(&e, color),
        Ok(_) if outcome.skipped > 0 => ExitCode::from(4),
        Ok(_) => ExitCode::SUCCESS,
    }
}

/// The report of a run, from what the engine gives back.
pub fn report(outcome: &RunOutcome, opts: &RunOptions) -> RunReport {
    let mut r = RunReport::new(&opts.name);
    r.id = outcome.job.to_string();
    r.outcome = if outcome.skipped > 0 {
        mapfold_coord::events::Outcome::CommittedWithSkips
    } else {
        mapfold_coord::events::Outcome::Committed
    };
    (r.wall_seconds, r.user_seconds, r.sys_seconds) = (outcome.usage.wall, outcome.usage.user, outcome.usage.sys);
    (r.workers, r.threads, r.replaced) = (opts.workers, opts.threads, outcome.replaced);
    let member = |m: &MemberUse| MemberReport {
        member: m.member,
        user_seconds: m.user_seconds,
        sys_seconds: m.sys_seconds,
        peak_bytes: m.peak_bytes,
    };
    r.members = outcome.members.iter().map(member).collect();
    let stage = |s: &mapfold_engine::StageDone| StageReport {
        stage: s.number,
        label: s.label.clone(),
        splits: s.splits,
        earlier: s.resumed,
        retries: s.retries,
        wall_seconds: Some(s.usage.wall),
        user_seconds: Some(s.usage.user),
        sys_seconds: Some(s.usage.sys),
        times: s.times,
        ..StageReport::default()
    };
    r.stages = outcome.stages.iter().map(stage).collect();
    let output = |o: &mapfold_engine::OutputDone| OutputReport {
        path: o.loc.to_string(),
        bytes: Some(o.bytes),
        what: o.what.clone(),
    };
    r.outputs = outcome.outputs.iter().map(output).collect();
    r.counters = outcome.counters.clone();
    (r.bytes_spilled, r.splits_placed) = (outcome.bytes_spilled, outcome.placed);
    r.memory = MemoryReport {
        peak_bytes: Some(outcome.peak_bytes),
        predicted_bytes: Some(outcome.predicted_peak_bytes),
        limit_bytes: Some(opts.memory_limit),
    };
    r.warnings = outcome.warnings.clone();
    r
}

/// Prints an error in a few lines: what, stage, place, remedy. Gives its exit code.
pub fn print_error(e: &Error, color: bool) -> ExitCode {
    let (red, off) = if color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{red}error:{off} {e}");
    let lines = [("stage", e.stage()), ("at", e.place()), ("try", e.remedy())];
    lines.iter().filter_map(|(n, v)| v.map(|v| (n, v))).for_each(|(n, v)| eprintln!("  {n}: {v}"));
    ExitCode::from(e.exit_code())
}

/// Prints where a panic came from.
pub fn print_backtrace(text: &str) {
    eprintln!("{}", text.trim_end());
}

/// Prints what is wrong with a command line (or the help that was asked for), without secrets of URLs in it. Gives the
/// exit code: 2, or 0 for help.
pub fn print_usage_error(e: &clap::Error) -> ExitCode {
    let plain = e.render().to_string();
    let said = plain_words(e).unwrap_or_else(|| mapfold_store::redact(&plain));
    if !e.use_stderr() || said == plain {
        let _ = e.print(); // A closed pipe is no error of ours.
        return ExitCode::from(e.exit_code() as u8);
    }
    let (red, off) = if mapfold_watch::colour_on_stderr() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprint!("{red}error:{off}{}", said.strip_prefix("error:").unwrap_or(&said));
    ExitCode::from(2)
}

/// A value that its parser refused, told once: the parser's sentence names the value already.
fn plain_words(e: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let (ErrorKind::ValueValidation, Some(ContextValue::String(arg))) = (e.kind(), e.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let why = std::error::Error::source(e)?.to_string();
    let name = arg.split([' ', '[', '=']).find(|w| !w.is_empty())?.trim_matches(['<', '>', '[', ']', '.']);
    Some(mapfold_store::redact(&format!("error: {name}: {why}\n\nFor more information, try '--help'.\n")))
}

/// The same for a job: `--json` gets it as JSON too, an interrupted one the line that goes on.
pub fn print_job_error(args: &RunArgs, e: &Error, color: bool) -> ExitCode {
    if args.json {
        print_json(&json!({ "error": {
            "what": e.to_string(), "stage": e.stage(), "at": e.place(), "try": e.remedy(), "exit_code": e.exit_code(),
        }}));
    }
    let code = print_error(e, color);
    if e.is_stop() && e.remedy().is_some_and(|r| r.contains("--resume")) {
        eprintln!("  resume: {}", resume_line());
    }
    code
}

/// The command line of this process with `--resume`.
fn resume_line() -> String {
    let (words, secrets) = store_args::without_secrets(std::env::args_os());
    let words: Vec<String> = words
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .filter(|a| a != "--overwrite" && a != "--resume" && !a.starts_with("--job-id="))
        .map(|a| mapfold_launch::quoted(&a))
        .collect();
    let with = if secrets.is_empty() { "" } else { " (with the secrets of -D again)" };
    mapfold_store::redact(&format!("{} --resume{with}", words.join(" ")))
}
