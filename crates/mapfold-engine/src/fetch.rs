//! Reading ahead: the bytes of a split's windows, fetched on the store's runtime before they are needed.
//!
//! A split that waits for a compute thread holds the bytes of its first window; a running one those of the window
//! being computed and of the next. With two leases per thread that is three windows per thread at most, which is
//! what the memory plan counts. No semaphore is shared between splits, so none can starve another.

use bytes::Bytes;
use mapfold_plan::{Error, FetchedFiles, FileEntry, FileId, Need, Place, Result};
use mapfold_store::{StoreError, Stores};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// The bytes of one window.
#[derive(Default)]
pub struct Window {
    pieces: Vec<(FileId, u64, Bytes)>,
}

impl FetchedFiles for Window {
    fn bytes(&self, file: FileId, range: &Range<u64>) -> Result<Bytes> {
        let found = self.pieces.binary_search_by(|p| (p.0, p.1).cmp(&(file, range.start)));
        let piece = found.ok().map(|i| &self.pieces[i].2);
        match piece {
            Some(b) if b.len() as u64 == range.end - range.start => Ok(b.clone()),
            _ => Err(Error::job(format!(
                "bytes {range:?} of file {} were not fetched: the plan did not ask for them",
                file.0
            ))),
        }
    }
}

/// The windows of one split, arriving in order.
pub struct SplitFetch {
    windows: mpsc::Receiver<Result<Window, StoreError>>,
    running: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl SplitFetch {
    /// Begins to fetch the first window; the others follow once [`SplitFetch::begin`] is called.
    pub fn start(stores: &Stores, files: Arc<Vec<FileEntry>>, needs: Vec<Vec<Need>>) -> SplitFetch {
        let (tx, windows) = mpsc::channel(1);
        let running = Arc::new(Notify::new());
        let (gate, stores2) = (running.clone(), stores.clone());
        let task = stores.spawn(async move {
            for (i, need) in needs.into_iter().enumerate() {
                if i == 1 {
                    gate.notified().await;
                }
                let Ok(room) = tx.reserve().await else { return };
                let got = fetch(&stores2, &files, need).await;
                let failed = got.is_err();
                room.send(got);
                if failed {
                    return;
                }
            }
        });
        SplitFetch { windows, running, task }
    }

    /// A compute thread begins with the split.
    pub fn begin(&self) {
        self.running.notify_one();
    }

    /// The next window; waits for it.
    ///
    /// # Errors
    /// When its fetch failed.
    pub fn next(&mut self, at: &Place) -> Result<Window> {
        match self.windows.blocking_recv() {
            Some(got) => got.map_err(|e| Error::from(e).at_place(at.to_string())),
            None => Err(Error::job("reading ahead was stopped")),
        }
    }
}

impl Drop for SplitFetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn fetch(stores: &Stores, files: &[FileEntry], needs: Vec<Need>) -> Result<Window, StoreError> {
    let mut window = Window::default();
    for group in needs.chunk_by(|a, b| a.file == b.file) {
        let file = group[0].file;
        let ranges: Vec<Range<u64>> = group.iter().map(|n| n.range.clone()).collect();
        let got = stores.read_ranges(&files[file.0 as usize].loc, &ranges).await?;
        window.pieces.extend(ranges.into_iter().zip(got).map(|(r, b)| (file, r.start, b)));
    }
    Ok(window)
}
