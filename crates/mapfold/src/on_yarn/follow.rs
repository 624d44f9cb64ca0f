//! The launcher while its application runs: what it tells the user, and how it ends the application when the user wants
//! an end.
#![allow(clippy::print_stderr)] // It says how the application is.

use super::mirror::Mirror;
use super::told;
use crate::{Error, Result};
use mapfold_engine::Cancel;
use mapfold_launch::yarn::{self, App, Outcome, Submitted};
use mapfold_watch::words;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often the ResourceManager is asked how the application is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long an application may take to end when it was asked to.
const END_WITHIN: Duration = Duration::from_secs(30);

/// The launcher while the application runs.
pub(super) struct Follower<'a> {
    pub submitted: &'a Submitted,
    pub cancel: Cancel,
    pub mirror: &'a Mirror,
    pub quiet: bool,
    pub shown: String,
}

impl Follower<'_> {
    /// Until the application is over; what its last attempt left.
    pub fn follow(mut self) -> Result<(App, Option<Outcome>)> {
        self.say(&format!("submitted {}: {}", self.submitted.application, self.submitted.page()));
        let mut asked_to_end: Option<Instant> = None;
        loop {
            let app = self.submitted.app().map_err(told)?;
            if app.is_over() {
                let outcome = self.submitted.outcome(app.attempt).map_err(told)?;
                return Ok((app, outcome));
            }
            self.watch(&app);
            self.show(&app);
            self.end_if_asked(&mut asked_to_end)?;
            self.pause();
        }
    }

    /// Ends the application when the user wants an end; an error when it does not end then.
    fn end_if_asked(&self, asked_to_end: &mut Option<Instant>) -> Result<()> {
        match (self.cancel.signal(), &asked_to_end) {
            (0, _) => {}
            (_, None) => {
                self.submitted.kill().map_err(told)?;
                *asked_to_end = Some(Instant::now());
            }
            (_, Some(since)) if since.elapsed() > END_WITHIN => {
                let what = format!("{} was asked to end and has not ended", self.submitted.application);
                return Err(Error::job(what));
            }
            _ => {}
        }
        Ok(())
    }

    /// Until it is time to ask again, or the user wants an end.
    fn pause(&self) {
        let until = Instant::now() + ASK_EVERY;
        let before = self.cancel.signal();
        while Instant::now() < until && self.cancel.signal() == before {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the job itself is to be seen, from now on.
    fn watch(&self, app: &App) {
        let page = yarn::job_page(app);
        let is_news = self.mirror.look_at(page);
        if let Some(url) = page.filter(|_| is_news && std::io::stderr().is_terminal()) {
            self.say(&format!("watch: {}", words::clean(url)));
        }
    }

    fn show(&mut self, app: &App) {
        let percent = app.progress.round();
        let attempt = if app.attempt > 1 { format!(", attempt {}", app.attempt) } else { String::new() };
        let line = match app.state.as_str() {
            "RUNNING" if self.mirror.shows() => return,
            "RUNNING" if std::io::stderr().is_terminal() => {
                format!("runs: {percent} %, {} containers{attempt}", app.containers)
            }
            "RUNNING" => format!("runs{attempt}"),
            "ACCEPTED" => format!("waits for its queue{attempt}"),
            _ => return,
        };
        if line != self.shown {
            self.say(&line);
            self.shown = line;
        }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.mirror.aside(|| eprintln!("{line}"));
        }
    }
}
