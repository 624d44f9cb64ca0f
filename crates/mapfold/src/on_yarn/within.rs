//! What differs in the coordinator of a job on YARN, which runs in the container of the application master: where its
//! secret and its settings come from, where it listens, who hears of its progress, and how it is asked for more or fewer
//! members.

use super::{member_room, told};
use crate::args::RunArgs;
use crate::{Error, Result};
use mapfold_coord::events::event_path;
use mapfold_coord::{JobEvent, JobId, Subscriber, asks};
use mapfold_engine::{Meeting, RunOptions};
use mapfold_launch::yarn::{self, Asks, Yarn, container_mib};
use mapfold_store::Settings;
use mapfold_watch::Live;
use mapfold_wire::Token;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the job's folder on the cluster is looked at for what its user asks.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What differs in the coordinator of an application: its attempt, who hears of its progress.
pub(crate) fn settle_in(job: &JobId, opts: &mut RunOptions) {
    if !Yarn::is_within() {
        return;
    }
    let attempt: u32 = std::env::var("MAPFOLD_ATTEMPT").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    if attempt > 1 {
        tracing::warn!("attempt {attempt} of this application: it goes on where the one before ended");
        opts.resume = true;
    }
    opts.events.subscribe(Arc::new(Teller { live: Live::default(), told: Mutex::default() }));
    if opts.least_workers.is_some() {
        hear_asks(job);
    }
}

/// What `mapfold scale` asks comes from the launcher in a file of the job's folder on the cluster, and goes on as if it
/// had been asked here.
fn hear_asks(job: &JobId) {
    let (Some(mut asks), Some(path)) = (Asks::of_this_job(), event_path(job)) else { return };
    let hear = move || {
        loop {
            std::thread::sleep(ASKED_EVERY);
            let Some(members) = asks.news() else { continue };
            if let Some(Err(error)) = path.parent().map(|folder| asks::ask_members(folder, members)) {
                tracing::warn!(%error, "{members} members were asked for, which cannot be passed on");
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("asks".into()).spawn(hear) {
        tracing::warn!(%error, "`mapfold scale` is not heard");
    }
}

/// In the coordinator of an application: the launcher's settings of stores become this process's, before the first store
/// is opened.
///
/// # Errors
/// When they are not there, or others can read them.
pub(crate) fn take_settings() -> Result<()> {
    if Yarn::is_within() {
        Settings::from_private_file(Path::new("settings"))?.install();
    }
    Ok(())
}

/// The job's secret, as the application master has put it into this container.
///
/// # Errors
/// When it is not there, or others can read it.
pub(crate) fn token() -> Result<Token> {
    Ok(Token::from_file(Path::new("token"))?)
}

/// The carrier for the members of this coordinator.
///
/// # Errors
/// When no application master is there.
pub(crate) fn carrier(args: &RunArgs) -> Result<Yarn> {
    let room = member_room(args);
    Yarn::open(container_mib(room.memory), room.threads as usize).map_err(told)
}

/// Where this coordinator listens: at its node's address.
///
/// # Errors
/// When the node has none.
pub(crate) fn meeting() -> Result<Meeting> {
    let host =
        yarn::host().ok_or_else(|| Error::job("the node's own name has no address: members would not find it"))?;
    Ok(Meeting { bind: SocketAddr::new(host, 0), told: None, afar: true })
}

/// Tells the application master how far the job is, at most once a second.
struct Teller {
    live: Live,
    told: Mutex<Option<Instant>>,
}

impl Subscriber for Teller {
    fn event(&self, event: &JobEvent) {
        self.live.event(event);
        match event {
            JobEvent::Serving { url } => yarn::tell_tracking(url),
            JobEvent::JobEnded { failure: Some(failure), .. } => yarn::tell_end(&failure.message),
            JobEvent::Counters { .. } | JobEvent::SplitDone { .. } | JobEvent::SplitsDone { .. } => {
                self.tell_progress();
            }
            _ => {}
        }
    }
}

impl Teller {
    fn tell_progress(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return;
        }
        *told = Some(Instant::now());
        let (done, all) =
            self.live.look(|view| view.stages.values().fold((0, 0), |(done, all), s| (done + s.done, all + s.splits)));
        if all > 0 {
            yarn::tell_progress(done as f64 / all as f64);
        }
    }
}
