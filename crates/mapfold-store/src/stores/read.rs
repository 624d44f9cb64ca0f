//! Reading: what a [`Stores::head`] saw, ranges, whole small objects, and where blocks lie.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Inner, ObjectInfo, Stores};
use crate::hdfs::Located;
use crate::remote::Remote;
use crate::runtime::within;
use crate::{Loc, Scheme, StoreError, local, ranges};

/// Requests of one `read_ranges` in flight at once.
const CONCURRENT: usize = 8;
/// Holes that are read along: about what a round trip, or a seek, costs.
const NETWORK_GAP: u64 = 64 << 10;
const LOCAL_GAP: u64 = 16 << 10;

impl Stores {
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
