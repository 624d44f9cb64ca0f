//! One split by itself, in this process, without an output: to see what became of it, under a debugger if need be.
//!
//! No coordinator, no commit, no timely: a split is attempted as a member attempts it, on a compute thread under the
//! guard, and what it makes is measured and dropped. A split that reduces needs the records of its partition: the stages
//! before it run first, whole, into files of a temporary folder; so do stages that leave sides or stored blocks. A split that kills its process kills this one.

use crate::attempt::{Finished, Outcome, Try};
use crate::exchange::Scratch;
use crate::failure::unless_stopped;
use crate::fetch::SplitFetch;
use crate::groups::Role;
use crate::link::{At, Control, Made, Said};
use crate::member::{Member, MemberStage};
use crate::options::RunOptions;
use crate::signal::Cancel;
use crate::{guard, measure};
use mapfold_coord::{Attempt, Counters, JobId, PhaseTimes, SplitId};
use mapfold_plan::exchange::{Piece, Stored};
use mapfold_plan::{Error, Kind, Need, Place, Plan, Product, Result, StageKind};
use mapfold_store::Loc;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

/// Which split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneSplit {
    /// Of which stage.
    pub stage: usize,
    /// Which.
    pub split: u64,
}

/// Bytes of one file that a split read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOf {
    /// The file.
    pub loc: Loc,
    /// Ranges of it.
    pub ranges: u64,
    /// Bytes of it.
    pub bytes: u64,
}

/// What came of one split.
#[derive(Debug)]
pub struct Reproduced {
    /// What the stage does, for people.
    pub label: String,
    /// What the split covers, for people.
    pub place: String,
    /// Splits of other stages that had to run before.
    pub before: u64,
    /// What it read.
    pub reads: Vec<ReadOf>,
    /// Bytes of records that were exchanged for it.
    pub exchanged: u64,
    /// What it made, in words.
    pub made: String,
    /// Bytes that it made.
    pub bytes_out: u64,
    /// Wall seconds.
    pub seconds: f64,
    /// Where its thread's time went.
    pub times: PhaseTimes,
    /// What it counted.
    pub counters: Counters,
    /// Most bytes of this process resident at once.
    pub peak_bytes: u64,
    /// How it failed, if it did.
    pub error: Option<Error>,
    /// Where the panic came from, if it was one and that was asked for.
    pub backtrace: Option<String>,
}

/// Runs one split of one stage of `plan` in this process. Nothing is written but temporary files. With `backtrace` a panic
/// is told with where it came from. `begins` is called when the split itself begins, with its label and place.
///
/// # Errors
/// When there is no such split, or a stage before it fails; how the split itself failed is in the answer.
pub fn reproduce(
    plan: &Plan,
    opts: &RunOptions,
    one: OneSplit,
    backtrace: bool,
    begins: &dyn Fn(&str, &str),
) -> Result<Reproduced> {
    guard::install_panic_hook();
    guard::keep_backtraces(backtrace);
    let stages = plan.stages();
    let stage = stages.get(one.stage).ok_or_else(|| {
        Error::usage(format!("there is no stage {}", one.stage)).with_remedy(format!("give 0 to {}", stages.len() - 1))
    })?;
    let splits = stage.domain().splits();
    if one.split >= splits {
        let what = format!("there is no split {} of stage {} ({})", one.split, one.stage, stage.label());
        return Err(Error::usage(what).with_remedy(format!("give 0 to {}", splits.saturating_sub(1))));
    }
    Bench::open(plan, opts)?.run(one, begins)
}

/// A member that nobody leads.
struct Bench {
    member: Arc<Member>,
    roles: Vec<Role>,
    cancel: Cancel,
    width: usize,
    /// What was exchanged so far.
    pieces: HashMap<(usize, u32), Vec<Stored>>,
    _scratch: Scratch,
}

/// Nobody to talk to; only whether the user has stopped it.
struct Nobody(Cancel);

impl Control for Nobody {
    fn say(&self, _: Said) {}

    fn has_failed(&self) -> bool {
        self.0.signal() != 0
    }
}

impl Bench {
    fn open(plan: &Plan, opts: &RunOptions) -> Result<Bench> {
        let id = JobId::random().map_err(|e| Error::caused(Kind::Job, e))?;
        let base = opts.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = Scratch::new(base.join(format!("mapfold-split-{id}")));
        let parts = scratch.path().join("parts");
        std::fs::create_dir_all(&parts)
            .map_err(|e| Error::caused(Kind::Input, e).with_remedy(format!("{} must be writable", base.display())))?;
        let parts = Loc::parse(&parts.to_string_lossy())?;
        let stages = plan.stages();
        let budget = opts.budget().keeping(plan);
        let memory = stages.iter().map(|s| budget.plan(s.as_ref(), opts.chunks)).collect::<Result<Vec<_>>>()?;
        let (member, _) = Member::new(plan, &memory, (opts.threads, scratch.path().to_owned()), Vec::new());
        let member = member.with_durable(true).with_parts_in(&parts);
        let roles = stages.iter().map(|s| Role::of(s.as_ref())).collect();
        let (cancel, width) = (opts.cancel.clone(), 2 * opts.threads.max(1));
        Ok(Bench { member: Arc::new(member), roles, cancel, width, pieces: HashMap::new(), _scratch: scratch })
    }

    fn run(mut self, one: OneSplit, begins: &dyn Fn(&str, &str)) -> Result<Reproduced> {
        let mut before = 0;
        let leaves =
            |i: &usize| matches!(self.member.stages[*i].stage.kind(), StageKind::Side { .. } | StageKind::Blocks);
        let left = (0..one.stage).filter(leaves).collect();
        for stage in before_of(&self.roles, &left, one.stage) {
            before += self.exchange(stage)?;
        }
        let stage = self.member.stages[one.stage].clone();
        let place = self.assign(&stage, one.split);
        let (label, shown) = (stage.stage.label().to_string(), place.to_string());
        begins(&label, &shown);
        let reads = self.reads(&stage, &place)?;
        let exchanged = self.records_of(&place).iter().map(|s| s.len).sum();
        let began = Instant::now();
        let outcome = self.attempts(&stage, std::iter::once(one.split))?.into_iter().next().map(|f| f.outcome);
        let seconds = began.elapsed().as_secs_f64();
        let (made, product, error) = match outcome {
            Some(Outcome::Made(product, made)) => (made, Some(product), None),
            Some(Outcome::Failed { error, .. }) => (Made::default(), None, Some(error)),
            _ => {
                return Err(unless_stopped(&self.cancel)
                    .err()
                    .unwrap_or_else(|| Error::job("the split gave no answer")));
            }
        };
        Ok(Reproduced {
            label,
            place: shown,
            before,
            reads,
            exchanged,
            made: product.as_ref().map(words).unwrap_or_default(),
            bytes_out: made.bytes_out,
            seconds,
            times: made.times,
            counters: made.counters,
            peak_bytes: measure::peak_rss(),
            error,
            backtrace: guard::take_backtrace(),
        })
    }

    /// Runs a whole stage for the records that it exchanges, or for what it leaves to later stages: how many splits that were.
    fn exchange(&mut self, index: usize) -> Result<u64> {
        let stage = self.member.stages[index].clone();
        let splits = stage.stage.domain().splits();
        tracing::info!("stage {index} ({}): {splits} splits are exchanged first", stage.stage.label());
        let mut all = self.attempts(&stage, 0..splits)?;
        all.sort_by_key(|f| f.at.split);
        let mut side = Vec::new();
        for finished in all {
            match finished.outcome {
                Outcome::Made(Product::Records(pieces), _) => self.keep(&pieces),
                Outcome::Made(Product::Side(values), _) => side.extend(values),
                Outcome::Failed { error, .. } => return Err(error),
                _ => {}
            }
        }
        if let StageKind::Side { number, single } = stage.stage.kind() {
            self.member.sides.put(number, mapfold_plan::gathered(side, single)?);
        }
        Ok(splits)
    }

    fn keep(&mut self, pieces: &[Piece]) {
        for piece in pieces.iter().filter_map(Piece::stored) {
            let of = (piece.origin.exchange as usize, piece.origin.partition);
            self.pieces.entry(of).or_default().push(piece.clone());
        }
    }

    fn records_of(&self, place: &Place) -> Vec<Stored> {
        let Place::Partition { exchange, partition } = *place else { return Vec::new() };
        self.pieces.get(&(exchange, partition)).cloned().unwrap_or_default()
    }

    /// Lays the records of a split out for it, if it reduces any.
    fn assign(&self, stage: &MemberStage, split: u64) -> Place {
        let place = stage.stage.domain().place(split);
        self.member.hub.assign(&place, self.records_of(&place));
        place
    }

    fn reads(&self, stage: &MemberStage, place: &Place) -> Result<Vec<ReadOf>> {
        let mut files: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for need in stage.needs(place)?.into_iter().flatten() {
            let (ranges, bytes) = files.entry(need.file.0).or_default();
            *ranges += 1;
            *bytes += need.range.end - need.range.start;
        }
        let read = |(file, (ranges, bytes)): (u32, (u64, u64))| {
            let loc = self.member.files.get(file as usize)?.loc.clone();
            Some(ReadOf { loc, ranges, bytes })
        };
        Ok(files.into_iter().filter_map(read).collect())
    }

    /// Attempts these splits, so many at a time as a member would; stops at the first that fails.
    fn attempts(&self, stage: &Arc<MemberStage>, splits: impl Iterator<Item = u64>) -> Result<Vec<Finished>> {
        let ((tx, rx), mut waiting) = (channel(), splits.peekable());
        let (mut flying, mut all, mut failed) = (0, Vec::new(), false);
        loop {
            while flying < self.width && !failed && waiting.peek().is_some() {
                unless_stopped(&self.cancel)?;
                let Some(split) = waiting.next() else { break };
                let place = self.assign(stage, split);
                let (needs, member, stage, tx) = (stage.needs(&place)?, self.member.clone(), stage.clone(), tx.clone());
                let control = Nobody(self.cancel.clone());
                let at = At { stage: stage.id, split: SplitId(split), attempt: Attempt(0) };
                let fetch = start(&member, needs);
                self.member.pool.submit(move |rooms| {
                    let tried = Try { member: &member, stage: &stage, control: &control };
                    let outcome = tried.run(at, place, fetch.1, fetch.0, rooms);
                    let _ = tx.send(Finished { at, outcome });
                });
                flying += 1;
            }
            if flying == 0 {
                return Ok(all);
            }
            let Ok(finished) = rx.recv() else { return Ok(all) };
            flying -= 1;
            failed |= matches!(finished.outcome, Outcome::Failed { .. });
            self.member.hub.reduced(&stage.stage.domain().place(finished.at.split.0));
            all.push(finished);
        }
    }
}

/// Reading ahead for a split: its bytes in all, and the reader if there are any.
fn start(member: &Member, needs: Vec<Vec<Need>>) -> (u64, Option<SplitFetch>) {
    let bytes = needs.iter().flatten().map(|n| n.range.end - n.range.start).sum();
    (bytes, (bytes > 0).then(|| SplitFetch::start(&member.stores, member.files.clone(), needs)))
}

/// The stages whose records a stage needs, in their order; and of those that have `left` something all that come before.
fn before_of(roles: &[Role], left: &BTreeSet<usize>, stage: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = vec![stage];
    while let Some(reader) = open.pop() {
        let earlier: Vec<usize> = left.range(..reader).copied().filter(|i| all.insert(*i)).collect();
        open.extend(earlier);
        let Some(exchange) = roles[reader].reduces else { continue };
        let maps = (0..roles.len()).filter(|i| roles[*i].maps == Some(exchange));
        open.extend(maps.filter(|i| all.insert(*i)));
    }
    all
}

fn words(product: &Product) -> String {
    match product {
        Product::Part(p) => format!("a part of {} segments and {} files", p.segments.len(), p.files.len()),
        Product::Records(pieces) => {
            let partitions: BTreeSet<u32> = pieces.iter().map(|p| p.origin().partition).collect();
            format!("records for {} partitions", partitions.len())
        }
        Product::Values(values) => format!("{} values", values.len()),
        Product::Side(values) => format!("{} values for later stages", values.len()),
        Product::Blocks(bytes) => format!("stored blocks, {}", mapfold_plan::explain::bytes(*bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_needs_all_stages_before_it_and_no_other() {
        let role = |maps, reduces| Role { maps, reduces };
        let roles = [role(Some(0), None), role(Some(1), Some(0)), role(None, None), role(None, Some(1))];
        let none = BTreeSet::new();
        assert_eq!(before_of(&roles, &none, 3), BTreeSet::from([0, 1]));
        assert_eq!(before_of(&roles, &none, 1), BTreeSet::from([0]));
        assert!(before_of(&roles, &none, 2).is_empty() && before_of(&roles, &none, 0).is_empty());
        assert_eq!(
            before_of(&roles, &BTreeSet::from([1]), 2),
            BTreeSet::from([0, 1]),
            "a side comes with what it needs"
        );
    }
}
