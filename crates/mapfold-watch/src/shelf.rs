//! The jobs that this user has run: found by a piece of their id or by their name, and read from their event logs.
//!
//! A log is read to its end each time; a line that cannot be read is counted ([`JobView::unread`]) and passed over, for
//! a history that one bad byte makes unreadable is no history.

use crate::JobView;
use mapfold_coord::events::{JobEvent, event_path, jobs_folder, known_jobs};
use mapfold_coord::{Follow, JobId};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Lines that are read at a time.
const BATCH: usize = 1024;

/// One job in the user's state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name for machines.
    pub id: JobId,
    /// When it was made.
    pub since: SystemTime,
}

/// Why a job was not found.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotFound {
    /// Nothing is called so; the nearest names.
    Nothing(Vec<String>),
    /// Several ids begin so.
    Several(Vec<String>),
    /// There is no job at all.
    Empty,
}

/// All jobs, newest first.
pub fn jobs() -> Vec<Kept> {
    let made = |id: &JobId| {
        // The log grows until the end; its folder's own time is that of its begin, or of the first log.
        let folder = event_path(id)?.parent()?.to_owned();
        let data = std::fs::metadata(folder).ok()?;
        data.created().or_else(|_| data.modified()).ok()
    };
    let mut all: Vec<Kept> = known_jobs()
        .into_iter()
        .filter_map(|id| Some(Kept { id, since: made(&id)? }))
        .filter(|kept| event_path(&kept.id).is_some_and(|p| p.metadata().is_ok_and(|m| m.len() > 0)))
        .collect();
    all.sort_by_key(|kept| Reverse((kept.since, kept.id)));
    all
}

/// The job called `text`: the newest of that name, or the one whose id begins so.
///
/// # Errors
/// [`NotFound`], with what is there instead.
pub fn find(text: &str) -> Result<JobId, NotFound> {
    let all = jobs();
    if all.is_empty() {
        return Err(NotFound::Empty);
    }
    if let Some(kept) = all.iter().find(|kept| name_of(&kept.id).as_deref() == Some(text)) {
        return Ok(kept.id);
    }
    let lower = text.to_ascii_lowercase();
    let hits: Vec<&Kept> =
        all.iter().filter(|kept| !lower.is_empty() && kept.id.to_string().starts_with(&lower)).collect();
    match hits.as_slice() {
        [one] => Ok(one.id),
        [] => Err(NotFound::Nothing(nearest(text, &all))),
        many => Err(NotFound::Several(many.iter().take(5).map(|kept| short(&kept.id.to_string())).collect())),
    }
}

/// Names and ids that are like `text`, at most three.
fn nearest(text: &str, all: &[Kept]) -> Vec<String> {
    let mut words: Vec<String> = all.iter().filter_map(|kept| name_of(&kept.id)).collect();
    words.sort();
    words.dedup();
    words.extend(all.iter().map(|kept| kept.id.to_string()[..text.len().clamp(8, 32)].to_owned()));
    let mut like: Vec<(f64, String)> =
        words.into_iter().map(|w| (strsim::jaro_winkler(text, &w), w)).filter(|(like, _)| *like > 0.75).collect();
    like.sort_by(|a, b| b.0.total_cmp(&a.0));
    like.into_iter().map(|(_, word)| word).take(3).collect()
}

/// The first eight digits of an id: enough to name a job.
pub fn short(id: &str) -> String {
    id.get(..8).unwrap_or(id).to_owned()
}

/// Its name for people, from the first lines of its log.
fn name_of(id: &JobId) -> Option<String> {
    let lines = Follow::open(&event_path(id)?, 0).ok()?.lines(4).ok()?;
    lines.iter().find_map(|line| match line.event()?.event {
        JobEvent::JobStarted { name, .. } => Some(name),
        _ => None,
    })
}

/// A job that is read again and again, each time from where the last reading stopped.
#[derive(Debug)]
pub struct Reading {
    path: PathBuf,
    follow: Follow,
    /// As far as was read.
    pub view: JobView,
}

impl Reading {
    /// The job from the begin of its log.
    ///
    /// # Errors
    /// When there is no log that can be read.
    pub fn open(path: &Path) -> std::io::Result<Reading> {
        let mut reading = Reading::begun(path)?;
        reading.go_on()?;
        Ok(reading)
    }

    fn begun(path: &Path) -> std::io::Result<Reading> {
        Ok(Reading { path: path.to_owned(), follow: Follow::open(path, 0)?, view: JobView::default() })
    }

    /// Reads what was written since; all of it where another log has taken the place of the one read so far.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub fn go_on(&mut self) -> std::io::Result<()> {
        if !self.follow.is_still(&self.path) {
            *self = Reading::begun(&self.path)?;
        }
        loop {
            let lines = self.follow.lines(BATCH)?;
            for line in &lines {
                match line.event() {
                    Some(timed) => self.view.event(timed.at_ms, &timed.event),
                    None => self.view.unread += 1,
                }
            }
            if lines.len() < BATCH {
                return Ok(());
            }
        }
    }
}

/// A job as its log tells it.
///
/// # Errors
/// When its log cannot be read.
pub fn read(id: &JobId) -> std::io::Result<JobView> {
    let path = event_path(id).ok_or_else(|| std::io::Error::other("neither XDG_STATE_HOME nor HOME is set"))?;
    Ok(Reading::open(&path)?.view)
}

/// The folder of a job's logs.
pub fn logs(id: &JobId) -> Option<PathBuf> {
    Some(jobs_folder()?.join(id.to_string()).join("logs"))
}
