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
mod read;
mod spool;
mod write;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdfs_native::Client;
use hdfs_native::client::FileStatus;
use tokio::runtime::Handle;

use crate::counters::Counters;
use crate::recent::Recent;
use crate::{Entry, Loc, ObjectInfo, Settings, StoreError, StoreOptions};
use connect::Writing;
use read::Open;

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

    /// A folder that only its owner can enter, and those above it that are missing.
    pub(crate) async fn create_private_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        let path = path(dir);
        self.ask(dir, || self.client.mkdirs(&path, PRIVATE_MODE, true)).await?;
        self.ask(dir, || self.client.set_permission(&path, PRIVATE_MODE)).await // One that was there already.
    }

    /// Makes the folder; the one above must exist. A folder that is there is fine.
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
