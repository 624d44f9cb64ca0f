//! Local files of segments and stored blocks: the scratch folder of a job.
//!
//! One append-only file per exchange and process, and one for the sorted runs of each reducing attempt. The folder is
//! made when the first byte is spilled, and the coordinator removes it when the run ends, however it ends; files of runs have no name from
//! the start, so that not even a killed process leaves them.
//!
//! Deliberately absent: fsync. What is spilled is of no use once this run is over.

use bytes::Bytes;
use mapfold_plan::exchange::SegmentStore;
use mapfold_plan::{Error, Result, ScratchFiles};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder of a job's spilled records.
pub struct Folder {
    path: PathBuf,
    /// Whether it was made, and the files that are open for reading.
    state: Mutex<State>,
    /// Bytes written to it so far.
    written: AtomicU64,
    /// Files of runs so far: each needs a name for a moment.
    runs: AtomicU64,
}

#[derive(Default)]
struct State {
    made: bool,
    open: HashMap<String, Arc<File>>,
    /// Files that every process writes to, at places of its own.
    shared: HashMap<String, Arc<File>>,
}

impl Folder {
    /// A folder that is not there yet.
    pub fn new(path: PathBuf) -> Arc<Folder> {
        Arc::new(Folder { path, state: Mutex::default(), written: AtomicU64::new(0), runs: AtomicU64::new(0) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes spilled so far.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Creates a file in the folder.
    fn create(&self, name: &str) -> Result<File> {
        let mut state = self.state();
        if !state.made {
            std::fs::create_dir_all(&self.path).map_err(|e| self.told(&e))?;
            state.made = true;
        }
        let mut how = OpenOptions::new();
        how.read(true).write(true).create_new(true).open(self.path.join(name)).map_err(|e| self.told(&e))
    }

    /// A file that every process writes to: made by the first, with its whole length.
    fn shared(&self, name: &str, len: u64) -> Result<Arc<File>> {
        if let Some(file) = self.state().shared.get(name) {
            return Ok(file.clone());
        }
        std::fs::create_dir_all(&self.path).map_err(|e| self.told(&e))?;
        let mut how = OpenOptions::new();
        let file = how.read(true).write(true).create(true).truncate(false).open(self.path.join(name));
        let file = file.and_then(|f| f.set_len(len).map(|()| Arc::new(f))).map_err(|e| self.told(&e))?;
        self.state().shared.insert(name.to_string(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str) -> Result<Arc<File>> {
        if let Some(file) = self.state().open.get(name) {
            return Ok(file.clone());
        }
        let plain = Path::new(name).file_name().is_some_and(|n| n == name);
        let opened = if plain { File::open(self.path.join(name)) } else { Err(io::ErrorKind::InvalidInput.into()) };
        let file = Arc::new(opened.map_err(|e| self.told(&e).at_place(name))?);
        self.state().open.insert(name.to_string(), file.clone());
        Ok(file)
    }

    /// An error of a file here, told about the folder and what to do.
    fn told(&self, e: &io::Error) -> Error {
        let at = self.path.parent().unwrap_or(&self.path).display();
        use io::ErrorKind as K;
        if !matches!(e.kind(), K::StorageFull | K::QuotaExceeded | K::FileTooLarge) {
            let what = format!("{at}: what the run keeps for itself cannot be there: {e}");
            return Error::input(what).with_remedy("choose another folder with --scratch").resumable();
        }
        let spilled = mapfold_plan::explain::bytes(self.written());
        Error::input(format!("{at}: no space left for exchanged records and stored blocks, {spilled} are there"))
            .with_remedy("free some space, choose another folder with --scratch, or raise --memory-limit")
            .resumable()
    }
}

impl ScratchFiles for Folder {
    fn write_at(&self, name: &str, len: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        self.shared(name, len)?.write_all_at(bytes, offset).map_err(|e| self.told(&e))?;
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }
}

/// The scratch folder of a job, as the one who removes it: the coordinator's process, for members may die.
pub struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// A folder that is not there yet, and belongs to this job alone.
    pub fn new(path: PathBuf) -> Scratch {
        Scratch { path, keep: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it for a later run.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Removes it and all that is in it.
    pub fn remove(&self) {
        match std::fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{}: spilled records could not be removed: {e}", self.path.display());
            }
            _ => {}
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            self.remove();
        }
    }
}

/// A file that is appended to by many threads: each takes its place first, then writes.
struct Appended {
    folder: Arc<Folder>,
    file: File,
    end: AtomicU64,
}

impl Appended {
    fn new(folder: Arc<Folder>, file: File) -> Appended {
        Appended { folder, file, end: AtomicU64::new(0) }
    }

    fn append(&self, parts: &[&[u8]]) -> Result<u64> {
        let len: u64 = parts.iter().map(|p| p.len() as u64).sum();
        let offset = self.end.fetch_add(len, Relaxed);
        let mut at = offset;
        for part in parts {
            self.file.write_all_at(part, at).map_err(|e| self.folder.told(&e))?;
            at += part.len() as u64;
        }
        self.folder.written.fetch_add(len, Relaxed);
        Ok(offset)
    }
}

fn read(file: &File, range: Range<u64>, told: impl Fn(&io::Error) -> Error) -> Result<Bytes> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start).map_err(|e| told(&e))?;
    Ok(bytes.into())
}

/// The file that one process appends the records of one exchange to; any file of the folder can be read.
pub struct ExchangeFile {
    folder: Arc<Folder>,
    name: String,
    file: Mutex<Option<Arc<Appended>>>,
}

impl ExchangeFile {
    /// A file that is made when it is first written.
    pub fn new(folder: Arc<Folder>, exchange: usize) -> ExchangeFile {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        // A process number may come again while the job runs; with the moment it does not.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let name = format!("exchange-{exchange}-{host}-{}-{:x}", std::process::id(), now.as_nanos());
        ExchangeFile { folder, name, file: Mutex::default() }
    }

    fn file(&self) -> Result<Arc<Appended>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_ref() {
            return Ok(file.clone());
        }
        let made = Arc::new(Appended::new(self.folder.clone(), self.folder.create(&self.name)?));
        *file = Some(made.clone());
        Ok(made)
    }
}

impl SegmentStore for ExchangeFile {
    fn append(&self, parts: &[&[u8]]) -> Result<(String, u64)> {
        Ok((self.name.clone(), self.file()?.append(parts)?))
    }

    fn read(&self, file: &str, range: Range<u64>) -> Result<Bytes> {
        read(self.folder.open(file)?.as_ref(), range, |e| self.folder.told(e).at_place(file))
    }

    fn scratch(&self) -> Result<Box<dyn SegmentStore>> {
        Ok(Box::new(Runs(self.folder.clone(), Mutex::default())))
    }
}

impl ExchangeFile {
    /// Nobody needs its records any more: the space is free again, as far as this process holds it.
    pub fn remove(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.take().is_some()
            && let Err(e) = std::fs::remove_file(self.folder.path.join(&self.name))
        {
            tracing::debug!("{}: records that are not needed stay: {e}", self.name);
        }
        let of_exchange = self.name.splitn(3, '-').take(2).collect::<Vec<_>>().join("-") + "-";
        self.folder.state().open.retain(|name, _| !name.starts_with(&of_exchange));
    }
}

/// The sorted runs of one attempt, in a file without a name.
struct Runs(Arc<Folder>, Mutex<Option<Arc<Appended>>>);

impl Runs {
    fn file(&self) -> Result<Arc<Appended>> {
        let mut file = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_ref() {
            return Ok(file.clone());
        }
        let name = format!("runs-{}-{}", std::process::id(), self.0.runs.fetch_add(1, Relaxed));
        let made = Arc::new(Appended::new(self.0.clone(), self.0.create(&name)?));
        // Without its name it is gone when it is closed.
        std::fs::remove_file(self.0.path.join(&name)).map_err(|e| self.0.told(&e))?;
        *file = Some(made.clone());
        Ok(made)
    }
}

impl SegmentStore for Runs {
    fn append(&self, parts: &[&[u8]]) -> Result<(String, u64)> {
        Ok((String::new(), self.file()?.append(parts)?))
    }

    fn read(&self, _: &str, range: Range<u64>) -> Result<Bytes> {
        read(&self.file()?.file, range, |e| self.0.told(e))
    }

    fn scratch(&self) -> Result<Box<dyn SegmentStore>> {
        Ok(Box::new(Runs(self.0.clone(), Mutex::default())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mapfold-files-{name}-{}", std::process::id()))
    }

    #[test]
    fn what_is_appended_is_read_by_name_and_gone_at_the_end() {
        let path = folder("read");
        let (scratch, made) = (Scratch::new(path.clone()), Folder::new(path.clone()));
        let file = ExchangeFile::new(made.clone(), 3);
        assert!(!path.exists(), "nothing is made before it is needed");
        file.append(&[b"ab", b"c"]).unwrap();
        let (name, at) = file.append(&[b"defg"]).unwrap();
        assert_eq!((at, made.written()), (3, 7));
        assert_eq!(file.read(&name, at + 1..at + 3).unwrap(), "ef");
        assert!(file.read(&name, 5..50).is_err() && file.read("../x", 0..1).is_err() && file.read("x", 0..1).is_err());
        let runs = file.scratch().unwrap();
        let (name, at) = runs.append(&[b"run"]).unwrap();
        assert_eq!(runs.read(&name, at..at + 3).unwrap(), "run");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "runs have no name");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_full_disk_names_the_folder_and_what_to_do() {
        let made = Folder::new(folder("full").join("job"));
        let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
        let e = Appended::new(made, full).append(&[b"some"]).unwrap_err();
        let parent = folder("full");
        assert!(e.what().starts_with(&format!("{}: no space left for exchanged records", parent.display())), "{e}");
        assert!(e.remedy().unwrap().contains("--scratch") && e.is_resumable());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let e = ExchangeFile::new(Folder::new("/proc/nowhere/job".into()), 0).append(&[b"x"]).unwrap_err();
        assert!(e.what().starts_with("/proc/nowhere: "), "{e}");
    }
}
