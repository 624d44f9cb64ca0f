//! What a file in the making consists of, run after run: lengths and hashes.
//!
//! Not all of its bytes pass through the process that makes it, so their hash as one cannot be had; but each run has one:
//! of a segment that the store copies it is in the log, of what was read it is taken on the way. The list lies beside the
//! file in the work folder, and its own hash is in the manifest. It is asked only when nobody knows whether what lies at
//! the place is this file: then that is read, once.

use crate::streams::hash_of;
use mapfold_plan::hash64;
use mapfold_store::{Loc, StoreError, Stores};
use serde::{Deserialize, Serialize};

/// What a checksum of a list begins with; that of a whole file is only digits.
const LIST: &str = "runs-";

/// Runs of bytes in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Made(Vec<(u64, u64)>);

impl Made {
    /// The run that comes next.
    pub fn add(&mut self, len: u64, hash: u64) {
        self.0.push((len, hash));
    }

    /// Of all runs so far.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(len, _)| len).sum()
    }

    /// Writes the list beside the file `from`, and gives what the manifest says of it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn write(&self, stores: &Stores, from: &Loc) -> Result<String, StoreError> {
        let text = serde_json::to_vec(self).expect("plain values become JSON");
        let checksum = format!("{LIST}{:016x}", hash64(&text));
        stores.put(&list(from), text.into())?;
        Ok(checksum)
    }
}

fn list(from: &Loc) -> Loc {
    from.sibling(&format!("{}.runs", from.name()))
}

/// Whether what lies at `place` is the file `from`, of which the manifest has this checksum.
///
/// # Errors
/// Those of reading.
pub fn is_made(stores: &Stores, from: &Loc, place: &Loc, checksum: &str) -> Result<bool, StoreError> {
    let text = match stores.get(&list(from)) {
        Err(StoreError::NotFound { .. }) => return Ok(false),
        text => text?,
    };
    let Ok(made) = serde_json::from_slice::<Made>(&text) else { return Ok(false) };
    if format!("{LIST}{:016x}", hash64(&text)) != checksum {
        return Ok(false);
    }
    if stores.block_on(stores.head(place))?.size != made.bytes() {
        return Ok(false);
    }
    let mut at = 0;
    for (len, hash) in &made.0 {
        if hash_of(stores, place, at..at + len)? != *hash {
            return Ok(false);
        }
        at += len;
    }
    Ok(true)
}

/// Whether a checksum is that of a list.
pub fn is_list(checksum: &str) -> bool {
    checksum.starts_with(LIST)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_told_from_others_by_its_runs() {
        let (stores, dir) = (Stores::new(), Loc::parse("memory://made/parts").unwrap());
        let (from, place) = (dir.join("whole.1"), dir.join("place"));
        let mut made = Made::default();
        made.add(3, hash64(b"abc"));
        made.add(4, hash64(b"defg"));
        let checksum = made.write(&stores, &from).unwrap();
        assert!(is_list(&checksum) && !is_list("00c0ffee00c0ffee") && made.bytes() == 7);
        for (bytes, same) in [("abcdefg", true), ("abcdefh", false), ("abcdef", false), ("abcdefgh", false)] {
            stores.put(&place, bytes.into()).unwrap();
            assert_eq!(is_made(&stores, &from, &place, &checksum).unwrap(), same, "{bytes}");
        }
        assert!(!is_made(&stores, &from, &place, "runs-0000000000000000").unwrap(), "another list");
        assert!(!is_made(&stores, &dir.join("whole.2"), &place, &checksum).unwrap(), "no list");
    }
}
