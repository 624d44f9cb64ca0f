//! The stores over the network as one: a bucket of an object store, or HDFS.
//!
//! Only what both can do, or refuse by name, is here; [`Stores`](crate::Stores) decides by scheme.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::hdfs::Hdfs;
use crate::objects::Bucket;
use crate::{Entry, Loc, ObjectInfo, Replace, StoreError};

/// The client for one location.
#[derive(Clone)]
pub(crate) enum Remote {
    Objects(Arc<Bucket>),
    Hdfs(Arc<Hdfs>),
}

impl Remote {
    pub(crate) async fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.head(loc).await,
            Remote::Hdfs(hdfs) => hdfs.head(loc).await,
        }
    }

    pub(crate) async fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, Option<String>), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.read(loc, range).await,
            Remote::Hdfs(hdfs) => hdfs.read(loc, range).await,
        }
    }

    pub(crate) async fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.get(loc).await,
            Remote::Hdfs(hdfs) => hdfs.get(loc).await,
        }
    }

    pub(crate) async fn put(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.put(loc, bytes).await,
            Remote::Hdfs(hdfs) => hdfs.put(loc, &bytes).await,
        }
    }

    pub(crate) async fn create(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.create(loc, bytes).await,
            Remote::Hdfs(hdfs) => hdfs.create(loc, &bytes).await,
        }
    }

    pub(crate) async fn exists(&self, loc: &Loc) -> Result<bool, StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.exists(loc).await,
            Remote::Hdfs(hdfs) => hdfs.exists(loc).await,
        }
    }

    pub(crate) async fn is_folder(&self, loc: &Loc) -> Result<bool, StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.is_folder(loc).await,
            Remote::Hdfs(hdfs) => hdfs.is_folder(loc).await,
        }
    }

    pub(crate) async fn delete(&self, loc: &Loc) -> Result<(), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.delete(loc).await,
            Remote::Hdfs(hdfs) => hdfs.delete(loc).await,
        }
    }

    pub(crate) async fn entries(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.entries(dir).await,
            Remote::Hdfs(hdfs) => hdfs.entries(dir).await,
        }
    }

    /// In an object store a folder needs no making.
    pub(crate) async fn create_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        match self {
            Remote::Objects(_) => Ok(()),
            Remote::Hdfs(hdfs) => hdfs.create_dir(dir).await,
        }
    }

    pub(crate) async fn remove_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.remove_dir(dir).await,
            Remote::Hdfs(hdfs) => hdfs.remove_dir(dir).await,
        }
    }

    pub(crate) async fn rename(&self, from: &Loc, to: &Loc, replace: Replace) -> Result<(), StoreError> {
        match self {
            Remote::Objects(_) => Err(StoreError::unsupported(to, "renaming in an object store")),
            Remote::Hdfs(hdfs) => hdfs.rename(from, to, replace).await,
        }
    }

    pub(crate) async fn swap(&self, from: &Loc, to: &Loc) -> Result<(), StoreError> {
        match self {
            Remote::Objects(_) => Err(StoreError::unsupported(to, "exchanging names in an object store")),
            Remote::Hdfs(hdfs) => hdfs.swap(from, to).await,
        }
    }

    pub(crate) async fn check_writable(&self, loc: &Loc) -> Result<(), StoreError> {
        match self {
            Remote::Objects(bucket) => bucket.check_writable(loc).await,
            Remote::Hdfs(hdfs) => hdfs.check_writable(loc).await,
        }
    }

    pub(crate) fn forget(&self, loc: &Loc) {
        if let Remote::Hdfs(hdfs) = self {
            hdfs.forget(loc);
        }
    }
}
