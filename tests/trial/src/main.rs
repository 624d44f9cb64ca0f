//! A job that dies as it is told, and whose result anybody can check who knows its parameters.
//!
//! What it is for: the tests of faults (`tests/tests/poison.rs`, `tests/tests/kills.rs`, `tests/faults/`). It uses the
//! facade as any job does.
//!
//! Without `--records` each split reports its number. With it split `s` gives the records `s * N .. (s + 1) * N`; they
//! are exchanged by `id % keys`, and a key reports how many came, which, their sum and an exclusive or of their hashes.
//! So a checker needs the three numbers and no code of this program.
mod harm;
mod visible;

use mapfold::prelude::*;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Counts to a number, or groups numbered records; some splits do harm
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Trial {
    /// Splits, one number each
    #[arg(long)]
    splits: u64,
    /// Milliseconds of work for each
    #[arg(long, default_value_t = 0)]
    millis: u64,
    /// Work is uneven: split s takes 0 to 2 times as long
    #[arg(long)]
    uneven: bool,
    /// Percent of the attempts (not of the splits) that stumble: they take 20 times as long
    #[arg(long, default_value_t = 0)]
    stumble: u64,
    /// Records of each split, to be exchanged and reduced; 0: its number is reported
    #[arg(long, default_value_t = 0)]
    records: u64,
    /// Keys of the records
    #[arg(long, default_value_t = 1)]
    keys: u64,
    /// Splits that do harm
    #[arg(long, value_delimiter = ',')]
    bad: Vec<u64>,
    /// What harm they do: abort, kill, segv, exit, hang or panic
    #[arg(long, default_value = "abort")]
    harm: String,
    /// A file that is made just before harm is done
    #[arg(long)]
    mark: Option<PathBuf>,
    /// A control that is wrong on purpose: each split writes its records into files of this folder, one visible name
    /// after the other, as a committer that renames as it goes
    #[arg(long)]
    visible: Option<PathBuf>,
}

/// What came of one key.
#[derive(Serialize)]
struct Group {
    key: u64,
    count: u64,
    sum: u64,
    xor: u64,
    ids: Vec<u64>,
}

impl Group {
    fn of(key: u64, records: impl Iterator<Item = u64>) -> Group {
        let mut group = Group { key, count: 0, sum: 0, xor: 0, ids: Vec::new() };
        for id in records {
            group.count += 1;
            group.sum += id;
            group.xor ^= hash(id);
            group.ids.push(id);
        }
        group
    }
}

/// One round of SplitMix64.
fn hash(id: u64) -> u64 {
    let z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn trial(job: Trial, p: &Plan) -> Result<()> {
    let (records, keys) = (job.records, job.keys.max(1));
    let splits = p.range(job.splits).map(move |split| {
        job.work(split);
        split
    });
    if records == 0 {
        return splits.report("numbers");
    }
    splits
        .flat_map(move |split| split * records..(split + 1) * records)
        .map(move |id| (id % keys, id))
        .reduce(|key, ids| Group::of(*key, ids))
        .report("groups")
}

impl Trial {
    fn work(&self, split: u64) {
        let uneven = if self.uneven { hash(split) % 3 } else { 1 };
        let stumbles = self.stumble > 0 && hash(harm::noise()) % 100 < self.stumble;
        std::thread::sleep(Duration::from_millis(self.millis * uneven * if stumbles { 20 } else { 1 }));
        if self.bad.contains(&split) {
            self.mark.iter().for_each(|path| drop(std::fs::write(path, "")));
            harm::do_harm(&self.harm);
        }
        if let Some(folder) = &self.visible {
            visible::write(folder, split, self.records, self.millis);
        }
    }
}

fn main() -> ExitCode {
    mapfold::main(trial)
}
