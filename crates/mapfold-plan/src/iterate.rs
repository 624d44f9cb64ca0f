//! Rounds over keyed states until nothing changes: [`Flow::iterate`].
//!
//! ```text
//! states ─exchange─> round 1 ─exchange─> round 2 ─ ... ─> states, once no message is on its way
//! ```
//! Each key has a state. In a round a key sees what was said to it in the round before, may change its state, and may say
//! something to other keys. Every round is a stage of its own: it reduces the partitions of one exchange into another of
//! as many partitions. So a round spills, is retried, resumed and recovered like any reduce that is followed by an
//! exchange, and there is no loop in which messages could wait for each other.
//!
//! The plan has all rounds that there may be. When a round has said nothing, the states are where it put them: the
//! engine passes over the rounds that are left.
//!
//! Deliberately absent: states that stay in memory from round to round. Each round moves all of them to itself.

mod round;

use crate::exchange::{MapOutput, MapSide, RawGroups, RawValues, Spread, close, reduce_side};
use crate::key::{read_whole, row_len};
use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Flow, Key, Phase, Place, Result, partition_of};
use round::RoundStage;
use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// Last byte of a record's key, and first of its value: a state comes before all messages.
const STATE: u8 = 0;
const MESSAGE: u8 = 1;

/// How many rounds there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    limit: u32,
    until_still: bool,
}

impl Rounds {
    /// Until no message is on its way. After `limit` rounds that is an error: the result would not be the fixed point.
    pub fn until_still(limit: u32) -> Rounds {
        Rounds { limit: limit.max(1), until_still: true }
    }

    /// Until no message is on its way, or `limit` rounds are over: whatever states there are then.
    pub fn at_most(limit: u32) -> Rounds {
        Rounds { limit: limit.max(1), until_still: false }
    }
}

/// What the engine must know of a stage that is a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// Rounds that there may be.
    pub limit: u32,
    /// Whether messages after the last round are an error.
    pub until_still: bool,
    /// The counter of what it says.
    pub counter: String,
    /// The exchange that it reads.
    pub from: usize,
    /// The exchange that it puts states and messages into.
    pub to: usize,
    /// The exchange of the last round, which is read for the states.
    pub last: usize,
}

/// The messages to one key, in the order of (partition of the sender, its sequence); decoded one at a time.
pub struct Heard<'a, M> {
    raw: RawValues<'a>,
    first: Option<M>,
    fault: &'a Cell<Option<Error>>,
}

impl<M: DeserializeOwned> Iterator for Heard<'_, M> {
    type Item = M;

    fn next(&mut self) -> Option<M> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match message(self.raw.next()?) {
            Ok(m) => Some(m),
            Err(e) => {
                self.fault.set(Some(e));
                None
            }
        }
    }
}

fn message<M: DeserializeOwned>(value: &[u8]) -> Result<M> {
    match value.split_first() {
        Some((&MESSAGE, bytes)) => Ok(postcard::from_bytes(bytes)?),
        _ => Err(Error::job("a key has two states").with_remedy("bring them together before: key_by and reduce")),
    }
}

/// Takes what a key says in a round.
pub struct Say<'a, 'o, K, M> {
    out: &'a mut MapOutput<'o>,
    room: &'a mut (Vec<u8>, Vec<u8>),
    said: &'a mut u64,
    fault: &'a Cell<Option<Error>>,
    _t: PhantomData<fn(K, M)>,
}

impl<K: Key, M: Serialize> Say<'_, '_, K, M> {
    /// Says something to a key, which hears it in the next round. Every key that is spoken to must have a state.
    pub fn to(&mut self, key: &K, message: &M) {
        if let Err(e) = self.try_to(key, message) {
            self.fault.set(Some(e));
        }
    }

    fn try_to(&mut self, key: &K, message: &M) -> Result<()> {
        let (row, value) = &mut *self.room;
        row.clear();
        key.write_row(row)?;
        let partition = partition_of(row, self.out.partitions());
        row.push(MESSAGE);
        value.clear();
        value.push(MESSAGE);
        *value = postcard::to_extend(message, std::mem::take(value))?;
        *self.said += 1;
        self.out.put(partition, row, value)
    }
}

impl<K: Key, S: Serialize + DeserializeOwned + 'static> Flow<(K, S)> {
    /// Rounds over states by key, until nothing is said any more: connected components, shortest distances, labels that
    /// spread.
    ///
    /// In the first round `step` sees every key, and nothing was said; from then on the keys to which something was said
    /// in the round before. The same states come out for any number of workers and threads: what a key hears is in a
    /// fixed order.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// // Ten keys in a chain; the smallest label spreads to all.
    /// plan.range(10)
    ///     .map(|n| (n, n))
    ///     .iterate::<u64>(Rounds::until_still(20), |key, label, heard, say| {
    ///         let before = *label;
    ///         let is_first = heard.fold(true, |_, l| {
    ///             *label = l.min(*label);
    ///             false
    ///         });
    ///         if (is_first || *label < before) && *key < 9 {
    ///             say.to(&(key + 1), label);
    ///         }
    ///     })
    ///     .report("labels")?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Two states for a key, or a message to a key without one, end the run; so do messages after the last round of
    /// [`Rounds::until_still`].
    #[track_caller]
    pub fn iterate<M: Serialize + DeserializeOwned + 'static>(
        self,
        rounds: Rounds,
        step: impl Fn(&K, &mut S, &mut Heard<'_, M>, &mut Say<'_, '_, K, M>) + Send + Sync + 'static,
    ) -> Flow<(K, S)> {
        let at = crate::flow::label(Location::caller());
        let side = Begin(PhantomData);
        let (plan, domain) = close(self, format!("iterate at {at}"), &Spread::default(), side);
        let Domain::Partitions { exchange: first, count, input_bytes, load } = domain else {
            unreachable!("an exchange gives partitions")
        };
        let exchanges: Vec<usize> = (0..rounds.limit).map(|_| plan.open_exchange(0, Some(count)).0).collect();
        let (last, step) = (exchanges[exchanges.len() - 1], Arc::new(step));
        let (mut from, width) = (first, rounds.limit.to_string().len());
        for (number, to) in (1..).zip(exchanges) {
            let Rounds { limit, until_still } = rounds;
            let counter = format!("messages in round {number:0width$} at {at}");
            let round = Round { number, limit, until_still, counter, from, to, last };
            let domain = Domain::Partitions { exchange: from, count, input_bytes, load };
            plan.close(Arc::new(RoundStage::new(round, domain, &at, step.clone())));
            from = to;
        }
        let domain = Domain::Partitions { exchange: last, count, input_bytes, load };
        Flow::from_node(&plan, Arc::new(Settled::<K, S> { domain, at, _t: PhantomData }))
    }
}

/// The number of first bytes of a record's key that are the key.
fn cut<K: Key>() -> impl Fn(&[u8]) -> usize {
    let fields = K::fields();
    move |key| row_len(&fields, key).unwrap_or(key.len())
}

/// States go to their partitions.
struct Begin<K, S>(PhantomData<fn() -> (K, S)>);

impl<K: Key, S: Serialize + 'static> MapSide<(K, S)> for Begin<K, S> {
    type Attempt = (Vec<u8>, Vec<u8>);

    fn begin(&self, _: &mut MapOutput<'_>) -> Self::Attempt {
        Default::default()
    }

    fn put(&self, (key, value): &mut Self::Attempt, out: &mut MapOutput<'_>, (k, state): (K, S)) -> Result<()> {
        key.clear();
        k.write_row(key)?;
        let partition = partition_of(key, out.partitions());
        key.push(STATE);
        value.clear();
        value.push(STATE);
        *value = postcard::to_extend(&state, std::mem::take(value))?;
        out.put(partition, key, value)
    }

    fn finish(&self, _: Self::Attempt, _: &mut MapOutput<'_>) -> Result<()> {
        Ok(())
    }
}

/// The bytes of the state that a key's records begin with.
fn state_of<'v, K: Key>(key: &[u8], values: &'v mut RawValues<'_>) -> Result<&'v [u8]> {
    match values.next().and_then(<[u8]>::split_first) {
        Some((&STATE, state)) => Ok(state),
        _ => {
            let key = read_whole::<K>(key)?;
            let what = format!("something was said to {key:?}, which has no state");
            Err(Error::job(what)
                .with_remedy("give every key a state that may be spoken to, also one without neighbours"))
        }
    }
}

/// The states when the rounds are over.
struct Settled<K, S> {
    domain: Domain,
    at: String,
    _t: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: DeserializeOwned + 'static> Node<(K, S)> for Settled<K, S> {
    reduce_side!("states after the last round");

    fn eval(&self, _: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut((K, S)) -> Result<()>) -> Result<()> {
        let room = cx.exchanging();
        let mut groups = cx.during(Phase::Exchange, || RawGroups::open(&room, None, Some(Arc::new(cut::<K>()))))?;
        while let Some(mut group) = groups.next() {
            cx.set_order(group.key);
            let state = postcard::from_bytes(state_of::<K>(group.key, &mut group.values)?)?;
            emit((read_whole(group.key)?, state))?;
        }
        groups.finish()
    }
}
