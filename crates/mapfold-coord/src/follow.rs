//! Reading an event log while it is written: whole lines only, each with the place where the next one begins.
//!
//! That place is the id by which a reader goes on later, in another process too: a line that was written stays where it
//! is. What this does not do: wait. Whoever follows asks again after a moment.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::events::TimedEvent;

/// One line of an event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bytes from the begin of the log to the begin of the next line: what [`Follow::open`] takes.
    pub end: u64,
    /// One JSON object, without its newline.
    pub text: String,
}

impl Line {
    /// The event; `None` where the line cannot be read.
    #[must_use]
    pub fn event(&self) -> Option<TimedEvent> {
        serde_json::from_str(&self.text).ok()
    }
}

/// A reader of an event log that goes on where it stopped.
///
/// ```
/// # use mapfold_coord::{EventLog, Follow, JobEvent, StageId};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("events.ndjson");
/// let log = EventLog::open_at(&path);
/// log.emit(&JobEvent::StageDone { stage: StageId(0), seconds: 1.0 });
/// log.end();
/// let mut follow = Follow::open(&path, 0)?;
/// let first = follow.lines(10)?;
/// assert_eq!((first.len(), follow.lines(10)?.len()), (1, 0));
///
/// log.emit(&JobEvent::StageDone { stage: StageId(1), seconds: 1.0 });
/// log.end();
/// assert_eq!(follow.lines(10)?.len(), 1);
/// assert_eq!(Follow::open(&path, first[0].end)?.lines(10)?.len(), 1, "from an id on");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Follow {
    lines: BufReader<File>,
    at: u64,
    /// A line that had no end yet.
    partial: Vec<u8>,
}

impl Follow {
    /// From byte `from` on: 0, or the end of a line read earlier.
    ///
    /// # Errors
    /// When the log cannot be opened; when `from` is not where a line begins.
    pub fn open(path: &Path, from: u64) -> io::Result<Follow> {
        let mut file = File::open(path)?;
        if from > 0 {
            let mut before = [0];
            file.seek(SeekFrom::Start(from - 1))?;
            let whole = io::Read::read_exact(&mut file, &mut before).is_ok() && before == *b"\n";
            if !whole {
                let what = format!("no line of {} begins at byte {from}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        }
        Ok(Follow { lines: BufReader::new(file), at: from, partial: Vec::new() })
    }

    /// Whether what is read is still the file of this name: a log may be replaced by another one whole.
    #[must_use]
    pub fn is_still(&self, path: &Path) -> bool {
        let (Ok(here), Ok(there)) = (self.lines.get_ref().metadata(), path.metadata()) else { return true };
        (here.dev(), here.ino()) == (there.dev(), there.ino())
    }

    /// The next lines that are complete, at most so many.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn lines(&mut self, most: usize) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.len() < most {
            let read = self.lines.read_until(b'\n', &mut self.partial)?;
            self.at += read as u64;
            if read == 0 || !self.partial.ends_with(b"\n") {
                break;
            }
            self.partial.pop();
            let text = String::from_utf8_lossy(&self.partial).into_owned();
            self.partial.clear();
            lines.push(Line { end: self.at, text });
        }
        Ok(lines)
    }
}
