//! Reading: readers that are kept, ranges as a whole and packet by packet.
//!
//! A reader holds the block list of its file and belongs to one version of it, which its identity names. It is forgotten
//! when a read of it fails (blocks may have moved), when [`Hdfs::head`] sees another version, and when we change the
//! file ourselves. What is made of several attempts is made of one version, or fails as [`StoreError::Changed`].

use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use hdfs_native::file::FileReader;

use super::fault::fault;
use super::{Hdfs, path};
use crate::recent::Recent;
use crate::retry::{Fault, retrying};
use crate::{Loc, StoreError};

/// A reader and the identity of the file that it was opened for.
pub(super) struct Open {
    reader: FileReader,
    pub(super) etag: String,
}

impl Open {
    fn length(&self) -> u64 {
        self.reader.file_length() as u64
    }
}

impl Hdfs {
    pub(super) fn kept(&self) -> MutexGuard<'_, Recent<String, Arc<Open>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the readers of `loc` and of everything below it.
    pub(crate) fn forget(&self, loc: &Loc) {
        let path = path(loc);
        let below = format!("{}/", path.trim_end_matches('/'));
        self.kept().forget(|key| *key == path || key.starts_with(&below));
    }

    async fn open(&self, loc: &Loc) -> Result<Arc<Open>, StoreError> {
        let path = path(loc);
        if let Some(open) = self.kept().get(&path) {
            return Ok(open);
        }
        let info = self.head(loc).await?;
        let reader = self.ask(loc, || self.client.read(&path)).await?;
        let open = Arc::new(Open { reader, etag: info.etag.unwrap_or_default() });
        self.kept().insert(path, open.clone());
        Ok(open)
    }

    /// A reader of a file that reaches as far as `range` does.
    async fn open_for(&self, loc: &Loc, range: &Range<u64>) -> Result<Arc<Open>, Fault> {
        let open = self.open(loc).await.map_err(Fault::Final)?;
        match open.length() {
            length if range.end > length => {
                Err(Fault::Final(StoreError::truncated(loc, range, length.saturating_sub(range.start))))
            }
            _ => Ok(open),
        }
    }

    /// Blocks may have moved: the next attempt asks where they are now.
    fn failed(&self, loc: &Loc, error: hdfs_native::HdfsError) -> Fault {
        self.forget(loc);
        fault(loc, error)
    }

    /// `got` is all of `range`, or the attempt has failed.
    fn all_of(&self, loc: &Loc, range: &Range<u64>, got: u64) -> Result<(), Fault> {
        if got == range.end - range.start {
            return Ok(());
        }
        self.forget(loc);
        Err(Fault::Short(StoreError::truncated(loc, range, got)))
    }

    /// Exactly `range` (not empty), and the identity of the file that it came from.
    pub(crate) async fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, Option<String>), StoreError> {
        let attempt = || async {
            let open = self.open_for(loc, range).await?;
            let read = open.reader.read_range(range.start as usize, (range.end - range.start) as usize).await;
            let bytes = read.map_err(|error| self.failed(loc, error))?;
            self.all_of(loc, range, bytes.len() as u64)?;
            Ok((bytes, Some(open.etag.clone())))
        };
        retrying(self.patience(), &self.counters, loc, attempt).await
    }

    /// Gives the bytes of `range` (not empty) to `take` as they come, packet by packet, each with its place in the file;
    /// in order, each once, and all of the version of the file that the first came from. A packet is still in the
    /// processor's cache then, and is copied nowhere before.
    pub(crate) async fn stream(
        &self,
        loc: &Loc,
        range: Range<u64>,
        take: impl Fn(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<String>, StoreError> {
        let (reached, version) = (AtomicU64::new(range.start), OnceLock::new());
        let attempt = || async {
            let (open, from) = (self.open_for(loc, &range).await?, reached.load(Ordering::Relaxed));
            same_version(loc, version.get_or_init(|| open.etag.clone()), &open.etag)?;
            let mut packets = pin!(open.reader.read_range_stream(from as usize, (range.end - from) as usize));
            while let Some(packet) = packets.next().await {
                let packet = packet.map_err(|error| self.failed(loc, error))?;
                let at = reached.fetch_add(packet.len() as u64, Ordering::Relaxed);
                take(at, &packet).map_err(Fault::Final)?;
            }
            self.all_of(loc, &range, reached.load(Ordering::Relaxed) - range.start)?;
            Ok(Some(open.etag.clone()))
        };
        retrying(self.patience(), &self.counters, loc, attempt).await
    }

    pub(crate) async fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        self.forget(loc);
        match self.open(loc).await?.length() {
            0 => Ok(Bytes::new()),
            length => self.read(loc, &(0..length)).await.map(|(bytes, _)| bytes),
        }
    }
}

fn same_version(loc: &Loc, was: &str, now: &str) -> Result<(), Fault> {
    if was == now {
        return Ok(());
    }
    Err(Fault::Final(StoreError::Changed { loc: loc.to_string(), was: was.into(), now: now.into() }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_goes_on_in_another_version_has_changed() {
        let loc = Loc::parse("hdfs://node:1/a").unwrap();
        assert!(same_version(&loc, "h1-1", "h1-1").is_ok());
        let fault = same_version(&loc, "h1-1", "h1-2").unwrap_err();
        assert!(matches!(fault, Fault::Final(StoreError::Changed { .. })), "{fault:?}");
    }
}
