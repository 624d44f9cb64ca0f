//! HDFS through hdfs-native, held to our promises.
//!
//! The client library reads well: it goes to the next replica by itself. Writing it leaves to us: a file that starts a
//! block on a data node that has died, but that the name node has not missed yet, fails at once, and so does one in safe
//! mode. So a file is written under a temporary name, the **whole** attempt is repeated with back-off while its
//! failure may pass, and a rename makes it appear. When the answer of that rename gets lost, looking settles it: the
//! temporary name is ours alone, so when it is gone and the target is there, it was we.

mod ask;
mod connect;
mod fault;
mod hosts;
mod spool;
mod write;

use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hdfs_native::Client;
use hdfs_native::client::FileStatus;
use hdfs_native::file::FileReader;
use tokio::runtime::Handle;

use crate::counters::Counters;
use crate::recent::Recent;
use crate::retry::{Fault, retrying};
use crate::{Entry, Loc, ObjectInfo, Settings, StoreError, StoreOptions};
use connect::Writing;
use fault::fault;

pub use hosts::Located;
pub(crate) use spool::{STREAM_BYTES, SpoolFile};

/// Readers that are kept: each holds the block list of its file.
const OPEN_FILES: usize = 64;
/// Names that begin so are unfinished files; listings leave them out.
const TEMPORARY: &str = ".mapfold-tmp-";
/// What `mkdir` gives.
const FOLDER_MODE: u32 = 0o755;
/// For its owner only.
const PRIVATE_MODE: u32 = 0o700;

/// The clients of all name nodes that were asked for.
#[derive(Default)]
pub(crate) struct Clusters(Mutex<HashMap<String, Arc<Hdfs>>>);

impl Clusters {
    pub(crate) fn of(
        &self,
        loc: &Loc,
        settings: &Settings,
        options: &StoreOptions,
        counters: &Arc<Counters>,
        io: &Handle,
    ) -> Result<Arc<Hdfs>, StoreError> {
        let root = loc.remote().0;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = known.get(root) {
            return Ok(cluster.clone());
        }
        let made = Arc::new(Hdfs {
            client: connect::client(loc, settings, io.clone())?,
            writing: connect::writing(settings)?,
            http: connect::http_addresses(loc, settings),
            user: connect::user(settings).map(str::to_owned),
            secure: connect::is_secure(settings),
            first_patience: ask::first_patience(connect::is_service(loc, settings)),
            options: options.clone(),
            counters: counters.clone(),
            answered: AtomicBool::new(false),
            web_spoke: AtomicBool::new(false),
            web_is_silent: AtomicBool::new(false),
            readers: Mutex::new(Recent::new(OPEN_FILES)),
        });
        known.insert(root.to_owned(), made.clone());
        Ok(made)
    }
}

/// A reader and the identity of the file that it was opened for.
struct Open {
    reader: FileReader,
    etag: String,
}

/// One name node or name service.
pub(crate) struct Hdfs {
    client: Client,
    writing: Writing,
    http: Vec<String>,
    user: Option<String>,
    secure: bool,
    first_patience: Duration,
    options: StoreOptions,
    counters: Arc<Counters>,
    answered: AtomicBool,
    web_spoke: AtomicBool,
    web_is_silent: AtomicBool,
    readers: Mutex<Recent<String, Arc<Open>>>,
}

impl Hdfs {
    async fn status(&self, loc: &Loc) -> Result<FileStatus, StoreError> {
        let path = path(loc);
        self.ask(loc, || self.client.get_file_info(&path)).await
    }

    pub(crate) async fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        let status = self.status(loc).await?;
        if status.isdir {
            return Err(StoreError::IsDirectory { loc: loc.to_string() });
        }
        let info = info(&status);
        let path = path(loc);
        let known = self.kept().get(&path);
        if known.is_some_and(|open| Some(&open.etag) != info.etag.as_ref()) {
            self.kept().forget(|key| *key == path);
        }
        Ok(info)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Recent<String, Arc<Open>>> {
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

    /// Exactly `range` (not empty), and the identity of the file that it came from.
    pub(crate) async fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, Option<String>), StoreError> {
        let attempt = || async {
            let open = self.open(loc).await.map_err(Fault::Final)?;
            let length = open.reader.file_length() as u64;
            if range.end > length {
                return Err(Fault::Final(StoreError::truncated(loc, range, length.saturating_sub(range.start))));
            }
            let wanted = (range.end - range.start) as usize;
            let read = open.reader.read_range(range.start as usize, wanted).await;
            let bytes = read.map_err(|error| {
                // Blocks may have moved: the next attempt asks where they are now.
                self.forget(loc);
                fault(loc, error)
            })?;
            if bytes.len() < wanted {
                self.forget(loc);
                return Err(Fault::Short(StoreError::truncated(loc, range, bytes.len() as u64)));
            }
            Ok((bytes, Some(open.etag.clone())))
        };
        retrying(self.patience(), &self.counters, loc, attempt).await
    }

    /// Gives the bytes of `range` (not empty) to `take` as they come, packet by packet, each with its place in the file;
    /// in order, and each once. A packet is still in the processor's cache then, and is copied nowhere before.
    pub(crate) async fn stream(
        &self,
        loc: &Loc,
        range: Range<u64>,
        take: impl Fn(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<String>, StoreError> {
        let reached = AtomicU64::new(range.start);
        let attempt = || async {
            let open = self.open(loc).await.map_err(Fault::Final)?;
            let (length, at) = (open.reader.file_length() as u64, reached.load(Ordering::Relaxed));
            if range.end > length {
                return Err(Fault::Final(StoreError::truncated(loc, &range, length.saturating_sub(range.start))));
            }
            let mut packets = pin!(open.reader.read_range_stream(at as usize, (range.end - at) as usize));
            while let Some(packet) = packets.next().await {
                // Blocks may have moved: the next attempt asks where they are now, and goes on from here.
                let packet = packet.inspect_err(|_| self.forget(loc)).map_err(|error| fault(loc, error))?;
                let at = reached.fetch_add(packet.len() as u64, Ordering::Relaxed);
                take(at, &packet).map_err(Fault::Final)?;
            }
            match reached.load(Ordering::Relaxed) {
                end if end == range.end => Ok(Some(open.etag.clone())),
                end => {
                    self.forget(loc);
                    Err(Fault::Short(StoreError::truncated(loc, &range, end - range.start)))
                }
            }
        };
        retrying(self.patience(), &self.counters, loc, attempt).await
    }

    pub(crate) async fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        self.forget(loc);
        let length = self.open(loc).await?.reader.file_length() as u64;
        match length {
            0 => Ok(Bytes::new()),
            _ => self.read(loc, &(0..length)).await.map(|(bytes, _)| bytes),
        }
    }

    pub(crate) async fn exists(&self, loc: &Loc) -> Result<bool, StoreError> {
        match self.status(loc).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn is_folder(&self, loc: &Loc) -> Result<bool, StoreError> {
        match self.status(loc).await {
            Ok(status) => Ok(status.isdir),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn entries(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        let status = self.status(dir).await?;
        if !status.isdir {
            return Err(StoreError::Io { loc: dir.to_string(), source: std::io::ErrorKind::NotADirectory.into() });
        }
        let path = path(dir);
        let listed = self.ask(dir, || self.client.list_status(&path, false)).await?;
        let mut all: Vec<Entry> = listed.iter().filter_map(|status| entry(dir, status)).collect();
        all.sort_by(|a, b| a.loc.cmp(&b.loc));
        Ok(all)
    }

    /// Makes the folder; the one above must exist. A folder that is there is fine.
    /// A folder that only its owner can enter, and those above it that are missing.
    pub(crate) async fn create_private_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        let path = path(dir);
        self.ask(dir, || self.client.mkdirs(&path, PRIVATE_MODE, true)).await?;
        self.ask(dir, || self.client.set_permission(&path, PRIVATE_MODE)).await // One that was there already.
    }

    pub(crate) async fn create_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        let path = path(dir);
        match self.ask(dir, || self.client.mkdirs(&path, FOLDER_MODE, false)).await {
            Err(StoreError::AlreadyExists { .. }) if self.is_folder(dir).await? => Ok(()),
            other => other,
        }
    }

    pub(crate) async fn delete(&self, loc: &Loc) -> Result<(), StoreError> {
        match self.status(loc).await {
            Ok(status) if status.isdir => Err(StoreError::IsDirectory { loc: loc.to_string() }),
            Ok(_) => {
                let path = path(loc);
                self.forget(loc);
                self.ask(loc, || self.client.delete(&path, false)).await.map(drop)
            }
            Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn remove_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        if dir.key().is_empty() {
            return Err(StoreError::unsupported(dir, "removing a root folder"));
        }
        match self.status(dir).await {
            Ok(status) if !status.isdir => {
                Err(StoreError::Io { loc: dir.to_string(), source: std::io::ErrorKind::NotADirectory.into() })
            }
            Ok(_) => {
                let path = path(dir);
                self.forget(dir);
                self.ask(dir, || self.client.delete(&path, true)).await.map(drop)
            }
            Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn entry(dir: &Loc, status: &FileStatus) -> Option<Entry> {
    let name = status.path.rsplit('/').next().filter(|name| !name.is_empty() && !name.starts_with(TEMPORARY))?;
    let loc = dir.join(name);
    Some(if status.isdir { Entry::folder(loc) } else { Entry::file(loc, info(status)) })
}

/// The path as the name node takes it.
fn path(loc: &Loc) -> String {
    format!("/{}", loc.key())
}

/// HDFS has no etag; length and time of the last close are as good as it gets.
fn info(status: &FileStatus) -> ObjectInfo {
    ObjectInfo {
        size: status.length as u64,
        etag: Some(format!("h{:x}-{:x}", status.length, status.modification_time)),
        modified_ms: i64::try_from(status.modification_time).ok(),
    }
}
