//! `--target emr://ID`: this very command as a step of an EMR cluster. On its primary node the launcher does what
//! [`crate::on_yarn`] says; here the program is brought to where the step finds it, the step is followed to its end, and
//! what the job printed, said and recorded comes home, with its exit code.
//!
//! What it does not do: reach the cluster itself. Everything goes through EMR's API and S3, so no port of the cluster has
//! to be open.
#![allow(clippy::print_stderr)] // What goes on, a line at a time.

use crate::args::RunArgs;
use crate::on_yarn::home::{bring_home, end_log};
use crate::{Error, Result, carried, on_yarn, says};
use mapfold_coord::{EventLog, JobId};
use mapfold_engine::Cancel;
use mapfold_launch::Staged;
use mapfold_launch::emr::{Emr, EmrError, HOME_VARIABLE, Home, Left, Listed, StepPlan, StepState};
use mapfold_launch::yarn::Outcome;
use mapfold_plan::Kind;
use mapfold_store::{Loc, StoreError, Stores, redact};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often EMR is asked how the step is; it counts calls.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long EMR may be out of reach before the step is left alone.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a step may take to end when it was asked to.
const END_WITHIN: Duration = Duration::from_secs(120);

/// An error of EMR as one of ours.
pub fn told(e: EmrError) -> Error {
    let remedy = e.remedy();
    let error = Error::caused(Kind::Input, e);
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Adds the step, follows it to its end, and says what the job said. Its exit code is the job's.
///
/// # Errors
/// EMR's, S3's; a step that failed without a word of the job.
pub(crate) fn launch(args: &RunArgs, name: &str, id: &str) -> Result<ExitCode> {
    says::set_up_logging(args.verbose, mapfold_watch::colour_on_stderr());
    args.run_options(name, serde_json::Value::Null)?; // Options that contradict each other are refused here.
    let words = crate::store_args::public_words("everybody who may list the cluster's steps")?;
    let cancel = Cancel::default();
    let _ = cancel.on_signals();
    let stores = Stores::new();
    let emr = Emr::new(&stores, None);
    let cluster = living(&emr, id)?;
    let staging = staging(args, &cluster.logs)?;
    let job = JobId::random().map_err(|e| Error::caused(Kind::Job, e))?;
    let home = (!args.watch.detach).then(|| Home::new(&stores, &staging, &job));
    let quiet = args.quiet || args.json && !says::is_terminal();
    let region = emr.region().map_err(told)?.unwrap_or_default();
    let to_be = Planned { stores: &stores, staging: &staging, home: home.as_ref(), job: &job, region, quiet };
    let number = emr.add_step(id, &to_be.plan(args, name, words)?).map_err(told)?;
    let step = Step { emr: &emr, cluster: &cluster, number, cancel, quiet };
    let Some(home) = home else { return Ok(step.left_alone(args.json)) };
    let log = on_yarn::begin_log(&job, name, ("step", step.number.as_str()));
    let began = Instant::now();
    let state = step.follow()?;
    step.end(&job, (&log, began), &home, &state).inspect_err(|e| end_log(&log, began, e))
}

/// A step before it is added.
struct Planned<'a> {
    stores: &'a Stores,
    staging: &'a Loc,
    home: Option<&'a Home>,
    job: &'a JobId,
    region: String,
    quiet: bool,
}

impl Planned<'_> {
    /// What EMR is to be told; the program is in S3 then.
    fn plan(self, args: &RunArgs, name: &str, words: Vec<String>) -> Result<StepPlan> {
        let arguments = arguments(words, self.home.map(|_| self.job), &self.region)?;
        let (program, hash) = bring(self.stores, self.staging, self.quiet)?;
        let title = args.yarn.name.clone().unwrap_or_else(|| format!("mapfold {name}"));
        let home = self.home.map(|home| home.folder().as_text().to_string());
        Ok(StepPlan { name: title, program, hash, region: self.region, home, arguments })
    }
}

/// Whether a step of EMR started this process.
pub(crate) fn is_step() -> bool {
    std::env::var_os(HOME_VARIABLE).is_some()
}

/// On the primary node: leaves what the job said for who added the step.
pub(crate) fn leave(outcome: &Outcome) {
    let Some(home) = Home::from_env(&Stores::new()) else { return };
    if let Err(e) = home.leave(outcome) {
        tracing::warn!("what the job said could not be left in {}: {e}", home.folder());
    }
}

/// On the primary node: leaves why there was no job.
pub(crate) fn leave_error(error: &Error) {
    let Some(home) = Home::from_env(&Stores::new()) else { return };
    if let Err(e) = home.leave_error(serde_json::to_vec(error).unwrap_or_default()) {
        tracing::warn!("this error could not be left in {}: {e}", home.folder());
    }
}

/// The cluster, unless it is gone.
fn living(emr: &Emr, id: &str) -> Result<Listed> {
    let cluster = emr.describe(id).map_err(told)?;
    if cluster.is_ending() {
        let state = cluster.state.to_lowercase().replace('_', " ");
        let why = if cluster.reason.is_empty() { String::new() } else { format!(" ({})", cluster.reason) };
        let remedy = format!("make another like it: mapfold cluster clone {id}");
        return Err(Error::input(format!("cluster {id} is {state}{why}")).with_remedy(remedy));
    }
    Ok(cluster)
}

/// A folder in S3 that the cluster's nodes can read: as the user says, else beside the cluster's logs.
fn staging(args: &RunArgs, logs: &str) -> Result<Loc> {
    const REMEDY: &str = "--staging s3://bucket/folder";
    match &args.yarn.staging {
        Some(loc) if loc.as_text().starts_with("s3://") => Ok(loc.clone()),
        Some(loc) => {
            Err(Error::usage(format!("--staging {loc}: a step of EMR finds its program in S3 only"))
                .with_remedy(REMEDY))
        }
        None if logs.starts_with("s3://") => Ok(Loc::parse(&format!("{}/mapfold", logs.trim_end_matches('/')))?),
        None => {
            let what = "the program must be put where the cluster finds it, and the cluster has no folder for logs";
            Err(Error::usage(what).with_remedy(REMEDY))
        }
    }
}

/// Puts this program there, under its SHA-256, unless it is there.
fn bring(stores: &Stores, staging: &Loc, quiet: bool) -> Result<(String, String)> {
    let Staged { path, hash, size } = Staged::this_program().map_err(carried::told)?;
    let place = staging.join("bin").join(&hash).join("mapfold");
    match stores.block_on(stores.head(&place)) {
        Ok(info) if info.size == size => {}
        Ok(_) | Err(StoreError::NotFound { .. }) => {
            if !quiet {
                eprintln!("the program ({}) goes to {place}", mapfold_watch::human::bytes(size));
            }
            stores.put(&place, std::fs::read(&path).map_err(|e| Error::caused(Kind::Job, e))?.into())?;
        }
        Err(e) => return Err(e.into()),
    }
    Ok((place.as_text().to_string(), hash))
}

/// The words of this command line, as the primary node runs them.
fn arguments(words: Vec<String>, job: Option<&JobId>, region: &str) -> Result<Vec<String>> {
    if let Some(word) = words.iter().find(|word| redact(word) != **word) {
        let what =
            format!("{} holds a secret, which everybody who may list the cluster's steps could read", redact(word));
        return Err(Error::usage(what).with_remedy("copy it to S3 first, with `mapfold cp`, and name that"));
    }
    let known = words.iter().any(|word| word.contains("aws_region="));
    let (mut kept, mut words) = (Vec::new(), words.into_iter());
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        match name {
            "--" => {
                kept.push(word);
                kept.extend(words);
                break;
            }
            "--detach" => {}
            "--job-id" | "--staging" | "--target" => {
                if !word.contains('=') {
                    words.next();
                }
                if word.starts_with("--target") {
                    kept.push("--target=yarn".into());
                    kept.extend(job.map(|job| format!("--job-id={job}")));
                    kept.extend((!known).then(|| format!("--define=aws_region={region}")));
                }
            }
            _ => kept.push(word),
        }
    }
    Ok(kept)
}

/// A step on its way.
struct Step<'a> {
    emr: &'a Emr,
    cluster: &'a Listed,
    number: String,
    cancel: Cancel,
    quiet: bool,
}

impl Step<'_> {
    fn left_alone(&self, json: bool) -> ExitCode {
        if json {
            return says::print_json(&serde_json::json!({ "cluster": self.cluster.id, "step": self.number }));
        }
        eprintln!("runs as a step: {}", self.where_it_is());
        says::print_text(&format!("{}\n", self.number))
    }

    fn follow(&self) -> Result<StepState> {
        let (mut shown, mut heard, mut asked) = (String::new(), Instant::now(), None);
        loop {
            match self.emr.step(&self.cluster.id, &self.number) {
                Ok(state) if state.is_over() => return Ok(state),
                Ok(state) => {
                    heard = Instant::now();
                    self.show(&state, &mut shown);
                }
                Err(e) if e.may_pass() && heard.elapsed() < PATIENCE => tracing::warn!("{e}"),
                Err(e) => return Err(told(e).with_more_remedy(&self.where_it_is())),
            }
            self.ask_to_end(&mut asked)?;
            self.pause();
        }
    }

    fn show(&self, state: &StepState, shown: &mut String) {
        if !self.quiet && state.state != *shown {
            eprintln!("step {} of {}: {}", self.number, self.cluster.id, state.state.to_lowercase());
            shown.clone_from(&state.state);
        }
    }

    /// Once the user wants an end.
    fn ask_to_end(&self, asked: &mut Option<Instant>) -> Result<()> {
        match *asked {
            _ if self.cancel.signal() == 0 => Ok(()),
            None => {
                *asked = Some(Instant::now());
                self.emr.cancel_step(&self.cluster.id, &self.number).map_err(told)
            }
            Some(since) if since.elapsed() > END_WITHIN => {
                let what = format!("step {} of {} was asked to end and has not ended", self.number, self.cluster.id);
                Err(Error::job(what).with_remedy(self.where_it_is()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Until it is time to ask again, or the user wants an end.
    fn pause(&self) {
        let (until, before) = (Instant::now() + ASK_EVERY, self.cancel.signal());
        while Instant::now() < until && self.cancel.signal() == before {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Says what the job said, or why there is nothing to say.
    fn end(&self, job: &JobId, begun: (&EventLog, Instant), home: &Home, state: &StepState) -> Result<ExitCode> {
        let left = home.take().unwrap_or_else(|e| {
            tracing::warn!("what the job said cannot be read: {e}");
            None
        });
        let (id, number, signal) = (&self.cluster.id, &self.number, self.cancel.signal());
        if signal != 0 && state.state != "COMPLETED" {
            let kind = if signal == 2 { Kind::Interrupted } else { Kind::Terminated };
            let what = format!("step {number} of {id} was ended");
            return Err(Error::new(kind, what).with_remedy("run the same command with --resume to go on"));
        }
        match left {
            Some(Left::Outcome(outcome)) => Ok(bring_home(job, begun, &outcome, &self.logs())),
            Some(Left::Error(error)) => Err(serde_json::from_slice(&error)?),
            None => self.without_a_word(state),
        }
    }

    fn without_a_word(&self, state: &StepState) -> Result<ExitCode> {
        if state.state == "COMPLETED" {
            tracing::warn!("the step is completed, and left no word; {}", self.logs());
            return Ok(ExitCode::SUCCESS);
        }
        let why = if state.reason.is_empty() { "EMR gives no reason" } else { &state.reason };
        let what = format!("step {} of {} is {}: {why}", self.number, self.cluster.id, state.state.to_lowercase());
        Err(Error::job(what).with_remedy(self.logs()))
    }

    fn where_it_is(&self) -> String {
        format!("aws emr describe-step --cluster-id {} --step-id {}", self.cluster.id, self.number)
    }

    /// Where a person finds what was said on the primary node.
    fn logs(&self) -> String {
        let (id, number) = (&self.cluster.id, &self.number);
        match self.cluster.logs.as_str() {
            "" => format!("mapfold cluster ssh {id} -- cat /mnt/var/log/hadoop/steps/{number}/stderr"),
            logs => {
                format!("see {}/{id}/steps/{number}/stderr.gz, some minutes after its end", logs.trim_end_matches('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn split(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_primary_node_runs_the_same_words_on_yarn() {
        let job: JobId = "00112233445566778899aabbccddeeff".parse().unwrap();
        let words = "run ndvi --staging s3://b/x --detach --target emr://j-1 --workers 3 -- --target";
        let there = arguments(split(words), Some(&job), "eu-central-1").unwrap().join(" ");
        let wanted = "run ndvi --target=yarn --job-id=00112233445566778899aabbccddeeff \
                      --define=aws_region=eu-central-1 --workers 3 -- --target";
        assert_eq!(there, wanted);
        let words = "run sort --target=emr://j-1 -D aws_region=us-west-2 --staging=s3://b s3://b/in";
        assert_eq!(
            arguments(split(words), None, "eu-central-1").unwrap().join(" "),
            "run sort --target=yarn -D aws_region=us-west-2 s3://b/in"
        );
    }

    #[test]
    fn no_secret_is_in_a_step() {
        let words = "run stats https://host/a.tif?sig=hunter2 --target emr://j-1";
        let error = arguments(split(words), None, "r").unwrap_err();
        let said = format!("{error} {:?}", error.remedy());
        assert!(said.contains("holds a secret") && !said.contains("hunter2"), "{said}");
    }
}
