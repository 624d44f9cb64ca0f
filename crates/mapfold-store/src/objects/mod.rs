//! Object stores: S3, Google Cloud Storage and Azure through object_store, one client for each bucket.
//!
//! What a bucket is not: it has no folders (a folder is where keys begin alike), nothing is renamed, nothing is changed
//! in place. What it has is a put that only one of many wins, and [`Bucket::create`] makes sure of the answer: every
//! such object carries a mark of its writer, so when the answer gets lost, looking at the mark settles who won. A
//! server that ignores the condition is found by a trial before anything is decided on it.

mod build;
mod copy;
#[cfg(test)]
mod double;
mod fault;
mod publish;
mod refusals;
mod role;
mod upload;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Attribute, Attributes, Error, GetOptions, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload,
};
use tokio::sync::OnceCell;

use crate::unique::unique;
use crate::{Entry, Loc, ObjectInfo, Settings, StoreError, StoreOptions};
use build::Made;
pub(crate) use build::aws_credentials;
pub(crate) use fault::fault;
pub(crate) use fault::no_credentials;
use fault::{is_open, may_pass};
pub(crate) use publish::{abandon, publish, uploaded_bytes};
pub(crate) use upload::{Door, UPLOAD_BYTES, UploadFile};

/// The key of the mark; a plain word, since Azure takes no other.
const MARK: &str = "mapfoldwriter";
/// How often a create is sent when nobody knows what became of it.
const CREATES: u32 = 5;
/// How often something is asked that the client does not ask again.
const ASKED: u32 = 5;
/// When it is not asked again any more, however often it was.
const ASKED_FOR: Duration = Duration::from_secs(60);
/// Half of the wait before the second time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Objects from this size on are put in parts.
pub(crate) const PART: usize = 16 << 20;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;

/// The clients of all buckets that were asked for.
#[derive(Default)]
pub(crate) struct Objects(Mutex<HashMap<String, Arc<Bucket>>>);

impl Objects {
    pub(crate) fn bucket(
        &self,
        loc: &Loc,
        settings: &Settings,
        options: &StoreOptions,
    ) -> Result<Arc<Bucket>, StoreError> {
        let root = loc.remote().0;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = known.get(root) {
            return Ok(bucket.clone());
        }
        let made = Arc::new(build::bucket(loc, settings, options)?);
        known.insert(root.to_owned(), made.clone());
        Ok(made)
    }
}

/// The client of one bucket.
pub(crate) struct Bucket {
    root: Loc,
    store: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    signer: Option<Arc<dyn Signer>>,
    foreign: bool,
    honours_conditions: OnceCell<bool>,
}

impl Bucket {
    fn new(root: Loc, made: Made) -> Bucket {
        let Made { store, parts, signer, foreign } = made;
        Bucket { root, store, parts, signer, foreign, honours_conditions: OnceCell::new() }
    }

    /// The way to the object called `key`, to be made of parts.
    pub(crate) fn door(&self, key: &str) -> Result<Door, StoreError> {
        let bad = |e: object_store::path::Error| StoreError::BadUrl { loc: self.root.to_string(), why: e.to_string() };
        Ok(Door { store: self.parts.clone(), path: Path::parse(key).map_err(bad)?, signer: self.signer.clone() })
    }

    /// Whether an object could be put at `loc`: the server keeps its word, and no folder is in its place.
    pub(crate) async fn check_writable(&self, loc: &Loc) -> Result<(), StoreError> {
        self.check_conditions(loc).await?;
        match self.is_folder(loc).await? {
            true => Err(StoreError::IsDirectory { loc: loc.to_string() }),
            false => Ok(()),
        }
    }

    pub(crate) async fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        match self.meta(loc).await {
            Ok(meta) => Ok(info(&meta)),
            Err(StoreError::NotFound { .. }) if self.is_folder(loc).await? => {
                Err(StoreError::IsDirectory { loc: loc.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    async fn meta(&self, loc: &Loc) -> Result<ObjectMeta, StoreError> {
        if loc.key().is_empty() {
            return Err(StoreError::NotFound { loc: loc.to_string() });
        }
        self.store.head(&path(loc)?).await.map_err(|e| fault(loc, &e))
    }

    /// Exactly `range` (not empty), and the identity that came with it.
    pub(crate) async fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, Option<String>), StoreError> {
        let options = GetOptions::new().with_range(Some(range.clone()));
        let answer = match self.store.get_opts(&path(loc)?, options).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.without_range(loc, range, &error).await),
        };
        let (size, etag) = (answer.meta.size, answer.meta.e_tag.clone());
        let bytes = answer.bytes().await.map_err(|e| fault(loc, &e))?;
        if (bytes.len() as u64) < range.end - range.start {
            return Err(StoreError::truncated(loc, range, size.saturating_sub(range.start)));
        }
        Ok((bytes, etag))
    }

    /// Why a range was refused: an object that ends before it is no failure of the server.
    async fn without_range(&self, loc: &Loc, range: &Range<u64>, error: &Error) -> StoreError {
        let known = fault(loc, error);
        if !matches!(known, StoreError::Network { .. }) {
            return known;
        }
        match self.meta(loc).await {
            Ok(meta) if meta.size < range.end => {
                StoreError::truncated(loc, range, meta.size.saturating_sub(range.start))
            }
            _ => known,
        }
    }

    pub(crate) async fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        let answer = self.store.get_opts(&path(loc)?, GetOptions::new()).await.map_err(|e| fault(loc, &e))?;
        answer.bytes().await.map_err(|e| fault(loc, &e))
    }

    pub(crate) async fn put(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        if bytes.len() <= PART {
            let put = self.store.put(&path(loc)?, PutPayload::from_bytes(bytes)).await;
            return put.map(drop).map_err(|e| fault(loc, &e));
        }
        let mut upload = self.upload(loc).await?;
        let sent = send_all(&mut *upload, &bytes).await;
        if sent.is_err() {
            // The first error is the one to tell.
            let _ = upload.abort().await;
        }
        sent.map_err(|e| fault(loc, &e))
    }

    /// An upload in parts of [`PART`] bytes; it appears whole when it is completed.
    pub(crate) async fn upload(&self, loc: &Loc) -> Result<Box<dyn MultipartUpload>, StoreError> {
        self.store.put_multipart(&path(loc)?).await.map_err(|e| fault(loc, &e))
    }

    /// A copy that the server makes.
    pub(crate) async fn copy_within(&self, from: &Loc, to: &Loc) -> Result<(), StoreError> {
        self.store.copy(&path(from)?, &path(to)?).await.map_err(|e| fault(from, &e))
    }

    /// What a refusal means, for those who hold an upload.
    pub(crate) fn fault(loc: &Loc, error: &Error) -> StoreError {
        fault(loc, error)
    }

    /// Puts an object under a name that must be free, and makes sure of the answer.
    pub(crate) async fn create(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        if self.foreign {
            self.check_conditions(loc).await?;
        }
        self.create_sure(loc, bytes).await
    }

    async fn create_sure(&self, loc: &Loc, bytes: Bytes) -> Result<(), StoreError> {
        let (path, mark) = (path(loc)?, unique());
        let exists = || StoreError::AlreadyExists { loc: loc.to_string() };
        let mut last = None;
        for _ in 0..CREATES {
            let error = match self.put_new(&path, bytes.clone(), &mark).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let lost = matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. });
            if !lost && !may_pass(&error) {
                return Err(fault(loc, &error));
            }
            // Refused for being there, or no answer: the mark tells whether it was we.
            match self.mark(&path).await.map_err(|e| fault(loc, &e))? {
                Some(there) if there == mark => return Ok(()),
                Some(_) => return Err(exists()),
                None => last = Some(error),
            }
        }
        Err(last.map_or_else(exists, |error| fault(loc, &error)))
    }

    async fn put_new(&self, path: &Path, bytes: Bytes, mark: &str) -> Result<(), Error> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata(MARK.into()), mark.to_owned().into());
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await.map(drop)
    }

    /// Who wrote the object that is there; empty where that is not known, `None` for no object.
    async fn mark(&self, path: &Path) -> Result<Option<String>, Error> {
        match self.store.get_opts(path, GetOptions::new().with_head(true)).await {
            Ok(answer) => {
                let mark = answer.attributes.get(&Attribute::Metadata(MARK.into()));
                Ok(Some(mark.map(|mark| mark.to_string()).unwrap_or_default()))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tries, once, whether the server keeps the promise of a create; refuses it by name otherwise.
    pub(crate) async fn check_conditions(&self, loc: &Loc) -> Result<(), StoreError> {
        let honours = *self.honours_conditions.get_or_try_init(|| self.try_conditions(loc)).await?;
        match honours {
            true => Ok(()),
            false => Err(StoreError::unsupported(
                &self.root,
                "writing to a server that ignores If-None-Match (put-if-absent; two writers could both win)",
            )),
        }
    }

    async fn try_conditions(&self, loc: &Loc) -> Result<bool, StoreError> {
        let folder = path(&loc.parent().unwrap_or_else(|| loc.clone()))?;
        // Another name each time: an answer that was lost proves nothing.
        let named = || folder.clone().join(format!(".mapfold-trial-{}", unique()));
        again(|| self.try_conditions_at(named())).await.map_err(|e| fault(loc, &e))
    }

    async fn try_conditions_at(&self, path: Path) -> Result<bool, Error> {
        let first = self.put_new(&path, Bytes::from_static(b"1"), "first").await;
        let second = match first {
            Ok(()) => self.put_new(&path, Bytes::from_static(b"2"), "second").await,
            refused => refused, // The client asked twice, since it lost an answer: nobody else knows the name.
        };
        // Litter of a trial is harmless; its name says what it is.
        let _ = again(|| self.store.delete(&path)).await;
        match second {
            Ok(()) => Ok(false),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn exists(&self, loc: &Loc) -> Result<bool, StoreError> {
        match self.meta(loc).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => self.is_folder(loc).await,
            Err(error) => Err(error),
        }
    }

    /// Whether a key begins with this name and a slash.
    pub(crate) async fn is_folder(&self, loc: &Loc) -> Result<bool, StoreError> {
        let here = path(loc)?;
        let first = again(|| async { self.store.list(Some(&here)).next().await.transpose() }).await;
        Ok(first.map_err(|e| fault(loc, &e))?.is_some() || loc.key().is_empty())
    }

    pub(crate) async fn delete(&self, loc: &Loc) -> Result<(), StoreError> {
        let path = path(loc)?;
        match again(|| self.store.delete(&path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(loc, &error)),
        }
    }

    /// Removes every object below `dir`.
    pub(crate) async fn remove_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        if dir.key().is_empty() {
            return Err(StoreError::unsupported(dir, "removing a whole bucket"));
        }
        let here = path(dir)?;
        again(|| self.delete_below(&here)).await.map_err(|e| fault(dir, &e))
    }

    async fn delete_below(&self, dir: &Path) -> Result<(), Error> {
        let listed = self.store.list(Some(dir)).map_ok(|meta| meta.location).boxed();
        let mut deleted = self.store.delete_stream(listed);
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Objects and beginnings of keys directly inside `dir`, sorted by name.
    pub(crate) async fn entries(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        let here = path(dir)?;
        let listed = again(|| self.store.list_with_delimiter(Some(&here))).await.map_err(|e| fault(dir, &e))?;
        let folder = |path: &Path| path.filename().map(|name| Entry::folder(dir.join(name)));
        // Some tools put an empty object in the place of a folder.
        let file = |meta: &ObjectMeta| {
            let name = meta.location.filename().filter(|_| meta.location != here)?;
            Some(Entry::file(dir.join(name), info(meta)))
        };
        let files = listed.objects.iter().filter_map(file);
        let mut all: Vec<Entry> = files.chain(listed.common_prefixes.iter().filter_map(folder)).collect();
        all.sort_by(|a, b| a.loc.cmp(&b.loc));
        Ok(all)
    }

    /// All objects below `dir`, in the order of their keys.
    pub(crate) async fn below(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        let here = path(dir)?;
        let listed = again(|| self.store.list(Some(&here)).try_collect::<Vec<ObjectMeta>>()).await;
        let mut listed = listed.map_err(|e| fault(dir, &e))?;
        listed.retain(|meta| meta.location != here);
        let entry = |meta: &ObjectMeta| Entry::file(self.root.join(meta.location.as_ref()), info(meta));
        let mut all: Vec<Entry> = listed.iter().map(entry).collect();
        all.sort_by(|a, b| a.loc.cmp(&b.loc));
        Ok(all)
    }
}

/// Asks again, after a moment, what the client did not ask again by itself: answers that break off, unless they are the
/// bytes of objects, and orders that it does not know to be harmless when repeated.
async fn again<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    let began = Instant::now();
    for n in 1..ASKED {
        match ask().await {
            Err(error) if is_open(&error) && began.elapsed() < ASKED_FOR => tracing::debug!(%error, "asked again"),
            answer => return answer,
        }
        tokio::time::sleep(FIRST_WAIT * (1 << n)).await;
    }
    ask().await
}

async fn send_all(upload: &mut dyn MultipartUpload, bytes: &Bytes) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes.len().min(start + PART);
        parts.push(upload.put_part(PutPayload::from_bytes(bytes.slice(start..end))));
        start = end;
    }
    futures_util::stream::iter(parts).buffer_unordered(PARTS_AT_ONCE).try_collect::<Vec<()>>().await?;
    upload.complete().await.map(drop)
}

/// The key as object_store takes it: as it stands, nothing encoded.
fn path(loc: &Loc) -> Result<Path, StoreError> {
    let bad = |e: object_store::path::Error| StoreError::BadUrl { loc: loc.to_string(), why: e.to_string() };
    Path::parse(loc.key()).map_err(bad)
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    ObjectInfo { size: meta.size, etag: meta.e_tag.clone(), modified_ms: Some(meta.last_modified.timestamp_millis()) }
}
