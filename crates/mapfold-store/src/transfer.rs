//! Copies of whole files between any two stores, piece by piece.
//!
//! A copy appears whole at its target or not at all: local files and HDFS by a rename, objects by completing an upload.
//! Some pieces are read ahead while others are written, so memory is bounded by the number of pieces, not by the size.
//! Within one bucket the server copies. The length is checked at the end, against what the source said at the start.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, PutPayload};

use crate::hdfs::Hdfs;
use crate::objects::{Bucket, PART};
use crate::remote::Remote;
use crate::retry::{Fault, Patience, retrying};
use crate::unique::unique;
use crate::{Loc, Replace, Scheme, StoreError, Stores, WorkFile};

/// Pieces read ahead, and parts sent at once.
const AHEAD: usize = 4;

/// Streams of packets at once.
const STREAMS: usize = 2;

/// Told about bytes as they arrive at the target, negative when an attempt begins again; `false` stops the copy.
pub type Moved<'a> = &'a (dyn Fn(i64) -> bool + Sync);

impl Stores {
    /// Copies one file and returns its length in bytes. The folder of the target must exist where stores have folders.
    /// Up to 8 pieces of 16 MiB are in memory.
    ///
    /// With [`Replace::Never`] nothing that is there is replaced. For objects above 16 MiB that is asked before the
    /// upload and again before it is completed: an object that comes in between is replaced.
    ///
    /// ```
    /// use mapfold_store::{Loc, Replace, Stores};
    /// let (stores, a, b) = (Stores::new(), Loc::parse("memory://a/x")?, Loc::parse("memory://b/y")?);
    /// stores.put(&a, "hello".into())?;
    /// assert_eq!(stores.copy(&a, &b, Replace::Never, &|_| true)?, 5);
    /// # Ok::<(), mapfold_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`]; [`StoreError::Io`] of the kind `Interrupted` when it was told to stop; else those of
    /// reading the one and writing the other.
    pub fn copy(&self, from: &Loc, to: &Loc, replace: Replace, moved: Moved<'_>) -> Result<u64, StoreError> {
        if self.same_object(from, to) {
            return Err(StoreError::AlreadyExists { loc: to.to_string() });
        }
        let size = self.block_on(self.head(from))?.size;
        let free = || match replace == Replace::Never && self.exists(to)? {
            true => Err(StoreError::AlreadyExists { loc: to.to_string() }),
            false => Ok(()),
        };
        free()?;
        match to.scheme() {
            Scheme::Local | Scheme::Memory => self.copy_to_file(from, to, size, replace, moved)?,
            Scheme::Http | Scheme::List => return Err(StoreError::unsupported(to, "writing over HTTP")),
            _ => match self.remote(to)? {
                Remote::Hdfs(hdfs) => self.block_on(self.copy_to_hdfs(&hdfs, from, to, size, replace, moved))?,
                Remote::Objects(bucket) if from.same_store(to) => {
                    self.block_on(bucket.copy_within(from, to))?;
                    go_on(moved, to, size as usize)?;
                }
                Remote::Objects(_) if size <= PART as u64 => self.copy_small(from, to, size, replace, moved)?,
                Remote::Objects(bucket) => self.copy_in_parts(&bucket, from, to, size, moved, &free)?,
            },
        }
        self.forget(to);
        let there = self.block_on(self.head(to))?.size;
        match there == size {
            true => Ok(size),
            false => Err(StoreError::Truncated { loc: to.to_string(), offset: 0, wanted: size, got: there }),
        }
    }

    /// The pieces of a file in order, some read ahead.
    fn pieces<'a>(
        &'a self,
        from: &'a Loc,
        size: u64,
    ) -> impl futures_util::Stream<Item = Result<Bytes, StoreError>> + 'a {
        stream::iter(ranges(size)).map(move |range| self.read(from, range)).buffered(AHEAD)
    }

    fn copy_to_file(
        &self,
        from: &Loc,
        to: &Loc,
        size: u64,
        replace: Replace,
        moved: Moved<'_>,
    ) -> Result<(), StoreError> {
        let temporary = to.sibling(&format!(".mapfold-tmp-{}", unique()));
        let copied = self.copy_to_new_file(from, &temporary, size, moved);
        let placed = copied.and_then(|()| self.rename(&temporary, to, replace));
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = self.delete(&temporary);
        }
        // Nobody asked for the temporary name.
        placed.map_err(|error| match error {
            StoreError::NotFound { loc } if loc == temporary.to_string() => {
                StoreError::NotFound { loc: to.parent().unwrap_or_else(|| to.clone()).to_string() }
            }
            other => other,
        })
    }

    fn copy_to_new_file(&self, from: &Loc, to: &Loc, size: u64, moved: Moved<'_>) -> Result<(), StoreError> {
        let file = self.create_file(to)?;
        if from.scheme() == Scheme::Hdfs {
            self.block_on(self.stream_from_hdfs((from, size), (&*file, to), moved))?;
            return file.sync();
        }
        let written = self.pieces(from, size).try_fold(0, |at, bytes: Bytes| {
            let done = file.write_at(at, &bytes).and_then(|()| go_on(moved, to, bytes.len()));
            std::future::ready(done.map(|()| at + bytes.len() as u64))
        });
        self.block_on(written)?;
        file.sync()
    }

    /// Packets go into the file as they come, from several places of it at once.
    async fn stream_from_hdfs(
        &self,
        (from, size): (&Loc, u64),
        (file, to): (&dyn WorkFile, &Loc),
        moved: Moved<'_>,
    ) -> Result<(), StoreError> {
        let Remote::Hdfs(hdfs) = self.remote(from)? else { return Err(StoreError::unsupported(from, "packets")) };
        let write = |at: u64, bytes: &[u8]| file.write_at(at, bytes).and_then(|()| go_on(moved, to, bytes.len()));
        let streams = stream::iter(ranges(size)).map(|range| {
            let (hdfs, bytes) = (&hdfs, (range.end - range.start) as usize);
            async move {
                self.counting().request();
                let etag = hdfs.stream(from, range, write).await?;
                self.counting().read(bytes);
                self.check_unchanged(from, etag)
            }
        });
        streams.buffer_unordered(STREAMS).try_collect().await
    }

    fn copy_small(
        &self,
        from: &Loc,
        to: &Loc,
        size: u64,
        replace: Replace,
        moved: Moved<'_>,
    ) -> Result<(), StoreError> {
        let bytes = match size {
            0 => Bytes::new(),
            _ => self.block_on(self.read(from, 0..size))?,
        };
        match replace {
            Replace::Never => self.create(to, bytes)?,
            Replace::Allowed => self.put(to, bytes)?,
        }
        go_on(moved, to, size as usize)
    }

    fn copy_in_parts(
        &self,
        bucket: &Arc<Bucket>,
        from: &Loc,
        to: &Loc,
        size: u64,
        moved: Moved<'_>,
        free: &dyn Fn() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut upload = self.block_on(bucket.upload(to))?;
        let sent = self.block_on(self.send_parts(&mut *upload, from, to, size, moved));
        let done = sent.and_then(|()| free()).and_then(|()| {
            let completed = self.block_on(upload.complete());
            completed.map(|_| self.wrote(to, size as usize)).map_err(|e| Bucket::fault(to, &e))
        });
        if done.is_err() {
            // The first error is the one to tell; what stays is an upload that nobody sees.
            let _ = self.block_on(upload.abort());
        }
        done
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        from: &Loc,
        to: &Loc,
        size: u64,
        moved: Moved<'_>,
    ) -> Result<(), StoreError> {
        let mut pieces = Box::pin(self.pieces(from, size));
        let mut sending = FuturesUnordered::new();
        while let Some(bytes) = pieces.try_next().await? {
            let len = bytes.len();
            let part = upload.put_part(PutPayload::from_bytes(bytes));
            sending.push(async move { part.await.map(|()| len) });
            if sending.len() >= AHEAD
                && let Some(sent) = sending.next().await
            {
                go_on(moved, to, sent.map_err(|e| Bucket::fault(to, &e))?)?;
            }
        }
        while let Some(sent) = sending.next().await {
            go_on(moved, to, sent.map_err(|e| Bucket::fault(to, &e))?)?;
        }
        Ok(())
    }

    /// The whole attempt is repeated when its failure may pass: see the module of HDFS.
    async fn copy_to_hdfs(
        &self,
        hdfs: &Arc<Hdfs>,
        from: &Loc,
        to: &Loc,
        size: u64,
        replace: Replace,
        moved: Moved<'_>,
    ) -> Result<(), StoreError> {
        let attempt = || async {
            let temporary = hdfs.temporary(to);
            let told = std::sync::atomic::AtomicI64::new(0);
            let count = |bytes: i64| {
                told.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                moved(bytes)
            };
            match self.stream_to_hdfs(hdfs, from, to, &temporary, size, &count).await {
                Ok(()) => Ok(temporary),
                Err(fault) => {
                    moved(-told.into_inner());
                    let _ = hdfs.delete(&temporary).await;
                    Err(fault)
                }
            }
        };
        let patience = Patience::of(hdfs.write_patience());
        let temporary = retrying(patience, self.counting(), to, attempt).await?;
        let placed = hdfs.rename(&temporary, to, replace).await;
        if placed.is_err() {
            let _ = hdfs.delete(&temporary).await;
        }
        placed
    }

    async fn stream_to_hdfs(
        &self,
        hdfs: &Hdfs,
        from: &Loc,
        to: &Loc,
        temporary: &Loc,
        size: u64,
        moved: Moved<'_>,
    ) -> Result<(), Fault> {
        let of_target = |error| Hdfs::write_fault(to, error);
        let mut writer = hdfs.writer(temporary).await.map_err(of_target)?;
        let mut pieces = Box::pin(self.pieces(from, size));
        while let Some(bytes) = pieces.try_next().await.map_err(Fault::Final)? {
            let len = bytes.len();
            writer.write_bytes(bytes).await.map_err(of_target)?;
            go_on(moved, to, len).map_err(Fault::Final)?;
        }
        writer.close().await.map_err(of_target)
    }
}

fn go_on(moved: Moved<'_>, to: &Loc, bytes: usize) -> Result<(), StoreError> {
    match moved(bytes as i64) {
        true => Ok(()),
        false => Err(StoreError::Io { loc: to.to_string(), source: std::io::ErrorKind::Interrupted.into() }),
    }
}

/// The pieces of a file.
fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    let len = PART as u64;
    (0..size.div_ceil(len)).map(move |n| n * len..size.min((n + 1) * len))
}
