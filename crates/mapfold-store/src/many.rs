//! The same small operation for many objects, several at a time: a request is mostly waiting.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::StoreError;

/// How many at once.
const AT_ONCE: usize = 16;

/// Does it for each, up to 16 at a time, on threads of its own.
///
/// ```
/// use mapfold_store::{Loc, Stores, many};
/// let (stores, dir) = (Stores::new(), Loc::parse("memory://doc/many")?);
/// many(&[1, 2, 3], &|n| stores.put(&dir.join(&format!("{n}")), "x".into()))?;
/// assert_eq!(stores.list(&dir)?.len(), 3);
/// # Ok::<(), mapfold_store::StoreError>(())
/// ```
///
/// # Errors
/// The first one; those that are not begun then are left.
pub fn many<T: Sync>(all: &[T], act: &(dyn Fn(&T) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let serve = || {
        while let Some(one) = all.get(next.fetch_add(1, Relaxed)) {
            if let Err(e) = act(one) {
                next.store(all.len(), Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            }
        }
    };
    std::thread::scope(|s| (0..AT_ONCE.min(all.len())).for_each(|_| drop(s.spawn(serve))));
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
