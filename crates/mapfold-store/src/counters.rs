//! What the stores did so far: counted always, because counting is four atomic additions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// A snapshot of the work done through one [`Stores`](crate::Stores).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCounters {
    /// Bytes handed to readers or read to bridge small gaps between ranges.
    pub bytes_read: u64,
    /// Read requests (local reads, HTTP requests), retries included.
    pub requests: u64,
    /// HTTP requests that repeated a failed one.
    pub retries: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// The live counters behind [`StoreCounters`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes_read: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    bytes_written: AtomicU64,
}

impl Counters {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.bytes_written.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StoreCounters {
        StoreCounters {
            bytes_read: self.bytes_read.load(Relaxed),
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
        }
    }
}
