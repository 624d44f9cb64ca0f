//! The job of this process, as it is: a subscriber that keeps a [`JobView`] up to date.

use crate::{JobView, RunReport};
use mapfold_coord::events::unix_ms;
use mapfold_coord::{JobEvent, Subscriber};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by who tells (the engine's threads) and who shows (the pages, the report). An event costs a lock and a few
/// additions.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<JobView>>);

impl Live {
    /// Looks at the job. Be quick: events wait meanwhile.
    pub fn look<T>(&self, at: impl FnOnce(&JobView) -> T) -> T {
        at(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to a report what only the events know: skew, bytes and skipped splits of each stage.
    pub fn complete(&self, report: &mut RunReport) {
        self.look(|view| {
            for s in &mut report.stages {
                let Some(seen) = view.stages.get(&mapfold_coord::StageId(s.stage)) else { continue };
                s.split_seconds = seen.spread.skew();
                (s.bytes_read, s.bytes_written, s.skipped) = (seen.bytes_in, seen.bytes_out, seen.skipped);
            }
        });
    }
}

impl Subscriber for Live {
    fn event(&self, event: &JobEvent) {
        // The report is made from this view: it needs no copy in it.
        if !matches!(event, JobEvent::Reported { .. }) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).event(unix_ms(), event);
        }
    }
}
