//! Whole files into HDFS, and renames that are sure of their answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hdfs_native::file::FileWriter;
use hdfs_native::{HdfsError, WriteOptions};

use super::fault::{fault, lost, may_pass, refusal};
use super::{Hdfs, TEMPORARY, path};
use crate::retry::{Fault, Patience, retrying};
use crate::unique::unique;
use crate::{Loc, Replace, StoreError};

impl Hdfs {
    /// Writes a whole file; readers see the old content or the new one.
    pub(crate) async fn put(&self, loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
        if self.is_folder(loc).await? {
            return Err(StoreError::IsDirectory { loc: loc.to_string() });
        }
        self.publish(loc, bytes, Replace::Allowed).await
    }

    /// Writes a whole file under a name that must be free; of many that try, one succeeds.
    pub(crate) async fn create(&self, loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
        // Asked first because it is cheap; the rename decides.
        if self.exists(loc).await? {
            return Err(StoreError::AlreadyExists { loc: loc.to_string() });
        }
        self.publish(loc, bytes, Replace::Never).await
    }

    async fn publish(&self, loc: &Loc, bytes: &Bytes, replace: Replace) -> Result<(), StoreError> {
        let temporary = self.write_aside(loc, bytes).await?;
        let placed = self.rename(&temporary, loc, replace).await;
        if placed.is_err() {
            // The first error is the one to tell; a left-over is harmless and recognisable.
            let _ = self.client.delete(&path(&temporary), false).await;
        }
        placed
    }

    /// The file under a temporary name beside `loc`, written again and again while its failure may pass.
    async fn write_aside(&self, loc: &Loc, bytes: &Bytes) -> Result<Loc, StoreError> {
        let attempt = || async {
            let temporary = self.temporary(loc);
            match self.write_once(&temporary, bytes).await {
                Ok(()) => Ok(temporary),
                Err(error) => {
                    // Its lease ends with it; when the name node is out of reach it stays, recognisable.
                    let _ = self.client.delete(&path(&temporary), false).await;
                    Err(fault(loc, error))
                }
            }
        };
        retrying(Patience::of(self.write_patience()), &self.counters, loc, attempt).await
    }

    /// How long a whole file is written again and again.
    pub(crate) fn write_patience(&self) -> Duration {
        match self.answered.load(Ordering::Relaxed) {
            true => self.options.hdfs_write_patience,
            false => self.patience().total,
        }
    }

    async fn write_once(&self, temporary: &Loc, bytes: &Bytes) -> Result<(), HdfsError> {
        let mut writer = self.writer(temporary).await?;
        if !bytes.is_empty() {
            writer.write_bytes(bytes.clone()).await?;
        }
        writer.close().await
    }

    /// A name beside `loc` that nobody else uses.
    pub(crate) fn temporary(&self, loc: &Loc) -> Loc {
        let folder = loc.parent().unwrap_or_else(|| loc.clone());
        folder.join(&format!("{TEMPORARY}{}", unique()))
    }

    /// A new file, open for writing from its start to its end; its folder must exist.
    pub(crate) async fn writer(&self, loc: &Loc) -> Result<FileWriter, HdfsError> {
        let mut options = WriteOptions::default().create_parent(false);
        options.block_size = self.writing.block_size;
        options.replication = self.writing.replication;
        self.client.create(&path(loc), &options).await
    }

    /// The fault of one attempt to write, for those who repeat it themselves.
    pub(crate) fn write_fault(loc: &Loc, error: HdfsError) -> Fault {
        fault(loc, error)
    }

    /// Moves a file or a folder. When an answer gets lost, what is there tells whether it was done.
    pub(crate) async fn rename(&self, from: &Loc, to: &Loc, replace: Replace) -> Result<(), StoreError> {
        let source = self.status(from).await?;
        let over = replace == Replace::Allowed && !source.isdir;
        if over && self.is_folder(to).await? {
            return Err(StoreError::AlreadyExists { loc: to.to_string() });
        }
        let attempt = || async {
            let error = match self.client.rename(&path(from), &path(to), over).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A repeated rename finds its source gone: was it the attempt before?
            let gone = matches!(&error, HdfsError::RPCError(class, _) if class.ends_with("FileNotFoundException"));
            if (lost(&error) || gone) && self.has_moved(from, to, source.length).await.map_err(Fault::Final)? {
                return Ok(());
            }
            match may_pass(&error) {
                true => Err(fault(to, error)),
                false => Err(Fault::Final(self.rename_refusal(from, to, error).await)),
            }
        };
        let moved = retrying(self.patience(), &self.counters, to, attempt).await;
        self.forget(from);
        self.forget(to);
        moved
    }

    async fn has_moved(&self, from: &Loc, to: &Loc, length: usize) -> Result<bool, StoreError> {
        if self.exists(from).await? {
            return Ok(false);
        }
        match self.status(to).await {
            Ok(there) => Ok(there.length == length),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Which of the two is at fault.
    async fn rename_refusal(&self, from: &Loc, to: &Loc, error: HdfsError) -> StoreError {
        match refusal(to, error) {
            StoreError::NotFound { .. } if !self.exists(from).await.unwrap_or(true) => {
                StoreError::NotFound { loc: from.to_string() }
            }
            other => other,
        }
    }

    /// Exchanges two files or folders, in three renames. Whoever dies between them leaves the older one beside `from`.
    pub(crate) async fn swap(&self, from: &Loc, to: &Loc) -> Result<(), StoreError> {
        for loc in [from, to] {
            self.status(loc).await?;
        }
        let aside = self.temporary(from);
        self.rename(to, &aside, Replace::Never).await?;
        self.rename(from, to, Replace::Never).await?;
        self.rename(&aside, from, Replace::Never).await
    }

    /// Whether a file could be written at `loc`, tried with an empty one beside it.
    pub(crate) async fn check_writable(&self, loc: &Loc) -> Result<(), StoreError> {
        if self.is_folder(loc).await? {
            return Err(StoreError::IsDirectory { loc: loc.to_string() });
        }
        let folder = loc.parent().unwrap_or_else(|| loc.clone());
        let there = self.status(&folder).await?;
        if !there.isdir {
            return Err(StoreError::Io { loc: folder.to_string(), source: std::io::ErrorKind::NotADirectory.into() });
        }
        let trial = self.write_aside(loc, &Bytes::new()).await.map_err(|error| match error {
            StoreError::Denied { why, .. } => StoreError::Denied { loc: folder.to_string(), why },
            other => other,
        })?;
        self.delete(&trial).await
    }
}
