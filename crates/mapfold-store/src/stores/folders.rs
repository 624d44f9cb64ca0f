//! Names: what is there, what lies in a folder, and what an input with a pattern or a list means.

use super::{Stores, no_writing};
use crate::remote::Remote;
use crate::{Entry, Loc, Scheme, StoreError, list, local, pattern};

impl Stores {
    /// Whether two locations are one object: the same text, or local paths that lead to one file (`./a`, links).
    /// A file that is not there yet is where its folder says. Fragments do not count.
    ///
    /// ```
    /// use mapfold_store::{Loc, Stores};
    /// let same = |a: &str, b: &str| Stores::new().same_object(&Loc::parse(a).unwrap(), &Loc::parse(b).unwrap());
    /// assert!(same("new.tif", "./new.tif#B04") && same("https://host/a.tif", "https://host/a.tif"));
    /// assert!(!same("new.tif", "other.tif") && !same("a.tif", "https://host/a.tif"));
    /// ```
    pub fn same_object(&self, a: &Loc, b: &Loc) -> bool {
        match (a.local_path(), b.local_path()) {
            (Some(a), Some(b)) => local::same_file(a, b),
            _ => a.base() == b.base(),
        }
    }

    /// Whether a file or a folder is there.
    ///
    /// # Errors
    /// [`StoreError::Denied`] or [`StoreError::Network`] when that cannot be known.
    pub fn exists(&self, loc: &Loc) -> Result<bool, StoreError> {
        match loc.scheme() {
            Scheme::Local => local::exists(loc),
            Scheme::Memory => Ok(self.0.memory.exists(loc)),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.block_on(self.remote(loc)?.exists(loc)),
            Scheme::Http => match self.block_on(self.head(loc)) {
                Ok(_) => Ok(true),
                Err(StoreError::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            },
            Scheme::List => Err(StoreError::is_list(loc)),
        }
    }

    /// Whether a folder is there; a link to one counts when `links` are followed.
    pub fn is_folder(&self, loc: &Loc, links: bool) -> bool {
        match loc.local_path() {
            Some(path) if links => path.is_dir(),
            Some(path) => path.symlink_metadata().is_ok_and(|m| m.is_dir()),
            None if loc.scheme().is_remote() => {
                self.remote(loc).is_ok_and(|remote| self.block_on(remote.is_folder(loc)).unwrap_or_default())
            }
            None => loc.scheme() == Scheme::Memory && self.0.memory.is_folder(loc),
        }
    }

    /// Files and folders directly inside `dir`, sorted by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a folder that is not there. In an object store such a folder is an empty one.
    pub fn list(&self, dir: &Loc) -> Result<Vec<Loc>, StoreError> {
        match dir.scheme() {
            Scheme::Local => local::list(dir),
            Scheme::Memory => self.0.memory.list(dir),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                let mut all: Vec<Loc> = self.entries(dir)?.into_iter().map(|entry| entry.loc).collect();
                all.dedup();
                Ok(all)
            }
            Scheme::Http => Err(StoreError::unsupported(dir, "listing a folder over HTTP")),
            Scheme::List => Err(StoreError::is_list(dir)),
        }
    }

    /// What is directly inside `dir`, with sizes, sorted by name. In an object store one name may be a file and a
    /// folder, and is listed twice.
    ///
    /// # Errors
    /// Those of [`Stores::list`].
    pub fn entries(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        match dir.scheme() {
            Scheme::Local => local::entries(dir),
            Scheme::Memory => self.0.memory.entries(dir),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.block_on(self.remote(dir)?.entries(dir)),
            Scheme::Http => Err(StoreError::unsupported(dir, "listing a folder over HTTP")),
            Scheme::List => Err(StoreError::is_list(dir)),
        }
    }

    /// All files below `dir`, at any depth, in the order of their texts. Links are not followed.
    ///
    /// # Errors
    /// Those of [`Stores::list`].
    pub fn below(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        if dir.scheme().is_objects()
            && let Remote::Objects(bucket) = self.remote(dir)?
        {
            return self.block_on(bucket.below(dir));
        }
        let mut files = Vec::new();
        let mut folders = vec![dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in self.entries(&folder)? {
                match entry.folder {
                    true => folders.push(entry.loc),
                    false => files.push(entry),
                }
            }
        }
        files.sort_by(|a, b| a.loc.cmp(&b.loc));
        Ok(files)
    }

    /// The files that an input names: those of a list (`@FILE`, in its order), those that match a pattern (sorted by
    /// the bytes of their names), else `loc` itself, which is not looked for. Fragments are kept. A path that exists
    /// by its very name is that path, whatever signs are in it.
    ///
    /// # Errors
    /// [`StoreError::NoMatch`] when it names nothing, [`StoreError::BadList`] for a list that cannot be understood,
    /// [`StoreError::CannotList`] for a pattern over HTTP.
    pub fn expand(&self, loc: &Loc) -> Result<Vec<Loc>, StoreError> {
        match loc.listed() {
            Some(file) => list::entries(self, loc, &file?),
            None if loc.is_pattern() => pattern::matches(self, loc),
            None => Ok(vec![loc.clone()]),
        }
    }

    /// Makes a folder; one that is there is fine, the one above must exist (in memory it need not).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::AlreadyExists`] (a file), [`StoreError::Denied`].
    pub fn create_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        match dir.scheme() {
            Scheme::Local => local::create_dir(dir),
            Scheme::Memory => self.0.memory.create_dir(dir),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.block_on(self.remote(dir)?.create_dir(dir)),
            Scheme::Http | Scheme::List => Err(no_writing(dir)),
        }
    }

    /// Makes a folder and those above it that are missing; where a store has no folders, nothing.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] or [`StoreError::Io`] where a file is in the way, [`StoreError::Denied`].
    pub fn create_dirs(&self, dir: &Loc) -> Result<(), StoreError> {
        if !self.abilities(dir).folders {
            return Ok(());
        }
        match (self.create_dir(dir), dir.parent()) {
            (Err(StoreError::NotFound { .. }), Some(above)) if above != *dir => {
                self.create_dirs(&above)?;
                self.create_dir(dir)
            }
            (made, _) => made,
        }
    }

    /// Removes a folder and everything in it; one that is not there is fine.
    ///
    /// # Errors
    /// [`StoreError::Denied`]; [`StoreError::Io`] when it is a file.
    pub fn remove_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        match dir.scheme() {
            Scheme::Local => local::remove_dir(dir)?,
            Scheme::Memory => self.0.memory.remove_dir(dir)?,
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.block_on(self.remote(dir)?.remove_dir(dir))?;
            }
            Scheme::Http | Scheme::List => return Err(no_writing(dir)),
        }
        self.forget(dir);
        Ok(())
    }
}
