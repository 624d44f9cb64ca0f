//! Grouping by keys that only the values know: the exchange.
//!
//! The map side encodes keys as arrow-row bytes once per batch, folds values per key (when there is a combiner),
//! and leaves one batch of records per partition. A record is (key, split, sequence, value). The reduce side orders
//! the records of a partition by (key, split, sequence), so that what a user's reducer sees does not depend on which
//! worker was faster, and merges or hands over the values of each key.

use crate::key::{Key, decode_keys, encode_keys, partition_of};
use crate::node::{Need, Node, Step};
use crate::stage::{Fetch, sorted_needs};
use crate::{Combine, Cut, Cx, Domain, Error, Flow, Phase, Place, Product, Result, Stage, StageKind, template};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{BinaryArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

/// A flow of pairs: what `key_by` gives.
pub type Keyed<K, V> = Flow<(K, V)>;

/// The values of one key, in the order of (split, sequence); decoded one at a time.
pub struct Values<'a, V> {
    rows: std::slice::Iter<'a, At>,
    batches: &'a [RecordBatch],
    fault: &'a std::cell::Cell<Option<postcard::Error>>,
    _v: PhantomData<V>,
}

impl<V: DeserializeOwned> Iterator for Values<'_, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        let (batch, row) = self.rows.next()?;
        match postcard::from_bytes(value_bytes(&self.batches[*batch], *row)) {
            Ok(v) => Some(v),
            Err(e) => {
                self.fault.set(Some(e));
                None
            }
        }
    }
}

/// The columns of exchanged records.
pub fn shuffle_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let field = |name: &str, t| Field::new(name, t, false);
    let make = || {
        Arc::new(Schema::new(vec![
            field("key", DataType::Binary),
            field("split", DataType::UInt64),
            field("seq", DataType::UInt32),
            field("value", DataType::Binary),
        ]))
    };
    SCHEMA.get_or_init(make).clone()
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
        let at = crate::flow::label(Location::caller());
        let name =
            std::any::type_name::<C>().rsplit("::").next().unwrap_or("combiner").trim_end_matches('>').to_string();
        let fold = Fold::<V, C>(PhantomData);
        let (plan, exchange, count) = self.exchange(fold, format!("combine {name} at {at}"));
        let node = Merge::<K, C, V> { domain: Domain::Partitions { exchange, count }, at, _t: PhantomData };
        Flow::from_node(&plan, Arc::new(node))
    }

    /// One value from all values of a key, which arrive in the order of (split, sequence).
    #[track_caller]
    pub fn reduce<U: 'static>(self, f: impl Fn(&K, &mut Values<'_, V>) -> U + Send + Sync + 'static) -> Flow<U>
    where
        V: Serialize + DeserializeOwned,
    {
        let at = crate::flow::label(Location::caller());
        let (plan, exchange, count) = self.exchange(Keep, format!("reduce at {at}"));
        let node = Reduce { domain: Domain::Partitions { exchange, count }, at, f, _t: PhantomData::<fn() -> (K, V)> };
        Flow::from_node(&plan, Arc::new(node))
    }

    fn exchange<M: MapSide<V>>(self, side: M, label: String) -> (crate::Plan, usize, u32) {
        let (exchange, partitions) = self.plan.open_exchange(self.node.input_bytes());
        if let Err(e) = template::run(self.node.as_ref()) {
            self.plan.fail(e.at_stage(label.clone()));
        }
        let stage = ExchangeStage { node: self.node, side, label, exchange, partitions };
        self.plan.close(Arc::new(stage));
        (self.plan, exchange, partitions)
    }
}

/// What the map side does with the values of a key.
trait MapSide<V>: Send + Sync + 'static {
    type State;
    fn one(&self, value: V) -> Result<Self::State>;
    /// Puts `value` into `state`, or gives it back to stand as a record of its own.
    fn add(&self, state: &mut Self::State, value: V) -> Option<V>;
    fn bytes(&self, state: Self::State) -> Result<Vec<u8>>;
}

/// Folds into a combiner.
struct Fold<V, C>(For<(V, C)>);

impl<V: 'static, C: Combine<V>> MapSide<V> for Fold<V, C> {
    type State = C;

    fn one(&self, value: V) -> Result<C> {
        let mut c = C::default();
        c.add(value);
        Ok(c)
    }

    fn add(&self, state: &mut C, value: V) -> Option<V> {
        state.add(value);
        None
    }

    fn bytes(&self, state: C) -> Result<Vec<u8>> {
        Ok(postcard::to_stdvec(&state)?)
    }
}

/// Keeps every value.
struct Keep;

impl<V: Serialize + 'static> MapSide<V> for Keep {
    type State = Vec<u8>;

    fn one(&self, value: V) -> Result<Vec<u8>> {
        Ok(postcard::to_stdvec(&value)?)
    }

    fn add(&self, _: &mut Vec<u8>, value: V) -> Option<V> {
        Some(value)
    }

    fn bytes(&self, state: Vec<u8>) -> Result<Vec<u8>> {
        Ok(state)
    }
}

/// Pairs encoded together.
const BATCH: usize = 4096;
/// Keys held on the map side of a split before they are set aside as records.
const HELD_KEYS: usize = 1 << 16;

/// Key, sequence and value of a record.
type Row = (Vec<u8>, u32, Vec<u8>);
/// Batch and row of a record.
type At = (usize, usize);
/// Says which types a node is for, without holding any.
type For<T> = PhantomData<fn() -> T>;

/// Folds the pairs of one split.
struct Folder<'a, K, V, M: MapSide<V>> {
    side: &'a M,
    partitions: u32,
    split: u64,
    waiting: (Vec<K>, Vec<V>),
    open: HashMap<Vec<u8>, M::State>,
    seq: u32,
    done: BTreeMap<u32, Vec<Row>>,
}

impl<K: Key, V: 'static, M: MapSide<V>> Folder<'_, K, V, M> {
    fn put(&mut self, key: K, value: V) -> Result<()> {
        self.waiting.0.push(key);
        self.waiting.1.push(value);
        if self.waiting.0.len() >= BATCH { self.fold() } else { Ok(()) }
    }

    fn fold(&mut self) -> Result<()> {
        let (keys, values) = std::mem::take(&mut self.waiting);
        for (key, value) in encode_keys(&keys)?.into_iter().zip(values) {
            let Some(state) = self.open.get_mut(&key) else {
                let state = self.side.one(value)?;
                self.open.insert(key, state);
                continue;
            };
            if let Some(value) = self.side.add(state, value) {
                let state = self.side.one(value)?;
                self.set_aside(&key, state)?;
            }
        }
        if self.open.len() > HELD_KEYS { self.close() } else { Ok(()) }
    }

    fn set_aside(&mut self, key: &[u8], state: M::State) -> Result<()> {
        let first = self.open.remove(key);
        for state in first.into_iter().chain([state]) {
            let bytes = self.side.bytes(state)?;
            let (partition, seq) = (partition_of(key, self.partitions), self.seq);
            self.seq += 1;
            self.done.entry(partition).or_default().push((key.to_vec(), seq, bytes));
        }
        Ok(())
    }

    /// Sets every open key aside, in key order, so that sequences do not depend on the hash map.
    fn close(&mut self) -> Result<()> {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        open.into_iter().try_for_each(|(key, state)| self.set_aside(&key, state))
    }

    fn finish(mut self) -> Result<Vec<(u32, RecordBatch)>> {
        self.fold()?;
        self.close()?;
        let split = self.split;
        std::mem::take(&mut self.done).into_iter().map(|(p, rows)| Ok((p, batch(split, rows)?))).collect()
    }
}

fn batch(split: u64, mut rows: Vec<Row>) -> Result<RecordBatch> {
    rows.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let keys = BinaryArray::from_iter_values(rows.iter().map(|r| &r.0));
    let splits = UInt64Array::from_value(split, rows.len());
    let seqs = UInt32Array::from_iter_values(rows.iter().map(|r| r.1));
    let values = BinaryArray::from_iter_values(rows.iter().map(|r| &r.2));
    Ok(RecordBatch::try_new(
        shuffle_schema(),
        vec![Arc::new(keys), Arc::new(splits), Arc::new(seqs), Arc::new(values)],
    )?)
}

struct ExchangeStage<K, V, M> {
    node: Arc<dyn Node<(K, V)>>,
    side: M,
    label: String,
    exchange: usize,
    partitions: u32,
}

impl<K: Key, V: 'static, M: MapSide<V>> Stage for ExchangeStage<K, V, M> {
    fn kind(&self) -> StageKind {
        StageKind::Exchange { exchange: self.exchange, partitions: self.partitions }
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn domain(&self) -> &Domain {
        self.node.domain()
    }

    fn steps(&self) -> Vec<Step> {
        let mut out = Vec::new();
        self.node.steps(&mut out);
        out.push(Step { what: format!("exchange into {} partitions", self.partitions), at: String::new() });
        out
    }

    fn cuttable(&self) -> bool {
        self.node.cuttable()
    }

    fn input_bytes(&self) -> u64 {
        self.node.input_bytes()
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.node.recompute(at)
    }

    fn needs(&self, at: &Place) -> Result<Vec<Need>> {
        sorted_needs(self.node.as_ref(), at)
    }

    fn memory(&self, at: &Place) -> u64 {
        self.node.memory(at)
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let mut folder = Folder {
            side: &self.side,
            partitions: self.partitions,
            split: cx.split(),
            waiting: Default::default(),
            open: HashMap::new(),
            seq: 0,
            done: BTreeMap::new(),
        };
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let done = self.node.eval(&at, cx, &mut |(k, v)| cx.during(Phase::Exchange, || folder.put(k, v)));
            done.map_err(|e| e.at_stage(self.label.clone()).at_place(at.to_string()))?;
        }
        cx.clock.enter(Phase::Exchange);
        Ok(Product::Records(folder.finish()?))
    }
}

fn key_bytes(batch: &RecordBatch, row: usize) -> &[u8] {
    batch.column(0).as_binary::<i32>().value(row)
}

fn value_bytes(batch: &RecordBatch, row: usize) -> &[u8] {
    batch.column(3).as_binary::<i32>().value(row)
}

/// Rows of all batches in the order (key, split, sequence).
fn ordered(batches: &[RecordBatch]) -> Result<Vec<At>> {
    for b in batches {
        if b.schema() != shuffle_schema() {
            return Err(Error::job(format!("exchanged records have the columns {:?}", b.schema())));
        }
    }
    let mut rows: Vec<At> =
        batches.iter().enumerate().flat_map(|(i, b)| (0..b.num_rows()).map(move |r| (i, r))).collect();
    let rank = |&(b, r): &At| {
        let split = batches[b].column(1).as_primitive::<UInt64Type>().value(r);
        let seq = batches[b].column(2).as_primitive::<UInt32Type>().value(r);
        (key_bytes(&batches[b], r), split, seq)
    };
    rows.sort_unstable_by(|x, y| rank(x).cmp(&rank(y)));
    Ok(rows)
}

/// Calls `see` with each key and its rows.
fn each_group<K: Key>(cx: &Cx<'_>, batches: &[RecordBatch], see: &mut dyn FnMut(K, &[At]) -> Result<()>) -> Result<()> {
    let rows = ordered(batches)?;
    let same = |a: &At, b: &At| key_bytes(&batches[a.0], a.1) == key_bytes(&batches[b.0], b.1);
    let groups: Vec<&[At]> = rows.chunk_by(same).collect();
    for some in groups.chunks(BATCH) {
        let firsts: Vec<&[u8]> = some.iter().map(|g| key_bytes(&batches[g[0].0], g[0].1)).collect();
        for ((key, group), rank) in decode_keys::<K>(&firsts)?.into_iter().zip(some).zip(&firsts) {
            cx.set_order(rank);
            see(key, group)?;
        }
    }
    Ok(())
}

macro_rules! reduce_side {
    ($what:literal) => {
        fn domain(&self) -> &Domain {
            &self.domain
        }

        fn needs(&self, _: &Place, _: &mut Vec<Need>) -> Result<()> {
            Ok(())
        }

        fn held(&self, _: &Place) -> u64 {
            0
        }

        fn memory(&self, _: &Place) -> u64 {
            0
        }

        fn recompute(&self, _: &Place) -> f64 {
            1.0
        }

        fn steps(&self, out: &mut Vec<Step>) {
            out.push(Step { what: $what.into(), at: self.at.clone() });
        }

        fn input_bytes(&self) -> u64 {
            0
        }
    };
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
        let batches = cx.take_records();
        each_group::<K>(cx, &batches, &mut |key, rows| {
            let mut all = C::default();
            for (b, r) in rows {
                all.merge(postcard::from_bytes(value_bytes(&batches[*b], *r))?);
            }
            emit((key, all.finish()))
        })
    }
}

/// The reduce side of `reduce`.
struct Reduce<K, V, F> {
    domain: Domain,
    at: String,
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
        let batches = cx.take_records();
        each_group::<K>(cx, &batches, &mut |key, rows| {
            let fault = std::cell::Cell::new(None);
            let mut values = Values { rows: rows.iter(), batches: &batches, fault: &fault, _v: PhantomData };
            let made = cx.during(Phase::Compute, || (self.f)(&key, &mut values));
            match fault.take() {
                Some(e) => Err(Error::from(e).at_stage(format!("reduce at {}", self.at))),
                None => emit(made),
            }
        })
    }
}
