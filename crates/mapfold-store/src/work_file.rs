//! Files that are written at random places: spills, outputs in the making.
//!
//! A [`WorkFile`] promises nothing about visibility: it is a working file, made visible by
//! [`Stores::rename`](crate::Stores::rename) when it is complete. Object stores have none (their
//! parts are another idea), so HTTP refuses by name.

use std::fs::File;
use std::ops::Range;

use bytes::Bytes;

use crate::portion::{Porter, Section};
use crate::{Loc, StoreError};

/// Piece size of a buffered copy.
const COPY_PIECE: u64 = 1 << 20;

/// A file that can be read and written at any offset (bytes), by many threads at once.
pub trait WorkFile: Send + Sync {
    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], [`StoreError::ReadOnly`] or [`StoreError::Io`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Reads exactly `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the file ends before.
    fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, StoreError>;

    /// The length in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn len(&self) -> Result<u64, StoreError>;

    /// True for a length of 0.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file or extends it with zeros.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] or [`StoreError::Io`].
    fn set_len(&self, len: u64) -> Result<(), StoreError>;

    /// Returns when content and length are on the disk.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] or [`StoreError::Io`]; after an error the content is not to be trusted.
    fn sync(&self) -> Result<(), StoreError>;

    /// Everything is written. Files that are sent elsewhere are whole then; it does not say that they are on a disk
    /// ([`WorkFile::sync`]).
    ///
    /// # Errors
    /// Those of writing.
    fn finish(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Copies `len` bytes of `src` to `dst_offset` of this file, inside the kernel where possible.
    /// Regions of one and the same file must not overlap.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when `src` ends before; else those of reading and writing.
    fn copy_from(&self, src: &dyn WorkFile, src_offset: u64, dst_offset: u64, len: u64) -> Result<(), StoreError> {
        copy_buffered(self, src, src_offset, dst_offset, len)
    }

    /// Says how long the file will be, before its first byte. It need not be said.
    fn expect(&self, _bytes: u64) {}

    /// Takes bytes of `src` as [`WorkFile::copy_from`] does, but without reading them: the store itself copies them, so
    /// they do not pass through here. `false` where that cannot be had; then nothing has changed, and the caller copies.
    ///
    /// # Errors
    /// Those of the store.
    fn copy_there(
        &self,
        _src: &dyn WorkFile,
        _src_offset: u64,
        _dst_offset: u64,
        _len: u64,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The least that a portion of this file has, but for the last one, where it can be made of portions
    /// ([`WorkFile::add_portion`]); `None` elsewhere.
    fn least_portion(&self) -> Option<u64> {
        None
    }

    /// Adds bytes at the end that somebody else reads and sends; gives the number of the portion. It may be on its way
    /// when this returns: [`WorkFile::finish`] waits for all.
    ///
    /// # Errors
    /// Those of the store, also of portions that were added before.
    fn add_portion(&self, _offset: u64, _sections: Vec<Section>, _porter: &dyn Porter) -> Result<usize, StoreError> {
        Err(StoreError::unsupported(self.loc(), "portions"))
    }

    /// Where some bytes of this file lie, as others can find them.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the file ends before.
    fn sections(&self, offset: u64, len: u64) -> Result<Vec<Section>, StoreError> {
        Ok(vec![Section::Bytes(self.read_at(offset, len as usize)?.to_vec())])
    }

    /// Makes room of `len` bytes at the front by moving the content back without copying it; the room reads as zeros.
    /// `false` where that cannot be had (another file system, a `len` that is not whole blocks of it): then nothing
    /// has changed, and the caller copies.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] or [`StoreError::Io`].
    fn insert_front(&self, _len: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Where this file is (redacted when shown).
    fn loc(&self) -> &Loc;

    /// The one object of a store that holds these bytes, where there is one.
    #[doc(hidden)]
    fn as_object(&self, _offset: u64, _len: u64) -> Result<Option<ObjectRange>, StoreError> {
        Ok(None)
    }

    /// The file behind a local working file.
    #[doc(hidden)]
    fn as_local(&self) -> Option<&File> {
        None
    }
}

/// Some bytes of an object.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRange {
    pub object: Loc,
    pub range: Range<u64>,
    /// Of the whole object.
    pub size: u64,
}

/// The copy that works between any two working files.
pub(crate) fn copy_buffered<W: WorkFile + ?Sized>(
    dst: &W,
    src: &dyn WorkFile,
    src_offset: u64,
    dst_offset: u64,
    len: u64,
) -> Result<(), StoreError> {
    let mut done = 0;
    while done < len {
        let piece = COPY_PIECE.min(len - done);
        let bytes = src.read_at(src_offset + done, piece as usize)?;
        dst.write_at(dst_offset + done, &bytes)?;
        done += piece;
    }
    Ok(())
}
