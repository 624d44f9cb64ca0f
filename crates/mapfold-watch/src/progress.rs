//! The progress bar: one line on stderr, only on a terminal, gone when the job is over.
//!
//! Events only count (a lock and a few additions); a thread of its own draws five times a second, so that 100,000
//! short splits cost nothing and a long one still shows a clock that moves. Off a terminal nothing is drawn, unless
//! the user asked for words (`-v`): then one plain line every ten seconds.
//!
//! ```
//! use mapfold_watch::{Progress, ProgressOptions};
//! let progress = Progress::start(ProgressOptions { quiet: true, ..ProgressOptions::default() });
//! progress.suspend(|| { /* print something: the bar makes room */ });
//! progress.finish();
//! ```

use crate::Meter;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use mapfold_coord::{JobEvent, Subscriber};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How often a plain line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Steps of the bar.
const STEPS: u64 = 1000;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressOptions {
    /// `-q`: nothing at all.
    pub quiet: bool,
    /// `-v`: where stderr is no terminal, one line every ten seconds.
    pub verbose: bool,
}

/// The bar of one job. Clones share it.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    out: Out,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    meter: Meter,
    over: bool,
    drawer: Option<JoinHandle<()>>,
}

/// Where progress goes.
enum Out {
    Nowhere,
    Bar(ProgressBar),
    Lines { out: Mutex<Box<dyn Write + Send>>, every: Duration },
}

impl Progress {
    /// A bar on stderr from now on: its first line is there before this returns.
    pub fn start(options: ProgressOptions) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        match (options.quiet, terminal, options.verbose) {
            (true, _, _) | (false, false, false) => Progress::new(Out::Nowhere),
            (false, true, _) => Progress::bar(ProgressDrawTarget::stderr_with_hz(10), crate::colour_on_stderr()),
            (false, false, true) => Progress::lines(Box::new(std::io::stderr()), LINE_EVERY),
        }
    }

    fn bar(target: ProgressDrawTarget, colour: bool) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(STEPS), target).with_finish(ProgressFinish::AndClear);
        let template = if colour { "[{bar:24.green}] {wide_msg}" } else { "[{bar:24}] {wide_msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress::new(Out::Bar(bar))
    }

    /// One plain line to `out` now and then.
    fn lines(out: Box<dyn Write + Send>, every: Duration) -> Progress {
        Progress::new(Out::Lines { out: Mutex::new(out), every })
    }

    fn new(out: Out) -> Progress {
        let state = State { meter: Meter::default(), over: false, drawer: None };
        let shared = Shared { began: Instant::now(), out, state: Mutex::new(state), wake: Condvar::new() };
        let progress = Progress { shared: Arc::new(shared) };
        progress.shared.start();
        progress
    }

    /// How far the job is now.
    pub fn meter(&self) -> Meter {
        self.shared.state().meter.clone()
    }

    /// Runs `print` while the bar is out of the way: for log lines and warnings on stderr.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.shared.out {
            Out::Bar(bar) => bar.suspend(print),
            _ => print(),
        }
    }

    /// Clears the bar for good. The end of the job does this too.
    pub fn finish(&self) {
        let drawer = {
            let mut state = self.shared.state();
            state.over = true;
            state.drawer.take()
        };
        self.shared.wake.notify_all();
        if let Some(drawer) = drawer {
            // The drawer cannot panic in a way that matters now: the bar is cleared next.
            let _ = drawer.join();
        }
        if let Out::Bar(bar) = &self.shared.out {
            bar.finish_and_clear();
        }
    }
}

impl Subscriber for Progress {
    fn event(&self, event: &JobEvent) {
        self.shared.state().meter.event(event);
        if matches!(event, JobEvent::JobEnded { .. }) {
            self.finish();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counting cannot leave the numbers half changed, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws once and then from a thread of its own, until the job is over or nobody holds the bar.
    fn start(self: &Arc<Self>) {
        let every = match &self.out {
            Out::Nowhere => return,
            Out::Bar(_) => DRAW_EVERY,
            Out::Lines { every, .. } => *every,
        };
        if let Out::Bar(_) = self.out {
            self.draw();
        }
        let weak = Arc::downgrade(self);
        let body = move || {
            while let Some(shared) = weak.upgrade() {
                if shared.pause(every) {
                    return;
                }
                shared.draw();
            }
        };
        // Without a thread there is a bar that stands still: no reason to fail a job.
        self.state().drawer = std::thread::Builder::new().name("progress".to_owned()).spawn(body).ok();
    }

    /// Waits; true when the job is over.
    fn pause(&self, time: Duration) -> bool {
        let state = self.state();
        let waited = self.wake.wait_timeout_while(state, time, |s| !s.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.over
    }

    fn draw(&self) {
        let now = self.began.elapsed().as_secs_f64();
        let (line, part) = {
            let mut state = self.state();
            state.meter.tick(now);
            (state.meter.line(now), state.meter.fraction())
        };
        match &self.out {
            Out::Nowhere => {}
            Out::Bar(bar) => {
                bar.set_message(line);
                bar.set_position((part * STEPS as f64) as u64);
                bar.tick();
            }
            Out::Lines { out, .. } => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                // Nobody reads stderr any more: no reason to fail a job.
                let _ = writeln!(out, "{line}");
            }
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
