//! Working files on stores that cannot write in the middle of a file: pieces that never change.
//!
//! A piece is an object `OFFSET.LENGTH` in a folder that has the file's name. Whoever writes gets its places from one
//! authority that never gives a place twice, so pieces never overlap, and any number of processes write at once. A piece
//! is put if it is absent: a late writer of an earlier life can change nothing, and an answer that was lost is found by
//! reading back and comparing.
//!
//! Absent: cutting, filling up, room at the front. Who needs a whole file writes another, one byte after the other
//! ([`Stores::start_file`](crate::Stores::start_file)).

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::portion::Section;
use crate::work_file::ObjectRange;
use crate::{Loc, StoreError, Stores, WorkFile};

/// Pieces that are read at once.
const READS_AT_ONCE: usize = 8;

/// A working file made of pieces.
pub(crate) struct PieceFile {
    stores: Stores,
    loc: Loc,
    /// Length by offset of the pieces that are known to be there.
    known: Mutex<BTreeMap<u64, u64>>,
}

impl PieceFile {
    /// An empty one: pieces of an earlier one are removed.
    pub fn create(stores: &Stores, loc: &Loc) -> Result<PieceFile, StoreError> {
        match stores.remove_dir(loc) {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        stores.create_dir(loc)?;
        Ok(PieceFile::open(stores, loc))
    }

    /// One that may have pieces.
    pub fn open(stores: &Stores, loc: &Loc) -> PieceFile {
        PieceFile { stores: stores.clone(), loc: loc.clone(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn piece(&self, offset: u64, len: u64) -> Loc {
        self.loc.join(&name(offset, len))
    }

    /// Looks what pieces there are: other processes write them too.
    fn look(&self) -> Result<(), StoreError> {
        let found = self.stores.list_if_there(&self.loc)?;
        self.known().extend(found.iter().filter_map(|piece| place(piece.name())));
        Ok(())
    }

    /// The piece in which `at` lies.
    fn piece_at(&self, at: u64) -> Option<(u64, u64)> {
        let (offset, len) = self.known().range(..=at).next_back().map(|(o, l)| (*o, *l))?;
        (at < offset + len).then_some((offset, len))
    }

    fn find(&self, at: u64) -> Result<Option<(u64, u64)>, StoreError> {
        if let Some(found) = self.piece_at(at) {
            return Ok(Some(found));
        }
        self.look()?;
        Ok(self.piece_at(at))
    }

    /// Which bytes of which pieces `at..end` is; stops where nothing is known to be.
    fn cover(&self, mut at: u64, end: u64) -> Result<Vec<(Loc, Range<u64>)>, StoreError> {
        let mut all = Vec::new();
        while at < end {
            let Some((offset, len)) = self.find(at)? else { break };
            let stop = end.min(offset + len);
            all.push((self.piece(offset, len), at - offset..stop - offset));
            at = stop;
        }
        Ok(all)
    }

    /// All of them.
    fn covered(&self, offset: u64, len: u64) -> Result<Vec<(Loc, Range<u64>)>, StoreError> {
        let cover = self.cover(offset, offset + len)?;
        let there: u64 = cover.iter().map(|(_, range)| range.end - range.start).sum();
        match there < len {
            true => Err(StoreError::truncated(&self.loc, &(offset..offset + len), there)),
            false => Ok(cover),
        }
    }

    fn there_already(&self, piece: &Loc, bytes: &[u8]) -> Result<(), StoreError> {
        if self.stores.get(piece)? == bytes {
            return Ok(()); // Ours: the answer to an earlier try was lost.
        }
        let source = io::Error::other("another process has written this piece of the output");
        Err(StoreError::Io { loc: piece.to_string(), source })
    }
}

impl WorkFile for PieceFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        let piece = self.piece(offset, len);
        match self.stores.create(&piece, Bytes::copy_from_slice(bytes)) {
            Err(StoreError::AlreadyExists { .. }) => self.there_already(&piece, bytes)?,
            written => written?,
        }
        self.known().insert(offset, len);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let cover = self.covered(offset, len as u64)?;
        let mut reads = Vec::with_capacity(cover.len());
        for (piece, range) in &cover {
            reads.push(self.stores.read(piece, range.clone()));
        }
        let all = stream::iter(reads).buffered(READS_AT_ONCE).try_collect::<Vec<Bytes>>();
        let mut all = self.stores.block_on(all)?;
        Ok(if all.len() == 1 { all.remove(0) } else { all.concat().into() })
    }

    fn len(&self) -> Result<u64, StoreError> {
        self.look()?;
        Ok(self.known().last_key_value().map_or(0, |(offset, len)| offset + len))
    }

    fn set_len(&self, _: u64) -> Result<(), StoreError> {
        Err(StoreError::unsupported(&self.loc, "cutting a file that is made of pieces"))
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(()) // A piece that was put is there to stay.
    }

    fn sections(&self, offset: u64, len: u64) -> Result<Vec<Section>, StoreError> {
        let cover = self.covered(offset, len)?;
        Ok(cover.into_iter().map(|(object, range)| Section::Object { object, range }).collect())
    }

    fn as_object(&self, offset: u64, len: u64) -> Result<Option<ObjectRange>, StoreError> {
        let Some((start, size)) = self.find(offset)? else { return Ok(None) };
        let range = offset - start..offset - start + len;
        Ok((range.end <= size).then(|| ObjectRange { object: self.piece(start, size), range, size }))
    }

    fn loc(&self) -> &Loc {
        &self.loc
    }
}

/// Hexadecimal, so that names in their order are places in their order.
fn name(offset: u64, len: u64) -> String {
    format!("{offset:016x}.{len:x}")
}

fn place(name: &str) -> Option<(u64, u64)> {
    let (offset, len) = name.split_once('.')?;
    Some((u64::from_str_radix(offset, 16).ok()?, u64::from_str_radix(len, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pieces_of_several_writers_are_read_as_one_file() {
        let (stores, loc) = (Stores::new(), Loc::parse("memory://pieces/stream-0").unwrap());
        let (one, other) = (PieceFile::create(&stores, &loc).unwrap(), PieceFile::open(&stores, &loc));
        one.write_at(0, b"first").unwrap();
        other.write_at(5, b"second").unwrap();
        one.write_at(20, b"far").unwrap();
        assert_eq!(one.read_at(3, 6).unwrap(), "stseco");
        assert_eq!(other.read_at(20, 3).unwrap(), "far");
        assert_eq!((one.len().unwrap(), other.len().unwrap()), (23, 23));
        let object = one.as_object(6, 4).unwrap().unwrap();
        assert_eq!((object.object.name(), object.range, object.size), ("0000000000000005.6", 1..5, 6));
        assert_eq!(one.as_object(4, 2).unwrap(), None, "two pieces");
        let sections = one.sections(3, 6).unwrap();
        assert_eq!(sections.iter().map(Section::bytes).collect::<Vec<_>>(), [2, 4]);
        assert!(one.sections(9, 4).is_err(), "it ends before");
        for (offset, len, there) in [(9, 4, 2), (15, 1, 0), (21, 3, 2)] {
            match one.read_at(offset, len) {
                Err(StoreError::Truncated { got, .. }) => assert_eq!(got, there),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(PieceFile::create(&stores, &loc).unwrap().len().unwrap(), 0, "an old one is emptied");
    }

    #[test]
    fn a_piece_never_changes() {
        let (stores, loc) = (Stores::new(), Loc::parse("memory://pieces/stream-1").unwrap());
        let file = PieceFile::open(&stores, &loc);
        file.write_at(7, b"abc").unwrap();
        file.write_at(7, b"abc").unwrap();
        let refused = file.write_at(7, b"xyz").unwrap_err();
        assert!(refused.to_string().contains("another process"), "{refused}");
        assert_eq!(file.read_at(7, 3).unwrap(), "abc");
    }

    #[test]
    fn names_are_places() {
        assert_eq!(place(&name(u64::MAX, 17)), Some((u64::MAX, 17)));
        assert_eq!((place("x.1"), place("10"), place("1.y")), (None, None, None));
    }
}
