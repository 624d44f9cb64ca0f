//! `--target emr://ID`: this very command as a step of an EMR cluster. On its primary node the launcher does what
//! [`crate::on_yarn`] says; here the program is brought to where the step finds it, and the step is followed.
#![allow(clippy::print_stderr)] // What goes on, a line at a time.

use crate::args::RunArgs;
use crate::{Error, Result, says};
use mapfold_engine::Cancel;
use mapfold_launch::emr::{Emr, EmrError, StepPlan, StepState};
use mapfold_plan::Kind;
use mapfold_store::{Loc, StoreError, Stores};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often EMR is asked how the step is; it counts calls.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long a step may take to end when it was asked to.
const END_WITHIN: Duration = Duration::from_secs(120);

fn told(e: EmrError) -> Error {
    let remedy = e.remedy();
    let error = Error::input(e.to_string());
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Adds the step, and follows it to its end.
///
/// # Errors
/// EMR's, S3's; a step that failed.
pub(crate) fn launch(args: &RunArgs, name: &str, id: &str) -> Result<ExitCode> {
    says::set_up_logging(args.verbose, mapfold_watch::colour_on_stderr());
    args.run_options(name, serde_json::Value::Null)?; // Options that contradict each other are refused here.
    let cancel = Cancel::default();
    let _ = cancel.on_signals();
    let stores = Stores::new();
    let emr = Emr::new(&stores, None);
    let cluster = emr.describe(id).map_err(told)?;
    if cluster.state.starts_with("TERMINAT") {
        return Err(Error::input(format!("{id} is {}", cluster.state.to_lowercase())).with_remedy("make another: mapfold cluster clone"));
    }
    let staging = staging(args, &cluster.logs)?;
    let (program, hash) = bring(&stores, &staging)?;
    let step = StepPlan {
        name: args.yarn.name.clone().unwrap_or_else(|| format!("mapfold {name}")),
        program,
        hash,
        arguments: arguments()?,
    };
    let number = emr.add_step(id, &step).map_err(told)?;
    if args.watch.detach {
        return Ok(says::print_text(&format!("{number}\n")));
    }
    let quiet = args.quiet || args.json && !says::is_terminal();
    let state = follow(&emr, id, &number, &cancel, quiet)?;
    end(id, &number, &cluster.logs, &state, &cancel)
}

/// A folder in S3 that the cluster's nodes can read: as the user says, else beside the cluster's logs.
fn staging(args: &RunArgs, logs: &str) -> Result<Loc> {
    let text = match &args.yarn.staging {
        Some(loc) => return Ok(loc.clone()),
        // EMR tells of s3n:// where it was given s3://.
        None => logs.replacen("s3n://", "s3://", 1),
    };
    if !text.starts_with("s3://") {
        return Err(Error::usage("the program must be put where the cluster finds it, and it has no folder for logs in S3")
            .with_remedy("--staging s3://bucket/folder"));
    }
    Ok(Loc::parse(&format!("{}/mapfold", text.trim_end_matches('/')))?)
}

/// Puts this program there, under its SHA-256, unless it is there.
fn bring(stores: &Stores, staging: &Loc) -> Result<(String, String)> {
    let cannot = |e: std::io::Error| Error::caused(Kind::Job, e);
    let path = std::env::current_exe().map_err(cannot)?;
    let hash = mapfold_wire::sha256(&mut std::fs::File::open(&path).map_err(cannot)?).map_err(cannot)?;
    let place = staging.join("bin").join(&hash).join("mapfold");
    let bytes = std::fs::metadata(&path).map_err(cannot)?.len();
    match stores.block_on(stores.head(&place)) {
        Ok(info) if info.size == bytes => {}
        Ok(_) | Err(StoreError::NotFound { .. }) => stores.put(&place, std::fs::read(&path).map_err(cannot)?.into())?,
        Err(e) => return Err(e.into()),
    }
    Ok((place.as_text().to_string(), hash))
}

/// This command line, as the primary node runs it.
fn arguments() -> Result<Vec<String>> {
    let (mut words, mut all) = (Vec::new(), std::env::args_os().skip(1));
    while let Some(word) = all.next() {
        let bad = |w: std::ffi::OsString| Error::usage(format!("{} is no UTF-8", w.to_string_lossy()));
        let word = word.into_string().map_err(bad)?;
        match word.as_str() {
            "--detach" => {}
            "--staging" | "--target" => {
                all.next();
            }
            w if w.starts_with("--staging=") || w.starts_with("--target=") || w.starts_with("--job-id=") => {}
            _ => words.push(word.clone()),
        }
        if word == "--target" || word.starts_with("--target=") {
            words.push("--target=yarn".into());
        }
    }
    Ok(words)
}

fn follow(emr: &Emr, id: &str, step: &str, cancel: &Cancel, quiet: bool) -> Result<StepState> {
    let (mut shown, mut asked): (String, Option<Instant>) = (String::new(), None);
    loop {
        let state = emr.step(id, step).map_err(told)?;
        if !quiet && state.state != shown {
            eprintln!("{step} of {id}: {}", state.state.to_lowercase());
            shown.clone_from(&state.state);
        }
        if state.is_over() {
            return Ok(state);
        }
        match (cancel.signal(), asked) {
            (0, _) => {}
            (_, None) => {
                emr.cancel_step(id, step).map_err(told)?;
                asked = Some(Instant::now());
            }
            (_, Some(since)) if since.elapsed() > END_WITHIN => {
                return Err(Error::job(format!("step {step} of {id} was asked to end and has not ended")));
            }
            _ => {}
        }
        let until = Instant::now() + ASK_EVERY;
        let before = cancel.signal();
        while Instant::now() < until && cancel.signal() == before {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn end(id: &str, step: &str, logs: &str, state: &StepState, cancel: &Cancel) -> Result<ExitCode> {
    let said = match logs {
        "" => format!("mapfold cluster ssh {id} -- cat /mnt/var/log/hadoop/steps/{step}/stderr"),
        logs => format!("{}/{id}/steps/{step}/stderr.gz, some minutes after its end", logs.trim_end_matches('/')),
    };
    match (state.state.as_str(), cancel.signal()) {
        ("COMPLETED", _) => {
            tracing::info!("what it said: {said}");
            Ok(ExitCode::SUCCESS)
        }
        (_, signal) if signal != 0 => {
            let kind = if signal == 2 { Kind::Interrupted } else { Kind::Terminated };
            Err(Error::new(kind, format!("step {step} of {id} was ended")).with_remedy("run the same command with --resume to go on"))
        }
        (word, _) => {
            let why = if state.reason.is_empty() { "EMR gives no reason".into() } else { state.reason.clone() };
            let what = format!("step {step} of {id} is {}: {why}", word.to_lowercase());
            Err(Error::job(what).with_remedy(format!("what it said: {said}")))
        }
    }
}
