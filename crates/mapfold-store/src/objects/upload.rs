//! Objects in the making: multipart uploads that nobody sees before they are published.
//!
//! Object stores cannot rename. So what is to be at a place is uploaded to that very place, in parts, and the upload is
//! left uncompleted: nothing is to be seen. A *note* in the work folder says how to complete it, and publishing is that
//! one request: no byte is copied. The note is an object `NOTE` (id and parts of an upload that is whole); beside it lies
//! `NOTE.begun` (the id alone) from before the first part on, so that whoever cleans up can abort what a dead process
//! began ([`Stores::abandon_uploads`](crate::Stores::abandon_uploads)).
//!
//! Publishing may be repeated: an upload that is no more there was completed by an earlier run, or its answer was lost;
//! then the caller is asked whether what lies at the place is what was uploaded.
//!
//! Memory: a part that is filled and one that is on its way, [`UPLOAD_BYTES`] in all.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::fault;
use crate::{Loc, Replace, StoreError, Stores, WorkFile};

/// Bytes of a part. Stores want 5 MiB at least.
const PART: usize = 8 << 20;
/// Parts of the first size; after them sizes double, so that 10,000 parts are enough for 5 TiB.
const PARTS_OF_A_SIZE: usize = 1_000;
/// What an upload holds in memory, at most, while its parts have the first size.
pub const UPLOAD_BYTES: u64 = 2 * PART as u64;
/// Requests at once when many uploads are ended.
const CONCURRENT: usize = 16;
/// What the name of a note of an upload that is not whole ends with.
const BEGUN: &str = ".begun";

/// A store that takes objects in parts, and the name of an object in it.
#[derive(Clone)]
pub(crate) struct Door {
    pub store: Arc<dyn MultipartStore>,
    pub path: Path,
}

/// What is known of an upload from its first moment on.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    /// The object's name in its bucket.
    key: String,
    /// Empty where the store knows no uploads, only parts (Azure's blocks).
    upload: String,
}

/// What completes an upload.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    begun: Begun,
    bytes: u64,
    /// As the store named them, in their order.
    parts: Vec<String>,
}

/// An object that is written from its first byte to its last.
pub(crate) struct UploadFile {
    stores: Stores,
    note: Loc,
    door: Door,
    upload: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    bytes: u64,
    parts: Vec<String>,
    flying: Option<JoinHandle<object_store::Result<PartId>>>,
    ended: bool,
}

impl UploadFile {
    pub fn begin(stores: &Stores, note: &Loc, door: Door) -> Result<UploadFile, StoreError> {
        let asked = stores.block_on(door.store.create_multipart(&door.path));
        let upload = asked.map_err(|e| fault(note, &e))?;
        let file =
            UploadFile { stores: stores.clone(), note: note.clone(), door, upload, state: Mutex::default() };
        stores.put(&begun(note), json(&file.begun()))?;
        Ok(file)
    }

    fn begun(&self) -> Begun {
        Begun { key: self.door.path.to_string(), upload: self.upload.clone() }
    }

    /// Takes what comes next.
    fn push(&self, state: &mut State, mut bytes: &[u8]) -> Result<(), StoreError> {
        state.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let size = part_size(state.parts.len() + usize::from(state.flying.is_some()));
            let (now, later) = bytes.split_at(bytes.len().min(size - state.buffer.len()));
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
        self.land(state)?;
        let bytes = Bytes::from(std::mem::take(&mut state.buffer));
        let (door, upload, number) = (self.door.clone(), self.upload.clone(), state.parts.len());
        self.stores.wrote(&self.note, bytes.len());
        let sending = async move { door.store.put_part(&door.path, &upload, number, bytes.into()).await };
        state.flying = Some(self.stores.spawn(sending));
        Ok(())
    }

    fn land(&self, state: &mut State) -> Result<(), StoreError> {
        let Some(flying) = state.flying.take() else { return Ok(()) };
        let part = self.stores.block_on(flying).map_err(|e| self.io(io::Error::other(e)))?;
        state.parts.push(part.map_err(|e| fault(&self.note, &e))?.content_id);
        Ok(())
    }

    fn complete_note(&self, state: &mut State) -> Result<(), StoreError> {
        if !state.buffer.is_empty() {
            self.send(state)?;
        }
        self.land(state)?;
        let note = Note { begun: self.begun(), bytes: state.bytes, parts: state.parts.clone() };
        self.stores.put(&self.note, json(&note))
    }

    fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io { loc: self.note.to_string(), source }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkFile for UploadFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut state = self.state();
        if offset != state.bytes || state.ended {
            return Err(StoreError::unsupported(&self.note, "writing anywhere but at the end of an object"));
        }
        self.push(&mut state, bytes)
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
            self.complete_note(&mut state)?;
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
        if let Some(flying) = state.flying.take() {
            flying.abort();
        }
        let (door, upload) = (self.door.clone(), self.upload.clone());
        drop(self.stores.spawn(async move { door.store.abort_multipart(&door.path, &upload).await }));
    }
}

/// Makes a whole upload visible. `is_it` says whether an object that lies at the place already is the one uploaded.
pub(crate) fn publish(
    stores: &Stores,
    (note, door, to): (&Loc, &Door, &Loc),
    replace: Replace,
    is_it: &dyn Fn() -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let text = stores.get(note)?;
    let found: Note = serde_json::from_slice(&text).map_err(|e| damaged(note, e))?;
    if replace == Replace::Never && stores.exists(to)? {
        let ours = is_it()?;
        return if ours { Ok(()) } else { Err(StoreError::AlreadyExists { loc: to.to_string() }) };
    }
    let parts = found.parts.into_iter().map(|content_id| PartId { content_id }).collect();
    let done = stores.block_on(door.store.complete_multipart(&door.path, &found.begun.upload, parts));
    stores.wrote(to, 0);
    let Err(error) = done else { return Ok(()) };
    match stores.exists(to)? && is_it()? {
        true => Ok(()), // An earlier run had come that far, or the answer was lost.
        false => Err(fault(to, &error)),
    }
}

/// Size of a whole upload; `None` when there is no such note.
pub(crate) fn uploaded_bytes(stores: &Stores, note: &Loc) -> Result<Option<u64>, StoreError> {
    match stores.get(note) {
        Err(StoreError::NotFound { .. }) => Ok(None),
        text => serde_json::from_slice::<Note>(&text?).map(|n| Some(n.bytes)).map_err(|e| damaged(note, e)),
    }
}

/// Ends all uploads that have a note in `dir`, whole or not; those that were published are not touched by that.
pub(crate) fn abandon(stores: &Stores, dir: &Loc, door: &dyn Fn(&str) -> Result<Door, StoreError>) -> Result<(), StoreError> {
    let notes = match stores.list(dir) {
        Err(StoreError::NotFound { .. }) => return Ok(()),
        found => found?,
    };
    let mut ended = Vec::new();
    for note in notes.iter().filter(|n| n.name().ends_with(BEGUN)) {
        let Ok(begun) = serde_json::from_slice::<Begun>(&stores.get(note)?) else { continue };
        let door = door(&begun.key)?;
        if !begun.upload.is_empty() {
            ended.push(async move { (note, door.store.abort_multipart(&door.path, &begun.upload).await) });
        }
    }
    let answers: Vec<_> = stores.block_on(stream::iter(ended).buffer_unordered(CONCURRENT).collect());
    let gone = |e: &StoreError| matches!(e, StoreError::NotFound { .. });
    let failed = answers.into_iter().filter_map(|(note, answer)| Some(fault(note, &answer.err()?)));
    failed.filter(|e| !gone(e)).last().map_or(Ok(()), Err)
}

fn begun(note: &Loc) -> Loc {
    note.sibling(&format!("{}{BEGUN}", note.name()))
}

/// The size of the part with this number, counted from 0.
fn part_size(number: usize) -> usize {
    PART << (number / PARTS_OF_A_SIZE).min(9)
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("plain values become JSON").into()
}

fn damaged(note: &Loc, e: serde_json::Error) -> StoreError {
    StoreError::Io { loc: note.to_string(), source: io::Error::new(io::ErrorKind::InvalidData, e) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt};

    struct Room {
        stores: Stores,
        objects: Arc<InMemory>,
        door: Door,
        note: Loc,
        to: Loc,
    }

    impl Room {
        fn new(name: &str) -> Room {
            let objects = Arc::new(InMemory::new());
            let door = Door { store: objects.clone(), path: Path::from("out/part-0") };
            let loc = |end: &str| Loc::parse(&format!("memory://{name}/{end}")).unwrap();
            Room { stores: Stores::new(), objects, door, note: loc("notes/attempt"), to: loc("out/part-0") }
        }

        fn begin(&self) -> UploadFile {
            UploadFile::begin(&self.stores, &self.note, self.door.clone()).unwrap()
        }

        fn seen(&self) -> Option<Bytes> {
            let read = async { self.objects.get(&self.door.path).await.ok()?.bytes().await.ok() };
            self.stores.block_on(read)
        }

        fn publish(&self, replace: Replace, is_it: bool) -> Result<(), StoreError> {
            publish(&self.stores, (&self.note, &self.door, &self.to), replace, &|| Ok(is_it))
        }
    }

    #[test]
    fn what_is_uploaded_is_seen_when_it_is_published_and_not_before() {
        let room = Room::new("upload");
        let file = room.begin();
        let bytes: Vec<u8> = (0..2 * PART + 77).map(|n| (n % 251) as u8).collect();
        for (at, piece) in bytes.chunks(3 << 20).enumerate() {
            file.write_at((at * (3 << 20)) as u64, piece).unwrap();
        }
        assert!(file.write_at(5, b"x").is_err(), "only at its end");
        assert_eq!(uploaded_bytes(&room.stores, &room.note).unwrap(), None, "it is not whole");
        file.finish().unwrap();
        drop(file);
        assert_eq!(uploaded_bytes(&room.stores, &room.note).unwrap(), Some(bytes.len() as u64));
        assert_eq!(room.seen(), None, "not decided, not to be seen");
        room.publish(Replace::Never, false).unwrap();
        assert!(room.seen().unwrap() == bytes, "other bytes");
    }

    #[test]
    fn publishing_again_is_settled_by_what_is_there() {
        let room = Room::new("again");
        let file = room.begin();
        file.write_at(0, b"all").unwrap();
        file.finish().unwrap();
        room.publish(Replace::Allowed, false).unwrap();
        room.stores.put(&room.to, "all".into()).unwrap(); // As a store shows the completed upload.
        room.publish(Replace::Allowed, true).unwrap();
        room.publish(Replace::Never, true).unwrap();
        assert!(room.publish(Replace::Allowed, false).is_err(), "neither an upload nor the object");
        let refused = room.publish(Replace::Never, false).unwrap_err();
        assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused:?}");
    }

    #[test]
    fn what_is_abandoned_can_be_published_no_more() {
        let room = Room::new("abandoned");
        let file = room.begin();
        file.write_at(0, b"all").unwrap();
        file.finish().unwrap();
        let dir = room.note.parent().unwrap();
        abandon(&room.stores, &dir, &|_| Ok(room.door.clone())).unwrap();
        assert!(room.publish(Replace::Allowed, false).is_err());
        assert_eq!(room.seen(), None);
        assert!(room.stores.block_on(room.objects.list(None).next()).is_none());
    }

    #[test]
    fn sizes_of_parts_reach_5_tib_in_10_000() {
        let all: u64 = (0..10_000).map(|n| part_size(n) as u64).sum();
        assert!(all >= 5 << 40, "{all}");
        assert!(part_size(0) == PART && part_size(9_999) <= 5 << 30);
    }
}
