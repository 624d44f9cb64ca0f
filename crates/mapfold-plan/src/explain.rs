//! What a run would do, without reading a pixel: `--explain`.

use crate::memory::{Budget, Chunks, StageMemory};
use crate::{Cut, Place, Plan, Result, StageKind};
use serde::Serialize;

/// A plan, told.
#[derive(Clone, Debug, Serialize)]
pub struct Explain {
    /// Stages in the order they run.
    pub stages: Vec<StageExplained>,
    /// Predicted peak of the process in bytes.
    pub predicted_peak_bytes: u64,
    /// The limit it was planned for.
    pub memory_limit_bytes: u64,
    /// Compute threads.
    pub threads: u64,
    /// Changes whenever the results could.
    pub fingerprint: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One stage, told.
#[derive(Clone, Debug, Serialize)]
pub struct StageExplained {
    /// Label with the line in the user's source.
    pub label: String,
    /// `output`, `exchange`, `report`, `side`, `blocks`.
    pub kind: &'static str,
    /// Steps from the sources on.
    pub steps: Vec<crate::Step>,
    /// Number of splits.
    pub splits: u64,
    /// Windows that a split is computed in.
    pub windows_per_split: u64,
    /// Rows and columns of a window, for rasters.
    pub window: Option<[usize; 2]>,
    /// Bytes of all inputs.
    pub input_bytes: u64,
    /// Source pixels read per pixel of output.
    pub recompute_factor: f64,
    /// How often a byte of the input is fetched and decoded by the windows of one split, on average.
    pub repeat_factor: f64,
    /// Where the output goes and what it is.
    pub output: Option<OutputExplained>,
    /// Predicted peak in bytes while this stage runs.
    pub peak_bytes: u64,
    /// How often it is done at most, where it is a round: each time from what the one before has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// Of it, one window's values.
    pub window_bytes: u64,
    /// Bytes of blocks that it keeps in the scratch folder for later stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Of it, what an exchange may hold before it spills; none without an exchange.
    pub exchange: Option<ExchangeExplained>,
}

/// What an exchange may hold before it spills, told.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExchangeExplained {
    /// Bytes of each attempt that puts records.
    pub map_bytes: u64,
    /// Bytes of records that wait to be reduced.
    pub waiting_bytes: u64,
    /// Bytes of each partition that is reduced, besides what waits.
    pub reduce_bytes: u64,
}

/// An output, told.
#[derive(Clone, Debug, Serialize)]
pub struct OutputExplained {
    /// Where (redacted).
    pub loc: String,
    /// What.
    pub what: String,
    /// Estimated bytes: likely.
    pub likely_bytes: u64,
    /// Estimated bytes: at most.
    pub most_bytes: u64,
}

/// Tells a plan.
///
/// # Errors
/// When it does not fit into memory.
pub fn explain(plan: &Plan, budget: Budget, chunks: Chunks, params: &serde_json::Value) -> Result<Explain> {
    let budget = budget.keeping(plan);
    let mut stages = Vec::new();
    for stage in plan.stages() {
        if stage.round().is_some_and(|r| r.number > 1) {
            continue; // As the first, which says how many there may be.
        }
        let memory = budget.plan(stage.as_ref(), chunks)?;
        stages.push(told(stage.as_ref(), &memory)?);
    }
    let repeats = stages.iter().filter(|s| s.repeat_factor >= MANY).map(StageExplained::repeats);
    let recomputed = stages.iter().filter(|s| s.recompute_factor >= COSTLY).map(StageExplained::recomputed);
    Ok(Explain {
        predicted_peak_bytes: stages.iter().map(|s| s.peak_bytes).max().unwrap_or(crate::memory::BASE),
        memory_limit_bytes: budget.limit,
        threads: budget.threads,
        fingerprint: format!("{:032x}", plan.fingerprint(params)),
        warnings: plan.warnings().into_iter().chain(repeats).chain(recomputed).collect(),
        stages,
    })
}

/// Repeated decoding from here on is worth a warning.
const MANY: f64 = 1.5;

/// So much computed again is worth keeping blocks instead.
const COSTLY: f64 = 2.0;

/// Bytes that the windows of a split need, one by one, over those that the split needs.
fn repeat_factor(stage: &dyn crate::Stage, split: &Place, windows: &[Place]) -> Result<f64> {
    let bytes = |at: &Place| Ok(stage.needs(at)?.iter().map(|n| n.range.end - n.range.start).sum::<u64>());
    let all = windows.iter().map(bytes).sum::<Result<u64>>()?;
    Ok(all as f64 / bytes(split)?.max(1) as f64)
}

fn told(stage: &dyn crate::Stage, memory: &StageMemory) -> Result<StageExplained> {
    let domain = stage.domain();
    let middle = domain.place(domain.splits() / 2);
    let windows = memory.cut.places(middle);
    let at = windows.get(windows.len() / 2).copied().unwrap_or(middle);
    let window = match memory.cut {
        Cut::Windows(s) => Some([s.rows, s.cols]),
        Cut::Whole => None,
    };
    Ok(StageExplained {
        label: stage.label().to_string(),
        kind: match stage.kind() {
            StageKind::Output => "output",
            StageKind::Exchange { .. } => "exchange",
            StageKind::Report => "report",
            StageKind::Blocks => "blocks",
            StageKind::Side { .. } => "side",
        },
        steps: stage.steps(),
        splits: domain.splits(),
        windows_per_split: windows.len() as u64,
        window,
        input_bytes: stage.input_bytes(),
        recompute_factor: stage.recompute(&at),
        output: stage.output().map(|o| {
            let (likely_bytes, most_bytes) = o.estimate();
            OutputExplained { loc: o.loc().to_string(), what: o.describe(), likely_bytes, most_bytes }
        }),
        peak_bytes: memory.peak,
        window_bytes: memory.window,
        rounds: stage.round().map(|r| r.limit),
        stored_bytes: stage.stored().map(|f| f.bytes),
        exchange: (memory.exchange.waiting > 0).then_some(ExchangeExplained {
            map_bytes: memory.exchange.map,
            waiting_bytes: memory.exchange.waiting,
            reduce_bytes: memory.exchange.reduce,
        }),
        repeat_factor: repeat_factor(stage, &middle, &windows)?,
    })
}

impl Explain {
    /// As lines for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (i, s) in self.stages.iter().enumerate() {
            out += &s.text(i);
        }
        out += &format!(
            "memory    predicted peak {}, limit {}, {} compute threads\n",
            bytes(self.predicted_peak_bytes),
            bytes(self.memory_limit_bytes),
            self.threads
        );
        out += &format!("plan      {}\n", self.fingerprint);
        self.warnings.iter().for_each(|w| out += &format!("warning   {w}\n"));
        out
    }
}

impl StageExplained {
    fn repeats(&self) -> String {
        let what = format!("windows cut codec tiles: each is fetched and decoded {:.1} times", self.repeat_factor);
        format!("{}: {what} (--chunks auto or native, or more memory)", self.label)
    }

    fn recomputed(&self) -> String {
        let what = format!("halos have source pixels computed {:.1} times", self.recompute_factor);
        format!("{}: {what} (materialise() before the last halo, a larger --tile, or --chunks auto)", self.label)
    }

    fn text(&self, number: usize) -> String {
        let mut out = format!("stage {number}   {}\n", self.label);
        for step in &self.steps {
            let at = if step.at.is_empty() { String::new() } else { format!("   ({})", step.at) };
            out += &format!("  step    {}{at}\n", step.what);
        }
        let window = self.window.map_or(String::new(), |[r, c]| format!(" of at most {r} x {c} pixels"));
        out += &format!(
            "  splits  {}, each in {} window{}{window}\n",
            self.splits,
            self.windows_per_split,
            plural(self.windows_per_split)
        );
        out += &format!("  input   {}, recompute factor {:.2}\n", bytes(self.input_bytes), self.recompute_factor);
        if let Some(o) = &self.output {
            let size = format!("about {}, at most {}", bytes(o.likely_bytes), bytes(o.most_bytes));
            out += &format!("  output  {} ({}), {size}\n", o.loc, o.what);
        }
        if let Some(e) = &self.exchange {
            let (map, waiting, reduce) = (bytes(e.map_bytes), bytes(e.waiting_bytes), bytes(e.reduce_bytes));
            out += &format!("  records {map} a split, {waiting} waiting, {reduce} a partition; beyond it to files\n");
        }
        if let Some(rounds) = self.rounds {
            out += &format!("  rounds  at most {rounds}, each an exchange of all states\n");
        }
        if let Some(stored) = self.stored_bytes {
            out += &format!("  blocks  {} in the scratch folder until the run ends\n", bytes(stored));
        }
        if self.kind == "side" {
            out += &format!("  side    at most {}, kept by every process from here on\n", bytes(crate::MOST_SIDE));
        }
        out += &format!("  memory  {} a window, peak {}\n", bytes(self.window_bytes), bytes(self.peak_bytes));
        out
    }
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Bytes for people: `340 B`, `12.5 MiB`.
pub fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64 / 1024.0;
    if n < 1024 {
        return format!("{n} B");
    }
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}
