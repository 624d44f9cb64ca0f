//! The end of an upload: it becomes an object, or it is ended and nothing is left of it.
//!
//! Publishing may be repeated: an upload that is no more there was completed by an earlier run, or its answer was lost;
//! then the caller is asked whether what lies at the place is what was uploaded.
//!
//! Whoever gives up work ends the uploads that its notes name, and where the store can tell (S3) all others to the same
//! names: those whose id was lost with an answer or a process. Where it cannot (Google), such a one stays until a rule of
//! the bucket ends it; Azure drops blocks that are not committed after a week and takes no order to do so.
//!
//! Absent: deciding what is published.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions};

use super::fault;
use super::upload::{BEGUN, Begun, Door, Note};
use crate::{Loc, Replace, StoreError, Stores, many};

/// How long a signed question may be asked.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Finds an object of a bucket by its key.
type DoorTo<'a> = &'a (dyn Fn(&str) -> Result<Door, StoreError> + Sync);

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
    if found.parts.is_empty() {
        // Stores differ in what becomes of an upload without parts; it is ended with its note.
        return stores.put(to, bytes::Bytes::new());
    }
    let parts = found.parts.into_iter().map(|content_id| PartId { content_id }).collect();
    let done = stores.block_on(door.store.complete_multipart(&door.path, &found.begun.upload, parts));
    stores.wrote(to, 0);
    let Err(error) = done else { return Ok(()) };
    match stores.exists(to)? && is_it()? {
        true => Ok(()), // An earlier run had come that far, or the answer was lost.
        false => Err(lost(to, fault(to, &error))),
    }
}

/// An upload that is neither there nor what lies at its place: whoever may end uploads has done so.
fn lost(to: &Loc, error: StoreError) -> StoreError {
    match error {
        StoreError::NotFound { loc } if loc == to.to_string() => {
            let source =
                io::Error::other("the upload that was to become it is gone (did a rule of the bucket end it?)");
            StoreError::Io { loc, source }
        }
        other => other,
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
pub(crate) fn abandon(stores: &Stores, dir: &Loc, door: DoorTo<'_>) -> Result<(), StoreError> {
    let known = Mutex::new(Vec::new());
    let read = |note: &Loc| {
        match stores.get(note) {
            Err(StoreError::NotFound { .. }) => {} // Somebody else is ending it.
            text => {
                let begun = serde_json::from_slice::<Begun>(&text?);
                known.lock().unwrap_or_else(PoisonError::into_inner).extend(begun);
            }
        }
        Ok(())
    };
    many(&notes(stores, dir)?, &read)?;
    let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
    many(&known, &|begun| end(stores, (dir, &door(&begun.key)?), &begun.upload))?;
    let keys: BTreeSet<&str> = known.iter().map(|begun| begun.key.as_str()).collect();
    many(&keys.into_iter().collect::<Vec<_>>(), &|key| sweep(stores, (dir, &door(key)?)))
}

fn notes(stores: &Stores, dir: &Loc) -> Result<Vec<Loc>, StoreError> {
    let mut notes = stores.list_if_there(dir)?;
    notes.retain(|note| note.name().ends_with(BEGUN));
    Ok(notes)
}

/// Ends one upload; one that is no more there is fine.
fn end(stores: &Stores, (dir, door): (&Loc, &Door), upload: &str) -> Result<(), StoreError> {
    if upload.is_empty() {
        return Ok(());
    }
    let ended = stores.block_on(door.store.abort_multipart(&door.path, &upload.to_owned()));
    match ended.map_err(|e| fault(dir, &e)) {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// Ends uploads to this name that no note has. Who may not list them goes without: it is litter, and nothing worse.
fn sweep(stores: &Stores, (dir, door): (&Loc, &Door)) -> Result<(), StoreError> {
    match open_uploads(stores, (dir, door)) {
        Ok(uploads) => uploads.iter().try_for_each(|upload| end(stores, (dir, door), upload)),
        Err(error) => {
            tracing::info!("uploads that were never completed cannot be looked for: {error}");
            Ok(())
        }
    }
}

/// Ids of the uploads to this very name that are not completed; none where the store cannot be asked.
fn open_uploads(stores: &Stores, (dir, door): (&Loc, &Door)) -> Result<Vec<String>, StoreError> {
    let Some(signer) = &door.signer else { return Ok(Vec::new()) };
    let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", door.path.as_ref())]);
    let bucket = Path::default();
    let signing = signer.signed_url_opts(Method::GET, &bucket, SIGNED_FOR, &options);
    let url = stores.block_on(signing).map_err(|e| fault(dir, &e))?;
    let listed = stores.get(&Loc::parse(url.as_str())?)?;
    Ok(ids(&String::from_utf8_lossy(&listed), door.path.as_ref()))
}

/// The ids that a listing has for `key`.
fn ids(listing: &str, key: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(listing) else { return Vec::new() };
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let found = node.children().find(|n| n.tag_name().name() == name)?;
        found.text().map(str::to_owned)
    };
    let uploads = document.descendants().filter(|n| n.tag_name().name() == "Upload");
    let to_key = uploads.filter(|upload| text(*upload, "Key").as_deref() == Some(key));
    to_key.filter_map(|upload| text(upload, "UploadId")).collect()
}

fn damaged(note: &Loc, e: serde_json::Error) -> StoreError {
    StoreError::Io { loc: note.to_string(), source: io::Error::new(io::ErrorKind::InvalidData, e) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::WorkFile;
    use crate::objects::UploadFile;
    use bytes::Bytes;
    use futures_util::StreamExt;
    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt};
    use std::sync::Arc;

    const PART: usize = 8 << 20;

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
            let door = Door { store: objects.clone(), path: Path::from("out/part-0"), signer: None };
            let loc = |end: &str| Loc::parse(&format!("memory://{name}/{end}")).unwrap();
            Room { stores: Stores::new(), objects, door, note: loc("notes/attempt"), to: loc("out/part-0") }
        }

        fn begin(&self) -> UploadFile {
            UploadFile::begin(&self.stores, (&self.note, &self.note), self.door.clone()).unwrap()
        }

        /// A whole upload of these bytes.
        fn uploaded(name: &str, bytes: &[u8]) -> Room {
            let room = Room::new(name);
            let file = room.begin();
            file.write_at(0, bytes).unwrap();
            file.finish().unwrap();
            room
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
        let room = Room::uploaded("again", b"all");
        room.publish(Replace::Allowed, false).unwrap();
        room.stores.put(&room.to, "all".into()).unwrap(); // As a store shows the completed upload.
        room.publish(Replace::Allowed, true).unwrap();
        room.publish(Replace::Never, true).unwrap();
        assert!(room.publish(Replace::Allowed, false).is_err(), "neither an upload nor the object");
        let refused = room.publish(Replace::Never, false).unwrap_err();
        assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused:?}");
    }

    #[test]
    fn an_empty_upload_becomes_an_empty_object_however_often() {
        let room = Room::uploaded("empty", b"");
        for replace in [Replace::Never, Replace::Allowed, Replace::Allowed] {
            room.publish(replace, true).unwrap();
            assert_eq!(room.stores.get(&room.to).unwrap(), "");
        }
    }

    #[test]
    fn what_is_abandoned_can_be_published_no_more() {
        let room = Room::uploaded("abandoned", b"all");
        let dir = room.note.parent().unwrap();
        abandon(&room.stores, &dir, &|_| Ok(room.door.clone())).unwrap();
        assert!(room.publish(Replace::Allowed, false).is_err());
        assert_eq!(room.seen(), None);
        assert!(room.stores.block_on(room.objects.list(None).next()).is_none());
    }

    #[test]
    fn of_a_listing_only_the_very_name_counts() {
        let listing = "<?xml version=\"1.0\"?><L xmlns=\"http://s3/doc/\"><Bucket>b</Bucket><Prefix>a</Prefix>\
            <Upload><Key>a</Key><UploadId>one</UploadId><Initiated>x</Initiated></Upload>\
            <Upload><Key>a2</Key><UploadId>two</UploadId></Upload>\
            <Upload><Key>a</Key><UploadId>three</UploadId></Upload></L>";
        assert_eq!(ids(listing, "a"), ["one", "three"]);
        assert_eq!(ids("no XML", "a"), [""; 0]);
    }
}
