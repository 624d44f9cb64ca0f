//! Fail points: a test aid that kills, fails or delays this process at a named step of the commit protocol.
//!
//! `MAPFOLD_FAIL_POINTS=STEP[:N]=ACTION[,…]` is read once per process. `N` is which time the step is reached (1 when not
//! given); an action is `abort` (as `kill -9` would), `error` (the step answers with an I/O error, after it has been
//! done: the harder case) or `delay:MS`.
//!
//! Always compiled in: what the tests kill is the program that users run, and the fault loops of a cluster can kill a
//! release. It costs one look at an empty list per step, and there are a few steps per 100 ms. (The crate `fail` wants a
//! second build with a feature, and knows no abort.) It is no door: who sets the environment of a process may as well
//! kill it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::error::CoordError;

/// The variable that names fail points.
pub const VARIABLE: &str = "MAPFOLD_FAIL_POINTS";

/// A step of the protocol, in the order in which a job comes to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailPoint {
    /// An output is claimed; once for each.
    Claimed,
    /// The plan is written: from here on there is something to go on with.
    Planned,
    /// A record of the log is written; once for each.
    Logged,
    /// A member is about to read and send a part of an output, in its process; once for each.
    Carrying,
    /// The file of an output is whole, in the work folder; once for each.
    LaidOut,
    /// All files are whole, nothing is decided.
    BeforeDecision,
    /// The manifest is written.
    Decided,
    /// An output is in its place; once for each.
    Revealed,
    /// All outputs are in their places, all work folders are there.
    BeforeCleaning,
    /// The work folder of another output than the first is gone; once for each.
    Cleaned,
}

impl FailPoint {
    /// All of them.
    pub const ALL: [FailPoint; 10] = [
        FailPoint::Claimed,
        FailPoint::Planned,
        FailPoint::Logged,
        FailPoint::Carrying,
        FailPoint::LaidOut,
        FailPoint::BeforeDecision,
        FailPoint::Decided,
        FailPoint::Revealed,
        FailPoint::BeforeCleaning,
        FailPoint::Cleaned,
    ];

    /// Its name in the variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FailPoint::Claimed => "claimed",
            FailPoint::Planned => "planned",
            FailPoint::Logged => "logged",
            FailPoint::Carrying => "carrying",
            FailPoint::LaidOut => "laid-out",
            FailPoint::BeforeDecision => "before-decision",
            FailPoint::Decided => "decided",
            FailPoint::Revealed => "revealed",
            FailPoint::BeforeCleaning => "before-cleaning",
            FailPoint::Cleaned => "cleaned",
        }
    }

    /// Says that the process has come to this step; does what the variable asks for.
    pub fn reached(self) -> Result<(), CoordError> {
        static RULES: OnceLock<Result<Vec<Rule>, String>> = OnceLock::new();
        let read = || std::env::var(VARIABLE).map_or_else(|_| Ok(Vec::new()), |text| parse(&text));
        let rules = RULES.get_or_init(read).as_ref().map_err(|why| CoordError::BadFailPoint { why: why.clone() })?;
        rules.iter().filter(|rule| rule.is_now(self)).try_for_each(Rule::act)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Abort,
    Error,
    Delay(Duration),
}

#[derive(Debug)]
struct Rule {
    point: FailPoint,
    nth: u64,
    action: Action,
    seen: AtomicU64,
}

impl Rule {
    fn is_now(&self, point: FailPoint) -> bool {
        self.point == point && self.seen.fetch_add(1, SeqCst) + 1 == self.nth
    }

    fn act(&self) -> Result<(), CoordError> {
        match self.action {
            Action::Abort => kill_this_process(),
            Action::Delay(time) => std::thread::sleep(time),
            Action::Error => {
                let source = std::io::Error::other(format!("{VARIABLE} asked for an error here"));
                let loc = format!("fail point {}", self.point.name());
                return Err(mapfold_store::StoreError::Io { loc, source }.into());
            }
        }
        Ok(())
    }
}

/// No destructor, no core file, nothing flushed.
fn kill_this_process() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort(); // Not reached where a signal is delivered at once.
}

/// `logged:2=abort,revealed=delay:500`
fn parse(text: &str) -> Result<Vec<Rule>, String> {
    text.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(rule).collect()
}

fn rule(text: &str) -> Result<Rule, String> {
    let bad = || format!("\"{text}\" is not STEP[:N]=abort, =error or =delay:MS");
    let (step, action) = text.split_once('=').ok_or_else(bad)?;
    let (name, nth) = match step.split_once(':') {
        Some((name, nth)) => (name, nth.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
        None => (step, 1),
    };
    let names = || FailPoint::ALL.map(FailPoint::name).join(", ");
    let found = FailPoint::ALL.into_iter().find(|point| point.name() == name);
    let point = found.ok_or_else(|| format!("there is no step \"{name}\"; steps are {}", names()))?;
    let action = match action.split_once(':') {
        None if action == "abort" => Action::Abort,
        None if action == "error" => Action::Error,
        Some(("delay", ms)) => Action::Delay(Duration::from_millis(ms.parse().map_err(|_| bad())?)),
        _ => return Err(bad()),
    };
    Ok(Rule { point, nth, action, seen: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rule_names_a_step_a_time_and_an_action() {
        let rules = parse("logged:2=abort, revealed=delay:500,decided=error").unwrap();
        let told: Vec<_> = rules.iter().map(|r| (r.point, r.nth, r.action)).collect();
        let half = Duration::from_millis(500);
        assert_eq!(
            told,
            [
                (FailPoint::Logged, 2, Action::Abort),
                (FailPoint::Revealed, 1, Action::Delay(half)),
                (FailPoint::Decided, 1, Action::Error)
            ]
        );
        let times = [1, 2, 3].map(|_| rules[0].is_now(FailPoint::Logged));
        assert_eq!(times, [false, true, false], "only at its time");
        assert!(rules[2].act().unwrap_err().to_string().contains("fail point decided"));
    }

    #[test]
    fn what_is_misspelt_is_refused_and_never_ignored() {
        assert!(parse("loged=abort").unwrap_err().contains("logged"), "lists the steps");
        for wrong in ["logged", "logged=stop", "logged:0=abort", "logged:x=abort", "logged=delay", "logged=delay:x"] {
            assert!(parse(wrong).unwrap_err().contains("delay:MS"), "{wrong}");
        }
        assert!(parse("").unwrap().is_empty());
    }
}
