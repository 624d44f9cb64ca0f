//! `mapfold scale`: more or fewer members for a job that runs.
//!
//! What is asked is left in the job's state folder, where only its user writes; its coordinator takes it from there and
//! says in the event log what it made of it. So it is answered without any door that listens.

use super::{LOOK_EVERY, ScaleArgs, find, go_on, reading};
use crate::verbs;
use mapfold::coord::asks;
use mapfold::coord::events::event_path;
use mapfold::watch::shelf::{Reading, short};
use mapfold::watch::{JobState, JobView, words};
use mapfold::{Error, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the coordinator may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub fn scale(args: &ScaleArgs) -> Result<ExitCode> {
    let id = find(&args.job)?;
    let mut reading = reading(&id)?;
    wait(&mut reading, |view| view.planned.is_some())?; // A job that has just begun.
    let who = format!("{} {}", words::clean(&reading.view.name), short(&reading.view.id));
    let before = check(&reading.view, &who, args.members)?;
    let path = event_path(&id).ok_or_else(|| Error::input("neither XDG_STATE_HOME nor HOME is set"))?;
    let folder = path.parent().unwrap_or(&path);
    let answer = reading.view.wanted;
    asks::ask_members(folder, args.members).map_err(|e| Error::input(format!("{}: {e}", folder.display())))?;
    // The last answer of another time is none: it is told apart by its moment on the clock of whoever gave it.
    if !wait(&mut reading, |view| view.wanted != answer && view.wanted.is_some_and(|(_, n)| n == args.members))? {
        let what = format!("{who} has not answered within {} s", ANSWER_WITHIN.as_secs());
        return Err(Error::job(what).with_remedy(format!("mapfold status {}", short(&reading.view.id))));
    }
    let here = reading.view.members_here();
    verbs::say(&format!("{who}: {} members are wanted (before: {before}; there: {here})\n", args.members))
}

/// How many were wanted so far; refused where the number cannot change, or not to this.
fn check(view: &JobView, who: &str, members: u32) -> Result<u32> {
    match view.state() {
        JobState::Running => {}
        JobState::RunningElsewhere => {
            let host = view.process.as_ref().map_or("another machine", |p| &p.host);
            let what = format!("{who} runs on {host}, where it cannot be asked from here");
            return Err(Error::input(what).with_remedy("the same command there"));
        }
        over => return Err(Error::input(format!("{who} does not run: {}", over.word()))),
    }
    if view.planned.is_none() {
        let what = format!("how many members {who} may have is not known here (yet): it has not said what it plans");
        return Err(Error::input(what).with_remedy(format!("mapfold status {}", short(&view.id))));
    }
    let Some((wanted, least, most)) = view.members_wanted() else {
        let what = format!("{who} was started with a fixed number of processes");
        return Err(Error::usage(what).with_remedy("a run with `--workers 1..8` can be scaled"));
    };
    if (least..=most).contains(&members) {
        return Ok(wanted);
    }
    let what = format!("{members} members: {who} was started with --workers {least}..{most}");
    Err(Error::usage(what).with_remedy(format!("give {least} to {most}")))
}

/// Reads on until it is so, for a while; whether it is.
fn wait(reading: &mut Reading, is_so: impl Fn(&JobView) -> bool) -> Result<bool> {
    let began = Instant::now();
    while began.elapsed() < ANSWER_WITHIN && reading.view.state().is_open() && !is_so(&reading.view) {
        std::thread::sleep(LOOK_EVERY / 10);
        go_on(reading)?;
    }
    Ok(is_so(&reading.view))
}
