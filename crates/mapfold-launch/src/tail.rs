//! The end of a member's log, for reports.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of the end of a log is kept in an [`crate::Exit`].
pub const TAIL_BYTES: u64 = 64 * 1024;

/// The end of what was written to `path` after its first `begin` bytes, from the beginning of a line where there is one.
/// Bytes that are no UTF-8 are replaced. What cannot be read is said in its place.
pub(crate) fn tail(path: &Path, begin: u64) -> String {
    read(path, begin).unwrap_or_else(|e| format!("(the log cannot be read: {e})"))
}

fn read(path: &Path, begin: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let from = begin.max(end.saturating_sub(TAIL_BYTES));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let line = bytes.iter().position(|b| *b == b'\n').filter(|_| from > begin).map_or(0, |at| at + 1);
    Ok(String::from_utf8_lossy(&bytes[line..]).into_owned())
}

/// Reads a log as it grows.
pub(crate) struct Follower {
    path: PathBuf,
    at: u64,
}

impl Follower {
    /// From its begin.
    pub(crate) fn new(path: PathBuf) -> Follower {
        Follower { path, at: 0 }
    }

    /// What was written since, at most 1 MiB of it; nothing where it cannot be read.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        const AT_ONCE: u64 = 1 << 20;
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.at))?;
            file.take(AT_ONCE).read_to_end(&mut bytes)
        });
        self.at += read.unwrap_or_default() as u64;
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_end_begins_with_a_line_and_not_before_this_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&path, &lines).unwrap();
        let end = tail(&path, 0);
        assert!(end.starts_with("line ") && lines.ends_with(&end), "{}", &end[..20]);
        assert!(end.len() as u64 <= TAIL_BYTES && end.len() as u64 > TAIL_BYTES - 20);
        assert_eq!(tail(&path, lines.len() as u64 - 4), "999\n");
        let mut follower = Follower::new(path.clone());
        assert_eq!(follower.read(), lines.as_bytes());
        assert!(follower.read().is_empty());
        std::fs::write(&path, [b"a\xffb".as_slice(), &[b'x'; 10]].concat()).unwrap();
        assert_eq!(tail(&path, 0), "a\u{fffd}bxxxxxxxxxx");
        assert!(tail(&folder.path().join("none"), 0).contains("cannot be read"));
    }
}
