//! Objects in the making: multipart uploads that nobody sees before they are published.
//!
//! Object stores cannot rename. So what is to be at a place is uploaded to that very place, in parts, and the upload is
//! left uncompleted: nothing is to be seen. A *note* in the work folder says how to complete it (id and parts of an
//! upload that is whole), and publishing is that one request: no byte is copied ([`super::publish`]). Beside it lies
//! `NOTE.begun` from before the first part on, so that whoever cleans up can end what a dead process began
//! ([`Stores::abandon_uploads`](crate::Stores::abandon_uploads)).
//!
//! Memory: a part that is filled and one that is on its way, [`UPLOAD_BYTES`] in all. What lies in the same bucket
//! already can become a part without coming here: by the server itself ([`super::copy`]), or sent by somebody else
//! ([`crate::Portion`]).
//!
//! Absent: reading back, writing anywhere but at the end.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::Signer;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::copy::CopiedPart;
use super::fault;
use super::fault::may_pass;
use crate::portion::{Porter, Portion, Section};
use crate::work_file::ObjectRange;
use crate::{Loc, StoreError, Stores, WorkFile};

/// Bytes of a part. Stores want 5 MiB at least.
const PART: usize = 8 << 20;
/// Parts of the first size; after them sizes double, so that 10,000 parts are enough for 5 TiB.
const PARTS_OF_A_SIZE: usize = 1_000;
/// The least that may be a part, but for the last one.
const LEAST: u64 = 5 << 20;
/// Parts of a file whose size is known are at least so many times smaller than it: 10,000 are enough, also when each of
/// those that the server copies has a small one before it.
const EXPECTED_PARTS: u64 = 4_000;
/// Parts that the server copies at once.
const COPIES_AT_ONCE: usize = 8;
/// What an upload holds in memory, at most, while its parts have the first size.
pub const UPLOAD_BYTES: u64 = 2 * PART as u64;
/// How often an upload is begun when nobody knows what became of it.
const BEGINNINGS: u32 = 3;
/// What the name of a note of an upload that is not whole ends with.
pub(super) const BEGUN: &str = ".begun";

/// A store that takes objects in parts, and the name of an object in it.
#[derive(Clone)]
pub(crate) struct Door {
    pub store: Arc<dyn MultipartStore>,
    pub path: Path,
    /// Signs the question what uploads there are, where the store can be asked.
    pub signer: Option<Arc<dyn Signer>>,
}

/// What is known of an upload from its first moment on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    /// The object's name in its bucket.
    pub key: String,
    /// Empty while it is not known, and where the store knows no uploads, only parts (Azure's blocks).
    pub upload: String,
}

/// What completes an upload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    #[serde(flatten)]
    pub begun: Begun,
    pub bytes: u64,
    /// As the store named them, in their order.
    pub parts: Vec<String>,
}

/// An object that is written from its first byte to its last.
pub(crate) struct UploadFile {
    stores: Stores,
    note: Loc,
    to: Loc,
    door: Door,
    upload: String,
    state: Mutex<State>,
}

/// A part on its way.
struct Flying {
    /// Its bytes are held here meanwhile.
    held: bool,
    task: JoinHandle<Result<PartId, StoreError>>,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    bytes: u64,
    /// The size that was said, or 0.
    expected: u64,
    parts: Vec<String>,
    flying: VecDeque<Flying>,
    /// Who asks the server to copy; `Some(None)`: it will not.
    copier: Option<Option<Client>>,
    ended: bool,
    /// A part was lost: what was written is not what is there.
    broken: bool,
}

impl UploadFile {
    /// Begins an upload. Its name is noted before, where the store can tell the ids of a name's uploads: then one whose
    /// id never came back is found too.
    pub fn begin(stores: &Stores, (note, to): (&Loc, &Loc), door: Door) -> Result<UploadFile, StoreError> {
        let beginning = |upload: &str| Begun { key: door.path.to_string(), upload: upload.to_owned() };
        if door.signer.is_some() {
            stores.put(&begun(note), json(&beginning("")))?;
        }
        let upload = stores.block_on(create(&door)).map_err(|e| fault(note, &e))?;
        let first = json(&beginning(&upload));
        let (stores, note, to) = (stores.clone(), note.clone(), to.clone());
        let file = UploadFile { stores, note, to, door, upload, state: Mutex::default() };
        file.stores.put(&begun(&file.note), first)?;
        Ok(file)
    }

    /// Takes what comes next.
    fn push(&self, state: &mut State, mut bytes: &[u8]) -> Result<(), StoreError> {
        state.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let size = state.part_size();
            let (now, later) = bytes.split_at(bytes.len().min(size - state.buffer.len()));
            // A buffer that doubles by itself may become larger than a part.
            let room = (state.buffer.len() + now.len()).next_power_of_two().min(size);
            state.buffer.reserve_exact(room - state.buffer.len());
            state.buffer.extend_from_slice(now);
            bytes = later;
            if state.buffer.len() >= size {
                self.send(state)?;
            }
        }
        Ok(())
    }

    /// Sends the buffer off, when the part before it has arrived.
    fn send(&self, state: &mut State) -> Result<(), StoreError> {
        self.land(state, |flying| !flying.iter().any(|part| part.held))?;
        let bytes = Bytes::from(std::mem::take(&mut state.buffer));
        let (door, upload, note, number) =
            (self.door.clone(), self.upload.clone(), self.note.clone(), state.next_number());
        self.stores.wrote(&self.note, bytes.len());
        let sending = async move {
            let part = door.store.put_part(&door.path, &upload, number, bytes.into()).await;
            part.map_err(|e| fault(&note, &e))
        };
        state.flying.push_back(Flying { held: true, task: self.stores.spawn(sending) });
        Ok(())
    }

    /// Waits for parts, in their order, until so many are on their way as `enough` says.
    fn land(&self, state: &mut State, enough: impl Fn(&VecDeque<Flying>) -> bool) -> Result<(), StoreError> {
        while !enough(&state.flying) {
            let Some(first) = state.flying.pop_front() else { return Ok(()) };
            let part = self.stores.block_on(first.task).map_err(|e| self.io(io::Error::other(e)))?;
            state.parts.push(part?.content_id);
        }
        Ok(())
    }

    /// An object in the same bucket that the server could copy: it must be large enough to be a part, and so must what
    /// comes before it.
    fn copyable(
        &self,
        state: &State,
        src: &dyn WorkFile,
        at: u64,
        len: u64,
    ) -> Result<Option<ObjectRange>, StoreError> {
        let small = (1..LEAST).contains(&(state.buffer.len() as u64));
        if self.door.signer.is_none() || matches!(state.copier, Some(None)) || small || len < state.least_part() {
            return Ok(None);
        }
        Ok(src.as_object(at, len)?.filter(|source| source.object.root() == self.note.root()))
    }

    /// Whether the server has copied it, or is about to.
    fn copy_part(&self, state: &mut State, source: ObjectRange) -> Result<bool, StoreError> {
        self.send_rest(state)?;
        let len = source.range.end - source.range.start;
        tracing::debug!(object = %source.object, bytes = len, "the server is asked to copy");
        match state.copier.clone().flatten() {
            Some(client) => {
                self.land(state, |flying| flying.len() < COPIES_AT_ONCE)?;
                let task = self.stores.spawn(self.copied(state, source).make(client, self.stores.clone()));
                state.flying.push_back(Flying { held: false, task });
            }
            None if self.first_copy(state, source)? => {}
            None => return Ok(false),
        }
        state.bytes += len;
        Ok(true)
    }

    fn copied(&self, state: &State, source: ObjectRange) -> CopiedPart {
        CopiedPart { door: self.door.clone(), upload: self.upload.clone(), number: state.next_number(), source }
    }

    /// The first one shows whether the server does it at all, and this one is waited for.
    fn first_copy(&self, state: &mut State, source: ObjectRange) -> Result<bool, StoreError> {
        self.land(state, VecDeque::is_empty)?;
        let first = self.copied(state, source);
        let client = self.stores.block_on(first.client(self.stores.options()))?;
        match self.stores.block_on(first.make(client.clone(), self.stores.clone())) {
            Ok(part) => {
                state.parts.push(part.content_id);
                state.copier = Some(Some(client));
                Ok(true)
            }
            Err(error @ StoreError::Unsupported { .. }) => {
                tracing::info!("{error}: the bytes are sent instead");
                state.copier = Some(None);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a portion to somebody who sends it.
    fn hand_out(&self, state: &mut State, sections: Vec<Section>, porter: &dyn Porter) -> Result<usize, StoreError> {
        self.send_rest(state)?;
        self.land(state, |flying| flying.len() < porter.at_once())?;
        let (to, upload, number) = (self.to.clone(), self.upload.clone(), state.next_number());
        let portion = Portion { to, upload, number, sections };
        state.bytes += portion.bytes();
        let carried = porter.carry(portion);
        let task = self.stores.spawn(async move { Ok(PartId { content_id: carried.await? }) });
        state.flying.push_back(Flying { held: false, task });
        Ok(number)
    }

    fn send_rest(&self, state: &mut State) -> Result<(), StoreError> {
        if state.buffer.is_empty() { Ok(()) } else { self.send(state) }
    }

    fn complete_note(&self, state: &mut State) -> Result<(), StoreError> {
        self.send_rest(state)?;
        self.land(state, VecDeque::is_empty)?;
        let begun = Begun { key: self.door.path.to_string(), upload: self.upload.clone() };
        let note = Note { begun, bytes: state.bytes, parts: state.parts.clone() };
        self.stores.put(&self.note, json(&note))
    }

    fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io { loc: self.note.to_string(), source }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at_end(&self, offset: u64) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        match offset == state.bytes && !state.ended {
            true => Ok(state),
            false => Err(StoreError::unsupported(&self.note, "writing anywhere but at the end of an object")),
        }
    }

    /// Does it, unless a part was lost before: a later part would close the gap that it left.
    fn unless_broken<T>(
        &self,
        state: &mut State,
        act: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if state.broken {
            return Err(self.io(io::Error::other("a part of this upload was lost before")));
        }
        let done = act(state);
        state.broken = done.is_err();
        done
    }
}

impl WorkFile for UploadFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut state = self.at_end(offset)?;
        self.unless_broken(&mut state, |state| self.push(state, bytes))
    }

    fn expect(&self, bytes: u64) {
        self.state().expected = bytes;
    }

    fn copy_there(&self, src: &dyn WorkFile, src_offset: u64, dst_offset: u64, len: u64) -> Result<bool, StoreError> {
        let mut state = self.at_end(dst_offset)?;
        let Some(source) = self.copyable(&state, src, src_offset, len)? else { return Ok(false) };
        self.unless_broken(&mut state, |state| self.copy_part(state, source))
    }

    fn least_portion(&self) -> Option<u64> {
        Some(self.state().least_part())
    }

    fn add_portion(&self, offset: u64, sections: Vec<Section>, porter: &dyn Porter) -> Result<usize, StoreError> {
        let mut state = self.at_end(offset)?;
        self.unless_broken(&mut state, |state| self.hand_out(state, sections, porter))
    }

    fn read_at(&self, _: u64, _: usize) -> Result<Bytes, StoreError> {
        Err(StoreError::unsupported(&self.note, "reading an object that is not published"))
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(self.state().bytes)
    }

    fn set_len(&self, _: u64) -> Result<(), StoreError> {
        Err(StoreError::unsupported(&self.note, "cutting an object that is uploaded"))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.finish()
    }

    /// Everything is written: the upload is whole, and can be published.
    fn finish(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.ended {
            self.unless_broken(&mut state, |state| self.complete_note(state))?;
            state.ended = true;
        }
        Ok(())
    }

    fn loc(&self) -> &Loc {
        &self.note
    }
}

impl Drop for UploadFile {
    /// Of no use to anybody when it is not whole.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.ended || self.upload.is_empty() {
            return;
        }
        state.flying.drain(..).for_each(|part| part.task.abort());
        let (door, upload) = (self.door.clone(), self.upload.clone());
        drop(self.stores.spawn(async move { door.store.abort_multipart(&door.path, &upload).await }));
    }
}

impl State {
    /// The number of the part that is sent next, from 0.
    fn next_number(&self) -> usize {
        self.parts.len() + self.flying.len()
    }

    fn part_size(&self) -> usize {
        match self.expected {
            0 => part_size(self.next_number()),
            bytes => PART.max((bytes / EXPECTED_PARTS).next_multiple_of(1 << 20) as usize),
        }
    }

    /// The least that is worth a part of its own.
    fn least_part(&self) -> u64 {
        LEAST.max(self.expected / EXPECTED_PARTS)
    }
}

/// Begins an upload; again when the answer does not come, for not every client does so by itself.
async fn create(door: &Door) -> object_store::Result<String> {
    for _ in 1..BEGINNINGS {
        match door.store.create_multipart(&door.path).await {
            Err(error) if may_pass(&error) => tracing::debug!(%error, "an upload is begun again"),
            done => return done,
        }
    }
    door.store.create_multipart(&door.path).await
}

pub(super) fn begun(note: &Loc) -> Loc {
    note.sibling(&format!("{}{BEGUN}", note.name()))
}

/// The size of the part with this number, counted from 0.
fn part_size(number: usize) -> usize {
    PART << (number / PARTS_OF_A_SIZE).min(9)
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("plain values become JSON").into()
}

#[cfg(test)]
mod tests {
    use super::{PART, part_size};

    #[test]
    fn sizes_of_parts_reach_5_tib_in_10_000() {
        let all: u64 = (0..10_000).map(|n| part_size(n) as u64).sum();
        assert!(all >= 5 << 40, "{all}");
        assert!(part_size(0) == PART && part_size(9_999) <= 5 << 30);
    }
}
