//! `mapfold cluster`: clusters of Amazon EMR, made for a job and taken down by themselves.
//!
//! A cluster costs money while it stands. So teardown is the default: one that has been idle for an hour goes, and a
//! cluster that cannot be given that rule is terminated at once. What a cluster will be is shown by `--dry-run`, whole.
//! What this does not do: run jobs (`mapfold run … --target emr://ID` does).

mod args;

use crate::{examples, parsed, verbs};
use args::{CloneArgs, CreateArgs, DestroyArgs, Kind, ListArgs, Making, Region, SshArgs};
use clap::{ArgMatches, Args, Command};
use mapfold::launch::emr::{ClusterPlan, Emr, Listed, cluster_id};
use mapfold::launch::{quoted, ssh_command};
use mapfold::store::Stores;
use mapfold::{Error, Result, emr_error};
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often a cluster that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How a cluster is before it is of use.
const COMING: [&str; 2] = ["STARTING", "BOOTSTRAPPING"];

/// The verb.
pub fn command() -> Command {
    let verb = |name: &'static str, lines: &str| Command::new(name).after_help(examples::text(lines));
    Command::new("cluster")
        .about("Make, list and take down clusters of Amazon EMR")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(examples::text(examples::CLUSTER))
        .subcommand(CreateArgs::augment_args(verb("create", examples::CLUSTER)))
        .subcommand(CloneArgs::augment_args(verb("clone", examples::CLUSTER_CLONE)))
        .subcommand(ListArgs::augment_args(verb("list", examples::CLUSTER_LIST)))
        .subcommand(SshArgs::augment_args(verb("ssh", examples::CLUSTER_SSH)))
        .subcommand(DestroyArgs::augment_args(verb("destroy", examples::CLUSTER_DESTROY)))
}

/// Does it.
///
/// # Errors
/// EMR's.
pub fn run(m: &ArgMatches) -> Result<ExitCode> {
    match m.subcommand() {
        Some(("create", m)) => parsed(m).and_then(|args: CreateArgs| create(&args)),
        Some(("clone", m)) => parsed(m).and_then(|args: CloneArgs| clone(&args)),
        Some(("list", m)) => parsed(m).and_then(|args: ListArgs| list(&args)),
        Some(("ssh", m)) => parsed(m).and_then(|args: SshArgs| ssh(&args)),
        Some(("destroy", m)) => parsed(m).and_then(|args: DestroyArgs| destroy(&args)),
        _ => Err(Error::usage("`mapfold cluster --help` lists what it does")),
    }
}

fn emr(region: &Region) -> Result<Emr> {
    region.stores.install()?;
    Ok(Emr::new(&Stores::new(), region.region.clone()))
}

fn check_id(id: &str) -> Result<()> {
    let told = |why| Error::usage(why).with_remedy("`mapfold cluster list` shows those that stand");
    cluster_id(id).map(drop).map_err(told)
}

fn create(args: &CreateArgs) -> Result<ExitCode> {
    let Kind::Emr = args.kind;
    if let Some(logs) = args.logs.as_ref().filter(|logs| !logs.starts_with("s3://")) {
        let what = format!("--logs {logs}: EMR puts logs into S3 only");
        return Err(Error::usage(what).with_remedy("--logs s3://bucket/folder/"));
    }
    make(&plan(args), &args.making)
}

fn plan(args: &CreateArgs) -> ClusterPlan {
    let default = ClusterPlan::default();
    let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
    ClusterPlan {
        name: args.name.clone(),
        release: or(&args.release, default.release),
        instances: args.instances,
        instance_type: or(&args.instance_type, default.instance_type),
        primary_type: or(&args.primary_type, default.primary_type),
        spot: args.spot,
        key: args.key.clone(),
        subnet: args.subnet.clone(),
        logs: args.logs.clone(),
        idle: args.making.teardown.idle(),
        service_role: or(&args.service_role, default.service_role),
        node_role: or(&args.node_role, default.node_role),
    }
}

fn clone(args: &CloneArgs) -> Result<ExitCode> {
    check_id(&args.id)?;
    let like = emr(&args.making.region)?.plan_of(&args.id).map_err(emr_error)?;
    make(&ClusterPlan { idle: args.making.teardown.idle(), ..like }, &args.making)
}

fn make(plan: &ClusterPlan, how: &Making) -> Result<ExitCode> {
    if how.dry_run {
        let policy = plan.policy("j-…");
        let asked = json!({ "RunJobFlow": plan.request(), "PutAutoTerminationPolicy": policy });
        return verbs::say(&format!("{asked:#}\n"));
    }
    let emr = emr(&how.region)?;
    let made = emr.create(plan).map_err(emr_error)?;
    let end = plan.idle.map_or_else(
        || format!("it stands, and costs, until: mapfold cluster destroy {}", made.id),
        |idle| format!("it is taken down when it has been idle for {idle}"),
    );
    verbs::note(&format!("{} is being made; {end}", made.id));
    let cluster = match how.no_wait {
        true => Listed { id: made.id.clone(), ..Listed::default() },
        false => wait(&emr, &made.id)?,
    };
    if how.json {
        return verbs::say(&format!(
            "{:#}\n",
            json!({ "id": made.id, "primary": cluster.primary, "state": cluster.state })
        ));
    }
    verbs::note(&format!("run a job there: mapfold run … --target emr://{}", made.id));
    verbs::say(&format!("{}\n", made.id))
}

/// Waits until a cluster takes jobs; one that ends instead is an error.
fn wait(emr: &Emr, id: &str) -> Result<Listed> {
    let (began, mut shown) = (Instant::now(), String::new());
    loop {
        let cluster = emr.describe(id).map_err(emr_error)?;
        if cluster.is_ending() {
            let reason = if cluster.reason.is_empty() { "without a reason".into() } else { cluster.reason };
            return Err(Error::job(format!("{id} ended before it was ready: {reason}")));
        }
        if !COMING.contains(&cluster.state.as_str()) {
            return Ok(cluster);
        }
        if cluster.state != shown {
            verbs::note(&format!("{id}: {} after {} s", cluster.state.to_lowercase(), began.elapsed().as_secs()));
            shown = cluster.state;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let clusters = emr(&args.region)?.list(args.all).map_err(emr_error)?;
    if args.json {
        return verbs::say(&format!("{:#}\n", json!(clusters)));
    }
    if clusters.is_empty() {
        verbs::note("no clusters");
        return Ok(ExitCode::SUCCESS);
    }
    let line = |c: &Listed| format!("{:<16} {:<24} {}\n", c.id, c.state.to_lowercase(), c.name);
    verbs::say(&clusters.iter().map(line).collect::<String>())
}

fn ssh(args: &SshArgs) -> Result<ExitCode> {
    check_id(&args.id)?;
    let cluster = emr(&args.region)?.describe(&args.id).map_err(emr_error)?;
    if cluster.primary.is_empty() || cluster.is_ending() {
        let state = cluster.state.to_lowercase();
        return Err(Error::input(format!("{} has no primary node to talk to: it is {state}", args.id))
            .with_remedy("`mapfold cluster list` shows those that stand"));
    }
    let words = ssh_words(args, &cluster.primary);
    if args.dry_run {
        let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
        return verbs::say(&format!("{}\n", words.join(" ")));
    }
    let failed = std::process::Command::new(&words[0]).args(&words[1..]).exec(); // It returns only when it fails.
    Err(Error::input(format!("{}: {}", words[0], verbs::os_words(&failed))).with_remedy("install an SSH client"))
}

/// The command; `MAPFOLD_SSH` names another than `ssh`, as for `--target ssh://`.
fn ssh_words(args: &SshArgs, primary: &str) -> Vec<String> {
    let mut words = ssh_command();
    if let Some(identity) = &args.identity {
        words.extend(["-i".to_owned(), identity.to_string_lossy().into_owned()]);
    }
    words.extend(["--".to_owned(), format!("hadoop@{primary}")]);
    words.extend(args.command.iter().cloned());
    words
}

fn destroy(args: &DestroyArgs) -> Result<ExitCode> {
    args.ids.iter().try_for_each(|id| check_id(id))?;
    let emr = emr(&args.region)?;
    // An id that is wrong is told before anything goes.
    args.ids.iter().try_for_each(|id| emr.describe(id).map(drop)).map_err(emr_error)?;
    emr.terminate(&args.ids).map_err(emr_error)?;
    for id in &args.ids {
        if !args.no_wait {
            wait_gone(&emr, id)?;
        }
        verbs::say(&format!("{id}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn wait_gone(emr: &Emr, id: &str) -> Result<()> {
    loop {
        let state = emr.describe(id).map_err(emr_error)?.state;
        if state.starts_with("TERMINATED") {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
