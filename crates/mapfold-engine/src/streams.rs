//! Where granted parts go: the order and the places of their bytes in working files, one per stream.
//!
//! Parts are appended in the order of their splits as far as the memory for waiting parts allows: then a file of one
//! stream needs no copy at the end. A part that would have to wait beyond that goes at once, out of order, and the
//! final layout copies the stream into order. The file's bytes are the same either way.
//!
//! The coordinator's side only: members hold the bytes of their parts and write them ([`crate::parts`]) at the places
//! given here. A place is never given twice, so a late write of a lost member hits nothing that counts.
//!
//! Outputs made of files of attempts have no streams: their parts wait for nothing.

use crate::commit::about_output;
use crate::link::At;
use mapfold_coord::MemberId;
use mapfold_plan::{Output, OutputShape, Part, PartFile, PartRecord, Result, StoredSegment};
use mapfold_store::{Loc, StoreError, Stores, WorkFile};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A granted part whose place in the streams is fixed, to be written by its member.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// Whose part it is.
    pub member: MemberId,
    /// The attempt that was granted.
    pub at: At,
    /// Where its segments go, each in its stream.
    pub offsets: Vec<u64>,
}

/// A part that waits for its turn.
struct Held {
    member: MemberId,
    at: At,
    sizes: Vec<(u32, u64)>,
}

impl Held {
    fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(_, bytes)| bytes).sum()
    }
}

struct Turn {
    settled: Vec<bool>,
    next: usize,
    held: BTreeMap<u64, Held>,
    /// Bytes held by each member.
    bytes: HashMap<MemberId, u64>,
    ends: Vec<u64>,
    /// Nothing is to be in order.
    free: bool,
}

/// The streams of one output.
pub struct Streams {
    stores: Stores,
    dir: Loc,
    files: Vec<Arc<dyn WorkFile>>,
    turn: Mutex<Turn>,
    hold: u64,
    output: Loc,
}

/// Name of the laid-out file or folder among the parts, when it is not a stream itself.
pub const WHOLE: &str = "whole";

/// Places in a stream for each life of a work folder, where streams are made of pieces.
const PLACES_OF_A_LIFE: u64 = 1 << 44;

/// The name of a stream's working file.
pub fn stream_name(stream: u32) -> String {
    format!("stream-{stream}")
}

impl Streams {
    /// Opens the streams of `output` in the folder `dir`, empty or (`earlier`) as an interrupted run left them. `life`
    /// counts who had the folder: where files are made of pieces, each has places of its own, so that a late piece of an
    /// earlier one is never taken for one of this.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(
        stores: &Stores,
        dir: &Loc,
        output: &dyn Output,
        splits: u64,
        (hold, life): (u64, u32),
        earlier: &[PartRecord],
    ) -> Result<Streams> {
        let anywhere = stores.abilities(dir).random_writes;
        let begin = |s: u32| if anywhere { output.reserve(s) } else { u64::from(life) * PLACES_OF_A_LIFE };
        let mut ends: Vec<u64> = (0..output.streams()).map(begin).collect();
        let mut settled = vec![false; splits as usize];
        for record in earlier {
            settled[record.split as usize] = true;
            record
                .segments
                .iter()
                .for_each(|s| ends[s.stream as usize] = ends[s.stream as usize].max(s.offset + s.len));
        }
        let open = |s: u32| {
            let loc = dir.join(&stream_name(s));
            if earlier.is_empty() { stores.create_file(&loc) } else { stores.open_file(&loc) }
        };
        let files = (0..output.streams()).map(open).collect::<Result<Vec<_>, _>>()?;
        let free = output.shape() != OutputShape::Streams;
        let turn = Turn { settled, next: 0, held: BTreeMap::new(), bytes: HashMap::new(), ends, free };
        let (stores, dir) = (stores.clone(), dir.clone());
        Ok(Streams { stores, dir, files, turn: Mutex::new(turn), hold, output: output.loc().clone() })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a member is granted: gives the parts that may be written now. That of a `solo` member goes at once: it
    /// works on one suspect at a time, and the part whose turn it is may be the suspect that waits for it.
    pub fn admit(&self, (member, solo): (MemberId, bool), at: At, sizes: Vec<(u32, u64)>) -> Vec<Placed> {
        self.turn().admit(Held { member, at, sizes }, solo, self.hold)
    }

    /// A split that will never come.
    pub fn skip(&self, split: u64) -> Vec<Placed> {
        let mut turn = self.turn();
        turn.settled[split as usize] = true;
        turn.release(self.hold)
    }

    /// A member is lost, and with it the parts that it held.
    pub fn lose(&self, member: MemberId) {
        let mut turn = self.turn();
        let gone: Vec<u64> = turn.held.iter().filter(|(_, h)| h.member == member).map(|(split, _)| *split).collect();
        gone.into_iter().for_each(|split| drop(turn.forget(split)));
    }

    /// Stores a part at once, wherever there is room: what is made after the splits.
    ///
    /// # Errors
    /// Those of the store.
    pub fn append(&self, unit: u64, part: &Part) -> Result<PartRecord> {
        let sizes: Vec<(u32, u64)> = part.segments.iter().map(|(stream, b)| (*stream, b.len() as u64)).collect();
        let offsets = self.turn().place(&sizes);
        let file = |stream: u32| Ok(self.files[stream as usize].clone());
        write_part(unit, part, &offsets, &file).map_err(|e| about_output(e, &self.output))
    }

    /// Whether the bytes of a record are really there, as they were.
    pub fn verify(&self, record: &PartRecord) -> bool {
        let segments = record.segments.iter().all(|s| {
            let file = &self.files[s.stream as usize];
            file.read_at(s.offset, s.len as usize).is_ok_and(|b| xxhash(&b) == s.hash)
        });
        segments && record.files.iter().all(|f| self.verify_file(f).unwrap_or(false))
    }

    /// A file of an attempt, where it was written or where it was moved before a crash. What is uploaded cannot be read:
    /// the store itself compares its parts when the upload is completed.
    fn verify_file(&self, file: &PartFile) -> Result<bool, StoreError> {
        if !self.stores.abilities(&self.dir).rename {
            return Ok(self.stores.uploaded_bytes(&self.dir.join(&file.attempt))? == Some(file.bytes));
        }
        let moved = self.dir.join(WHOLE).join(&file.name);
        let own = self.dir.join(&file.attempt);
        let there = if self.stores.exists(&own)? { own } else { moved };
        is_file(&self.stores, &there, file.bytes, file.hash)
    }

    /// The working file of a stream.
    pub fn file(&self, stream: u32) -> &Arc<dyn WorkFile> {
        &self.files[stream as usize]
    }
}

/// A number for names that no other process has. Each `RandomState` is keyed differently, which is random enough here.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether the file at `loc` has this size and this hash.
///
/// # Errors
/// Those of reading.
pub fn is_file(stores: &Stores, loc: &Loc, bytes: u64, hash: u64) -> Result<bool, StoreError> {
    Ok(stores.block_on(stores.head(loc))?.size == bytes && hash_of(stores, loc, 0..bytes)? == hash)
}

/// The hash of some bytes of a file, which are read once.
///
/// # Errors
/// Those of reading.
pub fn hash_of(stores: &Stores, loc: &Loc, range: Range<u64>) -> Result<u64, StoreError> {
    const AT_ONCE: u64 = 8 << 20;
    let mut found = mapfold_plan::FileHash::default();
    for at in range.clone().step_by(AT_ONCE as usize) {
        found.update(&stores.block_on(stores.read(loc, at..(at + AT_ONCE).min(range.end)))?);
    }
    Ok(found.finish())
}

fn xxhash(bytes: &[u8]) -> u64 {
    mapfold_plan::hash64(bytes)
}

/// Writes the segments of a part to their places and says where they are.
///
/// # Errors
/// Those of the store: no space, read-only.
pub fn write_part(
    split: u64,
    part: &Part,
    offsets: &[u64],
    file: &dyn Fn(u32) -> Result<Arc<dyn WorkFile>, StoreError>,
) -> Result<PartRecord, StoreError> {
    let write = |((stream, bytes), offset): (&(u32, Vec<u8>), &u64)| {
        file(*stream)?.write_at(*offset, bytes)?;
        Ok(StoredSegment { stream: *stream, offset: *offset, len: bytes.len() as u64, hash: xxhash(bytes) })
    };
    let segments = part.segments.iter().zip(offsets).map(write).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(PartRecord { split, segments, files: part.files.clone(), meta: part.meta.clone() })
}

impl Turn {
    fn admit(&mut self, part: Held, at_once: bool, hold: u64) -> Vec<Placed> {
        let split = part.at.split.0;
        self.forget(split);
        self.hold(part);
        let first = if at_once { self.release_one(split) } else { None };
        first.into_iter().chain(self.release(hold)).collect()
    }

    fn hold(&mut self, held: Held) {
        *self.bytes.entry(held.member).or_default() += held.bytes();
        self.held.insert(held.at.split.0, held);
    }

    fn forget(&mut self, split: u64) -> Option<Held> {
        let held = self.held.remove(&split)?;
        if let Some(bytes) = self.bytes.get_mut(&held.member) {
            *bytes -= held.bytes();
        }
        Some(held)
    }

    fn place(&mut self, sizes: &[(u32, u64)]) -> Vec<u64> {
        let at = |(stream, bytes): &(u32, u64)| {
            let end = &mut self.ends[*stream as usize];
            *end += bytes;
            *end - bytes
        };
        sizes.iter().map(at).collect()
    }

    /// The next part that may go: the one whose turn it is (or was), else the first of a member that holds too much.
    fn next(&mut self, hold: u64) -> Option<u64> {
        while self.settled.get(self.next) == Some(&true) {
            self.next += 1;
        }
        let is_due =
            |split: &u64| self.free || *split <= self.next as u64 || self.settled.get(*split as usize) == Some(&true);
        // Few parts are held: at most the leases of all members.
        let due = self.held.keys().find(|s| is_due(s)).copied();
        let full = |h: &Held| self.bytes.get(&h.member).is_some_and(|bytes| *bytes > hold);
        due.or_else(|| self.held.iter().find(|(_, h)| full(h)).map(|(split, _)| *split))
    }

    fn release(&mut self, hold: u64) -> Vec<Placed> {
        let mut out = Vec::new();
        while let Some(split) = self.next(hold) {
            let Some(placed) = self.release_one(split) else { break };
            out.push(placed);
        }
        out
    }

    fn release_one(&mut self, split: u64) -> Option<Placed> {
        let held = self.forget(split)?;
        self.settled[split as usize] = true;
        let offsets = self.place(&held.sizes);
        Some(Placed { member: held.member, at: held.at, offsets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapfold_coord::{Attempt, SplitId, StageId};

    fn part(member: u32, split: u64) -> Held {
        let at = At { stage: StageId(0), split: SplitId(split), attempt: Attempt(0) };
        Held { member: MemberId(member), at, sizes: vec![(0, 10)] }
    }

    fn admitted(turn: &mut Turn, part: Held, solo: bool) -> Vec<(u64, u64)> {
        let placed = turn.admit(part, solo, 1000);
        placed.iter().map(|p| (p.at.split.0, p.offsets[0])).collect()
    }

    #[test]
    fn parts_wait_for_their_turn_but_never_those_of_a_solo_member() {
        let (held, bytes) = (BTreeMap::new(), HashMap::new());
        let mut turn = Turn { settled: vec![false; 4], next: 0, held, bytes, ends: vec![0], free: false };
        assert_eq!(admitted(&mut turn, part(1, 1), false), [], "after split 0");
        // Split 0 is a suspect now, and waits for the solo member that has just made split 2: if 2 waited for its turn,
        // all three would wait for ever.
        assert_eq!(admitted(&mut turn, part(9, 2), true), [(2, 0)]);
        assert_eq!(admitted(&mut turn, part(9, 0), true), [(0, 10), (1, 20)]);
        assert_eq!(admitted(&mut turn, part(1, 3), false), [(3, 30)]);
    }
}
