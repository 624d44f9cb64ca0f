//! Writing: whole objects, working files, and what moves or removes them.

use std::sync::Arc;

use bytes::Bytes;

use super::{Disk, Replace, Stores, no_writing};
use crate::local::{self, LocalFile};
use crate::pieces::PieceFile;
use crate::{Loc, Scheme, StoreError, WorkFile};

impl Stores {
    /// Writes a whole object, replacing what is there; a reader sees the old or the new content. The
    /// folder must exist (in memory it need not).
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], [`StoreError::ReadOnly`], [`StoreError::Denied`], [`StoreError::IsDirectory`].
    pub fn put(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        let len = bytes.len();
        match loc.scheme() {
            Scheme::Local => local::put(loc, &bytes)?,
            Scheme::Memory => self.0.memory.put(loc, &bytes)?,
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.block_on(self.remote(loc)?.put(loc, bytes))?;
            }
            Scheme::Http | Scheme::List => return Err(no_writing(loc)),
        }
        self.wrote(loc, len);
        Ok(())
    }

    /// Writes a whole object under a name that must be free. Of many that try, exactly one succeeds,
    /// and nobody ever sees a part of it: this is what decisions are built on.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`]; else those of [`Stores::put`].
    pub fn create(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        let len = bytes.len();
        match loc.scheme() {
            Scheme::Local => local::create(loc, &bytes)?,
            Scheme::Memory => self.0.memory.create(loc, &bytes)?,
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.block_on(self.remote(loc)?.create(loc, bytes))?;
            }
            Scheme::Http | Scheme::List => return Err(no_writing(loc)),
        }
        self.wrote(loc, len);
        Ok(())
    }

    /// A new, empty working file; an existing file is emptied. In object stores and HDFS it is a folder of pieces that
    /// never change: any number of processes write, each where nobody else does, and nothing is cut.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] over HTTP; else those of [`Stores::put`].
    pub fn create_file(&self, loc: &Loc) -> Result<Arc<dyn WorkFile>, StoreError> {
        let counters = self.0.counters.clone();
        let file: Arc<dyn WorkFile> = match loc.scheme() {
            Scheme::Local => Arc::new(LocalFile::create(loc, counters)?),
            Scheme::Memory => Arc::new(self.0.memory.create_file(loc, counters)?),
            Scheme::Http => return Err(StoreError::unsupported(loc, "a working file over HTTP")),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => Arc::new(PieceFile::create(self, loc)?),
            Scheme::List => return Err(StoreError::is_list(loc)),
        };
        self.forget(loc);
        Ok(file)
    }

    /// An existing file, to be read and changed in place.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Unsupported`] over HTTP.
    pub fn open_file(&self, loc: &Loc) -> Result<Arc<dyn WorkFile>, StoreError> {
        let counters = self.0.counters.clone();
        let file: Arc<dyn WorkFile> = match loc.scheme() {
            Scheme::Local => Arc::new(LocalFile::open(loc, counters)?),
            Scheme::Memory => Arc::new(self.0.memory.open_file(loc, counters)?),
            Scheme::Http => return Err(StoreError::unsupported(loc, "a working file over HTTP")),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => Arc::new(PieceFile::open(self, loc)),
            Scheme::List => return Err(StoreError::is_list(loc)),
        };
        self.forget(loc);
        Ok(file)
    }

    /// Moves a file or a folder within one store; it is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] with [`Replace::Never`], and always where a folder is in the way;
    /// [`StoreError::Unsupported`] between two stores or file systems.
    pub fn rename(&self, from: &Loc, to: &Loc, replace: Replace) -> Result<(), StoreError> {
        match (from.scheme(), to.scheme()) {
            (Scheme::Local, Scheme::Local) => local::rename(from, to, replace)?,
            (Scheme::Memory, Scheme::Memory) => self.0.memory.rename(from, to, replace)?,
            _ if from.same_store(to) => self.block_on(self.remote(to)?.rename(from, to, replace))?,
            _ => {
                return Err(StoreError::unsupported(to, "renaming between stores, or over HTTP,"));
            }
        }
        self.forget(from);
        self.forget(to);
        Ok(())
    }

    /// Exchanges two files or folders of one store in one step where the system can, so that at each moment one of them
    /// is at `to`; else in two, between which nothing is there. It is durable when this returns.
    ///
    /// ```
    /// use mapfold_store::{Loc, Stores};
    /// let (stores, a, b) = (Stores::new(), Loc::parse("memory://doc/a")?, Loc::parse("memory://doc/b")?);
    /// stores.put(&a.join("one"), "1".into())?;
    /// stores.put(&b.join("two"), "2".into())?;
    /// stores.swap(&a, &b)?;
    /// assert!(stores.exists(&b.join("one"))? && stores.exists(&a.join("two"))?);
    /// # Ok::<(), mapfold_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when either is not there; [`StoreError::Unsupported`] between two stores or over HTTP.
    pub fn swap(&self, from: &Loc, to: &Loc) -> Result<(), StoreError> {
        match (from.scheme(), to.scheme()) {
            (Scheme::Local, Scheme::Local) => local::swap(from, to)?,
            (Scheme::Memory, Scheme::Memory) => self.0.memory.swap(from, to)?,
            _ if from.same_store(to) => self.block_on(self.remote(to)?.swap(from, to))?,
            _ => return Err(StoreError::unsupported(to, "exchanging between stores, or over HTTP,")),
        }
        self.forget(from);
        self.forget(to);
        Ok(())
    }

    /// Removes one object; one that is not there is fine.
    ///
    /// # Errors
    /// [`StoreError::Denied`], [`StoreError::IsDirectory`].
    pub fn delete(&self, loc: &Loc) -> Result<(), StoreError> {
        match loc.scheme() {
            Scheme::Local => local::delete(loc)?,
            Scheme::Memory => self.0.memory.delete(loc)?,
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.block_on(self.remote(loc)?.delete(loc))?,
            Scheme::Http | Scheme::List => return Err(no_writing(loc)),
        }
        self.forget(loc);
        Ok(())
    }

    /// Whether a file could be written at `loc`, asked before hours of work: its folder exists and
    /// takes new files, and no folder is in its place. The error names the folder at fault.
    ///
    /// # Errors
    /// [`StoreError::IsDirectory`], [`StoreError::NotFound`], [`StoreError::Denied`],
    /// [`StoreError::ReadOnly`], [`StoreError::Unsupported`].
    pub fn check_writable(&self, loc: &Loc) -> Result<(), StoreError> {
        match loc.scheme() {
            Scheme::Local => local::check_writable(loc),
            Scheme::Memory if self.0.memory.is_folder(loc) => Err(StoreError::IsDirectory { loc: loc.to_string() }),
            Scheme::Memory => Ok(()),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.block_on(self.remote(loc)?.check_writable(loc))
            }
            Scheme::Http | Scheme::List => Err(no_writing(loc)),
        }
    }

    /// The file system of the nearest existing folder; `None` where nobody knows.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn disk(&self, loc: &Loc) -> Result<Option<Disk>, StoreError> {
        match loc.scheme() {
            Scheme::Local => local::disk(loc),
            _ => Ok(None),
        }
    }
}
