//! [`Stores`]: the one door to all stores, chosen by the scheme of the [`Loc`].
//!
//! Bulk reading is async (`head`, `read`, `read_ranges`), because many reads are in flight at once;
//! everything else is sync, because it is rare and its callers are. Local and memory operations never touch
//! the runtime from the sync side; one over the network blocks on it, so it must not be called from async code.
//!
//! What a [`Stores::head`] saw is remembered (a bounded number): a later read of an object that has
//! changed since is [`StoreError::Changed`], never a mixture of two versions.

mod folders;
mod read;
mod write;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::aws::Aws;
use crate::counters::{Counters, StoreCounters};
use crate::hdfs::Clusters;
use crate::http::Http;
use crate::local::Local;
use crate::memory::Memory;
use crate::objects::Objects;
use crate::recent::Recent;
use crate::remote::Remote;
use crate::runtime::LazyRuntime;
use crate::{Loc, Scheme, Settings, StoreError, StoreOptions};

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

    pub(crate) fn counting(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn wrote(&self, loc: &Loc, bytes: usize) {
        self.0.counters.wrote(bytes);
        self.forget(loc);
    }
}

fn no_writing(loc: &Loc) -> StoreError {
    if loc.scheme() == Scheme::List {
        return StoreError::is_list(loc);
    }
    StoreError::unsupported(loc, "writing over HTTP")
}
