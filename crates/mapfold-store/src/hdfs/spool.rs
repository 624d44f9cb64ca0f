//! A file on its way to HDFS: gathered on the local disk, sent whole when it is complete.
//!
//! Why not sent while it grows: a block that begins on a DataNode which has died, and which the NameNode has not missed
//! yet, fails the whole file. What is sent must be there to be sent again, and part files may be larger than memory. The
//! local file has no name, so not even a killed process leaves it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hdfs_native::HdfsError;

use super::{Hdfs, path};
use crate::retry::{Fault, Patience, retrying};
use crate::unique::unique;
use crate::{Loc, StoreError, Stores, WorkFile};

/// Bytes that are read from the local disk and sent at once.
const PIECE: u64 = 1 << 20;
/// What such a file holds in memory, at most: a piece, and packets under way.
pub(crate) const STREAM_BYTES: u64 = 4 << 20;

/// A file that is complete in HDFS after [`WorkFile::finish`].
pub(crate) struct SpoolFile {
    stores: Stores,
    hdfs: Arc<Hdfs>,
    loc: Loc,
    spool: Arc<File>,
    len: AtomicU64,
    sent: Mutex<bool>,
}

impl SpoolFile {
    pub(crate) fn create(stores: &Stores, hdfs: Arc<Hdfs>, loc: &Loc) -> Result<SpoolFile, StoreError> {
        let spool = Arc::new(nameless().map_err(|(path, e)| StoreError::from_io(&Loc::local(path), e))?);
        let (stores, loc) = (stores.clone(), loc.clone());
        Ok(SpoolFile { stores, hdfs, loc, spool, len: AtomicU64::new(0), sent: Mutex::new(false) })
    }

    /// Sends all of it, again and again while the failure may pass.
    async fn send(&self) -> Result<(), StoreError> {
        let len = self.len.load(Relaxed);
        let attempt = || async {
            let sent = self.send_once(len).await;
            if sent.is_err() {
                // Its lease ends with it.
                let _ = self.hdfs.client.delete(&path(&self.loc), false).await;
            }
            sent
        };
        let patience = Patience::of(self.hdfs.options.hdfs_write_patience);
        retrying(patience, &self.hdfs.counters, &self.loc, attempt).await
    }

    async fn send_once(&self, len: u64) -> Result<(), Fault> {
        let told = |e: HdfsError| Hdfs::write_fault(&self.loc, e);
        let mut writer = self.hdfs.writer(&self.loc).await.map_err(told)?;
        let mut at = 0;
        while at < len {
            let bytes = self.piece(at, PIECE.min(len - at)).await.map_err(Fault::Final)?;
            at += bytes.len() as u64;
            writer.write_bytes(bytes).await.map_err(told)?;
        }
        writer.close().await.map_err(told)
    }

    async fn piece(&self, at: u64, len: u64) -> Result<Bytes, StoreError> {
        let spool = self.spool.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; len as usize];
            spool.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
        });
        let read = read.await.unwrap_or_else(|e| Err(io::Error::other(e)));
        read.map_err(|source| StoreError::Io { loc: self.loc.to_string(), source })
    }
}

impl WorkFile for SpoolFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if offset != self.len.load(Relaxed) {
            return Err(StoreError::unsupported(&self.loc, "writing anywhere but at the end of a file"));
        }
        let written = self.spool.write_all_at(bytes, offset);
        written.map_err(|e| StoreError::from_io(&Loc::local(std::env::temp_dir()), e))?;
        self.len.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let mut bytes = vec![0; len];
        let read = self.spool.read_exact_at(&mut bytes, offset);
        read.map_err(|source| StoreError::Io { loc: self.loc.to_string(), source })?;
        Ok(bytes.into())
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(self.len.load(Relaxed))
    }

    fn set_len(&self, _: u64) -> Result<(), StoreError> {
        Err(StoreError::unsupported(&self.loc, "cutting a file that is sent"))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.finish()
    }

    fn finish(&self) -> Result<(), StoreError> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !*sent {
            self.stores.block_on(self.send())?;
            self.stores.wrote(&self.loc, self.len.load(Relaxed) as usize);
            *sent = true;
        }
        Ok(())
    }

    fn loc(&self) -> &Loc {
        &self.loc
    }
}

/// A file of this machine without a name.
fn nameless() -> Result<File, (PathBuf, io::Error)> {
    let path = std::env::temp_dir().join(format!("mapfold-spool-{}", unique()));
    let open = || {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    };
    open().map_err(|e| (path.clone(), e))
}
