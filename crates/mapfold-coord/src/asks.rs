//! What its user asks of a running job, besides to end: so many members.
//!
//! It is a file in the job's state folder: who may write there is who may send the job's process a signal, and no
//! listener has to tell friend from stranger. The coordinator takes the file away and says in the event log what it made
//! of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const MEMBERS: &str = "members-wanted";
/// No number is longer.
const LONGEST: u64 = 32;

/// Asks the job whose state folder this is for so many members. A question that was not taken yet is forgotten.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use mapfold_coord::asks;
/// asks::ask_members(folder.path(), 4)?;
/// assert_eq!(asks::members_asked(folder.path()), Some(4));
/// assert_eq!(asks::members_asked(folder.path()), None, "it is asked once");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the folder is not there or not this user's.
pub fn ask_members(folder: &Path, members: u32) -> io::Result<()> {
    let draft = folder.join(format!(".{MEMBERS}.{}", std::process::id()));
    fs::write(&draft, format!("{members}\n"))?;
    fs::rename(&draft, folder.join(MEMBERS)).inspect_err(|_| drop(fs::remove_file(&draft)))
}

/// How many members were asked for since the last look. What another user has put there, and what is no number, is
/// passed over.
#[must_use]
pub fn members_asked(folder: &Path) -> Option<u32> {
    let path = folder.join(MEMBERS);
    let file = File::open(&path).ok()?;
    let data = file.metadata().ok()?;
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    fs::remove_file(&path).ok()?;
    let mine = data.is_file() && data.uid() == rustix::process::geteuid().as_raw();
    let asked = read.ok().and_then(|_| text.trim().parse().ok()).filter(|_| mine);
    if asked.is_none() {
        tracing::warn!("{} was not written by `mapfold scale` of this user, and counts for nothing", path.display());
    }
    asked
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn junk_is_taken_away_and_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for junk in ["", "four", "4 5", "-1", "99999999999", "\u{1b}[2J"] {
            fs::write(folder.path().join(MEMBERS), junk).unwrap();
            assert_eq!(members_asked(folder.path()), None, "{junk:?}");
            assert!(!folder.path().join(MEMBERS).exists(), "{junk:?}");
        }
        ask_members(folder.path(), 2).unwrap();
        ask_members(folder.path(), 3).unwrap();
        assert_eq!(members_asked(folder.path()), Some(3), "the last question counts");
    }
}
