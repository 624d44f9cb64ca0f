//! `mapfold manifest kubernetes|slurm`: what those systems want to be given, printed for a run command.
//!
//! Both lend hosts and a way to start a command on them, which is all that the SSH carrier needs: `srun` and
//! `kubectl exec` stand in for `ssh` (`MAPFOLD_SSH`), everything else is the run of any cluster. So there is no carrier
//! for them that nobody could test here.

mod kubernetes;
mod slurm;

use clap::{Args, Subcommand};
use mapfold::engine::MemoryLimit;
use mapfold::launch::quoted;
use mapfold::{Error, Result};
use std::process::ExitCode;

/// Print what Kubernetes or Slurm needs to run a job
#[derive(Args, Clone, Debug)]
pub struct ManifestArgs {
    #[command(subcommand)]
    system: System,
}

#[derive(Subcommand, Clone, Debug)]
enum System {
    /// An Indexed Job, its headless service and the right to start members in its pods, as JSON for `kubectl apply -f -`
    Kubernetes(Kubernetes),
    /// A batch script for `sbatch`
    Slurm(Slurm),
}

#[derive(Args, Clone, Debug)]
struct Kubernetes {
    #[command(flatten)]
    what: What,
    /// Image with `mapfold` (or the job's program) and `kubectl` in it
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Namespace [default: that of kubectl]
    #[arg(long, value_name = "NAME", value_parser = label)]
    namespace: Option<String>,
    /// A volume claim that all pods get at this place, for local inputs and outputs: CLAIM:/PATH
    #[arg(long, value_name = "CLAIM:PATH", value_parser = volume)]
    volume: Option<(String, String)>,
}

#[derive(Args, Clone, Debug)]
struct Slurm {
    #[command(flatten)]
    what: What,
    /// Longest time, as sbatch writes it
    #[arg(long, value_name = "TIME", default_value = "01:00:00", value_parser = word)]
    time: String,
    /// Partition [default: the cluster's]
    #[arg(long, value_name = "NAME", value_parser = word)]
    partition: Option<String>,
}

/// What both are told.
#[derive(Args, Clone, Debug)]
struct What {
    /// Name of the job there
    #[arg(long, value_name = "NAME", default_value = "mapfold", value_parser = label)]
    name: String,
    /// Hosts (Slurm: nodes, Kubernetes: pods), with one member each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Cores of each
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    cpus: u32,
    /// Memory of each; members may use 80 % of it
    #[arg(long, value_name = "SIZE", default_value = "8GiB")]
    memory: MemoryLimit,
    /// The command as it would be typed after `mapfold`, behind `--`
    #[arg(last = true, required = true, value_name = "run JOB …")]
    command: Vec<String>,
}

/// A name that both systems take.
fn label(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = text.len() <= 40 && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-');
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if good && begins {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?}: lower case letters, digits and hyphens, at most 40"))
    }
}

fn word(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | ',');
    let good = !text.is_empty() && text.chars().all(fits);
    if good { Ok(text.to_owned()) } else { Err(format!("{text:?} is no single plain word")) }
}

fn volume(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("{text:?}: write CLAIM:/PATH");
    let (claim, path) = text.split_once(':').ok_or_else(wrong)?;
    if path.starts_with('/') { Ok((label(claim)?, path.to_owned())) } else { Err(wrong()) }
}

impl ManifestArgs {
    /// Prints it.
    ///
    /// # Errors
    /// When the command is no run, or chooses its hosts itself.
    pub fn run(&self) -> Result<ExitCode> {
        match &self.system {
            System::Kubernetes(k) => k.what.check().and_then(|()| crate::verbs::say(&format!("{:#}\n", k.manifest()))),
            System::Slurm(s) => s.what.check().and_then(|()| crate::verbs::say(&s.script())),
        }
    }
}

impl What {
    fn check(&self) -> Result<()> {
        if self.command.first().is_none_or(|w| w != "run") || self.command.len() < 2 {
            return Err(Error::usage("behind -- comes the command of a run").with_remedy("-- run ndvi --red … --out …"));
        }
        let ours =
            ["--mode", "--target", "--workers", "--threads", "--memory-limit", "--bind", "--advertise", "--detach"];
        let said = |o: &&&str| self.command.iter().any(|w| w == **o || w.starts_with(&format!("{o}=")));
        match ours.iter().find(said) {
            Some(o) => Err(Error::usage(format!("{o} is set by the manifest")).with_remedy("leave it out behind --")),
            None => Ok(()),
        }
    }

    /// Bytes that a member may use: the rest is for its host's end of the launcher, libraries and slack.
    fn limit(&self) -> u64 {
        self.memory.0 / 5 * 4
    }

    fn mebibytes(&self) -> u64 {
        self.memory.0.div_ceil(1 << 20)
    }

    /// The command for a shell, with what the manifest adds; `hosts` and `here` are words of that shell.
    fn line(&self, hosts: &str, here: &str) -> String {
        let said: Vec<String> = self.command.iter().map(|w| quoted(w)).collect();
        let (threads, limit) = (self.cpus, self.limit());
        format!(
            "mapfold {} --mode cluster --target {hosts} --bind 0.0.0.0 --advertise {here} --threads {threads} --memory-limit {limit}",
            said.join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for word in ["a b", "it's", "$HOME", "", "a*", "x;y", "ok-1.tif#B04"] {
            let line = format!("printf %s {}", quoted(word));
            let said = std::process::Command::new("sh").args(["-c", &line]).output();
            assert_eq!(said.map(|s| s.stdout).ok(), Some(word.as_bytes().to_vec()), "{line}");
        }
    }

    #[test]
    fn names_are_labels() {
        assert!(label("ndvi-2026").is_ok() && volume("data:/data").is_ok() && word("1-00:00:00").is_ok());
        assert!(label("Ndvi").is_err() && label("-a").is_err() && label("").is_err() && label("1a").is_err());
        assert!(volume("data").is_err() && volume("data:rel").is_err() && word("a b").is_err());
    }
}
