//! A job in words, for a terminal: the lines of `jobs`, `status`, `history` and `why`.
//!
//! File names, causes and log lines come from anywhere: control characters in them are shown, never obeyed ([`clean`]).
//! The width of a line is the terminal's business.

use crate::human::{bytes, count, placed, seconds};
use crate::shelf::short;
use crate::view::{Failed, JobState, JobView, MemberView};
use crate::{Align, RunReport, Style, Table};
use mapfold_coord::StageId;
use mapfold_coord::events::unix_ms;
use mapfold_coord::process::Process;

/// Failures that `why` tells one by one.
const TOLD: usize = 10;

/// `text` without control characters: what a hostile name would do to a terminal is seen instead.
///
/// ```
/// assert_eq!(mapfold_watch::words::clean("a\u{1b}[2Jb\tc"), "a\\u{1b}[2Jb\tc");
/// ```
pub fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// The state in its colour.
fn state_word(state: JobState, colour: bool) -> String {
    let style = match state {
        JobState::Running | JobState::Done => Style::Good,
        JobState::RunningElsewhere | JobState::DoneWithSkips | JobState::Stopped => Style::Warn,
        JobState::Died | JobState::Failed => Style::Bad,
    };
    style.paint(state.word(), colour)
}

/// A table of jobs, newest first; a heading and one line each.
pub fn jobs(views: &[JobView]) -> String {
    let mut table =
        Table::new([Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Left]);
    table.row(["job", "name", "state", "started", "wall", "splits", "output"]);
    let now = unix_ms();
    for view in views {
        let state = view.state();
        let splits = format!("{}/{}", count(view.splits_done()), count(view.splits()));
        table.row([
            short(&view.id),
            clean(&view.name),
            state.word().to_owned(),
            format!("{} ago", seconds(now.saturating_sub(view.started_ms) as f64 / 1000.0)),
            seconds(view.seconds_at(view.clock(state, now))),
            splits,
            clean(&outputs(view)),
        ]);
    }
    lines(table.lines(0))
}

fn outputs(view: &JobView) -> String {
    match view.planned.as_ref().map_or(&[][..], |p| &p.outputs) {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [first, more @ ..] => format!("{first} and {} more", more.len()),
    }
}

fn lines(all: impl IntoIterator<Item = String>) -> String {
    all.into_iter().map(|line| line + "\n").collect()
}

/// `mapfold status JOB`: how it is now.
pub fn status(view: &JobView, colour: bool) -> String {
    let state = view.state();
    let now = view.clock(state, unix_ms());
    let mut out = vec![headline(view, state, now, colour)];
    let mut facts = Table::new([Align::Left, Align::Left]);
    progress(view, state, now, &mut facts);
    if let Some(url) = view.url.as_ref().filter(|_| state.is_open()) {
        facts.row(["watch", url]);
    }
    out.extend(facts.lines(0));
    out.extend(stages(view, colour));
    out.extend(members(view, now, colour));
    if view.failed > 0 {
        out.push(format!("more     mapfold why {}", short(&view.id)));
    }
    out.extend(unread(view));
    lines(out)
}

/// `ndvi 1a2b3c4d: running for 4.8 s, pid 4711 on node7`
fn headline(view: &JobView, state: JobState, now: u64, colour: bool) -> String {
    let after = match state {
        JobState::Running | JobState::RunningElsewhere => "for",
        JobState::Done | JobState::DoneWithSkips => "in",
        _ => "after",
    };
    let place = view.process.as_ref().map_or(String::new(), |p| format!(", pid {} on {}", p.pid, clean(&p.host)));
    let name = Style::Strong.paint(&clean(&view.name), colour);
    let word = state_word(state, colour);
    format!("{name} {}: {word} {after} {}{place}", short(&view.id), seconds(view.seconds_at(now)))
}

fn progress(view: &JobView, state: JobState, now: u64, facts: &mut Table) {
    let mut splits = format!("{} of {} done", count(view.splits_done()), count(view.splits()));
    if state.is_open() {
        splits += &view.in_flight(None).map_or(String::new(), |n| format!(", {} in flight", count(n)));
    }
    if view.failed > 0 {
        splits += &format!(", {} failed attempts", count(view.failed));
    }
    if view.skipped() > 0 {
        splits += &format!(", {} left out", count(view.skipped()));
    }
    facts.row(["splits", &splits]);
    if let Some((wanted, least, most)) = view.members_wanted().filter(|_| state.is_open()) {
        let missing = view.missing.as_ref().filter(|_| view.members_here() < u64::from(wanted));
        let missing = missing.map_or(String::new(), |why| format!("; {}", clean(why)));
        let here = view.members_here();
        facts.row(["members", &format!("{here} of {wanted} that are wanted ({least} to {most} can be){missing}")]);
    }
    if let Some(eta) = view.eta(now).filter(|_| state.is_open()) {
        facts.row(["ETA", &format!("{} for this stage", seconds(eta))]);
    }
    let mut moved = format!("read {}, written {}", bytes(view.bytes_in()), bytes(view.bytes_out()));
    if view.bytes_spilled() > 0 {
        moved += &format!(", spilled {}", bytes(view.bytes_spilled()));
    }
    facts.row(["bytes", &moved]);
    if let Some(places) = placed(&view.placed) {
        facts.row(["places", &places]);
    }
    facts.row(["memory", &memory(view)]);
    facts.row(["output", &clean(&outputs(view))]);
}

fn memory(view: &JobView) -> String {
    let mut parts =
        vec![view.peak_bytes().map_or_else(|| "peak not known yet".to_owned(), |b| format!("peak {}", bytes(b)))];
    if let Some(planned) = &view.planned {
        parts.push(format!("predicted {}", bytes(planned.predicted_bytes)));
        parts.push(format!("limit {}", bytes(planned.limit_bytes)));
    }
    parts.join(", ")
}

fn stages(view: &JobView, colour: bool) -> Vec<String> {
    if view.stages.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(std::iter::once(Align::Left).chain(std::iter::repeat_n(Align::Right, 8)));
    table.row(["stage", "splits", "done", "in flight", "failed", "left out", "fastest", "middle", "slowest"]);
    for (id, s) in &view.stages {
        let skew = s.spread.skew();
        let time = |t: Option<f64>| t.map_or_else(|| "-".to_owned(), seconds);
        table.row([
            format!("{id} {}", clean(&s.label)),
            count(s.splits),
            count(s.done),
            in_flight(view, *id),
            count(s.retries),
            count(s.skipped),
            time(skew.map(|s| s.min)),
            time(skew.map(|s| s.median)),
            time(skew.map(|s| s.max)),
        ]);
    }
    std::iter::once(Style::Strong.paint("stages", colour)).chain(table.lines(2)).collect()
}

fn in_flight(view: &JobView, stage: StageId) -> String {
    view.in_flight(Some(stage)).map_or_else(|| "-".to_owned(), count)
}

fn members(view: &JobView, now: u64, colour: bool) -> Vec<String> {
    if view.members.values().all(|m| m.joined_ms.is_none() && m.lost.is_none()) {
        return Vec::new(); // One process: nothing that was not said above.
    }
    let mut table = Table::new([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right]);
    table.row(["member", "state", "splits", "in flight", "CPU", "peak"]);
    for (id, m) in &view.members {
        table.row([
            id.to_string(),
            member_state(view, m, now),
            count(m.done),
            count(view.members_flights(*id)),
            seconds(m.used.user_seconds + m.used.sys_seconds),
            if m.used.peak_bytes > 0 { bytes(m.used.peak_bytes) } else { "-".to_owned() },
        ]);
    }
    std::iter::once(Style::Strong.paint("members", colour)).chain(table.lines(2)).collect()
}

fn member_state(view: &JobView, m: &MemberView, now: u64) -> String {
    match (&m.lost, m.joined_ms) {
        (Some((at, how, replaced)), _) => {
            let after = seconds(at.saturating_sub(view.started_ms) as f64 / 1000.0);
            let then = if *replaced { "replaced" } else { "not replaced" };
            format!("lost after {after}: {}; {then}", clean(how))
        }
        (None, Some(_)) if m.left.is_some() => {
            let after = m.left.map_or(0, |at| at.saturating_sub(view.started_ms)) as f64 / 1000.0;
            format!("left after {}: not needed any more", seconds(after))
        }
        (None, Some(_)) if view.ended.is_some() => "left at the end".to_owned(),
        (None, Some(at)) => {
            let alone = if m.solo { ", for suspects" } else { "" };
            format!("here for {}{alone}", seconds(now.saturating_sub(at) as f64 / 1000.0))
        }
        (None, None) => "-".to_owned(),
    }
}

fn unread(view: &JobView) -> Option<String> {
    let n = view.unread;
    (n > 0).then(|| format!("note     {n} lines of its log could not be understood: damaged, or of a newer version"))
}

/// `mapfold history JOB`: the report as it was shown; of a run without one what its events tell.
pub fn report(view: &JobView, colour: bool) -> String {
    let shown = view.report.as_ref().and_then(|r| serde_json::from_value::<RunReport>(r.clone()).ok());
    match shown {
        Some(report) => report.text(colour),
        None => status(view, colour),
    }
}

/// `mapfold why JOB`: the chain from the first cause on, and what to do. `tails` are ends of logs, each with its name.
pub fn why(view: &JobView, tails: &[(String, Vec<String>)], colour: bool) -> String {
    let state = view.state();
    let now = view.clock(state, unix_ms());
    let heading = |text: &str| Style::Strong.paint(text, colour);
    let mut out = vec![headline(view, state, now, colour)];
    out.extend(cause(view, state, colour));
    out.extend(retries(view, &heading("failed attempts")));
    out.extend(lost(view, &heading("lost members")));
    out.push(format!("{}  {}", heading("memory"), memory(view)));
    for (name, tail) in tails.iter().filter(|(_, tail)| !tail.is_empty()) {
        out.push(heading(&format!("end of {name}")));
        out.extend(tail.iter().map(|line| format!("  {}", clean(line))));
    }
    out.push(format!("{}  {}", heading("next"), next(view, state)));
    out.extend(unread(view));
    lines(out)
}

fn cause(view: &JobView, state: JobState, colour: bool) -> Vec<String> {
    let label = Style::Bad.paint("cause", colour);
    if state == JobState::Died {
        return vec![format!("{label}  {}", death(view.process.as_ref()))];
    }
    let Some(root) = view.root() else {
        return vec![if state.is_open() { "nothing has gone wrong so far" } else { "nothing went wrong" }.to_owned()];
    };
    let ended = view.ended.as_ref().filter(|e| e.failure.as_ref() == Some(root));
    let failed = view.failures.iter().find(|f| f.failure.message == root.message);
    let mut told = vec![format!("{label}  {}", clean(&root.message))];
    let stage = ended.and_then(|e| e.stage.clone());
    let stage = stage.or_else(|| failed.and_then(|f| view.stages.get(&f.stage).map(|s| s.label.clone())));
    told.extend(stage.map(|s| format!("  stage: {}", clean(&s))));
    let place = ended.and_then(|e| e.place.clone()).or_else(|| failed.map(at));
    told.extend(place.map(|p| format!("  at: {}", clean(&p))));
    told.extend(root.remedy.iter().map(|r| format!("  try: {}", clean(r))));
    told
}

/// What is known of a process that is gone without a word.
fn death(process: Option<&Process>) -> String {
    let Some(p) = process else { return "its process is not known".to_owned() };
    let restarted = p.boot.is_some() && p.boot != Process::here().boot;
    let why = if restarted {
        "the machine has been restarted since"
    } else {
        "it was killed (kill -9, or the system was out of memory: `dmesg` says), or it crashed"
    };
    format!("process {} is gone and did not say that it ended: {why}", p.pid)
}

fn at(f: &Failed) -> String {
    let place = if f.place.is_empty() { String::new() } else { format!(", {}", f.place) };
    format!("split {} of stage {}{place}", f.split, f.stage)
}

fn retries(view: &JobView, heading: &str) -> Vec<String> {
    if view.failed == 0 {
        return Vec::new();
    }
    let skipped = view.skipped();
    let mut told = vec![format!("{heading}  {}, of which {} left out", count(view.failed), count(skipped))];
    let (left_out, again): (Vec<&Failed>, Vec<&Failed>) = view.failures.iter().partition(|f| f.skipped);
    for f in left_out.iter().take(TOLD) {
        told.push(format!("  left out: {}: {}", clean(&at(f)), clean(&f.failure.message)));
    }
    told.extend(more(skipped, left_out.len().min(TOLD), "left out"));
    let id = short(&view.id);
    let alone = left_out.first().map(|f| format!("mapfold split {id} {} --stage {}", f.split, f.stage));
    told.extend(alone.map(|command| format!("  run the first alone: {command}")));
    let mut causes: Vec<(&str, usize, &Failed)> = Vec::new();
    for f in again {
        match causes.iter_mut().find(|(cause, ..)| *cause == f.failure.message) {
            Some((_, n, _)) => *n += 1,
            None => causes.push((&f.failure.message, 1, f)),
        }
    }
    for (cause, n, first) in causes.iter().take(TOLD) {
        told.push(format!("  tried again {n} x: {}; first {}", clean(cause), clean(&at(first))));
    }
    told.extend(more(causes.len() as u64, causes.len().min(TOLD), "causes"));
    told
}

fn more(all: u64, told: usize, what: &str) -> Option<String> {
    let rest = all.saturating_sub(told as u64);
    (rest > 0).then(|| format!("  and {} more {what}: --json has them", count(rest)))
}

fn lost(view: &JobView, heading: &str) -> Vec<String> {
    let lost = view.members.iter().filter(|(_, m)| m.lost.is_some());
    let told: Vec<String> = lost
        .map(|(id, m)| {
            let tail =
                if m.log_tail.is_empty() { String::new() } else { format!(" (its log: {})", clean(&m.log_tail)) };
            format!("  member {id} {}{tail}", member_state(view, m, view.heard_ms))
        })
        .collect();
    if told.is_empty() { told } else { std::iter::once(heading.to_owned()).chain(told).collect() }
}

fn next(view: &JobView, state: JobState) -> String {
    let id = short(&view.id);
    match state {
        JobState::Running | JobState::RunningElsewhere => format!("mapfold status {id} --watch"),
        JobState::Done | JobState::DoneWithSkips => format!("mapfold history {id}"),
        JobState::Died | JobState::Stopped if !outputs(view).starts_with('-') => {
            "the same command with --resume goes on where it stopped".to_owned()
        }
        JobState::Died | JobState::Stopped => "run the same command again".to_owned(),
        JobState::Failed => format!("mapfold logs {id}, then the same command when the cause is gone"),
    }
}
