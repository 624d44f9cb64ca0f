//! [`Stores`]: the one door to all stores, chosen by the scheme of the [`Loc`].
//!
//! Bulk reading is async (`head`, `read`, `read_ranges`), because many reads are in flight at once;
//! everything else is sync, because it is rare and its callers are. Local and memory operations never touch
//! the runtime from the sync side; one over the network blocks on it, so it must not be called from async code.
//!
//! What a [`Stores::head`] saw is remembered (a bounded number): a later read of an object that has
//! changed since is [`StoreError::Changed`], never a mixture of two versions.

use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::aws::Aws;
use crate::counters::{Counters, StoreCounters};
use crate::hdfs::{Clusters, Located};
use crate::http::Http;
use crate::local::{self, Local, LocalFile};
use crate::memory::Memory;
use crate::objects::Objects;
use crate::pieces::PieceFile;
use crate::ranges;
use crate::recent::Recent;
use crate::remote::Remote;
use crate::runtime::{LazyRuntime, within};
use crate::{Entry, Loc, Scheme, Settings, StoreError, StoreOptions, WorkFile, list, pattern};

/// Requests of one `read_ranges` in flight at once.
const CONCURRENT: usize = 8;
/// Holes that are read along: about what a round trip, or a seek, costs.
const NETWORK_GAP: u64 = 64 << 10;
const LOCAL_GAP: u64 = 16 << 10;
/// How many identities are remembered (at least).
const SEEN: usize = 4096;

/// Size and identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Length in bytes.
    pub size: u64,
    /// Changes when the content changes; opaque. `None` where a server gives none.
    pub etag: Option<String>,
    /// Last modification, milliseconds since 1970.
    pub modified_ms: Option<i64>,
}

/// A file system, as far as planning needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The same for two places exactly when they share their space (the device number).
    pub id: u64,
    /// Free bytes.
    pub free: u64,
}

/// Whether a rename may take the place of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Fails with [`StoreError::AlreadyExists`], atomically.
    Never,
    /// An existing file is replaced, atomically.
    Allowed,
}

/// The stores of one process (or of one test): a cheap handle to clone and send around.
///
/// Each `Stores` has a `memory://` name space, HTTP clients and I/O threads of its own.
#[derive(Clone, Default)]
pub struct Stores(Arc<Inner>);

struct Inner {
    options: StoreOptions,
    runtime: LazyRuntime,
    local: Local,
    memory: Memory,
    http: Http,
    objects: Objects,
    aws: Aws,
    clusters: Clusters,
    counters: Arc<Counters>,
    seen: Mutex<Recent<Arc<str>, String>>,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            options: StoreOptions::default(),
            runtime: LazyRuntime::default(),
            local: Local::default(),
            memory: Memory::default(),
            http: Http::default(),
            objects: Objects::default(),
            aws: Aws::default(),
            clusters: Clusters::default(),
            counters: Arc::default(),
            seen: Mutex::new(Recent::new(SEEN)),
        }
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stores").field(&self.counters()).finish()
    }
}

impl Stores {
    /// Stores with the options of the environment; an unreadable one is warned about and ignored.
    pub fn new() -> Stores {
        let options = StoreOptions::from_env().unwrap_or_else(|error| {
            tracing::warn!(%error, "ignored");
            StoreOptions::default()
        });
        Stores::with_options(options)
    }

    /// Stores with these options.
    pub fn with_options(options: StoreOptions) -> Stores {
        Stores(Arc::new(Inner { options, ..Inner::default() }))
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.0.options
    }

    pub(crate) fn aws(&self) -> &Aws {
        &self.0.aws
    }

    pub(crate) fn counting(&self) -> &Counters {
        &self.0.counters
    }

    /// Stores with the same options and nothing else in common: for tests of what two processes do.
    pub(crate) fn apart(&self) -> Stores {
        Stores::with_options(self.0.options.clone())
    }

    /// Runs `future` on the I/O threads.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.runtime.get().spawn(future)
    }

    /// Waits for `future` on this thread, which must not run async code already (it would panic).
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.runtime.get().block_on(future)
    }

    /// Size and identity of the object; later reads are held to this identity.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Denied`], [`StoreError::IsDirectory`], [`StoreError::Network`].
    pub async fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        let info = match loc.scheme() {
            Scheme::Local => {
                self.0.counters.request();
                self.blocking(loc, |inner, loc| inner.local.head(loc)).await?
            }
            Scheme::Memory => {
                self.0.counters.request();
                self.0.memory.head(loc)?
            }
            Scheme::Http => {
                let inner = &*self.0;
                let asking = inner.http.head(loc, &inner.options, &inner.counters);
                within(inner.runtime.get().handle(), asking).await?
            }
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.0.counters.request();
                let remote = self.remote(loc)?;
                within(self.0.runtime.get().handle(), remote.head(loc)).await?
            }
            Scheme::List => return Err(StoreError::is_list(loc)),
        };
        self.remember(loc, info.etag.as_deref());
        Ok(info)
    }

    /// Exactly the bytes of `range`. An empty range is no request.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the object ends before; [`StoreError::Changed`] when it is no
    /// longer what [`Stores::head`] saw; [`StoreError::Unsupported`] for a server without ranges.
    pub async fn read(&self, loc: &Loc, range: Range<u64>) -> Result<Bytes, StoreError> {
        check_range(loc, &range)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (bytes, etag) = match loc.scheme() {
            Scheme::Local => {
                self.0.counters.request();
                let reading = self.blocking(loc, move |inner, loc| inner.local.read(loc, &range));
                reading.await.map(|(bytes, info)| (bytes, info.etag))?
            }
            Scheme::Memory => {
                self.0.counters.request();
                self.0.memory.read(loc, &range).map(|(bytes, info)| (bytes, info.etag))?
            }
            Scheme::Http => {
                let inner = &*self.0;
                let asking = inner.http.read(loc, &range, &inner.options, &inner.counters);
                within(inner.runtime.get().handle(), asking).await?
            }
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
                self.0.counters.request();
                let remote = self.remote(loc)?;
                within(self.0.runtime.get().handle(), remote.read(loc, &range)).await?
            }
            Scheme::List => return Err(StoreError::is_list(loc)),
        };
        self.0.counters.read(bytes.len());
        self.check_unchanged(loc, etag)?;
        Ok(bytes)
    }

    /// Exactly the bytes of every range, in input order. Neighbours are read together and up to 8
    /// requests run at once; slices of one request share its memory (at most 8 MiB).
    ///
    /// # Errors
    /// Those of [`Stores::read`]; the first one stops the rest.
    pub async fn read_ranges(&self, loc: &Loc, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        for range in ranges {
            check_range(loc, range)?;
        }
        let gap = match loc.scheme() {
            Scheme::Http | Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => NETWORK_GAP,
            Scheme::Local => LOCAL_GAP,
            Scheme::Memory | Scheme::List => 0,
        };
        let spans = ranges::plan(ranges, gap);
        let mut reads = Vec::with_capacity(spans.len());
        for span in &spans {
            reads.push(self.read(loc, span.range.clone()));
        }
        let answers: Vec<Bytes> = stream::iter(reads).buffered(CONCURRENT).try_collect().await?;
        Ok(ranges::cut(ranges, &spans, &answers))
    }

    /// A whole small object.
    ///
    /// # Errors
    /// Those of [`Stores::read`].
    pub fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        let bytes = match loc.scheme() {
            Scheme::Local => local::get(loc)?,
            Scheme::Memory => self.0.memory.get(loc)?,
            Scheme::Http => {
                let inner = &*self.0;
                self.block_on(inner.http.get(loc, &inner.options, &inner.counters))?
            }
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.block_on(self.remote(loc)?.get(loc))?,
            Scheme::List => return Err(StoreError::is_list(loc)),
        };
        if loc.scheme() != Scheme::Http {
            self.0.counters.request();
        }
        self.0.counters.read(bytes.len());
        Ok(bytes)
    }

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

    /// The hosts that hold the blocks of `range` of a file in HDFS, in the order of the file. Empty where nobody knows:
    /// any other store, or a name node that does not tell.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when no name node is named.
    pub fn hosts_of(&self, loc: &Loc, range: Range<u64>) -> Result<Vec<Located>, StoreError> {
        match loc.scheme() {
            Scheme::Hdfs => match self.remote(loc)? {
                Remote::Hdfs(hdfs) => Ok(self.block_on(hdfs.located(&self.0.http, loc, &range))),
                Remote::Objects(_) => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
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

    /// The settings that remote stores use.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when a file of settings cannot be understood.
    pub fn settings(&self) -> Result<Arc<Settings>, StoreError> {
        match &self.0.options.settings {
            Some(settings) => Ok(settings.clone()),
            None => Settings::of_process(),
        }
    }

    /// The client for a location in an object store or HDFS.
    pub(crate) fn remote(&self, loc: &Loc) -> Result<Remote, StoreError> {
        let inner = &*self.0;
        let settings = self.settings()?;
        if loc.scheme() == Scheme::Hdfs {
            let io = inner.runtime.get().handle();
            let cluster = inner.clusters.of(loc, &settings, &inner.options, &inner.counters, io)?;
            return Ok(Remote::Hdfs(cluster));
        }
        Ok(Remote::Objects(inner.objects.bucket(loc, &settings, &inner.options)?))
    }

    /// What was done so far.
    pub fn counters(&self) -> StoreCounters {
        self.0.counters.snapshot()
    }

    /// Runs a blocking local operation beside the async threads.
    async fn blocking<T, F>(&self, loc: &Loc, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner, &Loc) -> Result<T, StoreError> + Send + 'static,
    {
        let (inner, owned) = (self.0.clone(), loc.clone());
        let running = self.0.runtime.get().spawn_blocking(move || work(&inner, &owned));
        running
            .await
            .unwrap_or_else(|error| Err(StoreError::Io { loc: loc.to_string(), source: std::io::Error::other(error) }))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Recent<Arc<str>, String>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, loc: &Loc, etag: Option<&str>) {
        match etag {
            Some(etag) => self.seen().insert(loc.base().clone(), etag.to_owned()),
            None => self.seen().forget(|key| key == loc.base()),
        }
    }

    pub(crate) fn check_unchanged(&self, loc: &Loc, now: Option<String>) -> Result<(), StoreError> {
        let was = self.seen().get(loc.base());
        match (was, now) {
            (Some(was), Some(now)) if was != now => Err(StoreError::Changed { loc: loc.to_string(), was, now }),
            _ => Ok(()),
        }
    }

    /// Forgets everything known about `loc` and what lies below it.
    pub(crate) fn forget(&self, loc: &Loc) {
        if let Some(path) = loc.local_path() {
            self.0.local.forget(path);
        }
        if loc.scheme() == Scheme::Hdfs
            && let Ok(remote) = self.remote(loc)
        {
            remote.forget(loc);
        }
        let base = loc.base();
        self.seen().forget(|key| {
            let below = key.strip_prefix(&**base);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    }

    pub(crate) fn counters_live(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn wrote(&self, loc: &Loc, bytes: usize) {
        self.0.counters.wrote(bytes);
        self.forget(loc);
    }
}

fn check_range(loc: &Loc, range: &Range<u64>) -> Result<(), StoreError> {
    if range.start <= range.end && range.end < u64::MAX {
        return Ok(());
    }
    Err(StoreError::Io {
        loc: loc.to_string(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("{range:?} is no byte range")),
    })
}

fn no_writing(loc: &Loc) -> StoreError {
    if loc.scheme() == Scheme::List {
        return StoreError::is_list(loc);
    }
    StoreError::unsupported(loc, "writing over HTTP")
}
