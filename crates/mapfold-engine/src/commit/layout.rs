//! The whole file from what the streams hold: in place where it lies in order, else a copy in order.
//!
//! All of it is before the decision, and may take minutes for a large file: so it asks before every unit and every
//! [`COPIED_AT_ONCE`] bytes whether the run is still wanted.

use super::output::Whole;
use crate::pool::Rooms;
use crate::streams::{Streams, stream_name};
use mapfold_plan::{Assignment, Cx, Output, Part, PartRecord, Result, Units};
use mapfold_store::{Loc, Stores};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Name of the laid-out file inside the folder of parts, when it is not a stream itself.
const WHOLE: &str = "whole";

/// Most bytes copied without asking whether to go on.
const COPIED_AT_ONCE: u64 = 64 << 20;

/// Whether the run is still wanted: an error when somebody stopped it.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Makes the file: a stream completed in place when its data lies in order, else a copy in order.
///
/// # Errors
/// Those of the store, and those of `go_on`.
pub fn assemble(
    (stores, dir): (&Stores, &Loc),
    output: &dyn Output,
    streams: &Streams,
    pieces: Vec<Assignment>,
    go_on: GoOn<'_>,
) -> Result<Whole> {
    if let Some((stream, header)) = in_place(&pieces, |s| output.reserve(s)) {
        let file = streams.file(stream);
        file.write_at(0, header)?;
        let bytes = total(&pieces);
        file.set_len(bytes)?;
        file.sync()?;
        return Ok(Whole { name: stream_name(stream), bytes, in_place: true });
    }
    let file = stores.create_file(&dir.join(WHOLE))?;
    let mut at = 0;
    for piece in merged(pieces).into_iter().flat_map(cut) {
        go_on()?;
        match &piece {
            Assignment::Bytes(b) => file.write_at(at, b)?,
            Assignment::Stored { stream, offset, len } => {
                file.copy_from(streams.file(*stream).as_ref(), *offset, at, *len)?;
            }
        }
        at += length(&piece);
    }
    file.sync()?;
    Ok(Whole { name: WHOLE.into(), bytes: at, in_place: false })
}

fn length(piece: &Assignment) -> u64 {
    match piece {
        Assignment::Bytes(b) => b.len() as u64,
        Assignment::Stored { len, .. } => *len,
    }
}

fn total(pieces: &[Assignment]) -> u64 {
    pieces.iter().map(length).sum()
}

/// The stream that is the file once its header is written, if there is one.
fn in_place(pieces: &[Assignment], reserve: impl Fn(u32) -> u64) -> Option<(u32, &[u8])> {
    let (Assignment::Bytes(header), rest) = pieces.split_first()? else { return None };
    let Some(Assignment::Stored { stream, .. }) = rest.first() else { return None };
    let mut at = header.len() as u64;
    let follows = rest.iter().all(|p| match p {
        Assignment::Stored { stream: s, offset, len } if s == stream && *offset == at => {
            at += len;
            true
        }
        _ => false,
    });
    (reserve(*stream) == header.len() as u64 && follows).then_some((*stream, header))
}

/// Neighbouring ranges as one.
fn merged(pieces: Vec<Assignment>) -> Vec<Assignment> {
    let mut out: Vec<Assignment> = Vec::new();
    for p in pieces {
        if let (Some(Assignment::Stored { stream: a, offset: x, len: n }), Assignment::Stored { stream, offset, len }) =
            (out.last_mut(), &p)
            && a == stream
            && *x + *n == *offset
        {
            *n += len;
            continue;
        }
        out.push(p);
    }
    out
}

/// A long range as several.
fn cut(piece: Assignment) -> Vec<Assignment> {
    let Assignment::Stored { stream, offset, len } = piece else { return vec![piece] };
    let from = |at: u64| Assignment::Stored { stream, offset: offset + at, len: (len - at).min(COPIED_AT_ONCE) };
    (0..len).step_by(COPIED_AT_ONCE as usize).map(from).collect()
}

/// Work after the splits, on threads of its own (the pool is idle then).
pub struct PoolUnits<'a> {
    pub streams: &'a Streams,
    pub threads: usize,
    pub go_on: GoOn<'a>,
}

impl PoolUnits<'_> {
    fn unit(
        &self,
        unit: u64,
        rooms: &Rooms,
        make: &(dyn Fn(u64, &Cx<'_>) -> Result<Part> + Sync),
    ) -> Result<PartRecord> {
        (self.go_on)()?;
        let cx = Cx::new(rooms);
        cx.set_split(unit);
        let part = crate::guard::guarded(|| make(unit, &cx))?;
        self.streams.append(unit, part)
    }
}

impl Units for PoolUnits<'_> {
    fn run(&self, count: u64, make: &(dyn Fn(u64, &Cx<'_>) -> Result<Part> + Sync)) -> Result<Vec<PartRecord>> {
        let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        let serve = || {
            let rooms = Rooms::default();
            loop {
                let unit = next.fetch_add(1, Relaxed);
                if unit >= count {
                    return;
                }
                let made = self.unit(unit, &rooms, make);
                let failed = made.is_err();
                done.lock().unwrap_or_else(PoisonError::into_inner).push(made);
                if failed {
                    next.store(count, Relaxed);
                }
            }
        };
        std::thread::scope(|s| (0..self.threads.max(1)).for_each(|_| drop(s.spawn(serve))));
        let all = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut records = all.into_iter().collect::<Result<Vec<_>>>()?;
        records.sort_by_key(|r| r.split);
        Ok(records)
    }

    fn read(&self, stream: u32, offset: u64, len: usize) -> Result<bytes::Bytes> {
        Ok(self.streams.file(stream).read_at(offset, len)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_long_range_is_cut_and_nothing_of_it_is_lost() {
        let len = 2 * COPIED_AT_ONCE + 5;
        let pieces = cut(Assignment::Stored { stream: 3, offset: 7, len });
        assert_eq!(pieces.len(), 3);
        assert_eq!(merged(pieces), [Assignment::Stored { stream: 3, offset: 7, len }]);
        assert_eq!(cut(Assignment::Bytes(vec![1])), [Assignment::Bytes(vec![1])]);
    }
}
