//! The local disk: exact positioned reads, and writes that appear whole or not at all.
//!
//! - Read handles are kept open (a bounded number): a scene is read in thousands of small pieces.
//! - `put` and `create` write a temporary file beside the target, sync it, and move it into place;
//!   the folder is synced too, so that a published name survives a power cut.
//! - "Never replace" is `renameat2(NOREPLACE)`, and a hard link where a file system (NFS) lacks it.
//!
//! Folders are not made on the way: a misspelt folder shall be an error, not a new folder.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Access, CWD, RenameFlags};

use crate::counters::Counters;
use crate::recent::Recent;
use crate::{Disk, Entry, Loc, ObjectInfo, Replace, StoreError, WorkFile};

/// Between this many and twice as many read handles stay open.
const OPEN_FILES: usize = 64;
/// Names that begin so are unfinished files of a `put` or `create`; `list` leaves them out.
const TEMPORARY: &str = ".mapfold-tmp-";

/// The local file systems, with the read handles kept open.
pub(crate) struct Local {
    open: Mutex<Recent<Arc<Path>, Arc<File>>>,
}

impl Default for Local {
    fn default() -> Local {
        Local { open: Mutex::new(Recent::new(OPEN_FILES)) }
    }
}

impl Local {
    fn handles(&self) -> std::sync::MutexGuard<'_, Recent<Arc<Path>, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the handles of `path` and of everything below it.
    pub(crate) fn forget(&self, path: &Path) {
        self.handles().forget(|open| open.starts_with(path));
    }

    fn handle(&self, loc: &Loc) -> Result<Arc<File>, StoreError> {
        let key: Arc<Path> = path(loc).into();
        if let Some(file) = self.handles().get(&key) {
            return Ok(file);
        }
        let file = Arc::new(open_for_reading(loc)?);
        self.handles().insert(key, file.clone());
        Ok(file)
    }

    /// Size and identity of what the path names now; a handle of an older file is forgotten.
    pub(crate) fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        let path = path(loc);
        let metadata = fs::metadata(path).map_err(|e| StoreError::from_io(loc, e))?;
        if metadata.is_dir() {
            return Err(is_directory(loc));
        }
        let known = self.handles().get(&path.into());
        if let Some(file) = known {
            let same = file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (metadata.dev(), metadata.ino()));
            if !same {
                self.forget(path);
            }
        }
        Ok(info(&metadata))
    }

    /// Exactly `range`, and the identity of the file it came from.
    pub(crate) fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, ObjectInfo), StoreError> {
        let file = self.handle(loc)?;
        let metadata = file.metadata().map_err(|e| StoreError::from_io(loc, e))?;
        // Asked before anything is allocated: a corrupt offset may ask for exabytes.
        if metadata.is_file() && range.end > metadata.len() {
            return Err(StoreError::truncated(loc, range, metadata.len().saturating_sub(range.start)));
        }
        Ok((read_exact(&file, loc, range)?, info(&metadata)))
    }
}

/// Reads the whole file, past the kept handles.
pub(crate) fn get(loc: &Loc) -> Result<Bytes, StoreError> {
    let bytes = fs::read(path(loc)).map_err(|e| StoreError::from_io(loc, e))?;
    Ok(bytes.into())
}

/// Writes a whole file; readers see the old content or the new one.
pub(crate) fn put(loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
    if path(loc).is_dir() {
        return Err(is_directory(loc));
    }
    publish(loc, bytes, |temporary| fs::rename(temporary, path(loc)))
}

/// Writes a whole file under a name that must be free.
pub(crate) fn create(loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
    publish(loc, bytes, |temporary| rename_new(temporary, path(loc)))
}

fn publish(loc: &Loc, bytes: &Bytes, place: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), StoreError> {
    let work = || -> io::Result<()> {
        let (temporary, mut file) = temporary_beside(path(loc))?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| place(&temporary));
        if written.is_err() {
            // The first error is the one to tell; a left-over is harmless and recognisable.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        sync_folder_of(path(loc))
    };
    work().map_err(|e| StoreError::from_io(loc, e))
}

/// A new file beside `target`, under a name that no other process uses, on any machine.
fn temporary_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let name = format!("{TEMPORARY}{:x}-{nanos:x}-{number:x}", std::process::id());
        let path = target.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (path, file)),
        }
    }
}

/// Moves `from` to `to`, which must not exist; of many that try, one succeeds.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let missing = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(error) => io::Error::from(error),
    };
    if !lacks_feature(&missing) {
        return Err(missing);
    }
    if from.is_dir() {
        // A folder cannot be linked; rename(2) itself refuses to replace a file or a full folder.
        return if to.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) };
    }
    match fs::hard_link(from, to) {
        // Over NFS the answer to a link that worked may get lost: two names then tell the truth.
        Err(error) if fs::metadata(from).map_or(1, |m| m.nlink()) != 2 => return Err(error),
        _ => {}
    }
    fs::remove_file(from)
}

fn lacks_feature(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP))
}

pub(crate) fn rename(from: &Loc, to: &Loc, replace: Replace) -> Result<(), StoreError> {
    let (old, new) = (path(from), path(to));
    let moved = match replace {
        Replace::Allowed => fs::rename(old, new),
        Replace::Never => rename_new(old, new),
    };
    moved.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if old.exists() => StoreError::from_io(to, error),
        io::ErrorKind::NotFound => StoreError::from_io(from, error),
        io::ErrorKind::CrossesDevices => StoreError::unsupported(to, "renaming across file systems"),
        _ => StoreError::from_io(to, error),
    })?;
    sync_folder_of(old).and_then(|()| sync_folder_of(new)).map_err(|e| StoreError::from_io(to, e))
}

/// Exchanges two files or folders.
pub(crate) fn swap(from: &Loc, to: &Loc) -> Result<(), StoreError> {
    let (a, b) = (path(from), path(to));
    let exchanged = match rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Err(error) if lacks_feature(&io::Error::from(error)) => {
            let aside = a.with_extension("aside");
            fs::rename(b, &aside).and_then(|()| fs::rename(a, b)).and_then(|()| fs::rename(&aside, a))
        }
        other => other.map_err(io::Error::from),
    };
    exchanged.map_err(|e| StoreError::from_io(to, e))?;
    sync_folder_of(a).and_then(|()| sync_folder_of(b)).map_err(|e| StoreError::from_io(to, e))
}

pub(crate) fn delete(loc: &Loc) -> Result<(), StoreError> {
    match fs::remove_file(path(loc)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::from_io(loc, error)),
        _ => Ok(()),
    }
}

pub(crate) fn exists(loc: &Loc) -> Result<bool, StoreError> {
    path(loc).try_exists().map_err(|e| StoreError::from_io(loc, e))
}

/// Whether two paths lead to one file, there or not there yet.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    let full = |p: &Path| {
        let folder = p.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(folder).map_or_else(|_| p.to_owned(), |f| f.join(p.file_name().unwrap_or_default()))
    };
    full(a) == full(b)
}

pub(crate) fn list(dir: &Loc) -> Result<Vec<Loc>, StoreError> {
    let names = || -> io::Result<Vec<Loc>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path(dir))? {
            let name = entry?.file_name();
            if !name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
                found.push(Loc::local(path(dir).join(name)));
            }
        }
        found.sort_by(|a, b| a.local_path().cmp(&b.local_path()));
        Ok(found)
    };
    names().map_err(|e| StoreError::from_io(dir, e))
}

/// What is in a folder, with sizes.
pub(crate) fn entries(dir: &Loc) -> Result<Vec<Entry>, StoreError> {
    let entry = |loc: Loc| -> Option<Entry> {
        // Who goes while the folder is read was never there.
        let metadata = fs::symlink_metadata(path(&loc)).ok()?;
        let link = metadata.is_symlink();
        let file = if link { fs::metadata(path(&loc)).ok().filter(Metadata::is_file) } else { None };
        let info = (metadata.is_file()).then(|| info(&metadata)).or(file.as_ref().map(info));
        Some(Entry { loc, folder: metadata.is_dir(), link, info })
    };
    Ok(list(dir)?.into_iter().filter_map(entry).collect())
}

/// Makes the folder; the one above must exist. A folder that is there is fine.
pub(crate) fn create_dir(dir: &Loc) -> Result<(), StoreError> {
    match fs::create_dir(path(dir)) {
        Err(error) if !path(dir).is_dir() => Err(StoreError::from_io(dir, error)),
        Err(_) => Ok(()),
        Ok(()) => sync_folder_of(path(dir)).map_err(|e| StoreError::from_io(dir, e)),
    }
}

pub(crate) fn remove_dir(dir: &Loc) -> Result<(), StoreError> {
    if path(dir).parent().is_none() {
        return Err(StoreError::unsupported(dir, "removing a root folder"));
    }
    match fs::remove_dir_all(path(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::from_io(dir, error)),
        _ => Ok(()),
    }
}

/// Bytes that this user may still write on the file system of the nearest existing folder.
pub(crate) fn disk(loc: &Loc) -> Result<Option<Disk>, StoreError> {
    let absolute = std::path::absolute(path(loc)).map_err(|e| StoreError::from_io(loc, e))?;
    let Some(there) = absolute.ancestors().find(|path| path.exists()) else {
        return Ok(None);
    };
    let stats = rustix::fs::statvfs(there).map_err(|e| StoreError::from_io(loc, e.into()))?;
    let id = there.metadata().map_err(|e| StoreError::from_io(loc, e))?.dev();
    Ok(Some(Disk { id, free: stats.f_bavail.saturating_mul(stats.f_frsize) }))
}

/// Whether a file could be put at `loc`: its folder exists and takes new files.
pub(crate) fn check_writable(loc: &Loc) -> Result<(), StoreError> {
    if path(loc).is_dir() {
        return Err(is_directory(loc));
    }
    let folder = loc.parent().unwrap_or_else(|| loc.clone());
    let metadata = fs::metadata(path(&folder)).map_err(|e| StoreError::from_io(&folder, e))?;
    if !metadata.is_dir() {
        return Err(StoreError::from_io(&folder, io::ErrorKind::NotADirectory.into()));
    }
    rustix::fs::access(path(&folder), Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|e| StoreError::from_io(&folder, e.into()))
}

/// A working file on the local disk.
pub(crate) struct LocalFile {
    loc: Loc,
    file: File,
    counters: Arc<Counters>,
}

impl LocalFile {
    pub(crate) fn create(loc: &Loc, counters: Arc<Counters>) -> Result<LocalFile, StoreError> {
        LocalFile::open_with(loc, counters, OpenOptions::new().create(true).truncate(true))
    }

    pub(crate) fn open(loc: &Loc, counters: Arc<Counters>) -> Result<LocalFile, StoreError> {
        LocalFile::open_with(loc, counters, &mut OpenOptions::new())
    }

    fn open_with(loc: &Loc, counters: Arc<Counters>, options: &mut OpenOptions) -> Result<LocalFile, StoreError> {
        let opened = options.read(true).write(true).open(path(loc));
        Ok(LocalFile { loc: loc.without_fragment(), file: opened.map_err(|e| StoreError::from_io(loc, e))?, counters })
    }

    fn error(&self, error: io::Error) -> StoreError {
        StoreError::from_io(&self.loc, error)
    }
}

impl WorkFile for LocalFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all_at(bytes, offset).map_err(|e| self.error(e))?;
        self.counters.wrote(bytes.len());
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let range = offset..offset.saturating_add(len as u64);
        let size = self.len()?;
        if range.end > size {
            return Err(StoreError::truncated(&self.loc, &range, size.saturating_sub(offset)));
        }
        let bytes = read_exact(&self.file, &self.loc, &range)?;
        self.counters.request();
        self.counters.read(len);
        Ok(bytes)
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(self.file.metadata().map_err(|e| self.error(e))?.len())
    }

    fn set_len(&self, len: u64) -> Result<(), StoreError> {
        self.file.set_len(len).map_err(|e| self.error(e))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|e| self.error(e))
    }

    fn copy_from(&self, src: &dyn WorkFile, src_offset: u64, dst_offset: u64, len: u64) -> Result<(), StoreError> {
        let done = match src.as_local() {
            Some(file) => self.copy_in_kernel(file, src_offset, dst_offset, len)?,
            None => 0,
        };
        crate::work_file::copy_buffered(self, src, src_offset + done, dst_offset + done, len - done)
    }

    #[cfg(target_os = "linux")]
    fn insert_front(&self, len: u64) -> Result<bool, StoreError> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(&self.file, FallocateFlags::INSERT_RANGE, 0, len) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => return Err(self.error(error.into())),
                Err(_) => return Ok(false),
            }
        }
    }

    fn loc(&self) -> &Loc {
        &self.loc
    }

    fn as_local(&self) -> Option<&File> {
        Some(&self.file)
    }
}

impl LocalFile {
    /// Copies as much as the kernel will do and returns how much; the rest is for the buffered copy,
    /// which also finds out why the kernel stopped.
    #[cfg(target_os = "linux")]
    fn copy_in_kernel(&self, src: &File, src_offset: u64, dst_offset: u64, len: u64) -> Result<u64, StoreError> {
        use rustix::io::Errno;
        let (mut from, mut to) = (src_offset, dst_offset);
        while to - dst_offset < len {
            let left = (len - (to - dst_offset)).min(1 << 30) as usize;
            match rustix::fs::copy_file_range(src, Some(&mut from), &self.file, Some(&mut to), left) {
                Ok(0) => break,
                Ok(copied) => self.counters.wrote(copied),
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
                    return Err(self.error(error.into()));
                }
                Err(_) => break,
            }
        }
        Ok(to - dst_offset)
    }

    #[cfg(not(target_os = "linux"))]
    fn copy_in_kernel(&self, _: &File, _: u64, _: u64, _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Reads `range` into memory that nobody zeroed first.
fn read_exact(file: &File, loc: &Loc, range: &Range<u64>) -> Result<Bytes, StoreError> {
    let wanted = (range.end - range.start) as usize;
    let mut bytes: Vec<u8> = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let offset = range.start + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), offset) {
            Ok(0) => return Err(StoreError::truncated(loc, range, bytes.len() as u64)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(StoreError::from_io(loc, error.into())),
        }
    }
    // The allocator may give more room than asked for, and the read may have filled it.
    bytes.truncate(wanted);
    Ok(bytes.into())
}

fn open_for_reading(loc: &Loc) -> Result<File, StoreError> {
    let file = File::open(path(loc)).map_err(|e| StoreError::from_io(loc, e))?;
    let metadata = file.metadata().map_err(|e| StoreError::from_io(loc, e))?;
    if metadata.is_dir() {
        return Err(is_directory(loc));
    }
    Ok(file)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Ok(()),
    };
    match File::open(folder)?.sync_all() {
        // Some file systems cannot sync a folder; they have nothing to sync then.
        Err(error) if lacks_feature(&error) => Ok(()),
        other => other,
    }
}

fn info(metadata: &Metadata) -> ObjectInfo {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    ObjectInfo {
        size: metadata.len(),
        etag: Some(format!("{:x}-{:x}-{seconds:x}.{nanos:x}", metadata.ino(), metadata.len())),
        modified_ms: metadata.modified().ok().and_then(millis),
    }
}

/// Milliseconds since 1970, negative before.
pub(crate) fn millis(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis()).ok().map(|ms| -ms),
    }
}

fn is_directory(loc: &Loc) -> StoreError {
    StoreError::IsDirectory { loc: loc.to_string() }
}

/// The path of a location that is known to be local; any other has none and is never sent here.
fn path(loc: &Loc) -> &Path {
    loc.local_path().unwrap_or_else(|| Path::new(""))
}
