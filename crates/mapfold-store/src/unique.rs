//! Names that nobody else uses: other processes on this machine and others, and this process later.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A word of letters and digits. Unique by process, time and counter, with 64 random bits for two machines that agree
/// in all of these. Not secret.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let random = RandomState::new().hash_one((number, nanos));
    format!("{:x}x{nanos:x}x{number:x}x{random:016x}", std::process::id())
}
