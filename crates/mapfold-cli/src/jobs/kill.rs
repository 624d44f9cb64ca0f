//! `mapfold kill`: asks the process of a job to end (TERM), and waits until it has.
//!
//! The process is the job's or nothing is sent: its number alone may belong to a stranger by now.

use super::{KillArgs, find, go_on, reading};
use crate::verbs;
use mapfold::watch::shelf::{Reading, short};
use mapfold::watch::{JobState, words};
use mapfold::{Error, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub fn kill(args: &KillArgs) -> Result<ExitCode> {
    let mut reading = reading(&find(&args.job)?)?;
    let who = format!("{} {}", words::clean(&reading.view.name), short(&reading.view.id));
    let process = reading.view.process.clone().ok_or_else(|| Error::input(format!("{who} has no process yet")))?;
    match reading.view.state() {
        JobState::Running => {}
        JobState::RunningElsewhere => {
            let what = format!("{who} runs on {}, where it cannot be seen from here", process.host);
            return Err(Error::input(what).with_remedy(format!("there: kill {}", process.pid)));
        }
        over => return Err(Error::input(format!("{who} does not run: {}", over.word()))),
    }
    process.terminate().map_err(|e| Error::input(format!("{who}, process {}: {e}", process.pid)))?;
    let ended = wait(&mut reading, Duration::from_secs(args.wait))?;
    if !ended {
        let what = format!("{who} was asked to end and still runs after {} s", args.wait);
        return Err(Error::job(what).with_remedy(format!("wait, or: kill -9 {}", process.pid)));
    }
    verbs::say(&format!("{who}: {}\n", reading.view.state().word()))
}

/// Whether its process ended within this time.
fn wait(reading: &mut Reading, within: Duration) -> Result<bool> {
    let began = Instant::now();
    loop {
        go_on(reading)?;
        let gone = reading.view.process.as_ref().is_none_or(|p| p.alive() != mapfold::coord::process::Alive::Yes);
        if gone {
            go_on(reading)?; // Its last words.
            return Ok(true);
        }
        if began.elapsed() >= within {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
