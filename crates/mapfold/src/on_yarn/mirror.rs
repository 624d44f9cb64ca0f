//! The event log of a job that runs on a cluster, kept here too while it runs: `mapfold status`, `jobs` and the bar show
//! it as they show a job of this machine.
//!
//! A thread asks the job's page for what is new, twice a second, and hands on what `mapfold scale` has asked here. Where
//! the page cannot be had nothing is shown but what the ResourceManager says, and nothing fails: the whole log comes home
//! with the results ([`super::bring_home`]). The process in the log stays the launcher's: that is the one that can be
//! asked to end from here.

use super::begin_log;
use mapfold_coord::events::{TimedEvent, event_path};
use mapfold_coord::process::Process;
use mapfold_coord::{EventLog, JobEvent, JobId, asks};
use mapfold_launch::yarn::{Asks, Piece, Submitted, new_events};
use mapfold_store::Stores;
use mapfold_watch::{Progress, ProgressOptions};
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the page is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// After so many questions without an answer, seldom.
const IMPATIENT: u32 = 60;
const SELDOM: Duration = Duration::from_secs(5);
/// A piece with so many events is not the last one.
const MANY: usize = 500;

/// Which job, and whose.
#[derive(Clone, Debug)]
pub(super) struct Of {
    pub job: JobId,
    pub name: String,
    pub application: String,
}

impl Of {
    fn begin_log(&self, page: &str) -> EventLog {
        let log = begin_log(&self.job, &self.name, ("application", &self.application));
        log.emit(&JobEvent::Serving { url: page.to_string() });
        log.end();
        log
    }
}

/// The copy of a log, while it grows.
pub(super) struct Mirror(Arc<Shared>);

struct Shared {
    stores: Stores,
    asks: Asks,
    of: Of,
    /// A bar is wanted.
    bar: bool,
    page: Mutex<Option<String>>,
    wake: Condvar,
    copy: Mutex<Copy>,
}

struct Copy {
    log: EventLog,
    progress: Option<Progress>,
    /// Which log is copied; 0 while none is.
    began_ms: u64,
    next: u64,
    over: bool,
}

impl Mirror {
    /// Begins the job's log here, with the application's own page. It is copied once [`Mirror::look_at`] has said from
    /// where.
    pub fn begin(submitted: &Submitted, of: Of, quiet: bool) -> Mirror {
        let log = of.begin_log(&submitted.page());
        let copy = Mutex::new(Copy { log, progress: None, began_ms: 0, next: 0, over: false });
        let bar = !quiet && std::io::stderr().is_terminal();
        let (stores, asks) = (submitted.stores().clone(), submitted.asks());
        let shared = Shared { stores, asks, of, bar, page: Mutex::default(), wake: Condvar::new(), copy };
        let shared = Arc::new(shared);
        let own = shared.clone();
        // Without a thread the job is not seen: no reason to fail it. It is not waited for, an answer may take a minute.
        let _ = std::thread::Builder::new().name("mirror".into()).spawn(move || own.follow());
        Mirror(shared)
    }

    /// Where the job's page is now. Tells whether that is news.
    pub fn look_at(&self, page: Option<&str>) -> bool {
        let mut known = self.0.page();
        let news = page.filter(|page| known.as_deref() != Some(*page));
        if let Some(url) = news {
            let copy = self.0.copy();
            copy.log.emit(&JobEvent::Serving { url: url.to_string() });
            copy.log.end();
        }
        *known = page.map(str::to_string);
        news.is_some()
    }

    /// Whether a bar shows how the job is.
    pub fn shows(&self) -> bool {
        self.0.copy().progress.is_some()
    }

    /// Prints something while the bar makes room.
    pub fn aside(&self, print: impl FnOnce()) {
        match &self.0.copy().progress {
            Some(progress) => progress.suspend(print),
            None => print(),
        }
    }

    /// The log is not copied any more.
    pub fn end(self) -> EventLog {
        let mut copy = self.0.copy();
        copy.over = true;
        if let Some(progress) = copy.progress.take() {
            progress.finish();
        }
        self.0.wake.notify_all();
        std::mem::replace(&mut copy.log, EventLog::nowhere())
    }
}

impl Shared {
    fn copy(&self) -> MutexGuard<'_, Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self) -> MutexGuard<'_, Option<String>> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is over.
    fn follow(&self) {
        let (mut unanswered, mut last) = (0, None);
        while !self.copy().over {
            let page = self.page().clone();
            if page != last {
                unanswered = 1; // Seen anew: it may be another log.
                last.clone_from(&page);
            }
            let more = page.is_some_and(|page| self.look(&page, &mut unanswered));
            self.pass_on_asks();
            if !more {
                self.pause(if unanswered > IMPATIENT { SELDOM } else { ASK_EVERY });
            }
        }
    }

    /// What `mapfold scale` has asked here goes to the coordinator, which answers in the log.
    fn pass_on_asks(&self) {
        let path = event_path(&self.of.job);
        let Some(folder) = path.as_ref().and_then(|path| path.parent()) else { return };
        let Some(members) = asks::members_asked(folder) else { return };
        if let Err(error) = self.asks.put(members) {
            tracing::warn!(%error, "{members} members were asked for, and the job could not be told");
        }
    }

    /// So long at most: the end wakes.
    fn pause(&self, time: Duration) {
        let _ = self.wake.wait_timeout_while(self.copy(), time, |copy| !copy.over);
    }

    /// Takes what is new. Tells whether there is more already.
    fn look(&self, page: &str, unanswered: &mut u32) -> bool {
        // After silence the log may be another one: its begin tells.
        let from = if *unanswered > 0 { 0 } else { self.copy().next };
        let Some(piece) = new_events(&self.stores, page, from) else {
            *unanswered += 1;
            return false;
        };
        *unanswered = 0;
        let mut copy = self.copy();
        if copy.over {
            return false;
        }
        if copy.began_ms != piece.began_ms {
            self.anew(&mut copy, piece.began_ms, page);
        }
        from == copy.next && self.take(&mut copy, piece)
    }

    /// From now on another log is copied: that of the next attempt.
    fn anew(&self, copy: &mut Copy, began_ms: u64, page: &str) {
        if copy.began_ms != 0 {
            let _ = event_path(&self.of.job).map(std::fs::remove_file); // If it stays, the new lines are behind the old.
            copy.log = self.of.begin_log(page);
        }
        (copy.began_ms, copy.next) = (began_ms, 0);
        if let Some(progress) = copy.progress.take() {
            progress.finish();
        }
        if self.bar {
            let progress = Progress::start(ProgressOptions::default());
            copy.log.subscribe(Arc::new(progress.clone()));
            copy.progress = Some(progress);
        }
    }

    fn take(&self, copy: &mut Copy, piece: Piece) -> bool {
        let more = piece.events.len() >= MANY && piece.next > copy.next;
        piece.events.into_iter().filter_map(|event| self.of_here(event)).for_each(|event| copy.log.relay(&event));
        copy.log.end();
        copy.next = piece.next;
        more
    }

    /// An event as it stands in the copy; `None` for what is not so here. How the job ended is told when its results
    /// are here.
    fn of_here(&self, timed: TimedEvent) -> Option<TimedEvent> {
        let event = match timed.event {
            JobEvent::Serving { .. } | JobEvent::Reported { .. } | JobEvent::JobEnded { .. } => return None,
            JobEvent::JobStarted { mut params, version, .. } => {
                params.insert("application".into(), self.of.application.clone().into());
                let (id, name) = (self.of.job, self.of.name.clone());
                JobEvent::JobStarted { id, name, params, process: Process::here(), version }
            }
            other => other,
        };
        Some(TimedEvent { at_ms: timed.at_ms, event })
    }
}
