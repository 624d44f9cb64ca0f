//! Files in the making that become visible in one step, whatever the store: the same words for a rename and for the
//! completion of an upload.
//!
//! | store | while it is made | published by |
//! |---|---|---|
//! | local, memory | a file of the work folder | rename |
//! | HDFS | a file of the work folder, written from its first byte to its last | rename |
//! | S3, Google, Azure | an uncompleted upload at its place, a note in the work folder | completing the upload |
//!
//! Not here: which of them counts. That is decided before anything is published.

use std::sync::Arc;

use crate::hdfs::{STREAM_BYTES, SpoolFile};
use crate::objects::{self, Door, UPLOAD_BYTES, UploadFile};
use crate::remote::Remote;
use crate::{Loc, Replace, Scheme, StoreError, Stores, WorkFile};

impl Stores {
    /// A file that is written from its first byte to its last, and seen at `to` by nobody before [`Stores::publish`].
    /// `loc` is its name in the work folder. It is whole after [`WorkFile::sync`]; dropped before, it is of no use.
    ///
    /// ```
    /// use mapfold_store::{Loc, Replace, Stores};
    /// let stores = Stores::new();
    /// let (made, to) = (Loc::parse("memory://doc/.out.mapfold/parts/a")?, Loc::parse("memory://doc/out")?);
    /// let file = stores.start_file(&made, &to)?;
    /// file.write_at(0, b"all of it")?;
    /// file.sync()?;
    /// assert!(!stores.exists(&to)?);
    /// stores.publish(&made, &to, Replace::Never, &|| Ok(false))?;
    /// assert_eq!(stores.get(&to)?, "all of it");
    /// # Ok::<(), mapfold_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Stores::create_file`].
    pub fn start_file(&self, loc: &Loc, to: &Loc) -> Result<Arc<dyn WorkFile>, StoreError> {
        match to.scheme() {
            s if s.is_objects() => Ok(Arc::new(UploadFile::begin(self, (loc, to), self.door(to, &to.key())?)?)),
            Scheme::Hdfs => match self.remote(loc)? {
                Remote::Hdfs(hdfs) => Ok(Arc::new(SpoolFile::create(self, hdfs, loc)?)),
                Remote::Objects(_) => Err(StoreError::unsupported(to, "a work folder in another store")),
            },
            _ => self.create_file(loc),
        }
    }

    /// Makes what was started under `loc`, and is whole, visible at `to`. It may be repeated: `is_it` is asked whether
    /// what lies at `to` already is the file that was made, where that is not known.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is nothing under `loc` (any more); [`StoreError::AlreadyExists`] with
    /// [`Replace::Never`] when another file is there.
    pub fn publish(
        &self,
        loc: &Loc,
        to: &Loc,
        replace: Replace,
        is_it: &dyn Fn() -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        match to.scheme().is_objects() {
            true => objects::publish(self, (loc, &self.door(to, &to.key())?, to), replace, is_it),
            false => self.rename(loc, to, replace),
        }
    }

    /// Size of the whole upload whose note is at `loc`; `None` when there is none.
    ///
    /// # Errors
    /// Those of reading; a damaged note.
    pub fn uploaded_bytes(&self, loc: &Loc) -> Result<Option<u64>, StoreError> {
        objects::uploaded_bytes(self, loc)
    }

    /// Ends what was started under names in `dir` and never published: uploads that would be paid for and never seen.
    /// Nothing to do where files in the making are files of the work folder.
    ///
    /// # Errors
    /// Those of the store, after all were tried.
    pub fn abandon_uploads(&self, dir: &Loc) -> Result<(), StoreError> {
        match dir.scheme().is_objects() {
            true => objects::abandon(self, dir, &|key| self.door(dir, key)),
            false => Ok(()),
        }
    }

    /// What [`Stores::list`] finds; nothing where there is no such folder.
    pub(crate) fn list_if_there(&self, dir: &Loc) -> Result<Vec<Loc>, StoreError> {
        match self.list(dir) {
            Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
            found => found,
        }
    }

    /// The object called `key` in the bucket of `loc`, to be made of parts.
    pub(crate) fn door(&self, loc: &Loc, key: &str) -> Result<Door, StoreError> {
        let refused = || StoreError::unsupported(loc, "an upload in parts");
        match loc.scheme().is_objects().then(|| self.remote(loc)).ok_or_else(refused)?? {
            Remote::Objects(bucket) => bucket.door(key),
            Remote::Hdfs(_) => Err(refused()),
        }
    }
}

/// Bytes that a file in the making at this place holds in memory, at most.
pub fn buffered_at(loc: &Loc) -> u64 {
    match loc.scheme() {
        s if s.is_objects() => UPLOAD_BYTES,
        Scheme::Hdfs => STREAM_BYTES,
        _ => 0,
    }
}
