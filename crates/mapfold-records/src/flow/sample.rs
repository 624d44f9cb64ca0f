//! Keys for a total order: some stretches of the input, read while planning.
//!
//! The stretches are chosen by a seed and spread over all files by their sizes, so that the order is the same whoever
//! plans. Of compressed files only the beginning is looked at. Keys are cut: a bound needs to be no key.

use super::input::{Input, InputFile};
use crate::text::{FileSplit, LineBatch, LineOptions, LineReader};
use crate::{CompressedLines, Ranges, Stored};
use mapfold_plan::exchange::seeded_picks;
use mapfold_plan::{Plan, Result};
use mapfold_store::Loc;

/// Stretches that are read, and bytes of each.
const STRETCHES: u64 = 256;
const STRETCH: u64 = 8 << 10;
/// Bytes of a compressed file's text.
const BEGINNING: usize = 256 << 10;
/// Bytes of a key that are kept.
const KEY: usize = 128;

/// What the keys of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Whole lines.
    Lines,
    /// The first `key` of `record` bytes.
    Fixed {
        /// Bytes of a record.
        record: u64,
        /// Bytes of its key.
        key: u64,
    },
}

/// Keys of an input, and how much it is.
pub struct KeySample {
    /// Some keys; cut, where they are long.
    pub keys: Vec<Vec<u8>>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether files are compressed: then the input is more than its bytes.
    pub compressed: bool,
}

/// Keys of the input, and its size.
///
/// # Errors
/// When a file is not there or cannot be read.
pub fn sample_keys<'a>(
    p: &Plan,
    inputs: impl IntoIterator<Item = &'a Loc>,
    keys: Keys,
    seed: u64,
) -> Result<KeySample> {
    let input = Input::files(p, inputs)?;
    let question = format!("sample {keys:?} of {} by {seed}", input.question());
    let compressed = input.files.iter().any(|f| f.codec.is_some());
    Ok(KeySample { keys: p.ask(&question, || read_sample(&input, keys, seed))?, bytes: input.bytes, compressed })
}

fn read_sample(input: &Input, keys: Keys, seed: u64) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let (plain, coded): (Vec<&InputFile>, Vec<&InputFile>) = input.files.iter().partition(|f| f.codec.is_none());
    let total: u64 = plain.iter().map(|f| f.size).sum();
    for at in seeded_picks(seed, STRETCHES, total.div_ceil(STRETCH)) {
        let (file, start) = place(&plain, at * STRETCH);
        let len = STRETCH.min(file.size - start);
        let bytes = Stored::open(&input.stores, &file.loc)?;
        match keys {
            Keys::Fixed { record, key } => fixed(&bytes, start, (record, key), &mut found)?,
            Keys::Lines => {
                let split = FileSplit { file: 0, start, len };
                let mut lines = LineReader::new(bytes, split, LineOptions::default())?;
                let mut batch = LineBatch::default();
                while lines.next_batch(&mut batch)? {
                    found.extend(batch.iter().map(|(_, line)| cut(line)));
                }
            }
        }
    }
    for file in coded.iter().take(STRETCHES as usize) {
        let Some(codec) = file.codec else { continue };
        let options = LineOptions { piece: BEGINNING, ..LineOptions::default() };
        let mut lines = CompressedLines::new(Stored::open(&input.stores, &file.loc)?, codec, options)?;
        let mut batch = LineBatch::default();
        lines.next_batch(&mut batch)?;
        found.extend(batch.iter().map(|(_, line)| cut(line)));
    }
    Ok(found)
}

/// The file in which byte `at` of all of them is, and where in it.
fn place<'a>(files: &[&'a InputFile], mut at: u64) -> (&'a InputFile, u64) {
    for file in files {
        if at < file.size {
            return (file, at);
        }
        at -= file.size;
    }
    unreachable!("a pick lies inside of the files")
}

fn fixed(bytes: &Stored, start: u64, (record, key): (u64, u64), found: &mut Vec<Vec<u8>>) -> Result<()> {
    let first = start / record * record;
    let last = (first + STRETCH.next_multiple_of(record)).min(bytes.size() / record * record);
    if first < last {
        let got = bytes.read(first, (last - first) as usize)?;
        found.extend(got.chunks_exact(record as usize).map(|r| cut(&r[..key as usize])));
    }
    Ok(())
}

fn cut(key: &[u8]) -> Vec<u8> {
    key[..key.len().min(KEY)].to_vec()
}
