//! The report at the end of a run, as text: plain words, aligned numbers, nothing that is empty.

use crate::{Align, RunReport, StageReport, Style, Table, human};
use mapfold_coord::Phase;
use mapfold_coord::events::Outcome;

impl RunReport {
    /// The report as text, lines ended with a newline; `colour` adds terminal colours.
    pub fn text(&self, colour: bool) -> String {
        let mut lines = vec![self.headline(colour)];
        lines.extend(section("stages", self.stage_lines(), colour));
        lines.extend(section("times of splits", self.skew_lines(), colour));
        let places = human::placed(&self.splits_placed).map(|line| format!("  {line}"));
        lines.extend(section("places", places.into_iter().collect(), colour));
        lines.extend(section("outputs", self.output_lines(), colour));
        lines.extend(section("counters", self.counter_lines(), colour));
        lines.extend(section("memory", self.memory_line().into_iter().collect(), colour));
        lines.extend(self.warnings.iter().map(|w| format!("{} {w}", Style::Warn.paint("warning:", colour))));
        lines.join("\n") + "\n"
    }

    /// `ndvi: done in 4.8 s (user 8.7 s, sys 0.4 s, 2 threads)`
    fn headline(&self, colour: bool) -> String {
        let (word, style) = match self.outcome {
            Outcome::Committed => ("done", Style::Good),
            Outcome::CommittedWithSkips => ("done, with parts left out,", Style::Warn),
            Outcome::Failed => ("failed", Style::Bad),
            Outcome::Cancelled => ("stopped", Style::Warn),
        };
        let after = if matches!(self.outcome, Outcome::Failed | Outcome::Cancelled) { "after" } else { "in" };
        let mut who = plural(self.threads, "thread");
        if self.workers > 1 {
            who = format!("{}, {who} each", plural(self.workers, "worker"));
        }
        if self.replaced > 0 {
            who += &format!(", {} replaced", self.replaced);
        }
        format!(
            "{}: {} {after} {} (user {}, sys {}, {who})",
            Style::Strong.paint(&self.job, colour),
            style.paint(word, colour),
            human::seconds(self.wall_seconds),
            human::seconds(self.user_seconds),
            human::seconds(self.sys_seconds),
        )
    }

    fn stage_lines(&self) -> Vec<String> {
        if self.stages.is_empty() {
            return Vec::new();
        }
        let columns = Columns::of(&self.stages);
        let mut table = Table::new(std::iter::once(Align::Left).chain(std::iter::repeat_n(Align::Right, 20)));
        table.row(columns.heading());
        for stage in &self.stages {
            table.row(columns.cells(stage));
        }
        table.lines(2)
    }

    /// Fastest, middle and slowest split of each stage that has several.
    fn skew_lines(&self) -> Vec<String> {
        let mut table = Table::new(std::iter::once(Align::Left).chain(std::iter::repeat_n(Align::Right, 3)));
        table.row(["stage", "fastest", "middle", "slowest"]);
        let several = self.stages.iter().filter(|s| s.splits > 1);
        let known: Vec<_> = several.filter_map(|s| Some((s.stage, s.split_seconds?))).collect();
        for (stage, t) in &known {
            table.row([stage.to_string(), human::seconds(t.min), human::seconds(t.median), human::seconds(t.max)]);
        }
        if known.is_empty() { Vec::new() } else { table.lines(2) }
    }

    fn output_lines(&self) -> Vec<String> {
        let mut table = Table::new([Align::Left, Align::Right, Align::Left]);
        for out in &self.outputs {
            table.row([out.path.clone(), out.bytes.map(human::bytes).unwrap_or_default(), out.what.clone()]);
        }
        table.lines(2)
    }

    fn counter_lines(&self) -> Vec<String> {
        let mut table = Table::new([Align::Left, Align::Right]);
        for (name, count) in self.counters.iter() {
            table.row([name.to_owned(), human::count(count)]);
        }
        table.lines(2)
    }

    /// `peak 212.0 MiB, predicted 230.0 MiB (1.08 of it), limit 256.0 MiB`
    fn memory_line(&self) -> Option<String> {
        let m = &self.memory;
        let mut parts = Vec::new();
        parts.extend(m.peak_bytes.map(|b| format!("peak {}", human::bytes(b))));
        parts.extend(m.predicted_bytes.map(|b| format!("predicted {}", human::bytes(b))));
        parts.extend(m.limit_bytes.map(|b| format!("limit {}", human::bytes(b))));
        if let (Some(peak), Some(predicted)) = (m.peak_bytes, m.predicted_bytes.filter(|p| *p > 0)) {
            parts.push(format!("used {:.0} % of the prediction", peak as f64 / predicted as f64 * 100.0));
        }
        if self.bytes_spilled > 0 {
            parts.push(format!("spilled {}", human::bytes(self.bytes_spilled)));
        }
        (!parts.is_empty()).then(|| format!("  {}", parts.join(", ")))
    }
}

/// Which columns the stage table needs: those in which some stage has something to say.
struct Columns {
    earlier: bool,
    skipped: bool,
    cpu: bool,
    read: bool,
    written: bool,
    phases: Vec<Phase>,
}

impl Columns {
    fn of(stages: &[StageReport]) -> Columns {
        let spent = |p: &Phase| *p != Phase::Wait || stages.iter().any(|s| !s.times.get(*p).is_zero());
        Columns {
            earlier: stages.iter().any(|s| s.earlier > 0),
            skipped: stages.iter().any(|s| s.skipped > 0),
            cpu: stages.iter().any(|s| s.user_seconds.is_some() || s.sys_seconds.is_some()),
            read: stages.iter().any(|s| s.bytes_read > 0),
            written: stages.iter().any(|s| s.bytes_written > 0),
            phases: Phase::ALL.into_iter().filter(spent).collect(),
        }
    }

    fn heading(&self) -> Vec<String> {
        let mut cells = vec!["stage", "splits", "retries"];
        cells.extend(self.earlier.then_some("earlier"));
        cells.extend(self.skipped.then_some("skipped"));
        cells.push("wall");
        cells.extend(self.cpu.then_some(["user", "sys"]).into_iter().flatten());
        cells.extend(self.phases.iter().map(|p| p.name()));
        cells.extend(self.read.then_some("bytes read"));
        cells.extend(self.written.then_some("bytes written"));
        cells.into_iter().map(str::to_owned).collect()
    }

    fn cells(&self, s: &StageReport) -> Vec<String> {
        let maybe = |t: Option<f64>| t.map_or_else(|| "-".to_owned(), human::seconds);
        let mut cells = vec![format!("{} {}", s.stage, s.label), human::count(s.splits), human::count(s.retries)];
        cells.extend(self.earlier.then(|| human::count(s.earlier)));
        cells.extend(self.skipped.then(|| human::count(s.skipped)));
        cells.push(maybe(s.wall_seconds));
        cells.extend(self.cpu.then(|| [maybe(s.user_seconds), maybe(s.sys_seconds)]).into_iter().flatten());
        cells.extend(self.phases.iter().map(|p| human::seconds(s.times.get(*p).as_secs_f64())));
        cells.extend(self.read.then(|| human::bytes(s.bytes_read)));
        cells.extend(self.written.then(|| human::bytes(s.bytes_written)));
        cells
    }
}

/// A heading and what stands under it; nothing when that is nothing.
fn section(name: &str, lines: Vec<String>, colour: bool) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    std::iter::once(Style::Strong.paint(name, colour)).chain(lines).collect()
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
