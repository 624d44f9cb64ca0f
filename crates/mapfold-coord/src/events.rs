//! The event log of a job: what happened, one JSON object per line, oldest first.
//!
//! It is the only source of progress bars, reports, dashboard and history, and it lives in the
//! user's state folder, never beside the output. Losing it loses no result: it is not the commit
//! log. So it never fails a job; where it cannot be written it warns once and goes on without.
//!
//! A job of 10^6 splits must not write 10^6 lines: the first [`SPLIT_LINES`] leases and ends of
//! splits are written one by one, the later ones as one [`JobEvent::SplitsDone`] per stage and
//! half second. Subscribers in process get every event.

mod kinds;
mod sink;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::CoordError;
use crate::ids::JobId;
use sink::Sink;

pub use kinds::{JobEvent, MemberUse, Outcome, TimedEvent};

/// Lines about single splits that one log holds, failures not counted.
pub const SPLIT_LINES: u64 = 10_000;

/// Version of the event log, in its first event. Readers skip events that they do not know; a new version is for
/// an event that is no longer what it was.
pub const VERSION: u32 = 1;

/// Someone in this process who wants to hear of events as they happen. Called on the thread that
/// reports the event: be quick, do not block.
pub trait Subscriber: Send + Sync {
    /// An event happened.
    fn event(&self, event: &JobEvent);
}

/// The writer of one job's event log. Shared by reference between threads.
///
/// ```
/// use mapfold_coord::events::{EventLog, JobEvent, read_events};
/// use mapfold_coord::{Counters, StageId};
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.ndjson");
/// let log = EventLog::open_at(&path);
/// log.emit(&JobEvent::StageDone { stage: StageId(0), seconds: 1.5 });
/// log.end();
/// assert_eq!(read_events(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventLog {
    file: Mutex<Sink>,
    subscribers: RwLock<Vec<Arc<dyn Subscriber>>>,
}

impl EventLog {
    /// The log of a job in the user's state folder. Where that cannot be written: one warning,
    /// then subscribers only.
    #[must_use]
    pub fn open(job: &JobId) -> EventLog {
        match event_path(job) {
            Some(path) => EventLog::open_at(&path),
            None => {
                tracing::warn!("no event log: neither XDG_STATE_HOME nor HOME is set");
                EventLog::nowhere()
            }
        }
    }

    /// The log in this file, appended to when it is there; its folder is made.
    #[must_use]
    pub fn open_at(path: &Path) -> EventLog {
        let log = EventLog::nowhere();
        match create(path) {
            Ok(file) => log.sink().out = Some((BufWriter::new(file), path.to_owned())),
            Err(error) => tracing::warn!("no event log: {}: {error}", path.display()),
        }
        log
    }

    /// Subscribers only, no file.
    #[must_use]
    pub fn nowhere() -> EventLog {
        EventLog { file: Mutex::default(), subscribers: RwLock::default() }
    }

    /// Where the log is written; `None` when it is not.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.sink().out.as_ref().map(|(_, path)| path.clone())
    }

    /// From now on `subscriber` hears of every event.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) {
        self.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    /// Reports an event to subscribers and file.
    pub fn emit(&self, event: &JobEvent) {
        self.tell(event);
        self.sink().take(event);
    }

    /// Passes on an event of another process's log: subscribers hear it, and the file gets it as it is, at its own time.
    pub fn relay(&self, event: &TimedEvent) {
        self.tell(&event.event);
        self.sink().pass_on(event);
    }

    /// Writes out what has waited for half a second. Call it often: a reader of the file sees what happened up to then.
    pub fn tick(&self) {
        self.sink().flush_when_due();
    }

    /// Writes everything out. Also done when the log is dropped.
    pub fn end(&self) {
        self.sink().flush();
    }

    fn tell(&self, event: &JobEvent) {
        for subscriber in self.subscribers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber.event(event);
        }
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.end();
    }
}

/// All events of a log, oldest first. A last line cut short by a crash is left out.
pub fn read_events(path: &Path) -> Result<Vec<TimedEvent>, CoordError> {
    let unreadable = |source| CoordError::Events { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut events = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 || !line.ends_with(b"\n") {
            break;
        }
        let event = serde_json::from_slice(&line).map_err(|error| CoordError::Damaged {
            file: path.display().to_string(),
            why: format!("line {number}: {error}"),
        })?;
        events.push(event);
    }
    Ok(events)
}

/// The folder of all jobs known to this user: `$XDG_STATE_HOME/mapfold/jobs`, by default below
/// `~/.local/state`. `None` when neither variable is set.
#[must_use]
pub fn jobs_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("mapfold/jobs"))
}

/// The event log of one job.
#[must_use]
pub fn event_path(job: &JobId) -> Option<PathBuf> {
    Some(jobs_folder()?.join(job.to_string()).join("events.ndjson"))
}

/// The jobs that have a folder in the user's state folder, in no particular order.
#[must_use]
pub fn known_jobs() -> Vec<JobId> {
    let entries = jobs_folder().and_then(|folder| std::fs::read_dir(folder).ok());
    let names = entries.into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().create(true).append(true).open(path)
}

/// Now, as events have it: milliseconds since 1970, UTC.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
