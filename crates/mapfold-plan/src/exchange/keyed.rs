//! Grouping by keys that only the values know: the typed exchange.
//!
//! A pair becomes a record of the key's row bytes and the value in postcard; what follows is the exchange over bytes. So
//! keys sort as [`Key`] says, and a value is decoded when it is asked for, one at a time.

use super::fold::{self, FoldTable};
use super::groups::{Cut, RawGroups, RawValues};
use super::output::MapOutput;
use super::partition::{Partitioner, RangePartitioner};
use super::raw::RawCombiner;
use super::stage::{MapSide, Spread, close, reduce_side};
use crate::key::{read_whole, row_len};
use crate::node::{Need, Node, Step};
use crate::{Combine, Cx, Domain, Error, Flow, Key, Phase, Place, Result, hash64};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// A flow of pairs: what `key_by` gives.
pub type Keyed<K, V> = Flow<(K, V)>;

/// Says which types a node is for, without holding any.
type For<T> = PhantomData<fn() -> T>;

/// The values of one key, in the order of (split, sequence) or as [`Arranged::sort_values_by`] says; decoded one at a
/// time, so that there may be more of them than memory holds.
pub struct Values<'a, V> {
    raw: RawValues<'a>,
    fault: &'a Cell<Option<Error>>,
    _v: PhantomData<V>,
}

impl<V: DeserializeOwned> Iterator for Values<'_, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        match postcard::from_bytes(self.raw.next()?) {
            Ok(v) => Some(v),
            Err(e) => {
                self.fault.set(Some(e.into()));
                None
            }
        }
    }
}

impl<T: 'static> Flow<T> {
    /// Names the key of each value. What follows (`reduce`, `combine`) is an exchange: records move between workers.
    #[track_caller]
    pub fn key_by<K: Key>(self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Keyed<K, T> {
        self.map(move |v| (key(&v), v))
    }
}

impl<K: Key, V: 'static> Flow<(K, V)> {
    /// Folds the values of each key: on the map side first, then across the exchange.
    ///
    /// # Panics
    /// Never; a broken template is reported when the result is written or reported.
    #[track_caller]
    pub fn combine<C: Combine<V>>(self) -> Flow<(K, C::Out)>
    where
        C::Out: 'static,
    {
        self.arranged().combine::<C>()
    }

    /// One value from all values of a key, which arrive in the order of (split, sequence).
    #[track_caller]
    pub fn reduce<U: 'static>(self, f: impl Fn(&K, &mut Values<'_, V>) -> U + Send + Sync + 'static) -> Flow<U>
    where
        V: Serialize + DeserializeOwned,
    {
        self.arranged().reduce(f)
    }

    /// Spreads keys by a rule of the job's own: from a key and the number of partitions to a partition below it.
    pub fn partition_by(self, rule: impl Fn(&K, u32) -> u32 + Send + Sync + 'static) -> Arranged<K, V> {
        self.arranged().partition_by(rule)
    }

    /// Spreads keys by ranges: all partitions together are in the order of keys.
    pub fn partition_into(self, ranges: RangePartitioner) -> Arranged<K, V> {
        self.arranged().partition_into(ranges)
    }

    /// Values of a key arrive in the order of a second key (secondary sort), and where that is equal in the order of
    /// (split, sequence).
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// let days = plan.range(100).map(|n| (n % 7, n));
    /// days.sort_values_by(|n| n % 10).reduce(|day, values| (*day, values.next())).report("first of each day")?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn sort_values_by<K2: Key>(self, by: impl Fn(&V) -> K2 + Send + Sync + 'static) -> SortedValues<K, V> {
        self.arranged().sort_values_by(by)
    }

    pub(crate) fn arranged(self) -> Arranged<K, V> {
        Arranged { flow: self, spread: Spread::default(), rule: None }
    }
}

type KeyRule<K> = dyn Fn(&K, u32) -> u32 + Send + Sync;
type Second<V> = dyn Fn(&V, &mut Vec<u8>) -> Result<()> + Send + Sync;

/// Pairs with a say in how they are exchanged: see [`Flow::partition_by`].
pub struct Arranged<K, V> {
    flow: Flow<(K, V)>,
    spread: Spread,
    rule: Option<Arc<KeyRule<K>>>,
}

/// Pairs whose values will arrive in an order: see [`Flow::sort_values_by`].
pub struct SortedValues<K, V> {
    arranged: Arranged<K, V>,
    second: Arc<Second<V>>,
}

impl<K: Key, V: 'static> Arranged<K, V> {
    /// See [`Flow::partition_by`].
    #[must_use]
    pub fn partition_by(mut self, rule: impl Fn(&K, u32) -> u32 + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        // Told in `--explain`; the typed rule is asked.
        self.spread.rule = Partitioner::Rule(Arc::new(|_, _| u32::MAX));
        self
    }

    /// See [`Flow::partition_into`].
    #[must_use]
    pub fn partition_into(mut self, ranges: RangePartitioner) -> Self {
        self.spread.partitions = Some(ranges.partitions());
        self.spread.rule = ranges.into();
        self.rule = None;
        self
    }

    /// Fixes the number of partitions: part of the plan, never dependent on workers.
    #[must_use]
    pub fn partitions(mut self, count: u32) -> Self {
        self.spread.partitions = Some(count.max(1));
        self
    }

    /// See [`Flow::sort_values_by`].
    pub fn sort_values_by<K2: Key>(self, by: impl Fn(&V) -> K2 + Send + Sync + 'static) -> SortedValues<K, V> {
        SortedValues { arranged: self, second: Arc::new(move |v, out| by(v).write_row(out)) }
    }

    /// See [`Flow::combine`].
    #[track_caller]
    pub fn combine<C: Combine<V>>(self) -> Flow<(K, C::Out)>
    where
        C::Out: 'static,
    {
        let at = crate::flow::label(Location::caller());
        let name =
            std::any::type_name::<C>().rsplit("::").next().unwrap_or("combiner").trim_end_matches('>').to_string();
        let side = Fold::<K, V, C> { to: self.to(), _t: PhantomData };
        let (plan, domain) = close(self.flow, format!("combine {name} at {at}"), &self.spread, side);
        Flow::from_node(&plan, Arc::new(Merge::<K, C, V> { domain, at, _t: PhantomData }))
    }

    /// See [`Flow::reduce`].
    #[track_caller]
    pub fn reduce<U: 'static>(self, f: impl Fn(&K, &mut Values<'_, V>) -> U + Send + Sync + 'static) -> Flow<U>
    where
        V: Serialize + DeserializeOwned,
    {
        reduce(self, None, f)
    }

    fn to(&self) -> To<K> {
        To { rule: self.rule.clone(), bytes: self.spread.rule.clone() }
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + 'static> SortedValues<K, V> {
    /// One value from all values of a key, which arrive in their order.
    #[track_caller]
    pub fn reduce<U: 'static>(self, f: impl Fn(&K, &mut Values<'_, V>) -> U + Send + Sync + 'static) -> Flow<U> {
        reduce(self.arranged, Some(self.second), f)
    }
}

#[track_caller]
fn reduce<K, V, U, F>(from: Arranged<K, V>, second: Option<Arc<Second<V>>>, f: F) -> Flow<U>
where
    K: Key,
    V: Serialize + DeserializeOwned + 'static,
    U: 'static,
    F: Fn(&K, &mut Values<'_, V>) -> U + Send + Sync + 'static,
{
    let at = crate::flow::label(Location::caller());
    let fields = K::fields();
    let first = move |key: &[u8]| row_len(&fields, key).unwrap_or(key.len());
    let cut = second.is_some().then(|| Arc::new(first) as Arc<Cut>);
    let side = Keep { to: from.to(), second };
    let (plan, domain) = close(from.flow, format!("reduce at {at}"), &from.spread, side);
    Flow::from_node(&plan, Arc::new(Reduce { domain, at, cut, f, _t: PhantomData::<fn() -> (K, V)> }))
}

/// Where keys go.
struct To<K> {
    rule: Option<Arc<KeyRule<K>>>,
    bytes: Partitioner,
}

impl<K> To<K> {
    fn of(&self, key: &K, row: &[u8], hash: impl FnOnce() -> u64, partitions: u32) -> Result<u32> {
        match &self.rule {
            Some(rule) => Partitioner::checked(rule(key, partitions), partitions),
            None => self.bytes.of_hashed(row, hash(), partitions),
        }
    }
}

/// Appends a value in postcard.
fn write<V: Serialize>(value: &V, out: &mut Vec<u8>) -> Result<()> {
    *out = postcard::to_extend(value, std::mem::take(out))?;
    Ok(())
}

/// Every value is a record.
struct Keep<K, V> {
    to: To<K>,
    second: Option<Arc<Second<V>>>,
}

impl<K: Key, V: Serialize + 'static> MapSide<(K, V)> for Keep<K, V> {
    /// Room for a key and a value.
    type Attempt = (Vec<u8>, Vec<u8>);

    fn begin(&self, _: &mut MapOutput<'_>) -> Self::Attempt {
        Default::default()
    }

    fn put(&self, room: &mut Self::Attempt, out: &mut MapOutput<'_>, (k, v): (K, V)) -> Result<()> {
        let (key, value) = room;
        key.clear();
        value.clear();
        k.write_row(key)?;
        let partition = self.to.of(&k, key, || hash64(key), out.partitions())?;
        if let Some(second) = &self.second {
            second(&v, key)?;
        }
        write(&v, value)?;
        out.put(partition, key, value)
    }

    fn finish(&self, _: Self::Attempt, _: &mut MapOutput<'_>) -> Result<()> {
        Ok(())
    }
}

/// Values are folded by key first.
struct Fold<K, V, C> {
    to: To<K>,
    _t: For<(V, C)>,
}

/// The states of an attempt.
struct Folding<C> {
    table: FoldTable<C>,
    key: Vec<u8>,
    budget: u64,
    puts: u64,
    /// What a state has on the heap, about: the mean size in postcard of every 1024th that was touched.
    sampled: (u64, u64),
}

impl<C: Serialize> Folding<C> {
    fn bytes(&self) -> u64 {
        self.table.bytes() + self.table.len() as u64 * self.sampled.0 / self.sampled.1.max(1)
    }

    fn drain(&mut self, out: &mut MapOutput<'_>) -> Result<()> {
        self.table.drain(out, |state, into| write(state, into))
    }
}

impl<K: Key, V: 'static, C: Combine<V>> MapSide<(K, V)> for Fold<K, V, C> {
    type Attempt = Folding<C>;

    fn begin(&self, out: &mut MapOutput<'_>) -> Folding<C> {
        let budget = fold::share(out.budget());
        out.lend(budget);
        Folding { table: FoldTable::default(), key: Vec::new(), budget, puts: 0, sampled: (0, 0) }
    }

    fn put(&self, a: &mut Folding<C>, out: &mut MapOutput<'_>, (k, v): (K, V)) -> Result<()> {
        a.key.clear();
        k.write_row(&mut a.key)?;
        let hash = hash64(&a.key);
        if a.table.get(&a.key, hash).is_none() {
            let partition = self.to.of(&k, &a.key, || hash, out.partitions())?;
            a.table.insert(&a.key, hash, partition, C::default())?;
        }
        let Some(state) = a.table.get(&a.key, hash) else { return Ok(()) };
        state.add(v);
        if a.puts.is_multiple_of(1024) {
            a.sampled = (a.sampled.0 + postcard::experimental::serialized_size(state)? as u64, a.sampled.1 + 1);
        }
        a.puts += 1;
        if a.bytes() > a.budget { a.drain(out) } else { Ok(()) }
    }

    fn finish(&self, mut a: Folding<C>, out: &mut MapOutput<'_>) -> Result<()> {
        a.drain(out)
    }
}

/// Merges all states of a key.
fn merged<V, C: Combine<V>>(states: &mut RawValues<'_>) -> Result<C> {
    let mut all = C::default();
    while let Some(state) = states.next() {
        all.merge(postcard::from_bytes(state)?);
    }
    Ok(all)
}

/// The reduce side of `combine`.
struct Merge<K, C, V> {
    domain: Domain,
    at: String,
    _t: For<(K, C, V)>,
}

impl<K: Key, V: 'static, C: Combine<V>> Node<(K, C::Out)> for Merge<K, C, V> {
    reduce_side!("merge by key");

    fn eval(&self, _: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut((K, C::Out)) -> Result<()>) -> Result<()> {
        let combiner: &RawCombiner =
            &|_: &[u8], states: &mut RawValues<'_>, out: &mut Vec<u8>| write(&merged::<V, C>(states)?, out);
        let room = cx.exchanging();
        let mut groups = cx.during(Phase::Exchange, || RawGroups::open(&room, Some(combiner), None))?;
        while let Some(mut group) = groups.next() {
            cx.set_order(group.key);
            let all: C = merged(&mut group.values)?;
            emit((read_whole(group.key)?, all.finish()))?;
        }
        groups.finish()
    }
}

/// The reduce side of `reduce`.
struct Reduce<K, V, F> {
    domain: Domain,
    at: String,
    cut: Option<Arc<Cut>>,
    f: F,
    _t: For<(K, V)>,
}

impl<K: Key, V, U, F> Node<U> for Reduce<K, V, F>
where
    V: DeserializeOwned + 'static,
    F: Fn(&K, &mut Values<'_, V>) -> U + Send + Sync,
{
    reduce_side!("reduce by key");

    fn eval(&self, _: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(U) -> Result<()>) -> Result<()> {
        let room = cx.exchanging();
        let mut groups = cx.during(Phase::Exchange, || RawGroups::open(&room, None, self.cut.clone()))?;
        while let Some(group) = groups.next() {
            cx.set_order(group.key);
            let (key, fault) = (read_whole(group.key)?, Cell::new(None));
            let mut values = Values { raw: group.values, fault: &fault, _v: PhantomData };
            let made = cx.during(Phase::Compute, || (self.f)(&key, &mut values));
            match fault.take() {
                Some(e) => return Err(e.at_stage(format!("reduce at {}", self.at))),
                None => emit(made)?,
            }
        }
        groups.finish()
    }
}
