//! The whole file from what the streams hold: in place where it lies in order, else a copy in order; in stores that
//! cannot write in the middle of a file always a copy, from its first byte to its last. In a store of objects members send
//! it ([`super::portions`]).
//!
//! All of it is before the decision, and may take minutes for a large file: so it asks before every unit and every
//! [`COPIED_AT_ONCE`] bytes whether the run is still wanted.

use super::made::Made;
use super::output::Whole;
use super::portions::Portions;
use crate::pool::Rooms;
use crate::porters::Porters;
use crate::streams::{Streams, WHOLE, random, stream_name};
use mapfold_plan::{Assignment, Cx, FileHash, Part, PartRecord, Result, Units};
use mapfold_store::{Loc, Stores, WorkFile};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Most bytes copied without asking whether to go on.
const COPIED_AT_ONCE: u64 = 64 << 20;

/// Most bytes read to be sent on.
const POURED_AT_ONCE: u64 = 4 << 20;

/// How long to wait before a file is begun anew that the store could not take.
const POUR_AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];

/// Whether the run is still wanted: an error when somebody stopped it.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// What outputs are laid out with.
pub struct Means<'a> {
    /// Threads that work after the splits.
    pub threads: usize,
    /// Who carries the parts of a file in a store of objects.
    pub porters: &'a Porters,
    /// Asked again and again.
    pub go_on: GoOn<'a>,
}

/// Makes the file: a stream completed in place when its data lies in order and the front can be put before it, else a
/// copy in order.
///
/// A run that is killed between the room and the decision finds the parts of that stream elsewhere on `--resume`, and
/// makes them again.
///
/// # Errors
/// Those of the store, and those of `go_on`.
pub fn assemble(
    (stores, dir, to): (&Stores, &Loc, &Loc),
    (streams, known): (&Streams, &Known),
    pieces: Vec<Assignment>,
    means: &Means<'_>,
) -> Result<Whole> {
    if !stores.abilities(dir).random_writes {
        return poured((stores, dir, to), (streams, known), &pieces, means);
    }
    let go_on = means.go_on;
    let pieces = merged(pieces);
    let bytes = total(&pieces);
    if let Some(tail) = Tail::of(&pieces)
        && tail.make_room(streams.file(tail.stream).as_ref())?
    {
        let file = streams.file(tail.stream);
        lay_down(file.as_ref(), streams, &pieces[..pieces.len() - 1], go_on)?;
        file.set_len(bytes)?;
        file.sync()?;
        return Ok(Whole { name: stream_name(tail.stream), bytes, in_place: true, checksum: String::new() });
    }
    let file = stores.create_file(&dir.join(WHOLE))?;
    lay_down(file.as_ref(), streams, &pieces, go_on)?;
    file.sync()?;
    Ok(Whole { name: WHOLE.into(), bytes, in_place: false, checksum: String::new() })
}

/// Writes pieces one after the other from the start of `file`.
fn lay_down(file: &dyn WorkFile, streams: &Streams, pieces: &[Assignment], go_on: GoOn<'_>) -> Result<()> {
    let mut at = 0;
    for piece in pieces.iter().cloned().flat_map(|piece| cut(piece, COPIED_AT_ONCE)) {
        go_on()?;
        match &piece {
            Assignment::Bytes(b) => file.write_at(at, b)?,
            Assignment::Stored { stream, offset, len } => {
                file.copy_from(streams.file(*stream).as_ref(), *offset, at, *len)?;
            }
        }
        at += length(&piece);
    }
    Ok(())
}

/// The file, written from its first byte to its last; begun anew when the store fails in the middle of it or a member is
/// lost that carried something of it, for what it is made of is still there.
fn poured(
    place: (&Stores, &Loc, &Loc),
    source: (&Streams, &Known),
    pieces: &[Assignment],
    means: &Means<'_>,
) -> Result<Whole> {
    let mut waits = POUR_AGAIN_AFTER.into_iter();
    loop {
        let given_up = means.porters.given_up();
        let error = match pour(place, source, pieces, means) {
            Err(e) if e.is_resumable() && !e.is_stop() => e,
            done => return done,
        };
        // The store did nothing wrong when a member was lost, and there are only so many of them.
        let lost = means.porters.given_up() > given_up;
        let wait = if lost { Some(Duration::ZERO) } else { waits.next() };
        let Some(wait) = wait else { return Err(error) };
        tracing::warn!("{}: {error}; it is begun anew", place.2);
        std::thread::sleep(wait);
        (means.go_on)()?;
    }
}

fn pour(
    (stores, dir, to): (&Stores, &Loc, &Loc),
    (streams, known): (&Streams, &Known),
    pieces: &[Assignment],
    means: &Means<'_>,
) -> Result<Whole> {
    // A name of its own: what an earlier run had begun is ended under its own name.
    let name = format!("{WHOLE}.{:016x}", random());
    let file = stores.start_file(&dir.join(&name), to)?;
    file.expect(total(pieces));
    let made = match file.least_portion() {
        Some(least) => {
            let portions = Portions::of((file.as_ref(), least), (streams, known), means.porters);
            portions.make(pieces, means.go_on)?
        }
        None => pour_all(file.as_ref(), streams, pieces, means.go_on)?,
    };
    let checksum = made.write(stores, &dir.join(&name))?;
    Ok(Whole { name, bytes: made.bytes(), in_place: false, checksum })
}

/// Reads all pieces and writes them, one after the other.
fn pour_all(file: &dyn WorkFile, streams: &Streams, pieces: &[Assignment], go_on: GoOn<'_>) -> Result<Made> {
    let (mut at, mut hash, mut made) = (0, FileHash::default(), Made::default());
    let mut put = |bytes: &[u8]| -> Result<()> {
        file.write_at(at, bytes)?;
        hash.update(bytes);
        at += bytes.len() as u64;
        Ok(())
    };
    for piece in merged(pieces.to_vec()).into_iter().flat_map(|piece| cut(piece, POURED_AT_ONCE)) {
        go_on()?;
        match &piece {
            Assignment::Bytes(b) => put(b)?,
            Assignment::Stored { stream, offset, len } => {
                put(&streams.file(*stream).read_at(*offset, *len as usize)?)?;
            }
        }
    }
    file.sync()?;
    made.add(at, hash.finish());
    Ok(made)
}

/// The hashes of what the log has of the streams: whole segments.
pub struct Known(HashMap<(u32, u64), (u64, u64)>);

impl Known {
    /// Those of these parts.
    pub fn of(parts: &[PartRecord]) -> Known {
        let segments = parts.iter().flat_map(|part| &part.segments);
        Known(segments.map(|s| ((s.stream, s.offset), (s.len, s.hash))).collect())
    }

    /// That of a piece that is one segment.
    pub fn get(&self, piece: &Assignment) -> Option<u64> {
        let Assignment::Stored { stream, offset, len } = piece else { return None };
        let (of, hash) = self.0.get(&(*stream, *offset))?;
        (of == len).then_some(*hash)
    }
}

/// The stream whose bytes, all in order, end the file.
struct Tail {
    stream: u32,
    /// Where they begin in the stream, and where they are to begin in the file.
    start: u64,
    front: u64,
}

impl Tail {
    /// Looks at the last of the merged pieces.
    fn of(merged: &[Assignment]) -> Option<Tail> {
        let (last, before) = merged.split_last()?;
        let Assignment::Stored { stream, offset, .. } = *last else { return None };
        let other = |p: &Assignment| !matches!(p, Assignment::Stored { stream: s, .. } if *s == stream);
        before.iter().all(other).then(|| Tail { stream, start: offset, front: total(before) })
    }

    /// Puts the bytes where they belong; `false` when that takes a copy.
    fn make_room(&self, file: &dyn WorkFile) -> Result<bool> {
        if self.start == self.front {
            return Ok(true); // The room was left when the stream began.
        }
        Ok(self.start == 0 && file.insert_front(self.front)?)
    }
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
fn cut(piece: Assignment, at_once: u64) -> Vec<Assignment> {
    let Assignment::Stored { stream, offset, len } = piece else { return vec![piece] };
    let from = |at: u64| Assignment::Stored { stream, offset: offset + at, len: (len - at).min(at_once) };
    (0..len).step_by(at_once as usize).map(from).collect()
}

/// Work after the splits, on threads of its own (the pool is idle then).
pub struct PoolUnits<'a> {
    pub streams: &'a Streams,
    pub means: &'a Means<'a>,
}

impl PoolUnits<'_> {
    fn unit(
        &self,
        unit: u64,
        rooms: &Rooms,
        make: &(dyn Fn(u64, &Cx<'_>) -> Result<Part> + Sync),
    ) -> Result<PartRecord> {
        (self.means.go_on)()?;
        let cx = Cx::new(rooms);
        cx.set_split(unit);
        let part = crate::guard::guarded(|| make(unit, &cx))?;
        self.streams.append(unit, &part)
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
        std::thread::scope(|s| {
            (0..(self.means.threads as u64).clamp(1, count.max(1))).for_each(|_| drop(s.spawn(serve)));
        });
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
        let pieces = cut(Assignment::Stored { stream: 3, offset: 7, len }, COPIED_AT_ONCE);
        assert_eq!(pieces.len(), 3);
        assert_eq!(merged(pieces), [Assignment::Stored { stream: 3, offset: 7, len }]);
        assert_eq!(cut(Assignment::Bytes(vec![1]), 1), [Assignment::Bytes(vec![1])]);
    }
}
