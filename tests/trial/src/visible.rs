//! A committer that is wrong: every file of an attempt becomes visible when it is written, under a name of its own, as
//! Hadoop's second algorithm did. What an attempt has shown when it dies stays. The kill loop must see it.

use std::path::Path;
use std::time::Duration;

/// Files of one split.
const FILES: u64 = 3;

/// Writes the records of a split, one per line, into files that are seen one after the other.
pub fn write(folder: &Path, split: u64, records: u64, millis: u64) {
    let attempt = crate::harm::noise();
    for n in 0..FILES {
        let ids = (split * records..(split + 1) * records).filter(|id| id % FILES == n);
        let text: String = ids.map(|id| format!("{id}\n")).collect();
        let (hidden, seen) = (format!("_{split}-{n}-{attempt}"), format!("part-{split}-{n}-{attempt}"));
        let written = std::fs::write(folder.join(&hidden), text);
        written
            .and_then(|()| std::fs::rename(folder.join(hidden), folder.join(seen)))
            .expect("a folder that takes files");
        std::thread::sleep(Duration::from_millis(millis));
    }
}
