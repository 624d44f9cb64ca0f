//! `mapfold dev`: real storage and clusters on this machine, for trying jobs out before they meet a real one.
//!
//! HDFS, YARN, MinIO (S3), Azurite (Azure) and a double of Google Cloud Storage, as processes of the user's own on the
//! loopback. The verbs are thin: the scripts of `cluster/` do the work ([`scripts`]), this says it in words and in JSON.
//! Deliberately absent: installing system packages; what is missing is said by name, with how to get it.

mod scripts;
mod words;

use crate::{examples, parsed, verbs};
use clap::{ArgMatches, Args, Command, ValueEnum};
use mapfold::{Error, Result};
use scripts::Scripts;
use serde_json::json;
use std::process::{ExitCode, Output};
use std::time::Instant;

/// What can be started.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum PartName {
    /// A NameNode and two DataNodes (needs JDK 17; Maven the first time)
    Hdfs,
    /// A ResourceManager and two NodeManagers, with HDFS
    Yarn,
    /// MinIO (needs Go the first time)
    S3,
    /// Azurite (needs Node.js 20; npm the first time)
    Azure,
    /// A double of Google Cloud Storage (needs Python 3.9)
    Gcs,
    /// Two hosts for --target ssh:// (needs OpenSSH's server)
    Ssh,
    /// HDFS as a name service: two NameNodes, one of them active
    HdfsHa,
    /// HDFS that asks for Kerberos, with a KDC (needs MIT's krb5)
    HdfsKrb,
    /// All but ssh, hdfs-ha and hdfs-krb
    All,
}

/// All parts, in the order in which they are shown.
const PARTS: [PartName; 8] = [
    PartName::Hdfs,
    PartName::Yarn,
    PartName::S3,
    PartName::Azure,
    PartName::Gcs,
    PartName::Ssh,
    PartName::HdfsHa,
    PartName::HdfsKrb,
];
/// What `all` leaves out: hosts, and further clusters.
const SPECIAL: [PartName; 3] = [PartName::Ssh, PartName::HdfsHa, PartName::HdfsKrb];

impl PartName {
    /// As the scripts call it.
    fn name(self) -> &'static str {
        match self {
            PartName::Hdfs => "hdfs",
            PartName::Yarn => "yarn",
            PartName::S3 => "s3",
            PartName::Azure => "azure",
            PartName::Gcs => "gcs",
            PartName::Ssh => "ssh",
            PartName::HdfsHa => "hdfs-ha",
            PartName::HdfsKrb => "hdfs-krb",
            PartName::All => "all",
        }
    }
}

/// Start real storage or a cluster on this machine, and say how to use it
#[derive(Args, Clone, Debug)]
struct UpArgs {
    /// What to start
    #[arg(value_enum, default_value = "hdfs")]
    parts: Vec<PartName>,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Stop what `mapfold dev up` started; its data stays
#[derive(Args, Clone, Debug)]
struct DownArgs {
    /// What to stop; without a name: everything
    #[arg(value_enum)]
    parts: Vec<PartName>,
    /// Delete the data too
    #[arg(long)]
    delete: bool,
}

/// List what runs
#[derive(Args, Clone, Debug)]
struct StatusArgs {
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Print the `export` lines of what was started, for a shell's eval
#[derive(Args, Clone, Debug)]
struct EnvArgs {
    /// Of what; without a name: of everything that was started
    #[arg(value_enum)]
    parts: Vec<PartName>,
    /// As JSON on stdout; secrets as the file that holds them
    #[arg(long)]
    json: bool,
}

/// `mapfold dev …`
pub fn command() -> Command {
    let verb = |name: &'static str, lines: &str| Command::new(name).after_help(examples::text(lines));
    Command::new("dev")
        .about("Real HDFS, YARN, S3, Azure and GCS on this machine, to try jobs out")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(examples::text(examples::DEV))
        .subcommand(UpArgs::augment_args(verb("up", examples::DEV_UP)))
        .subcommand(DownArgs::augment_args(verb("down", examples::DEV_DOWN)))
        .subcommand(StatusArgs::augment_args(verb("status", examples::DEV_STATUS)))
        .subcommand(EnvArgs::augment_args(verb("env", examples::DEV_ENV)))
}

/// Does one; `whole` is the program's command, of which the words to the user name verbs.
///
/// # Errors
/// A program that is missing, or a part that does not start; the scripts have said why on stderr.
pub fn run(m: &ArgMatches, whole: &Command) -> Result<ExitCode> {
    let scripts = Scripts::unpacked()?;
    match m.subcommand() {
        Some(("up", m)) => up(&scripts, &parsed(m)?, whole.find_subcommand("ls").is_some()),
        Some(("down", m)) => down(&scripts, &parsed(m)?),
        Some(("status", m)) => status(&scripts, &parsed(m)?),
        Some(("env", m)) => env(&scripts, &parsed(m)?),
        _ => Err(Error::usage("no verb; `mapfold dev --help` lists them")),
    }
}

/// The names that were given, `all` spelt out, YARN's HDFS added.
fn named(given: &[PartName]) -> Vec<&'static str> {
    let wanted = |part: &PartName| {
        given.contains(part)
            || (given.contains(&PartName::All) && !SPECIAL.contains(part))
            || (given.contains(&PartName::Yarn) && *part == PartName::Hdfs)
    };
    PARTS.into_iter().filter(wanted).map(PartName::name).collect()
}

/// The names that were given, or of all parts that were ever started.
fn used(scripts: &Scripts, given: &[PartName]) -> Vec<&'static str> {
    let chosen = if given.is_empty() { PARTS.map(PartName::name).to_vec() } else { named(given) };
    chosen.into_iter().filter(|name| scripts.used(name)).collect()
}

fn up(scripts: &Scripts, args: &UpArgs, has_ls: bool) -> Result<ExitCode> {
    let parts = named(&args.parts);
    let began = Instant::now();
    done(scripts.call(&parts, "check", false)?)?;
    started(scripts, &parts)?;
    let seconds = began.elapsed().as_secs_f64();
    let (processes, facts) = (text(scripts, &parts, "status")?, text(scripts, &parts, "facts")?);
    if args.json {
        let mut all = words::json(&processes, &facts);
        all["seconds"] = json!((seconds * 10.0).round() / 10.0);
        return verbs::say(&format!("{all:#}\n"));
    }
    let exports = text(scripts, &parts, "env")?;
    let started = words::Started { seconds, run: &scripts.run_folder(), has_ls };
    verbs::say(&words::up(&processes, &facts, &exports, &started))
}

fn started(scripts: &Scripts, parts: &[&str]) -> Result<()> {
    if scripts.call(parts, "up", true)?.status.success() {
        return Ok(());
    }
    let logs = scripts.run_folder();
    Err(Error::job(format!("not everything started, see above; logs are below {}", logs.display()))
        .with_remedy("run it again: what runs is left alone; `mapfold dev down --delete` begins anew"))
}

fn down(scripts: &Scripts, args: &DownArgs) -> Result<ExitCode> {
    let parts = used(scripts, &args.parts);
    if parts.is_empty() {
        verbs::note("nothing was started");
        return Ok(ExitCode::SUCCESS);
    }
    done(scripts.call(&parts, if args.delete { "wipe" } else { "down" }, false)?)?;
    let what = if args.delete { "stopped and deleted" } else { "stopped" };
    verbs::say(&format!("{what}: {}\n", parts.join(", ")))
}

fn status(scripts: &Scripts, args: &StatusArgs) -> Result<ExitCode> {
    let parts = used(scripts, &[]);
    if parts.is_empty() && !args.json {
        verbs::note("nothing was started; `mapfold dev up` starts HDFS");
        return Ok(ExitCode::SUCCESS);
    }
    let (processes, facts) = (text(scripts, &parts, "status")?, text(scripts, &parts, "facts")?);
    if args.json {
        return verbs::say(&format!("{:#}\n", words::json(&processes, &facts)));
    }
    verbs::say(&words::status(&processes, &facts))
}

fn env(scripts: &Scripts, args: &EnvArgs) -> Result<ExitCode> {
    let parts = used(scripts, &args.parts);
    if parts.is_empty() {
        return Err(Error::input("nothing was started, so there is nothing to use").with_remedy("mapfold dev up"));
    }
    if args.json {
        return verbs::say(&format!("{:#}\n", words::environment(&text(scripts, &parts, "facts")?)));
    }
    verbs::say(&text(scripts, &parts, "env")?)
}

/// What a verb of the scripts prints.
fn text(scripts: &Scripts, parts: &[&str], verb: &str) -> Result<String> {
    if parts.is_empty() {
        return Ok(String::new());
    }
    let output = done(scripts.call(parts, verb, false)?)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The output of a call that worked; what failed, as an error of ours.
fn done(output: Output) -> Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        return Err(words::missing(&said));
    }
    let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("the scripts failed without a word");
    Err(Error::job(last.trim_start_matches("error: ")))
}
