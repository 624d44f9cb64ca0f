//! Files and folders for their owner only: secrets on their way to another process.

use std::io::{Error, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use bytes::Bytes;

use crate::remote::Remote;
use crate::{Loc, Scheme, StoreError, Stores};

/// What only the owner may do with a folder, and with a file.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// A file of this machine that only its owner, this user, can read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut file = std::fs::File::open(path)?;
    // Asked of the open file, not of its name: nobody can swap it in between.
    let meta = file.metadata()?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::other("it is no file that only this user can read"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Stores {
    /// Makes a folder that only its owner can enter, and the folders above it that are missing. A store without
    /// permissions of single objects keeps it as its bucket is kept.
    ///
    /// # Errors
    /// Those of [`Stores::create_dir`].
    pub fn create_private_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        if dir.scheme() == Scheme::Hdfs
            && let Remote::Hdfs(hdfs) = self.remote(dir)?
        {
            return self.block_on(hdfs.create_private_dir(dir));
        }
        let Some(path) = dir.local_path() else { return self.create_dir(dir) };
        let made = std::fs::DirBuilder::new().recursive(true).mode(FOLDER).create(path);
        let own = made.and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(FOLDER)));
        own.map_err(|source| StoreError::from_io(dir, source))
    }

    /// Writes a new file that only its owner can read; on HDFS only together with [`Stores::create_private_dir`], whose
    /// folder nobody else enters.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`]; else those of [`Stores::put`].
    #[allow(clippy::needless_pass_by_value)] // a store on the network will keep the bytes
    pub fn put_private(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        let Some(path) = loc.local_path() else { return self.create(loc, bytes) };
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE).open(path);
        let written = file.and_then(|mut file| file.write_all(&bytes));
        written.map_err(|source| StoreError::from_io(loc, source))
    }
}
