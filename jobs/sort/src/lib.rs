//! Sorting: lines of text by their bytes, or the 100-byte records of TeraSort by their keys.
//!
//! The order is total: every key of a part is below those of the next, so that the parts one after the other are the
//! sorted whole (`cat out/part-r-*`). Where parts begin says a sample of the input, drawn by a seed while planning. The
//! order of equal records is that of the input, so the result is one file only, whatever runs it.
//!
//! Text is sorted as `LC_ALL=C sort` does. Line ends are written as `\n`, and the last line has one.

use mapfold::plan::exchange::{RangePartitioner, RawGroups};
use mapfold::plan::{Load, Plan};
use mapfold::prelude::*;
use mapfold::records::flow::{KeySample, Keys, sample_keys};
use mapfold::records::sort::{KEY, RECORD};

/// What is sorted.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines, by their bytes
    #[default]
    Text,
    /// Records of 100 bytes, by the first ten (TeraSort)
    Tera,
}

/// Sort lines of text, or the records of TeraSort, in a total order over all parts
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Sort {
    /// Files, folders, patterns ('logs/*.txt'), lists (@list.txt); of text .gz, .bz2 and .zst are decompressed
    #[arg(required = true, num_args = 1..)]
    pub input: Vec<Loc>,
    /// Folder for the result: part-r-00000, ..., _SUCCESS
    #[arg(long)]
    pub out: Loc,
    /// What is sorted
    #[arg(id = "records", long = "format", value_enum, value_name = "FORMAT", default_value_t)]
    #[serde(default)]
    pub format: Format,
    /// Seed of the sample that says where parts begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Bytes of a split, such as 8388608 [default: a 32nd of the input, 1 to 32 MiB]
    #[arg(long, value_name = "BYTES")]
    pub split_size: Option<u64>,
}

/// Bytes of output handed over at a time.
const PIECE: usize = 256 << 10;

/// The plan: a sample for the ranges, then one exchange by them.
///
/// # Errors
/// When an input names nothing, or is no whole number of records.
#[allow(clippy::needless_pass_by_value)] // what a job function looks like
pub fn sort(job: Sort, p: &Plan) -> Result<()> {
    let keys = match job.format {
        Format::Text => Keys::Lines,
        Format::Tera => Keys::Fixed { record: RECORD as u64, key: KEY as u64 },
    };
    let sample = sample_keys(p, &job.input, keys, job.seed)?;
    let load = load(&sample, job.format);
    let ranges = RangePartitioner::from_sample(&sample.keys, p.usual_partitions(sample.bytes));
    let (sorted, out) = match job.format {
        Format::Text => (lines(&job, ranges, load, p)?, TextOut::default()),
        Format::Tera => (records(&job, ranges, load, p)?, TextOut { record: Some(RECORD as u64) }),
    };
    sorted.write(&job.out, out)
}

/// What is exchanged: all of the input, in as many records as the sample's mean length says; `None` of compressed text,
/// which is more than its bytes.
fn load(sample: &KeySample, format: Format) -> Option<Load> {
    let keys: u64 = sample.keys.iter().map(|key| key.len() as u64 + 1).sum();
    let mean = match format {
        Format::Tera => RECORD as u64,
        Format::Text => keys / (sample.keys.len() as u64).max(1),
    };
    (!sample.compressed).then(|| Load { records: sample.bytes / mean.max(1), bytes: sample.bytes })
}

fn lines(job: &Sort, ranges: RangePartitioner, load: Option<Load>, p: &Plan) -> Result<Flow<Vec<u8>>> {
    let options = TextOptions { split_size: job.split_size, ..TextOptions::default() };
    let shuffled = p.text(&job.input, &options)?.shuffle("sort lines", |batch, emit| {
        batch.iter().for_each(|(_, line)| emit.put(line, &[]));
    });
    Ok(shuffled.partition_by(ranges).expect(load).reduce_raw(|groups, out| {
        pieces(groups, out, |key, _, piece| {
            piece.extend_from_slice(key);
            piece.push(b'\n');
        })
    }))
}

fn records(job: &Sort, ranges: RangePartitioner, load: Option<Load>, p: &Plan) -> Result<Flow<Vec<u8>>> {
    let shuffled = p.records(&job.input, RECORD as u64, job.split_size)?.shuffle("sort records", |piece, emit| {
        piece.chunks_exact(RECORD).for_each(|record| emit.put(&record[..KEY], &record[KEY..]));
    });
    Ok(shuffled.partition_by(ranges).expect(load).reduce_raw(|groups, out| {
        pieces(groups, out, |key, value, piece| {
            piece.extend_from_slice(key);
            piece.extend_from_slice(value);
        })
    }))
}

/// Hands sorted records over, many at a time.
fn pieces(
    groups: &mut RawGroups,
    out: &mut dyn FnMut(Vec<u8>) -> Result<()>,
    put: impl Fn(&[u8], &[u8], &mut Vec<u8>),
) -> Result<()> {
    let room = || Vec::with_capacity(PIECE + 4096);
    let mut piece = room();
    while let Some(mut group) = groups.next() {
        while let Some(value) = group.values.next() {
            put(group.key, value, &mut piece);
            if piece.len() >= PIECE {
                out(std::mem::replace(&mut piece, room()))?;
            }
        }
    }
    if piece.is_empty() { Ok(()) } else { out(piece) }
}
