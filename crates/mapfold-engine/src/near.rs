//! Which hosts hold what splits read, and which of them members run on: for leases that spare the network.
//!
//! Only HDFS tells where its blocks are ([`Stores::hosts_of`](mapfold_store::Stores::hosts_of)). A thread of its own asks
//! once for each file and goes through the splits, so that no lease waits for a name node; what it finds are hints to the
//! coordinator, and a job without them is as right. Two hosts are one when a name or an address of them is the same.

use crate::shell::Shell;
use mapfold_coord::{Event, HostId, SplitId, StageId};
use mapfold_plan::{FileEntry, Need, Plan, Stage};
use mapfold_store::{Located, Scheme, Stores};
use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What this host is called by whoever knows better: the cluster, or a user whose hosts have odd names.
const HOST: &str = "MAPFOLD_HOST";
/// Splits that are told of at once.
const PIECE: u64 = 1024;
/// How long the first members are kept at the door for the first hints.
const FIRST: Duration = Duration::from_secs(2);

/// A search that goes on beside the run.
pub struct LookUp {
    began: Instant,
    told: Arc<AtomicBool>,
}

impl LookUp {
    /// Whether members may come in: the first hints are there, or are waited for no longer.
    pub fn is_ready(&self) -> bool {
        self.told.load(SeqCst) || self.began.elapsed() > FIRST
    }
}

/// The hosts of a run, by all names that are known of each.
#[derive(Default)]
pub struct Hosts {
    numbers: HashMap<String, HostId>,
    next: u32,
}

impl Hosts {
    /// The number of the host that has one of these names; it has all of them from now on. `None` without a name that
    /// tells it from others.
    pub fn of(&mut self, names: &[String]) -> Option<HostId> {
        let plain = |name: &String| name.trim().trim_end_matches('.').to_ascii_lowercase();
        let names: Vec<String> = names.iter().map(plain).filter(|n| !n.is_empty() && n != "localhost").collect();
        let known = names.iter().find_map(|name| self.numbers.get(name).copied());
        let host = known.unwrap_or(HostId(self.next));
        if names.is_empty() {
            return None;
        }
        self.next += u32::from(known.is_none());
        for name in names {
            self.numbers.entry(name).or_insert(host);
        }
        Some(host)
    }
}

/// The names of this host: what it was told, else its own, and the addresses by which it reaches the coordinator and was
/// reached by `ssh`.
pub fn own_names(here: IpAddr) -> Vec<String> {
    if let Some(told) = std::env::var(HOST).ok().filter(|name| !name.trim().is_empty()) {
        return with_addresses(told);
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let by_ssh = std::env::var("SSH_CONNECTION").unwrap_or_default(); // "client port server port"
    let reached = by_ssh.split(' ').nth(2).unwrap_or_default().to_string();
    vec![own, here.to_string(), reached]
}

/// A name and the addresses that it has.
fn with_addresses(name: String) -> Vec<String> {
    let found = (name.as_str(), 0).to_socket_addrs().into_iter().flatten();
    let addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    std::iter::once(name).chain(addresses).collect()
}

/// Has hints looked up beside the run, where an input is in a store that knows its hosts.
pub fn look_up(plan: &Plan, shell: &Arc<Shell>) -> LookUp {
    let (files, told) = (plan.files(), Arc::new(AtomicBool::new(false)));
    let search = LookUp { began: Instant::now(), told: told.clone() };
    if !files.iter().any(|file| file.loc.scheme() == Scheme::Hdfs) {
        told.store(true, SeqCst);
        return search;
    }
    let (stores, stages, shell) = (plan.stores().clone(), plan.stages(), shell.clone());
    let started = std::thread::Builder::new().name("hosts".to_string()).spawn(move || {
        let mut search = Search { stores, files, blocks: HashMap::new(), hosts: HashMap::new() };
        for (number, stage) in stages.iter().enumerate() {
            search.tell(StageId(number as u32), stage.as_ref(), &shell, &told);
        }
        told.store(true, SeqCst);
    });
    if let Err(e) = started {
        tracing::warn!("splits go to any host: {e}");
    }
    search
}

/// What was found so far.
struct Search {
    stores: Stores,
    files: Vec<FileEntry>,
    /// By the file's number.
    blocks: HashMap<u32, Vec<Located>>,
    hosts: HashMap<String, Option<HostId>>,
}

impl Search {
    /// Tells of a stage, piece by piece, until the run is over.
    fn tell(&mut self, stage: StageId, of: &dyn Stage, shell: &Shell, told: &AtomicBool) {
        let splits = of.domain().splits();
        for first in (0..splits).step_by(PIECE as usize) {
            if shell.is_over() {
                return;
            }
            let piece = first..splits.min(first + PIECE);
            let hosts: Vec<Vec<HostId>> = piece.map(|split| self.hosts_of(of, split, shell)).collect();
            if hosts.iter().any(|of_split| !of_split.is_empty()) {
                shell.tell(Event::Near { stage, first: SplitId(first), hosts });
                told.store(true, SeqCst);
            }
        }
    }

    /// The hosts that hold the most of what a split reads. A split whose needs cannot be told fails when it is worked on.
    fn hosts_of(&mut self, stage: &dyn Stage, split: u64, shell: &Shell) -> Vec<HostId> {
        let needs = stage.needs(&stage.domain().place(split)).unwrap_or_default();
        let mut held: HashMap<String, u64> = HashMap::new();
        needs.iter().for_each(|need| self.add(need, &mut held));
        let most = held.values().copied().max().unwrap_or(0);
        let best = held.into_iter().filter(|(_, bytes)| *bytes == most && most > 0);
        best.filter_map(|(name, _)| self.host(name, shell)).collect()
    }

    /// Adds the bytes of one need, by who holds them.
    fn add(&mut self, need: &Need, held: &mut HashMap<String, u64>) {
        let blocks = self.blocks_of(need.file.0);
        let first = blocks.partition_point(|block| block.range.end <= need.range.start);
        for block in blocks[first..].iter().take_while(|block| block.range.start < need.range.end) {
            let bytes = block.range.end.min(need.range.end) - block.range.start.max(need.range.start);
            for host in &block.hosts {
                *held.entry(host.clone()).or_default() += bytes;
            }
        }
    }

    fn blocks_of(&mut self, number: u32) -> &[Located] {
        let Search { stores, files, blocks, .. } = self;
        blocks.entry(number).or_insert_with(|| {
            let Some(file) = files.get(number as usize) else { return Vec::new() };
            let found = stores.hosts_of(&file.loc, 0..file.info.size);
            found.unwrap_or_else(|error| {
                tracing::debug!(%error, "no hosts of blocks");
                Vec::new()
            })
        })
    }

    fn host(&mut self, name: String, shell: &Shell) -> Option<HostId> {
        *self.hosts.entry(name).or_insert_with_key(|name| shell.host(&with_addresses(name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hosts_are_one_when_they_share_a_name() {
        let mut hosts = Hosts::default();
        let node = hosts.of(&names(&["node7.example.org", "10.0.0.7"]));
        assert_eq!(hosts.of(&names(&["node7\n", "10.0.0.7", ""])), node, "by the address");
        assert_eq!(hosts.of(&names(&["NODE7"])), node, "by a name that came with it");
        let other = hosts.of(&names(&["node8", "10.0.0.8"]));
        assert!(other != node && other.is_some());
        assert_eq!(hosts.of(&names(&["localhost", " "])), None, "says nothing");
    }

    #[test]
    fn a_name_that_is_an_address_is_its_own_address() {
        assert_eq!(with_addresses("127.0.0.2".into()), ["127.0.0.2", "127.0.0.2"]);
    }
}
