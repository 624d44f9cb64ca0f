//! Where the bytes of an input come from: any thing with a size that can be asked for a range.
//!
//! Why a trait of our own and not `Read`: a split knows which bytes it needs, and often needs them twice (the end of one
//! split is the beginning of the next). Kernels are synchronous; whoever runs them fetches ahead and answers from memory.
//! Deliberately absent: caching and read-ahead, which belong to the engine.

use bytes::Bytes;
use mapfold_plan::{Error, Result};
use mapfold_store::{Loc, Stores};

/// A sized sequence of bytes that can be read at any place.
pub trait Ranges {
    /// What messages call this input: a URL without secrets.
    fn name(&self) -> &str;
    /// Number of bytes.
    fn size(&self) -> u64;
    /// Exactly the bytes `start..start + len`, which lie inside `0..size()`.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    fn read(&self, start: u64, len: usize) -> Result<Bytes>;
}

impl<R: Ranges + ?Sized> Ranges for &R {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        (**self).read(start, len)
    }
}

/// Bytes in memory. Reading is a slice of the same allocation.
///
/// ```
/// use mapfold_records::{InMemory, Ranges};
/// let input = InMemory::new("notes.txt", "one\ntwo\n");
/// assert_eq!((input.size(), &input.read(4, 3)?[..]), (8, &b"two"[..]));
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InMemory {
    name: String,
    bytes: Bytes,
}

impl InMemory {
    /// Bytes, and what messages call them.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> InMemory {
        InMemory { name: name.into(), bytes: bytes.into() }
    }
}

impl Ranges for InMemory {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        let from = usize::try_from(start).unwrap_or(usize::MAX);
        let to = from.checked_add(len).filter(|to| *to <= self.bytes.len());
        let outside = || Error::input(format!("{}: {len} bytes wanted at byte {start}", self.name));
        to.map(|to| self.bytes.slice(from..to)).ok_or_else(outside)
    }
}

/// An object of a store; every read is a request that blocks (not to be called inside an async task).
#[derive(Clone)]
pub struct Stored {
    stores: Stores,
    loc: Loc,
    name: String,
    size: u64,
}

impl Stored {
    /// Asks the store for the size of an object.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn open(stores: &Stores, loc: &Loc) -> Result<Stored> {
        let info = stores.block_on(stores.head(loc))?;
        Ok(Stored { stores: stores.clone(), loc: loc.clone(), name: loc.to_string(), size: info.size })
    }
}

impl Ranges for Stored {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self) -> u64 {
        self.size
    }
    fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        Ok(self.stores.block_on(self.stores.read(&self.loc, start..start + len as u64))?)
    }
}
