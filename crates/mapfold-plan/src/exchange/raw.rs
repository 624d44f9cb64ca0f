//! The exchange over bytes: for built-in jobs over records, without an allocation or a type per record.
//!
//! ```
//! use mapfold_plan::{Plan, PlanOptions};
//! # fn main() -> mapfold_plan::Result<()> {
//! let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
//! plan.range(3)
//!     .shuffle("words", |_, emit| "to be or not to be".split(' ').for_each(|w| emit.put(w.as_bytes(), &[1])))
//!     .reduce_raw(|groups, out| {
//!         while let Some(mut group) = groups.next() {
//!             let mut count = 0;
//!             while group.values.next().is_some() {
//!                 count += 1;
//!             }
//!             out((String::from_utf8_lossy(group.key).into_owned(), count))?;
//!         }
//!         Ok(())
//!     })
//!     .report("words")
//! # }
//! ```

use super::fold::{self, FoldTable};
use super::groups::{Cut, RawGroups, RawValues};
use super::output::MapOutput;
use super::partition::Partitioner;
use super::stage::{MapSide, Spread, close, reduce_side};
use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Flow, Load, Phase, Place, Result, hash64};
use std::panic::Location;
use std::sync::Arc;

/// Folds the values of a key into one value, which it writes into the (empty) vector. It must be associative; it sees
/// values in their order, and its own results among them.
pub type RawCombiner = dyn Fn(&[u8], &mut RawValues<'_>, &mut Vec<u8>) -> Result<()> + Send + Sync;

/// Where a map side puts its records.
pub struct Emit<'a, 'b> {
    out: &'a mut MapOutput<'b>,
    fold: Option<(&'a mut RawFold, &'a RawCombiner)>,
    rule: &'a Partitioner,
    fault: Option<Error>,
}

impl Emit<'_, '_> {
    /// Emits a record. Keys sort by their bytes. A fault (a full disk) is kept and ends the attempt; what is put behind
    /// it is not looked at.
    #[inline]
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.try_put(key, value).err();
        }
    }

    /// Ends the attempt with an error of the caller's.
    pub fn fail(&mut self, fault: Error) {
        self.fault.get_or_insert(fault);
    }

    #[inline]
    fn try_put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match &mut self.fold {
            Some((fold, combiner)) => fold.put(key, value, *combiner, self.rule, self.out),
            None => self.out.put(self.rule.of(key, self.out.partitions())?, key, value),
        }
    }
}

/// Values folded so far, by key.
#[derive(Default)]
struct RawFold {
    table: FoldTable<Spot>,
    values: Vec<u8>,
    folded: Vec<u8>,
    budget: u64,
}

/// Where a value is in [`RawFold::values`].
#[derive(Clone, Copy)]
struct Spot {
    from: u32,
    len: u32,
}

impl Spot {
    fn of(self, values: &[u8]) -> &[u8] {
        &values[self.from as usize..][..self.len as usize]
    }
}

impl RawFold {
    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        combiner: &RawCombiner,
        rule: &Partitioner,
        out: &mut MapOutput<'_>,
    ) -> Result<()> {
        if value.len() as u64 > self.budget / 4 {
            return self.put_large(key, value, rule, out);
        }
        let hash = hash64(key);
        let Some(spot) = self.table.get(key, hash) else {
            let partition = rule.of_hashed(key, hash, out.partitions())?;
            let spot = append(&mut self.values, value);
            self.table.insert(key, hash, partition, spot)?;
            return self.check(out);
        };
        self.folded.clear();
        combiner(key, &mut RawValues::of(key, &[spot.of(&self.values), value]), &mut self.folded)?;
        if self.folded.len() == spot.len as usize {
            self.values[spot.from as usize..][..spot.len as usize].copy_from_slice(&self.folded);
            return Ok(());
        }
        *spot = append(&mut self.values, &self.folded);
        self.check(out)
    }

    /// A value that is too large for the table goes by itself, behind what came before it.
    #[cold]
    fn put_large(&mut self, key: &[u8], value: &[u8], rule: &Partitioner, out: &mut MapOutput<'_>) -> Result<()> {
        self.drain(out)?;
        out.put(rule.of(key, out.partitions())?, key, value)
    }

    fn check(&mut self, out: &mut MapOutput<'_>) -> Result<()> {
        if self.table.bytes() + self.values.len() as u64 > self.budget { self.drain(out) } else { Ok(()) }
    }

    fn drain(&mut self, out: &mut MapOutput<'_>) -> Result<()> {
        let values = &self.values;
        self.table.drain(out, |spot, into| {
            into.extend_from_slice(spot.of(values));
            Ok(())
        })?;
        self.values.clear();
        Ok(())
    }
}

fn append(values: &mut Vec<u8>, value: &[u8]) -> Spot {
    let from = values.len() as u32;
    values.extend_from_slice(value);
    Spot { from, len: value.len() as u32 }
}

impl<T: 'static> Flow<T> {
    /// An exchange over bytes: `put` emits any number of records for each value. See [`crate::exchange`] for the order
    /// in which they come; [`Shuffled`] says how they are spread, folded and reduced.
    #[track_caller]
    pub fn shuffle(self, name: &str, put: impl Fn(T, &mut Emit<'_, '_>) + Send + Sync + 'static) -> Shuffled<T> {
        let label = format!("{name} at {}", crate::flow::label(Location::caller()));
        Shuffled {
            flow: self,
            put: Arc::new(put),
            label,
            spread: Spread::default(),
            combiner: None,
            folds: false,
            cut: None,
        }
    }
}

type Put<T> = dyn Fn(T, &mut Emit<'_, '_>) + Send + Sync;

/// Records on their way: see [`Flow::shuffle`].
pub struct Shuffled<T> {
    flow: Flow<T>,
    put: Arc<Put<T>>,
    label: String,
    spread: Spread,
    combiner: Option<Arc<RawCombiner>>,
    /// Whether the combiner works before records are sent too.
    folds: bool,
    cut: Option<Arc<Cut>>,
}

impl<T: 'static> Shuffled<T> {
    /// Spreads keys by another rule than their hash. Ranges bring their number of partitions with them.
    #[must_use]
    pub fn partition_by(mut self, rule: impl Into<Partitioner>) -> Self {
        self.spread.rule = rule.into();
        if let Partitioner::Range(r) = &self.spread.rule {
            self.spread.partitions = Some(r.partitions());
        }
        self
    }

    /// Fixes the number of partitions: part of the plan, never dependent on workers. Without it `--partitions` counts,
    /// or the bytes of the input.
    #[must_use]
    pub fn partitions(mut self, count: u32) -> Self {
        self.spread.partitions = Some(count.max(1));
        self
    }

    /// Says how much comes, about, so that memory is planned for that and not for the most that the input might give.
    /// What is more is spilled; an estimate changes speed, and never a result.
    #[must_use]
    pub fn expect(mut self, load: Option<Load>) -> Self {
        self.spread.load = load;
        self
    }

    /// Folds values before they are sent, and whenever they are spilled.
    #[must_use]
    pub fn combine_raw(
        mut self,
        f: impl Fn(&[u8], &mut RawValues<'_>, &mut Vec<u8>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.combiner = Some(Arc::new(f));
        self.folds = true;
        self
    }

    /// Folds values whenever they are spilled, and not before they are sent: for map sides that fold by themselves.
    #[must_use]
    pub fn combine_spilled(
        mut self,
        f: impl Fn(&[u8], &mut RawValues<'_>, &mut Vec<u8>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.combiner = Some(Arc::new(f));
        self.folds = false;
        self
    }

    /// Groups, and spreads, by the first `len(key)` bytes of a key only: the others say the order of the values (secondary
    /// sort). A combiner would still see whole keys.
    #[must_use]
    pub fn group_by_first(mut self, len: impl Fn(&[u8]) -> usize + Send + Sync + 'static) -> Self {
        self.cut = Some(Arc::new(len));
        self
    }

    /// Reduces a partition at a time: `reduce` walks its groups and hands any number of values to `out`.
    #[track_caller]
    pub fn reduce_raw<U: 'static>(
        self,
        reduce: impl Fn(&mut RawGroups, &mut dyn FnMut(U) -> Result<()>) -> Result<()> + Send + Sync + 'static,
    ) -> Flow<U> {
        let at = crate::flow::label(Location::caller());
        let Shuffled { flow, put, label, spread, combiner, folds, cut } = self;
        let side =
            RawSide { put, rule: by_first(&spread.rule, cut.as_ref()), combiner: combiner.clone().filter(|_| folds) };
        let (plan, domain) = close(flow, label, &spread, side);
        Flow::from_node(&plan, Arc::new(RawReduce { domain, at, combiner, cut, reduce }))
    }
}

/// The rule that sees only what names the group.
fn by_first(rule: &Partitioner, cut: Option<&Arc<Cut>>) -> Partitioner {
    let Some(cut) = cut.cloned() else { return rule.clone() };
    let rule = rule.clone();
    // A number that a rule must not give is met by the check of the rule around it.
    let first = move |key: &[u8], n: u32| rule.of(&key[..cut(key).min(key.len())], n).unwrap_or(u32::MAX);
    Partitioner::Rule(Arc::new(first))
}

struct RawSide<T> {
    put: Arc<Put<T>>,
    rule: Partitioner,
    combiner: Option<Arc<RawCombiner>>,
}

impl<T: 'static> MapSide<T> for RawSide<T> {
    type Attempt = RawFold;

    fn begin(&self, out: &mut MapOutput<'_>) -> RawFold {
        let budget = self.combiner.as_ref().map_or(0, |_| fold::share(out.budget()));
        out.lend(budget);
        RawFold { budget, ..RawFold::default() }
    }

    fn put(&self, fold: &mut RawFold, out: &mut MapOutput<'_>, value: T) -> Result<()> {
        let fold = self.combiner.as_deref().map(|combiner| (fold, combiner));
        let mut emit = Emit { out, fold, rule: &self.rule, fault: None };
        (self.put)(value, &mut emit);
        emit.fault.map_or(Ok(()), Err)
    }

    fn finish(&self, mut fold: RawFold, out: &mut MapOutput<'_>) -> Result<()> {
        if self.combiner.is_some() { fold.drain(out) } else { Ok(()) }
    }
}

struct RawReduce<F> {
    domain: Domain,
    at: String,
    combiner: Option<Arc<RawCombiner>>,
    cut: Option<Arc<Cut>>,
    reduce: F,
}

impl<U, F> Node<U> for RawReduce<F>
where
    F: Fn(&mut RawGroups, &mut dyn FnMut(U) -> Result<()>) -> Result<()> + Send + Sync,
{
    reduce_side!("reduce");

    fn eval(&self, _: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(U) -> Result<()>) -> Result<()> {
        let room = cx.exchanging();
        let open = || RawGroups::open(&room, self.combiner.as_deref(), self.cut.clone());
        let mut groups = cx.during(Phase::Exchange, open)?;
        let done = cx.during(Phase::Compute, || (self.reduce)(&mut groups, emit));
        groups.finish()?; // The root cause, where the reducer stumbled over groups that ended early.
        done.map_err(|e| e.at_stage(format!("reduce at {}", self.at)))
    }
}
