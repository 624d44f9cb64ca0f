//! Where granted parts go: working files, one per stream.
//!
//! Parts are appended in the order of their splits as far as the memory for waiting parts allows: then a file of one
//! stream needs no copy at the end. A part that would have to wait beyond that goes at once, out of order, and the
//! final layout copies the stream into order. The file's bytes are the same either way.

use crate::commit::about_output;
use mapfold_coord::Attempt;
use mapfold_plan::{Output, Part, PartRecord, Result, StoredSegment};
use mapfold_store::{Loc, Stores, WorkFile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A part whose place in the streams is fixed, to be written.
pub struct Placed {
    /// Its split.
    pub split: u64,
    /// The attempt that was granted.
    pub attempt: Attempt,
    part: Part,
    offsets: Vec<u64>,
}

struct Turn {
    settled: Vec<bool>,
    next: usize,
    held: BTreeMap<u64, (Attempt, Part)>,
    held_bytes: u64,
    ends: Vec<u64>,
}

/// The streams of one output.
pub struct Streams {
    files: Vec<Arc<dyn WorkFile>>,
    turn: Mutex<Turn>,
    hold: u64,
    output: Loc,
}

fn size(part: &Part) -> u64 {
    part.segments.iter().map(|(_, b)| b.len() as u64).sum()
}

/// The name of a stream's working file.
pub fn stream_name(stream: u32) -> String {
    format!("stream-{stream}")
}

impl Streams {
    /// Opens the streams of `output` in the folder `dir`, empty or (`earlier`) as an interrupted run left them.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(
        stores: &Stores,
        dir: &Loc,
        output: &dyn Output,
        splits: u64,
        hold: u64,
        earlier: &[PartRecord],
    ) -> Result<Streams> {
        let mut ends: Vec<u64> = (0..output.streams()).map(|s| output.reserve(s)).collect();
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
        let turn = Turn { settled, next: 0, held: BTreeMap::new(), held_bytes: 0, ends };
        Ok(Streams { files, turn: Mutex::new(turn), hold, output: output.loc().clone() })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A granted part arrives: gives the parts that may be written now.
    pub fn admit(&self, split: u64, attempt: Attempt, part: Part) -> Vec<Placed> {
        let mut turn = self.turn();
        turn.held_bytes += size(&part);
        turn.held.insert(split, (attempt, part));
        turn.release(self.hold)
    }

    /// A split that will never come.
    pub fn skip(&self, split: u64) -> Vec<Placed> {
        let mut turn = self.turn();
        turn.settled[split as usize] = true;
        turn.release(self.hold)
    }

    /// Parts that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.turn().held.len()
    }

    /// Writes a placed part and says where it is.
    ///
    /// # Errors
    /// Those of the store: no space, read-only.
    pub fn write(&self, placed: &Placed) -> Result<PartRecord> {
        let write = |((stream, bytes), offset): (&(u32, Vec<u8>), &u64)| {
            let file = &self.files[*stream as usize];
            file.write_at(*offset, bytes).map_err(|e| about_output(e, &self.output))?;
            let hash = xxhash(bytes);
            Ok(StoredSegment { stream: *stream, offset: *offset, len: bytes.len() as u64, hash })
        };
        let segments = placed.part.segments.iter().zip(&placed.offsets).map(write).collect::<Result<Vec<_>>>()?;
        Ok(PartRecord { split: placed.split, segments, meta: placed.part.meta.clone() })
    }

    /// Stores a part at once, wherever there is room: what is made after the splits.
    ///
    /// # Errors
    /// Those of the store.
    pub fn append(&self, unit: u64, part: Part) -> Result<PartRecord> {
        let offsets = self.turn().place(&part);
        self.write(&Placed { split: unit, attempt: Attempt(0), part, offsets })
    }

    /// Whether the bytes of a record are really there, as they were.
    pub fn verify(&self, record: &PartRecord) -> bool {
        record.segments.iter().all(|s| {
            let file = &self.files[s.stream as usize];
            file.read_at(s.offset, s.len as usize).is_ok_and(|b| xxhash(&b) == s.hash)
        })
    }

    /// The working file of a stream.
    pub fn file(&self, stream: u32) -> &Arc<dyn WorkFile> {
        &self.files[stream as usize]
    }
}

fn xxhash(bytes: &[u8]) -> u64 {
    mapfold_plan::hash64(bytes)
}

impl Turn {
    fn place(&mut self, part: &Part) -> Vec<u64> {
        let at = |(stream, bytes): &(u32, Vec<u8>)| {
            let end = &mut self.ends[*stream as usize];
            *end += bytes.len() as u64;
            *end - bytes.len() as u64
        };
        part.segments.iter().map(at).collect()
    }

    fn release(&mut self, hold: u64) -> Vec<Placed> {
        let mut out = Vec::new();
        loop {
            while self.settled.get(self.next) == Some(&true) {
                self.next += 1;
            }
            let first = self.held.keys().next().copied();
            let Some(split) = first.filter(|s| *s == self.next as u64 || self.held_bytes > hold) else { break };
            let Some((attempt, part)) = self.held.remove(&split) else { break };
            self.held_bytes -= size(&part);
            self.settled[split as usize] = true;
            let offsets = self.place(&part);
            out.push(Placed { split, attempt, part, offsets });
        }
        out
    }
}
