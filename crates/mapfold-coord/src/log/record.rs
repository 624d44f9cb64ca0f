//! One file of the log: JSON under zstd, with its checksum.
//!
//! What parts have in common is said once for many of them: stage, generation, the names of counters and phases. A part is
//! then a row of numbers, so that a log of a million parts is tens of megabytes and not hundreds:
//!
//! ```text
//! {"job":"0011…","claim":0,"seq":7,"entries":[
//!  {"entry":"parts","stage":0,"generation":0,"counters":["pixels"],"phases":["decode","compute"],
//!   "rows":[[417,0,"what the sink needs",[65536],[1200000,800000]], …]}]}
//! ```
//!
//! `zstd -dc log/*.zst` shows it to people. The order of entries is kept: of two about a split the last counts.

use serde::de::Error as _;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;

use crate::entry::LogEntry;
use crate::ids::{Attempt, Generation, JobId, SplitId, StageId};
use crate::measure::{Counters, Phase, PhaseTimes};
use crate::message::{FileRecord, PartRecord};

/// Fast, and within a few percent of what more effort gives for such text.
const LEVEL: i32 = 1;
/// No record is larger when it is unpacked: 100 ms of entries are far less.
const LARGEST: u64 = 1 << 30;

/// One file of the log.
#[derive(Debug)]
pub(super) struct Record {
    pub job: JobId,
    /// Number of the claim under which it was written.
    pub claim: u32,
    pub seq: u64,
    pub entries: Vec<LogEntry>,
}

#[derive(Serialize, Deserialize)]
struct Written<E> {
    job: JobId,
    claim: u32,
    seq: u64,
    /// The writer's first record after a takeover, or its last before the decision.
    #[serde(default, skip_serializing_if = "is_no")]
    seal: bool,
    entries: Vec<E>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
fn is_no(yes: &bool) -> bool {
    !yes
}

/// Parts of one stage and generation, or another entry as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Parts(Parts<&'a str, RowOf<'a>>),
    Other(&'a LogEntry),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    Parts(Parts<String, Row>),
    Other(LogEntry),
}

#[derive(Serialize, Deserialize)]
struct Parts<N, R> {
    entry: Tag,
    stage: StageId,
    generation: Generation,
    counters: Vec<N>,
    phases: Vec<Phase>,
    rows: Vec<R>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Parts,
}

/// Split, attempt, data, counts by name, nanoseconds by phase; files only where there are some.
struct RowOf<'a> {
    split: SplitId,
    attempt: Attempt,
    record: &'a PartRecord,
    counts: Vec<Option<u64>>,
    nanos: Vec<u64>,
}

impl<'a> RowOf<'a> {
    fn new(split: SplitId, attempt: Attempt, record: &'a PartRecord, counters: &[&str], phases: &[Phase]) -> RowOf<'a> {
        let named: BTreeMap<&str, u64> = record.counters.iter().collect();
        let counts = counters.iter().map(|name| named.get(name).copied()).collect();
        let nanos = phases.iter().map(|phase| record.times.nanos[*phase as usize]).collect();
        RowOf { split, attempt, record, counts, nanos }
    }
}

impl Serialize for RowOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let files = &self.record.files;
        let mut row = serializer.serialize_seq(Some(5 + usize::from(!files.is_empty())))?;
        row.serialize_element(&self.split)?;
        row.serialize_element(&self.attempt)?;
        row.serialize_element(&self.record.data)?;
        row.serialize_element(&self.counts)?;
        row.serialize_element(&self.nanos)?;
        if !files.is_empty() {
            row.serialize_element(files)?;
        }
        row.end()
    }
}

struct Row {
    split: SplitId,
    attempt: Attempt,
    data: Value,
    counts: Vec<Option<u64>>,
    nanos: Vec<u64>,
    files: Vec<FileRecord>,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct Cells;
        impl<'de> serde::de::Visitor<'de> for Cells {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("split, attempt, data, counts, times and perhaps files")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut row: A) -> Result<Row, A::Error> {
                let short = |at: usize| A::Error::invalid_length(at, &Cells);
                Ok(Row {
                    split: row.next_element()?.ok_or_else(|| short(0))?,
                    attempt: row.next_element()?.ok_or_else(|| short(1))?,
                    data: row.next_element()?.ok_or_else(|| short(2))?,
                    counts: row.next_element()?.ok_or_else(|| short(3))?,
                    nanos: row.next_element()?.ok_or_else(|| short(4))?,
                    files: row.next_element()?.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_seq(Cells)
    }
}

impl Record {
    /// As the file has it.
    pub fn encode(job: JobId, claim: u32, seq: u64, seal: bool, entries: &[LogEntry]) -> Vec<u8> {
        let entries = entries.chunk_by(belong_together).map(told).collect();
        let written = Written { job, claim, seq, seal, entries };
        // Neither fails: there are no maps with keys that are no strings, and a vector takes whatever is written.
        let text = serde_json::to_vec(&written).expect("plain values become JSON");
        let mut packer = zstd::bulk::Compressor::new(LEVEL).expect("the level is one of zstd's");
        packer.include_checksum(true).expect("a checksum can be asked for");
        packer.compress(&text).expect("memory takes what is packed")
    }

    /// From a file; says what is wrong with a damaged one.
    pub fn decode(bytes: &[u8]) -> Result<Record, String> {
        let mut text = Vec::new();
        let unpacked = zstd::stream::read::Decoder::new(bytes).and_then(|d| d.take(LARGEST).read_to_end(&mut text));
        unpacked.map_err(|e| e.to_string())?;
        let written: Written<Heard> = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        let Written { job, claim, seq, entries, .. } = written;
        let mut all = Vec::new();
        for heard in entries {
            match heard {
                Heard::Other(entry) => all.push(entry),
                Heard::Parts(parts) => heard_parts(parts, &mut all)?,
            }
        }
        Ok(Record { job, claim, seq, entries: all })
    }
}

fn belong_together(a: &LogEntry, b: &LogEntry) -> bool {
    let part = |e: &LogEntry| matches!(e, LogEntry::Part { .. });
    part(a) && part(b) && a.stage() == b.stage() && a.generation() == b.generation()
}

fn told(group: &[LogEntry]) -> Told<'_> {
    let parts = || {
        group.iter().filter_map(|entry| match entry {
            LogEntry::Part { split, attempt, record, .. } => Some((*split, *attempt, record)),
            _ => None,
        })
    };
    if parts().next().is_none() {
        return Told::Other(&group[0]); // Only parts are grouped.
    }
    let mut counters: Vec<&str> = parts().flat_map(|(.., r)| r.counters.iter().map(|(name, _)| name)).collect();
    counters.sort_unstable();
    counters.dedup();
    let spent = |phase: &Phase| parts().any(|(.., r)| r.times.nanos[*phase as usize] > 0);
    let phases: Vec<Phase> = Phase::ALL.into_iter().filter(spent).collect();
    let row = |(split, attempt, record)| RowOf::new(split, attempt, record, &counters, &phases);
    let rows = parts().map(row).collect();
    let (stage, generation) = (group[0].stage(), group[0].generation());
    Told::Parts(Parts { entry: Tag::Parts, stage, generation, counters, phases, rows })
}

fn heard_parts(parts: Parts<String, Row>, all: &mut Vec<LogEntry>) -> Result<(), String> {
    let Parts { stage, generation, counters: names, phases, rows, .. } = parts;
    for Row { split, attempt, data, counts, nanos, files } in rows {
        if counts.len() != names.len() || nanos.len() != phases.len() {
            return Err(format!("the row of split {split} has other columns than its heading"));
        }
        let (mut counters, mut times) = (Counters::default(), PhaseTimes::default());
        for (name, count) in names.iter().zip(counts) {
            count.into_iter().for_each(|n| counters.add(name.clone(), n));
        }
        phases.iter().zip(nanos).for_each(|(phase, n)| times.nanos[*phase as usize] = n);
        let record = PartRecord { files, data, counters, times };
        all.push(LogEntry::Part { stage, split, attempt, generation, record });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::message::{Failure, FailureKind};
    use std::time::Duration;

    fn part(split: u64, generation: u32) -> LogEntry {
        let mut record = PartRecord { data: Value::String(format!("part {split}")), ..PartRecord::default() };
        record.counters.add("pixels", 1000 + split);
        if split.is_multiple_of(2) {
            record.counters.add("nodata", 0);
            record.times.add(Phase::Decode, Duration::from_nanos(split + 1));
        }
        if split == 3 {
            record.files.push(FileRecord { name: "part-3".to_owned(), size: 9, checksum: "xxh3:1".to_owned() });
        }
        let generation = Generation(generation);
        LogEntry::Part { stage: StageId(1), split: SplitId(split), attempt: Attempt(2), generation, record }
    }

    fn mixed() -> Vec<LogEntry> {
        let (stage, split, generation) = (StageId(1), SplitId(1), Generation(0));
        let skipped = LogEntry::Skipped { stage, split, generation, failure: Failure::new(FailureKind::Io, "gone") };
        let begins = LogEntry::Generation { stage, generation: Generation(1) };
        vec![part(0, 0), part(1, 0), skipped, part(1, 0), begins, part(0, 1), part(2, 1), part(3, 1)]
    }

    #[test]
    fn what_is_written_is_read_in_its_order() {
        let job = JobId::random().unwrap();
        for entries in [mixed(), Vec::new()] {
            let record = Record::decode(&Record::encode(job, 3, 7, true, &entries)).unwrap();
            assert_eq!((record.job, record.claim, record.seq), (job, 3, 7));
            assert_eq!(record.entries, entries);
        }
    }

    #[test]
    fn an_ordinary_part_takes_less_than_a_hundred_bytes() {
        let part = |split: u64| {
            let mut record =
                PartRecord { data: Value::String(format!("{:064x}", split * 0x9e37_79b9)), ..PartRecord::default() };
            record.counters.add("pixels", 262_144);
            record.times.add(Phase::Compute, Duration::from_nanos(800_000 + split * 7919 % 10_000));
            let (stage, attempt, generation) = (StageId(0), Attempt(0), Generation(0));
            LogEntry::Part { stage, split: SplitId(split), attempt, generation, record }
        };
        let entries: Vec<LogEntry> = (0..300).map(part).collect();
        let bytes = Record::encode(JobId::random().unwrap(), 0, 0, false, &entries).len();
        assert!(bytes < 300 * 60, "{} bytes a part", bytes / 300);
    }

    #[test]
    fn a_damaged_byte_is_noticed_or_changes_nothing() {
        let job = JobId::random().unwrap();
        let good = Record::encode(job, 0, 0, false, &mixed());
        let mut noticed = 0;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            match Record::decode(&bad) {
                Err(_) => noticed += 1,
                Ok(r) => assert!(r.entries == mixed() && (r.job, r.claim, r.seq) == (job, 0, 0), "byte {at}"),
            }
            assert!(Record::decode(&good[..at]).is_err(), "cut after {at}");
        }
        assert!(noticed > good.len() * 9 / 10, "{noticed} of {}", good.len());
    }
}
