//! One round as a stage: partitions of one exchange in, records for the next out.

use super::{Heard, MESSAGE, Round, STATE, Say, cut, message, state_of};
use crate::exchange::{MapOutput, RawGroup, RawGroups};
use crate::key::read_whole;
use crate::stage::Fetch;
use crate::{Cut, Cx, Domain, Error, Key, Need, Phase, Place, Product, Result, Stage, StageKind, Step};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

const _: () = assert!(STATE < MESSAGE, "a state comes before all messages");

/// One round.
pub(super) struct RoundStage<K, S, M, F> {
    round: Round,
    domain: Domain,
    label: String,
    at: String,
    step: Arc<F>,
    _t: PhantomData<fn(K, S, M)>,
}

/// What an attempt uses from key to key.
#[derive(Default)]
struct Room {
    state: Vec<u8>,
    key: Vec<u8>,
    message: (Vec<u8>, Vec<u8>),
    said: u64,
}

impl<K, S, M, F> RoundStage<K, S, M, F> {
    pub fn new(round: Round, domain: Domain, at: &str, step: Arc<F>) -> Self {
        let label = format!("round {} at {at}", round.number);
        RoundStage { round, domain, label, at: at.to_string(), step, _t: PhantomData }
    }

    fn partitions(&self) -> u32 {
        self.domain.splits() as u32
    }
}

impl<K, S, M, F> RoundStage<K, S, M, F>
where
    K: Key,
    S: Serialize + DeserializeOwned,
    M: Serialize + DeserializeOwned,
    F: Fn(&K, &mut S, &mut Heard<'_, M>, &mut Say<'_, '_, K, M>),
{
    /// One key: its state goes on, changed or not, and what it says.
    fn key(&self, group: RawGroup<'_>, own: u32, room: &mut Room, out: &mut MapOutput<'_>) -> Result<()> {
        let RawGroup { key, mut values } = group;
        let fault = Cell::new(None);
        room.state.clear();
        room.state.push(STATE);
        room.state.extend_from_slice(state_of::<K>(key, &mut values)?);
        let first = values.next().map(message::<M>).transpose()?;
        if first.is_some() || self.round.number == 1 {
            let k: K = read_whole(key)?;
            let mut state: S = postcard::from_bytes(&room.state[1..])?;
            let mut heard = Heard { raw: values, first, fault: &fault };
            let mut say = Say { out, room: &mut room.message, said: &mut room.said, fault: &fault, _t: PhantomData };
            (self.step)(&k, &mut state, &mut heard, &mut say);
            room.state.truncate(1);
            room.state = postcard::to_extend(&state, std::mem::take(&mut room.state))?;
        }
        room.key.clear();
        room.key.extend_from_slice(key);
        room.key.push(STATE);
        out.put(own, &room.key, &room.state)?;
        fault.take().map_or(Ok(()), Err)
    }

    fn all(&self, cx: &Cx<'_>, own: u32) -> Result<Product> {
        let exchanging = cx.exchanging();
        let mut out = MapOutput::new(&exchanging, self.round.to, cx.split(), self.partitions());
        let open = || RawGroups::open(&exchanging, None, Some(Arc::new(cut::<K>())));
        let (mut groups, mut room) = (cx.during(Phase::Exchange, open)?, Room::default());
        cx.clock.enter(Phase::Compute);
        while let Some(group) = groups.next() {
            self.key(group, own, &mut room, &mut out)?;
        }
        groups.finish()?;
        cx.clock.enter(Phase::Exchange);
        cx.count(self.round.counter.clone(), room.said);
        Ok(Product::Records(out.finish()))
    }
}

impl<K, S, M, F> Stage for RoundStage<K, S, M, F>
where
    K: Key,
    S: Serialize + DeserializeOwned + 'static,
    M: Serialize + DeserializeOwned + 'static,
    F: Fn(&K, &mut S, &mut Heard<'_, M>, &mut Say<'_, '_, K, M>) + Send + Sync + 'static,
{
    fn kind(&self) -> StageKind {
        StageKind::Exchange { exchange: self.round.to, partitions: self.partitions() }
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn steps(&self) -> Vec<Step> {
        let until = if self.round.until_still { "until nothing is said" } else { "or until nothing is said" };
        let what = format!("round {} of at most {}, {until}", self.round.number, self.round.limit);
        vec![Step { what, at: self.at.clone() }]
    }

    fn cuttable(&self) -> bool {
        true
    }

    fn input_bytes(&self) -> u64 {
        0
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn needs(&self, _: &Place) -> Result<Vec<Need>> {
        Ok(Vec::new())
    }

    fn memory(&self, _: &Place) -> u64 {
        0
    }

    fn round(&self) -> Option<&Round> {
        Some(&self.round)
    }

    fn run(&self, split: &Place, _: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        fetch(split, cx)?;
        let Place::Partition { partition, .. } = *split else {
            return Err(Error::job(format!("a round was asked for {split}")));
        };
        self.all(cx, partition).map_err(|e| e.at_stage(self.label.clone()).at_place(split.to_string()))
    }
}
