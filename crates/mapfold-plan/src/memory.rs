//! The memory of a stage, before it runs: how splits are cut so that the process stays below its limit.
//!
//! By construction, not by watching. At any moment
//! - a running split (one a thread, while there are splits) holds the values of one window ([`Stage::memory`]), an open
//!   part writer, the part encoded so far, and the bytes of the window and of the next;
//! - each further lease (one a thread) holds the first window's bytes of a split that waits, or a part being written;
//! - parts that wait for their turn hold at most their share, an exchange its three ([`ExchangeMemory`]).
//!
//! What is counted here is what the engine allows, with windows, tiles and parts as large as they are in this image.
//! Parts count as if nothing compressed: an image of one value needs less than is said here.

use crate::side::KEPT_OF_A_SIDE;
use crate::{Cut, Domain, Error, Load, Output, OutputShape, Place, Plan, Result, Stage, StageKind};
use mapfold_grid::Shape;
use serde::{Deserialize, Serialize};

/// Bytes of a process that no split accounts for: code, runtimes, allocator slack. Measured (docs: benchmarks).
pub const BASE: u64 = 24 << 20;

/// What a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `--memory-limit` in bytes.
    pub limit: u64,
    /// Compute threads.
    pub threads: u64,
    /// Whether records of an exchange go through files: none wait in memory, and whoever reduces them reads them.
    pub files: bool,
    /// Bytes that the process keeps from stage to stage: sides.
    pub kept: u64,
}

/// How `--chunks` asks for windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chunks {
    /// As large as serves speed, as small as memory asks.
    #[default]
    Auto,
    /// One codec tile of the input.
    Native,
    /// At most this shape.
    Shape(Shape),
}

/// The memory plan of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageMemory {
    /// How splits are cut.
    pub cut: Cut,
    /// Values of one window, all live ones.
    pub window: u64,
    /// One open part writer.
    pub writer: u64,
    /// One encoded part.
    pub part: u64,
    /// Bytes that one window fetches.
    pub fetch: u64,
    /// What the read-ahead of running splits may hold in all.
    pub read_ahead: u64,
    /// What finished parts may hold that wait for their turn.
    pub held: u64,
    /// What the exchange may hold; beyond it, it spills.
    pub exchange: ExchangeMemory,
    /// Predicted peak of the process.
    pub peak: u64,
}

/// Parts that a process sends to a store over the network at once.
pub const WRITERS_AFAR: u64 = 4;

/// What an exchange may hold in memory while a stage runs. All of it spills to files beyond that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExchangeMemory {
    /// Buffers and fold table of one attempt that puts records.
    pub map: u64,
    /// Records of all attempts that wait to be reduced.
    pub waiting: u64,
    /// Index, loaded records and merge buffers of one partition that is reduced.
    pub reduce: u64,
}

/// Bytes that a segment has for each record besides its key and value: where both end.
const ENDS: u64 = 8;
/// Bytes of an index for each record while it is sorted.
const INDEX: u64 = 24;

/// What an exchange would use if it were there.
#[derive(Clone, Copy)]
struct Needed {
    /// By a running split.
    each: u64,
    /// By records that wait.
    waiting: u64,
}

impl Needed {
    /// Of a stage of which only the input is known, or not even that.
    fn unknown(input: u64) -> Needed {
        let enough = if input == 0 { u64::MAX } else { (8 << 20) + 3 * input };
        Needed { each: enough, waiting: enough }
    }
}

/// Bytes of records in segments.
fn segments(load: Load) -> u64 {
    load.bytes + ENDS * load.records
}

/// A quarter and a MiB more than an estimate.
fn roomy(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4).saturating_add(1 << 20)
}

impl Budget {
    /// A budget of so many bytes for so many compute threads.
    pub fn new(limit: u64, threads: u64) -> Budget {
        Budget { limit, threads, files: false, kept: 0 }
    }

    /// The same for a process whose exchanges go through files, or not.
    #[must_use]
    pub fn through_files(self, files: bool) -> Budget {
        Budget { files, ..self }
    }

    /// The same for a process that runs this plan, and keeps what its stages leave to later ones.
    #[must_use]
    pub fn keeping(self, plan: &Plan) -> Budget {
        Budget { kept: u64::from(plan.sides()) * KEPT_OF_A_SIDE, ..self }
    }

    /// A share of what is left after the base.
    fn share(&self, percent: u64) -> u64 {
        self.limit.saturating_sub(BASE + self.kept) * percent / 100
    }

    /// What parts may hold that wait for their turn: half a part a thread lets one split take half as long again as
    /// its neighbours; what is more goes to the file out of order.
    fn held(&self, part: u64) -> u64 {
        ((self.threads / 2).max(1) * part).min(self.share(10))
    }

    /// Plans a stage, cutting its splits as small as the budget asks.
    ///
    /// # Errors
    /// When even the smallest cut does not fit: names what would.
    pub fn plan(&self, stage: &dyn Stage, chunks: Chunks) -> Result<StageMemory> {
        let choices = cuts(stage, chunks);
        let mut best: Option<StageMemory> = None;
        for cut in choices {
            let m = self.measure(stage, cut)?;
            if m.peak <= self.limit {
                return Ok(m);
            }
            best = Some(best.filter(|b| b.peak <= m.peak).unwrap_or(m));
        }
        Err(self.refuse(stage, best, chunks))
    }

    fn measure(&self, stage: &dyn Stage, cut: Cut) -> Result<StageMemory> {
        let (mut window, mut fetch, mut writer, mut part, mut windows) = (0, 0, 0, 0, 0);
        let out = stage.output();
        for split in sample(stage.domain().splits()).chain(stage.domain().first_splits()) {
            let place = stage.domain().place(split);
            writer = out.map_or(0, |o| o.writer_bytes(&place, cut) + sent(o)).max(writer);
            part = out.map_or(64 << 10, |o| o.part_bytes(&place)).max(part);
            let places = cut.places(place);
            windows = windows.max(places.len() as u64);
            for at in sample(places.len() as u64).map(|i| places[i as usize]) {
                window = stage.memory(&at).max(window);
                let bytes = stage.needs(&at)?.iter().map(|n| n.range.end - n.range.start).sum::<u64>();
                fetch = bytes.max(fetch);
            }
        }
        let splits = stage.domain().splits().max(1);
        let running = self.threads.min(splits);
        let others = self.threads.min(splits - running);
        // Freed bytes stay with the allocator for a while: those of some windows, and those of a part.
        let read_ahead = (running * windows.min(2) + running / 2 + 2) * fetch;
        let held = self.held(part).min((splits - running - others) * part);
        let parts = (running + 1) * part + others * part.max(fetch) + held;
        // A part is copied when it is sent.
        let on_the_way = out.filter(|o| poured(*o) > 0).map_or(0, |_| running.min(WRITERS_AFAR) * part);
        let parts = parts.min(all_parts(stage, part) + others * fetch) + on_the_way;
        let exchange = self.exchange(stage, running);
        let each = window + writer + exchange.map + exchange.reduce;
        let busy = running * each + parts + read_ahead + exchange.waiting;
        // What the splits and an earlier unit used and freed is not all used again.
        let finish = out.map_or(0, |o| o.finish_bytes(self.threads).max(poured(o)));
        let kept = running * (window + writer + fetch) + finish / (2 * self.threads.max(1));
        let peak = BASE + self.kept + busy.max(if finish > 0 { kept + finish } else { 0 });
        Ok(StageMemory { cut, window, writer, part, fetch, read_ahead, held, exchange, peak })
    }

    /// The shares of an exchange: fixed parts of the limit, or less where less comes. What they are changes when
    /// something is spilled, and never a result.
    fn exchange(&self, stage: &dyn Stage, running: u64) -> ExchangeMemory {
        let puts = matches!(stage.kind(), StageKind::Exchange { .. });
        let (reduces, input, comes) = match stage.domain() {
            Domain::Partitions { input_bytes, load, count, .. } => (true, *input_bytes, load.zip(Some(*count))),
            _ => (false, stage.input_bytes(), None),
        };
        let need = Needed::unknown(input);
        let put = stage.load().map_or(need, |load| self.put(load, stage.domain().splits()));
        let reduced = comes.map_or(need, |(load, partitions)| self.reduced(load, u64::from(partitions), running));
        let each = |percent: u64, least: u64, most: u64, need: u64| {
            (self.share(percent) / running.max(1)).clamp(least, most).min(need)
        };
        let waiting = if self.files { 0 } else { self.share(20) };
        ExchangeMemory {
            map: if puts { each(20, 1 << 20, 64 << 20, put.each) } else { 0 },
            waiting: match (puts, reduces) {
                (true, _) => waiting.min(put.waiting),
                (false, true) => waiting.min(reduced.waiting),
                (false, false) => 0,
            },
            reduce: if reduces { each(30, 4 << 20, 1 << 30, reduced.each) } else { 0 },
        }
    }

    /// What the splits before an exchange need for what they put.
    fn put(&self, load: Load, splits: u64) -> Needed {
        let bytes = segments(load);
        Needed { each: roomy(bytes / splits.max(1)), waiting: roomy(bytes) }
    }

    /// What the partitions of an exchange need: an index of their records, and these too where they come from files.
    /// Partitions are not alike: each may have half as much again as their mean, and more where that is little.
    fn reduced(&self, load: Load, partitions: u64, running: u64) -> Needed {
        const LITTLE: u64 = 32 << 20;
        let bytes = segments(load);
        let in_memory = if self.files { 0 } else { self.share(20) };
        let all = INDEX * load.records + bytes.saturating_sub(in_memory);
        let uneven = (all / partitions.max(1)).saturating_mul(3) / 2;
        Needed { each: roomy(all).min(uneven.max(LITTLE / running.max(1)) + (1 << 20)), waiting: roomy(bytes) }
    }

    /// The least limit that fits: parts that wait may hold a share of the limit, so it grows with what is allowed.
    fn least(&self, stage: &dyn Stage, smallest: Option<StageMemory>) -> u64 {
        let Some(mut m) = smallest else { return u64::MAX };
        for _ in 0..16 {
            let rounded = m.peak.next_multiple_of(1 << 20);
            match (Budget { limit: rounded, ..*self }).measure(stage, m.cut) {
                Ok(next) if next.peak > rounded => m = next,
                _ => return rounded,
            }
        }
        m.peak * 2
    }

    fn refuse(&self, stage: &dyn Stage, smallest: Option<StageMemory>, chunks: Chunks) -> Error {
        let least = self.least(stage, smallest);
        let mib = |b: u64| b.div_ceil(1 << 20);
        let what = format!(
            "the plan needs {} MiB, but the memory limit is {} MiB (--threads {})",
            mib(least),
            mib(self.limit),
            self.threads
        );
        let mut remedy = format!("--memory-limit {}MiB", mib(least));
        if self.threads > 1 {
            remedy += &format!(", or --threads {}", (self.threads / 2).max(1));
        }
        if !stage.cuttable() {
            remedy += &format!(", or --tile {}", fitting_tile(stage, self));
        } else if chunks != Chunks::Auto {
            remedy += ", or --chunks auto";
        }
        Error::usage(what).at_stage(stage.label()).with_remedy(remedy)
    }
}

/// What an attempt's own file holds that is sent to a store while it is written.
fn sent(out: &dyn Output) -> u64 {
    if out.shape() == OutputShape::Streams { 0 } else { mapfold_store::buffered_at(out.loc()) }
}

/// What is held while a file is written from its begin to its end, out of streams in a store.
fn poured(out: &dyn Output) -> u64 {
    const READ: u64 = 8 << 20;
    match (out.shape(), mapfold_store::buffered_at(out.loc())) {
        (OutputShape::Streams, sent) if sent > 0 => sent + READ,
        _ => 0,
    }
}

/// Upper bound of the parts of all splits together, the largest of which has `part` bytes.
fn all_parts(stage: &dyn Stage, part: u64) -> u64 {
    const FEW: u64 = 1024;
    let splits = stage.domain().splits();
    match stage.output() {
        Some(out) if splits <= FEW => (0..splits).map(|i| out.part_bytes(&stage.domain().place(i))).sum(),
        _ => splits.saturating_mul(part),
    }
}

/// The largest power-of-two tile whose whole group would fit.
fn fitting_tile(stage: &dyn Stage, budget: &Budget) -> usize {
    let Domain::Raster(r) = stage.domain() else { return 256 };
    let mut edge = r.superblock.rows.max(r.superblock.cols).next_power_of_two() / 2;
    let fits = |edge: usize| {
        let at = Place::Window { scene: 0, window: Shape { rows: edge, cols: edge }.window() };
        BASE + budget.threads * stage.memory(&at) * 3 / 2 < budget.limit
    };
    while edge > 64 && !fits(edge) {
        edge /= 2;
    }
    edge
}

/// Up to nine numbers below `n`, spread evenly, first and last included.
fn sample(n: u64) -> impl Iterator<Item = u64> {
    let steps = n.min(9);
    (0..steps).map(move |i| if steps <= 1 { 0 } else { i * (n - 1) / (steps - 1) })
}

/// The cuts to try, the preferred first.
fn cuts(stage: &dyn Stage, chunks: Chunks) -> Vec<Cut> {
    let Some((whole, tile)) = stage.domain().shapes().filter(|_| stage.cuttable()) else { return vec![Cut::Whole] };
    let within = |s: Shape| Shape { rows: s.rows.clamp(1, whole.rows), cols: s.cols.clamp(1, whole.cols) };
    match chunks {
        Chunks::Native => vec![Cut::Windows(within(tile))],
        Chunks::Shape(s) => vec![Cut::Windows(within(s))],
        Chunks::Auto => auto(whole, within(tile)).into_iter().map(Cut::Windows).collect(),
    }
}

/// Strips as wide as the superblock and one codec tile high (or a quarter of a megapixel, for files stored by
/// rows): each codec tile is decoded once and pixels stay in the cache. Then ever smaller.
fn auto(whole: Shape, tile: Shape) -> Vec<Shape> {
    let enough = (256usize << 10).div_ceil(whole.cols.max(1));
    let rows = (enough.div_ceil(tile.rows) * tile.rows).max(tile.rows).min(whole.rows);
    let mut out = vec![Shape { rows, cols: whole.cols }];
    let mut last = out[0];
    while last.rows > 16 || last.cols > 64 {
        let next_cols = (last.cols / 2).next_multiple_of(tile.cols).min(last.cols);
        last = if next_cols < last.cols {
            Shape { cols: next_cols, ..last }
        } else if last.rows > 16 {
            Shape { rows: last.rows.div_ceil(2), ..last }
        } else {
            Shape { cols: last.cols.div_ceil(2), ..last }
        };
        out.push(last);
    }
    out
}
