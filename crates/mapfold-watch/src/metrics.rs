//! A job in Prometheus's text format (version 0.0.4): `/metrics`.
//!
//! Few series on purpose: one per stage and per member at most, none per split. Names end with their unit.

use crate::JobView;
use mapfold_coord::Phase;
use mapfold_coord::events::unix_ms;
use std::fmt::Write;

/// The media type of [`text`].
pub const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes metrics; every line of a family stands together, as the format wants it.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escaped(v))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<f64>) {
        let Some(value) = value else { return };
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

/// What a label's value may hold.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The metrics of a job.
///
/// ```
/// let page = mapfold_watch::metrics::text(&mapfold_watch::JobView::default());
/// assert!(page.contains("\n# TYPE mapfold_failed_attempts_total counter\nmapfold_failed_attempts_total 0\n"));
/// ```
pub fn text(view: &JobView) -> String {
    let mut page = Page(String::new());
    let now = unix_ms();
    page.family("mapfold_job_info", "gauge", "The job, as labels.");
    page.value("mapfold_job_info", &[("id", &view.id), ("name", &view.name)], 1.0);
    page.one("mapfold_job_seconds", "gauge", "Wall time so far.", Some(view.seconds_at(now)));
    page.one("mapfold_stage_remaining_seconds", "gauge", "Estimate for the stage that runs.", view.eta(now));
    page.one("mapfold_failed_attempts_total", "counter", "Attempts that failed.", Some(view.failed as f64));
    page.one("mapfold_spilled_bytes_total", "counter", "Bytes through files.", Some(view.bytes_spilled() as f64));
    let planned = view.planned.as_ref();
    let predicted = planned.map(|p| p.predicted_bytes as f64);
    page.one("mapfold_memory_predicted_bytes", "gauge", "Peak of the hungriest process, as planned.", predicted);
    let limit = planned.map(|p| p.limit_bytes as f64);
    page.one("mapfold_memory_limit_bytes", "gauge", "Limit of each process.", limit);
    page.family("mapfold_splits_placed_total", "counter", "Splits by whether their host holds what they read.");
    for (place, n) in [("local", view.placed.local), ("remote", view.placed.remote), ("anywhere", view.placed.anywhere)]
    {
        page.value("mapfold_splits_placed_total", &[("place", place)], n as f64);
    }
    stages(&mut page, view);
    members(&mut page, view);
    page.family("mapfold_counter_total", "counter", "Counters of the job, of registered splits only.");
    view.counters.iter().for_each(|(n, v)| page.value("mapfold_counter_total", &[("counter", n)], v as f64));
    page.0
}

fn stages(page: &mut Page, view: &JobView) {
    page.family("mapfold_splits", "gauge", "Splits by state.");
    for (id, s) in &view.stages {
        let id = id.to_string();
        let in_flight = view.flights.keys().filter(|(of, _)| of.to_string() == id).count() as u64;
        let states = [("all", s.splits), ("done", s.done), ("skipped", s.skipped), ("in_flight", in_flight)];
        for (state, n) in states {
            page.value("mapfold_splits", &[("stage", &id), ("state", state)], n as f64);
        }
    }
    page.family("mapfold_stage_bytes_total", "counter", "Bytes read from inputs and handed to outputs.");
    for (id, s) in &view.stages {
        let id = id.to_string();
        page.value("mapfold_stage_bytes_total", &[("stage", &id), ("way", "read")], s.bytes_in as f64);
        page.value("mapfold_stage_bytes_total", &[("stage", &id), ("way", "written")], s.bytes_out as f64);
    }
    page.family("mapfold_stage_thread_seconds_total", "counter", "Thread time of registered splits by phase.");
    for (id, s) in &view.stages {
        for phase in Phase::ALL {
            let labels = [("stage", id.to_string()), ("phase", phase.name().to_owned())];
            let labels = labels.each_ref().map(|(k, v)| (*k, v.as_str()));
            page.value("mapfold_stage_thread_seconds_total", &labels, s.times.get(phase).as_secs_f64());
        }
    }
}

fn members(page: &mut Page, view: &JobView) {
    let lost = view.members.values().filter(|m| m.lost.is_some()).count();
    page.one("mapfold_members_lost_total", "counter", "Member processes that were lost.", Some(lost as f64));
    page.family("mapfold_member_peak_bytes", "gauge", "Most resident at once.");
    for (id, m) in &view.members {
        page.value("mapfold_member_peak_bytes", &[("member", &id.to_string())], m.used.peak_bytes as f64);
    }
    page.family("mapfold_member_cpu_seconds_total", "counter", "CPU time.");
    for (id, m) in &view.members {
        for (mode, seconds) in [("user", m.used.user_seconds), ("system", m.used.sys_seconds)] {
            page.value("mapfold_member_cpu_seconds_total", &[("member", &id.to_string()), ("mode", mode)], seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::field_reassign_with_default)] // One of its fields is its own.
    use super::*;

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let mut view = JobView::default();
        view.name = "a\"}\nfake 1 \\".to_owned();
        let page = text(&view);
        assert!(page.contains(r#"mapfold_job_info{id="",name="a\"}\nfake 1 \\"} 1"#), "{page}");
        assert!(!page.lines().any(|line| line.starts_with("fake")), "{page}");
    }
}
