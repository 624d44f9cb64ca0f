//! What a run may use.

use crate::crew::Size;
use crate::{Cancel, Crew};
use mapfold_coord::{EventLog, JobId, OnError};
use mapfold_plan::memory::{Budget, Chunks};
use mapfold_plan::{Error, Plan, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Options of one run. [`RunOptions::default`] suits tests: two threads, one worker, no event log on disk.
#[derive(Clone)]
pub struct RunOptions {
    /// Compute threads.
    pub threads: usize,
    /// Timely workers in this process, or member processes: of a range the most.
    pub workers: usize,
    /// The fewest member processes that the run can do with; `None`: as many as `workers`, no more and no fewer.
    pub least_workers: Option<usize>,
    /// Bytes that the process may use.
    pub memory_limit: u64,
    /// Folder for records that do not fit into memory; beside a local output, else with the system's temporary files,
    /// when there is none.
    pub scratch: Option<std::path::PathBuf>,
    /// How splits are cut into windows.
    pub chunks: Chunks,
    /// Name of the job, for people.
    pub name: String,
    /// Its parameters; without their secrets, part of the fingerprint.
    pub params: serde_json::Value,
    /// Run options that change results, as given (`--tile`: `256`): a refused resume names the one that differs.
    pub given: BTreeMap<String, String>,
    /// Go on with an unfinished run of the same job.
    pub resume: bool,
    /// Replace an output that exists.
    pub overwrite: bool,
    /// What to do when a split has failed for good.
    pub on_error: OnError,
    /// Lease splits in a shuffled order (a seed): results must not depend on it.
    pub shuffle: Option<u64>,
    /// Who hears of events.
    pub events: Arc<EventLog>,
    /// Stops the run from outside.
    pub cancel: Cancel,
    /// The job's name for machines; a random one when there is none.
    pub job: Option<JobId>,
    /// How records get from one side of an exchange to the other.
    pub exchange: Shuffle,
    /// Members as processes of their own; without, they are workers of this process.
    pub crew: Option<Arc<dyn Crew>>,
    /// Milliseconds after which a member process that still works on a split is ended; `None`: never.
    pub split_timeout_ms: Option<u64>,
    /// Milliseconds after which a split that one member process works on is given to an idle one as well.
    pub speculate_after_ms: u64,
    /// Milliseconds of silence after which a member process is given up.
    pub lost_after_ms: u64,
    /// What the facade's part of a member needs to build the same plan, as JSON.
    pub settings: String,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            threads: 2,
            workers: 1,
            least_workers: None,
            memory_limit: 1 << 30,
            scratch: None,
            chunks: Chunks::Auto,
            name: "job".into(),
            params: serde_json::Value::Null,
            given: BTreeMap::new(),
            resume: false,
            overwrite: false,
            on_error: OnError::Fail,
            shuffle: None,
            events: Arc::new(EventLog::nowhere()),
            cancel: Cancel::default(),
            job: None,
            exchange: Shuffle::Auto,
            crew: None,
            split_timeout_ms: None,
            speculate_after_ms: 60_000,
            lost_after_ms: 30_000,
            settings: String::new(),
        }
    }
}

/// How records get from one side of an exchange to the other. Results are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shuffle {
    /// In memory within one process, through files between processes.
    #[default]
    Auto,
    /// Through files: a process that dies takes nothing along but its splits.
    Durable,
    /// In memory: processes that exchange records begin again together when one dies.
    Pipelined,
}

impl RunOptions {
    /// Whether records go through files.
    pub(crate) fn is_durable(&self) -> bool {
        match self.exchange {
            Shuffle::Auto => self.crew.is_some(),
            Shuffle::Durable => true,
            Shuffle::Pipelined => false,
        }
    }

    /// Whether processes exchange records in memory.
    pub(crate) fn needs_mesh(&self, plan: &Plan) -> bool {
        self.crew.is_some() && !self.is_durable() && !plan.exchanges().is_empty()
    }

    /// How many members there are.
    pub(crate) fn size(&self) -> Size {
        let most = self.workers.max(1) as u32;
        Size::new(self.least_workers.map_or(most, |n| (n as u32).clamp(1, most)), most)
    }

    /// Members that exchange records in memory own the partitions by their number: it cannot change.
    pub(crate) fn check_size(&self, plan: &Plan) -> Result<()> {
        match self.least_workers {
            Some(least) if self.needs_mesh(plan) => {
                let most = self.workers;
                let what = format!(
                    "--workers {least}..{most} with --shuffle pipelined: the number of processes that exchange records \
                     in memory is fixed"
                );
                let remedy = format!("--workers {most}, or --shuffle durable, with which members may come and go");
                Err(Error::usage(what).with_remedy(remedy))
            }
            _ => Ok(()),
        }
    }

    /// Memory and threads, as planning wants them.
    pub fn budget(&self) -> Budget {
        Budget::new(self.memory_limit, self.threads as u64).through_files(self.is_durable())
    }
}

/// A size on the command line: `256MiB`, `4GB` (10⁹), `1.5g`, plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit(pub u64);

impl std::str::FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let bad = || format!("{text:?} is not a size; write 256MiB, 4GiB or 4GB");
        let number: f64 = number.parse().map_err(|_| bad())?;
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kib" => 1024.0,
            "kb" => 1e3,
            "m" | "mib" => 1024.0 * 1024.0,
            "mb" => 1e6,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "gb" => 1e9,
            "t" | "tib" => 1024f64.powi(4),
            "tb" => 1e12,
            _ => return Err(bad()),
        };
        Ok(MemoryLimit((number * factor) as u64))
    }
}

/// 70 % of the memory of this machine, or of its control group when that is less.
pub fn default_memory_limit() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let meminfo = read("/proc/meminfo").unwrap_or_default();
    let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let total = total.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).map_or(2 << 30, |k| k << 10);
    let group = read("/sys/fs/cgroup/memory.max").and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(u64::MAX);
    total.min(group) / 10 * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let size = |t: &str| t.parse::<MemoryLimit>().map(|m| m.0);
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("4GB"), Ok(4_000_000_000));
        assert_eq!(size("1.5g"), Ok(3 << 29));
        assert!(size("4 apples").is_err() && size("").is_err());
    }
}
