//! `mapfold cluster`: clusters of Amazon EMR, made for a job and taken down by themselves.
//!
//! A cluster costs money while it stands. So teardown is the default: one that has been idle for an hour goes, and a
//! cluster that cannot be given that rule is terminated at once. What a cluster will be is shown by `--dry-run`, whole.

use crate::{examples, parsed, verbs};
use clap::{ArgMatches, Args, Command, ValueEnum};
use mapfold::launch::emr::{ClusterPlan, Emr, EmrError, IdleTimeout, Listed};
use mapfold::store::Stores;
use mapfold::{Error, Result};
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often a cluster that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Whose clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Amazon EMR on EC2.
    Emr,
}

/// Which region.
#[derive(Args, Clone, Debug)]
struct Region {
    /// AWS region [default: that of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

/// When a cluster goes.
#[derive(Args, Clone, Debug)]
struct Teardown {
    /// Take it down when it has been idle (this is the default)
    #[arg(long, conflicts_with = "keep")]
    auto_terminate: bool,
    /// Idle for so long: 1h, 90m, from 1m to 7d
    #[arg(long, value_name = "TIME", default_value_t, conflicts_with = "keep")]
    idle_timeout: IdleTimeout,
    /// Let it stand until `mapfold cluster destroy`
    #[arg(long)]
    keep: bool,
}

impl Teardown {
    fn idle(&self) -> Option<IdleTimeout> {
        (!self.keep).then_some(self.idle_timeout)
    }
}

/// Make a cluster
#[derive(Args, Clone, Debug)]
struct CreateArgs {
    /// Whose
    #[arg(value_enum)]
    kind: Kind,
    /// Nodes beside the primary one
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    instances: u32,
    /// Nodes on the spot market beside them: members may run there, the coordinator does not
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    spot: u32,
    /// Kind of the nodes [default: m6i.xlarge]
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// Kind of the primary node [default: m6i.xlarge]
    #[arg(long, value_name = "TYPE")]
    primary_type: Option<String>,
    /// Its name
    #[arg(long, value_name = "NAME", default_value = "mapfold")]
    name: String,
    /// Amazon's release of it [default: emr-7.5.0]
    #[arg(long, value_name = "LABEL")]
    release: Option<String>,
    /// Name of the EC2 key pair that `mapfold cluster ssh` uses
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Subnet of the nodes
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// Where EMR puts logs: s3://bucket/folder/
    #[arg(long, value_name = "URI")]
    logs: Option<String>,
    /// Role of the service [default: EMR_DefaultRole]
    #[arg(long, value_name = "ROLE")]
    service_role: Option<String>,
    /// Role of the nodes, which reads and writes your data [default: EMR_EC2_DefaultRole]
    #[arg(long, value_name = "ROLE")]
    node_role: Option<String>,
    #[command(flatten)]
    teardown: Teardown,
    /// Show what would be asked for, and ask nothing
    #[arg(long)]
    dry_run: bool,
    /// Return at once, not when it is ready
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    region: Region,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Make a cluster like another one
#[derive(Args, Clone, Debug)]
struct CloneArgs {
    /// Its id: j-…
    id: String,
    #[command(flatten)]
    teardown: Teardown,
    /// Show what would be asked for, and ask nothing
    #[arg(long)]
    dry_run: bool,
    /// Return at once, not when it is ready
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    region: Region,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// List the clusters that stand
#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Those that are gone too (EMR remembers two months)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    region: Region,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Open a shell on the primary node, or run a command there
#[derive(Args, Clone, Debug)]
struct SshArgs {
    /// Its id: j-…
    id: String,
    /// File with the private half of the cluster's key
    #[arg(long, short, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Show the command, and run nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    region: Region,
    /// A command, instead of a shell
    #[arg(last = true)]
    command: Vec<String>,
}

/// Take clusters down
#[derive(Args, Clone, Debug)]
struct DestroyArgs {
    /// Their ids: j-…
    #[arg(required = true)]
    ids: Vec<String>,
    /// Return at once, not when they are gone
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    region: Region,
}

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
        .subcommand(CloneArgs::augment_args(Command::new("clone")))
        .subcommand(ListArgs::augment_args(Command::new("list")))
        .subcommand(SshArgs::augment_args(Command::new("ssh")))
        .subcommand(DestroyArgs::augment_args(Command::new("destroy")))
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

fn told(e: EmrError) -> Error {
    let remedy = e.remedy();
    let error = Error::input(e.to_string());
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

fn emr(region: &Region) -> Emr {
    Emr::new(&Stores::new(), region.region.clone())
}

fn check_id(id: &str) -> Result<()> {
    let is_id = id.strip_prefix("j-").is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()));
    match is_id {
        true => Ok(()),
        false => Err(Error::usage(format!("{id:?} is no id of an EMR cluster; they look like j-2AXXXXXXGAPLF"))
            .with_remedy("`mapfold cluster list` shows those that stand")),
    }
}

fn create(args: &CreateArgs) -> Result<ExitCode> {
    let Kind::Emr = args.kind;
    let default = ClusterPlan::default();
    if let Some(logs) = args.logs.as_ref().filter(|logs| !logs.starts_with("s3://")) {
        return Err(Error::usage(format!("--logs {logs}: EMR puts logs into S3 only")).with_remedy("--logs s3://bucket/folder/"));
    }
    let plan = ClusterPlan {
        name: args.name.clone(),
        release: args.release.clone().unwrap_or(default.release),
        instances: args.instances,
        instance_type: args.instance_type.clone().unwrap_or(default.instance_type),
        primary_type: args.primary_type.clone().unwrap_or(default.primary_type),
        spot: args.spot,
        key: args.key.clone(),
        subnet: args.subnet.clone(),
        logs: args.logs.clone(),
        idle: args.teardown.idle(),
        service_role: args.service_role.clone().unwrap_or(default.service_role),
        node_role: args.node_role.clone().unwrap_or(default.node_role),
    };
    make(&plan, &args.region, (args.dry_run, args.no_wait, args.json))
}

fn clone(args: &CloneArgs) -> Result<ExitCode> {
    check_id(&args.id)?;
    let like = emr(&args.region).plan_of(&args.id).map_err(told)?;
    let plan = ClusterPlan { idle: args.teardown.idle(), ..like };
    make(&plan, &args.region, (args.dry_run, args.no_wait, args.json))
}

fn make(plan: &ClusterPlan, region: &Region, (dry_run, no_wait, as_json): (bool, bool, bool)) -> Result<ExitCode> {
    if dry_run {
        let policy = plan.policy("j-…");
        let asked = json!({ "RunJobFlow": plan.request(), "PutAutoTerminationPolicy": policy });
        return verbs::say(&format!("{asked:#}\n"));
    }
    let emr = emr(region);
    let made = emr.create(plan).map_err(told)?;
    let end = plan.idle.map_or_else(
        || format!("it stands, and costs, until: mapfold cluster destroy {}", made.id),
        |idle| format!("it is taken down when it has been idle for {idle}"),
    );
    verbs::note(&format!("{} is being made; {end}", made.id));
    let cluster = match no_wait {
        true => Listed { id: made.id.clone(), ..Listed::default() },
        false => wait(&emr, &made.id, |state| state == "WAITING" || state == "RUNNING")?,
    };
    if as_json {
        return verbs::say(&format!("{:#}\n", json!({ "id": made.id, "primary": cluster.primary, "state": cluster.state })));
    }
    verbs::note(&format!("run a job there: mapfold run … --mode cluster --target emr://{}", made.id));
    verbs::say(&format!("{}\n", made.id))
}

/// Waits until a cluster is as wanted; one that is gone instead is an error.
fn wait(emr: &Emr, id: &str, wanted: impl Fn(&str) -> bool) -> Result<Listed> {
    let (began, mut shown) = (Instant::now(), String::new());
    loop {
        let cluster = emr.describe(id).map_err(told)?;
        if wanted(&cluster.state) {
            return Ok(cluster);
        }
        if cluster.state.starts_with("TERMINATED") {
            let reason = if cluster.reason.is_empty() { "without a reason".into() } else { cluster.reason };
            return Err(Error::job(format!("{id} ended before it was ready: {reason}")));
        }
        if cluster.state != shown {
            verbs::note(&format!("{id}: {} after {} s", cluster.state.to_lowercase(), began.elapsed().as_secs()));
            shown = cluster.state;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let clusters = emr(&args.region).list(args.all).map_err(told)?;
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
    let cluster = emr(&args.region).describe(&args.id).map_err(told)?;
    if cluster.primary.is_empty() {
        return Err(Error::input(format!("{} has no primary node to talk to: it is {}", args.id, cluster.state.to_lowercase())));
    }
    let mut command = std::process::Command::new("ssh");
    if let Some(identity) = &args.identity {
        command.arg("-i").arg(identity);
    }
    command.arg("--").arg(format!("hadoop@{}", cluster.primary)).args(&args.command);
    if args.dry_run {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|w| mapfold::launch::emr::quoted(&w.to_string_lossy())).collect();
        return verbs::say(&format!("{}\n", words.join(" ")));
    }
    let failed = command.exec(); // It returns only when it fails.
    Err(Error::input(format!("ssh: {failed}")).with_remedy("install an SSH client"))
}

fn destroy(args: &DestroyArgs) -> Result<ExitCode> {
    args.ids.iter().try_for_each(|id| check_id(id))?;
    let emr = emr(&args.region);
    emr.terminate(&args.ids).map_err(told)?;
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
        let state = emr.describe(id).map_err(told)?.state;
        if state.starts_with("TERMINATED") {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
