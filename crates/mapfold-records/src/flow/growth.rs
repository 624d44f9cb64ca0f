//! How much a fold over splits keeps and gives away: looked at in a sample of the input, while planning.
//!
//! Only inputs of this machine are looked at, for elsewhere every stretch costs a round trip; without a look the memory
//! plan counts with the most that may come.

use super::input::{Input, InputFile};
use crate::Stored;
use crate::ranges::Ranges;
use bytes::Bytes;
use mapfold_plan::growth::{Expected, Growth, Look};
use mapfold_plan::{Plan, Result};
use mapfold_store::Loc;

/// Stretches that are read of an input of text, and bytes of each at most.
const STRETCHES: u64 = 32;
const STRETCH: u64 = 64 << 10;

/// What a fold over the lines of text files keeps and gives away, split by split: `None` where nothing can be said (files
/// elsewhere, or compressed). `add` takes stretches of whole lines.
///
/// # Errors
/// When an input is not there or cannot be read.
pub fn text_growth<'a, T>(
    p: &Plan,
    inputs: impl IntoIterator<Item = &'a Loc>,
    split_size: Option<u64>,
    table: T,
    add: impl Fn(&mut T, &[u8]),
    look: impl Fn(&T) -> Look,
) -> Result<Option<Expected>> {
    let input = Input::files(p, inputs)?.cut(split_size, 1)?;
    let splits = input.splits.len() as u64;
    if input.bytes == 0 || !input.files.iter().all(is_here) {
        return Ok(None);
    }
    let longest = input.splits.iter().map(|s| s.len).max().unwrap_or(0);
    let growth: Option<Growth> = p.ask(&format!("growth of {}", input.question()), || {
        let stretches = stretches(&input)?;
        let add = |table: &mut T, text: &Bytes| {
            add(table, text);
            Ok(())
        };
        Growth::watch((table, &stretches[..]), |s| s.len() as u64, add, |t: &T| Ok(look(t)))
    })?;
    Ok(growth.map(|g| g.expected(longest, splits)))
}

/// Whether a file is read where it lies, as it is.
pub(super) fn is_here(file: &InputFile) -> bool {
    file.codec.is_none() && file.loc.local_path().is_some()
}

/// Stretches of whole lines, spread evenly over the input.
fn stretches(input: &Input) -> Result<Vec<Bytes>> {
    let len = (input.bytes / STRETCHES).clamp(1, STRETCH);
    let mut out = Vec::new();
    let (mut before, mut next) = (0, 0);
    for file in &input.files {
        let bytes = Stored::open(&input.stores, &file.loc)?;
        while next < before + file.size {
            let from = next - before;
            let got = bytes.read(from, len.min(file.size - from) as usize)?;
            out.push(whole_lines(got, from > 0));
            next += (input.bytes / STRETCHES).max(1);
        }
        before += file.size;
    }
    Ok(out)
}

/// The lines of a stretch that are there from end to end; all of it where it has not two ends of lines.
fn whole_lines(bytes: Bytes, cut: bool) -> Bytes {
    let first = if cut { memchr::memchr(b'\n', &bytes).map_or(0, |at| at + 1) } else { 0 };
    let last = memchr::memrchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
    if first < last { bytes.slice(first..last) } else { bytes }
}
