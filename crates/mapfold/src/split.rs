//! What is kept of a run so that one of its splits can be run again ([`note`]), and doing so ([`split`]).
//!
//! A run leaves `job.json` in its state folder: the program, the job's parameters, the options that planning depends on.
//! Secrets of URLs are not in it; whoever runs a split again says them again. The plan is made anew from these, so the
//! inputs are looked at as they are now; where that gives another plan than the job's, it is said.

use crate::app::Builtin;
use crate::args::{RunArgs, Settings};
use crate::{Error, Result, says};
use clap::Args;
use mapfold_coord::events::jobs_folder;
use mapfold_coord::{JobId, Phase};
use mapfold_engine::{OneSplit, Reproduced, RunOptions};
use mapfold_plan::memory::Chunks;
use mapfold_plan::{Kind, Plan, redacted};
use mapfold_store::Stores;
use mapfold_watch::{human, shelf, words};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The hidden option before an [`AskedSplit`], for programs of job crates.
pub(crate) const SPLIT_OPTION: &str = "--mapfold-split";
const FILE: &str = "job.json";
/// Another version cannot be understood.
const VERSION: u32 = 1;

/// What is kept of a run.
#[derive(Serialize, Deserialize)]
struct Recorded {
    version: u32,
    job: JobId,
    name: String,
    /// The program that ran it.
    program: PathBuf,
    /// Without secrets.
    params: Value,
    /// Parameters that had secrets, by name.
    secret: Vec<String>,
    settings: Settings,
    /// Of the plan.
    fingerprint: String,
    threads: usize,
    memory_limit: u64,
    chunks: Chunks,
}

/// Run one split of a job again, here, without an output: what it reads, how long it takes, how it fails
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct AskedSplit {
    /// The job's name, or the begin of its id
    pub job: String,
    /// Which split, as messages name it
    #[arg(value_name = "N")]
    pub split: u64,
    /// Of which stage [default: the one in which it failed, or the only one]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<usize>,
    /// Say a parameter anew, one that held a secret above all
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    /// Tell where a panic came from
    #[arg(long)]
    pub backtrace: bool,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Keeps what is needed to run a split of this run again. Losing it loses no result: a warning says so.
pub(crate) fn note(job: JobId, plan: &Plan, args: &RunArgs, opts: &RunOptions) {
    let kept = recorded(job, plan, args, opts).map_err(|e| e.to_string()).and_then(|recorded| {
        let folder = jobs_folder().ok_or("neither XDG_STATE_HOME nor HOME is set")?.join(job.to_string());
        let bytes = serde_json::to_vec_pretty(&recorded).map_err(|e| e.to_string())?;
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(FILE), bytes))
            .map_err(|e| e.to_string())
    });
    if let Err(e) = kept {
        tracing::warn!("`mapfold split` will not know this job: {e}");
    }
}

fn recorded(job: JobId, plan: &Plan, args: &RunArgs, opts: &RunOptions) -> Result<Recorded> {
    let params = redacted(&opts.params);
    let secret = |(name, value): (&String, &Value)| (params.get(name) != Some(value)).then(|| name.clone());
    let secret = opts.params.as_object().into_iter().flatten().filter_map(secret).collect();
    Ok(Recorded {
        version: VERSION,
        job,
        name: opts.name.clone(),
        program: std::env::current_exe().map_err(|e| Error::caused(Kind::Job, e))?,
        secret,
        settings: Settings::of(args),
        fingerprint: format!("{:032x}", plan.fingerprint(&params)),
        params,
        threads: opts.threads,
        memory_limit: opts.memory_limit,
        chunks: opts.chunks,
    })
}

/// Runs one split of a job again: in this process if the job is one of `jobs`, else in its own program, which takes the
/// place of this one.
///
/// # Errors
/// When the job is not known any more, its program is gone, or there is no such split.
pub fn split(jobs: &[Builtin], asked: &AskedSplit, id: JobId) -> Result<ExitCode> {
    let recorded = read(id)?;
    let here = std::env::current_exe().ok();
    let job = jobs.iter().find(|j| j.name() == recorded.name);
    let other = here.as_ref() != Some(&recorded.program) && recorded.program.exists();
    match job {
        Some(job) if !other => run(job, &recorded, asked),
        _ if other => {
            let asked = AskedSplit { job: id.to_string(), ..asked.clone() };
            let mut program = Command::new(&recorded.program);
            let failed = program.arg(SPLIT_OPTION).arg(serde_json::to_string(&asked)?).exec();
            Err(Error::caused(Kind::Input, failed).at_place(recorded.program.display().to_string()))
        }
        _ => {
            let what = format!("the program of {} is gone: {}", recorded.name, recorded.program.display());
            Err(Error::input(what).with_remedy("build it again, in the same place"))
        }
    }
}

/// The same in the job's own program.
pub(crate) fn split_if_called(jobs: &[Builtin], asked: &str) -> ExitCode {
    let done = (|| {
        let asked: AskedSplit = serde_json::from_str(asked)?;
        let recorded = read(asked.job.parse().map_err(|e| Error::caused(Kind::Usage, e))?)?;
        let job = jobs.iter().find(|j| j.name() == recorded.name).or(jobs.first().filter(|_| jobs.len() == 1));
        let job = job.ok_or_else(|| Error::job(format!("this program has no job {:?}", recorded.name)))?;
        run(job, &recorded, &asked)
    })();
    done.unwrap_or_else(|e| says::print_error(&e, mapfold_watch::colour_on_stderr()))
}

fn read(id: JobId) -> Result<Recorded> {
    let unknown = |e: &dyn std::fmt::Display| {
        Error::input(format!("what is needed of job {} is not there: {e}", shelf::short(&id.to_string())))
            .with_remedy("the job's own command runs all of it")
    };
    let folder = jobs_folder().ok_or_else(|| Error::input("neither XDG_STATE_HOME nor HOME is set"))?;
    let path = folder.join(id.to_string()).join(FILE);
    let bytes = std::fs::read(&path).map_err(|e| unknown(&format!("{}: {e}", path.display())))?;
    let recorded: Recorded =
        serde_json::from_slice(&bytes).map_err(|e| unknown(&format!("{}: {e}", path.display())))?;
    if recorded.version != VERSION {
        return Err(unknown(&format!("{} is of another version of mapfold", path.display())));
    }
    Ok(recorded)
}

fn run(job: &Builtin, recorded: &Recorded, asked: &AskedSplit) -> Result<ExitCode> {
    says::set_up_logging(0, mapfold_watch::colour_on_stderr());
    let params = params(recorded, &asked.param)?;
    let settings = &recorded.settings;
    let plan = Plan::new(Stores::new(), settings.plan.clone());
    plan.set(settings.read.clone());
    plan.set(settings.write.clone());
    mapfold_engine::install_panic_hook();
    mapfold_engine::guarded(|| job.plan(&params.to_string(), &plan))?;
    plan.check()?;
    if format!("{:032x}", plan.fingerprint(&params)) != recorded.fingerprint {
        tracing::warn!("the plan is not the job's: an input, a parameter or the program has changed since");
    }
    let stage = match asked.stage {
        Some(stage) => stage,
        None => stage_of(recorded.job, &plan, asked.split)?,
    };
    let (threads, memory_limit, chunks) = (recorded.threads, recorded.memory_limit, recorded.chunks);
    let opts = RunOptions { threads, memory_limit, chunks, params, ..RunOptions::default() };
    let _ = opts.cancel.on_signals();
    let one = OneSplit { stage, split: asked.split };
    let begins = |label: &str, place: &str| {
        let pid = std::process::id();
        tracing::info!("split {} of stage {stage} ({label}): {place}, in process {pid}", asked.split);
    };
    let done = mapfold_engine::reproduce(&plan, &opts, one, asked.backtrace, &begins)?;
    Ok(tell(&done, one, asked))
}

/// The parameters of the run, those with secrets as they are said now.
fn params(recorded: &Recorded, said: &[(String, String)]) -> Result<Value> {
    let mut params = recorded.params.clone();
    for (name, text) in said {
        let key = name.replace('-', "_");
        let Some(slot) = params.get_mut(&key) else {
            let names = params.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>().join(", "));
            let what = format!("--param {name}: the job has no such parameter");
            return Err(Error::usage(what).with_remedy(format!("it has {}", names.unwrap_or_default())));
        };
        let is_text = slot.is_string() || slot.is_null();
        *slot = match serde_json::from_str(text) {
            Ok(value) if !is_text => value,
            _ => Value::String(text.clone()),
        };
    }
    let left: Vec<&str> = recorded.secret.iter().map(String::as_str).collect();
    let left: Vec<&str> = left.into_iter().filter(|n| !said.iter().any(|(s, _)| s.replace('-', "_") == **n)).collect();
    if left.is_empty() {
        return Ok(params);
    }
    let what = format!("{} held a secret when the job ran, which was not kept", left.join(", "));
    let again: Vec<String> = left.iter().map(|name| format!("--param {name}=URL")).collect();
    Err(Error::usage(what).with_remedy(again.join(" ")))
}

/// The stage in which the split failed, else the only one that has it.
fn stage_of(job: JobId, plan: &Plan, split: u64) -> Result<usize> {
    let view = shelf::read(&job).ok();
    let failed = view.iter().flat_map(|v| &v.failures).find(|f| f.split.0 == split).map(|f| f.stage.0 as usize);
    let ended = view.iter().filter_map(|v| v.ended.as_ref()?.at).find(|(_, s)| s.0 == split).map(|(s, _)| s.0 as usize);
    if let Some(stage) = ended.or(failed) {
        return Ok(stage);
    }
    let stages = plan.stages();
    let have: Vec<usize> = (0..stages.len()).filter(|i| split < stages[*i].domain().splits()).collect();
    match have.as_slice() {
        [] => Ok(0), // The engine says how many there are.
        [one] => Ok(*one),
        many => {
            let named: Vec<String> = many.iter().map(|i| format!("{i} ({})", stages[*i].label())).collect();
            let what = format!("split {split} of which stage? There are {}", named.join(", "));
            Err(Error::usage(what).with_remedy(format!("--stage {}", many[0])))
        }
    }
}

/// Prints what came of it; the exit code is that of the failure.
fn tell(done: &Reproduced, one: OneSplit, asked: &AskedSplit) -> ExitCode {
    if asked.json {
        says::print_json(&as_json(done, one));
    } else {
        says::print_text(&as_text(done, one));
    }
    let Some(error) = &done.error else { return ExitCode::SUCCESS };
    let code = says::print_error(error, mapfold_watch::colour_on_stderr());
    if let Some(backtrace) = &done.backtrace {
        says::print_backtrace(backtrace);
    }
    code
}

fn as_json(done: &Reproduced, one: OneSplit) -> Value {
    let seconds: serde_json::Map<String, Value> =
        Phase::ALL.iter().map(|p| (p.name().to_owned(), json!(done.times.get(*p).as_secs_f64()))).collect();
    let read = |r: &mapfold_engine::ReadOf| json!({ "file": r.loc.to_string(), "ranges": r.ranges, "bytes": r.bytes });
    json!({
        "stage": one.stage,
        "split": one.split,
        "label": done.label,
        "place": done.place,
        "splits_before": done.before,
        "reads": done.reads.iter().map(read).collect::<Vec<_>>(),
        "bytes_exchanged": done.exchanged,
        "made": done.made,
        "bytes_out": done.bytes_out,
        "wall_seconds": done.seconds,
        "seconds": seconds,
        "counters": done.counters,
        "peak_bytes": done.peak_bytes,
        "error": done.error.as_ref().map(|e| json!({
            "what": e.to_string(), "stage": e.stage(), "at": e.place(), "try": e.remedy(),
        })),
        "backtrace": done.backtrace,
    })
}

fn as_text(done: &Reproduced, one: OneSplit) -> String {
    let mut out = vec![format!("split {} of stage {}, {}", one.split, one.stage, words::clean(&done.label))];
    let mut line = |name: &str, text: String| out.push(format!("{name:<9}{text}"));
    line("place", words::clean(&done.place));
    for r in &done.reads {
        line(
            "read",
            format!("{} in {} ranges of {}", human::bytes(r.bytes), r.ranges, words::clean(&r.loc.to_string())),
        );
    }
    if done.before > 0 {
        let (before, bytes) = (human::count(done.before), human::bytes(done.exchanged));
        line("before", format!("{before} splits of other stages, {bytes} of records for this one"));
    }
    if done.error.is_none() {
        line("made", format!("{}, {}", done.made, human::bytes(done.bytes_out)));
        let phases = Phase::ALL.iter().map(|p| (p, done.times.get(*p))).filter(|(_, t)| !t.is_zero());
        let phases: Vec<String> =
            phases.map(|(p, t)| format!("{} {}", p.name(), human::seconds(t.as_secs_f64()))).collect();
        line("time", format!("{}: {}", human::seconds(done.seconds), phases.join(", ")));
        done.counters
            .iter()
            .for_each(|(name, n)| line("counted", format!("{} {}", human::count(n), words::clean(name))));
    } else {
        line("time", format!("failed after {}", human::seconds(done.seconds)));
    }
    line("memory", format!("peak {} of this process", human::bytes(done.peak_bytes)));
    out.join("\n") + "\n"
}
