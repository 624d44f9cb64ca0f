//! The closed map side of an exchange, and what its reduce sides have in common.

use super::output::MapOutput;
use super::partition::Partitioner;
use crate::node::Node;
use crate::stage::{Fetch, end_of_a_chain};
use crate::{Cut, Cx, Domain, Flow, Load, Phase, Place, Plan, Product, Result, Stage, StageKind, template};
use std::sync::Arc;

/// How values become records: what an attempt keeps from value to value, and how it uses it.
pub(crate) trait MapSide<T>: Send + Sync + 'static {
    /// What an attempt keeps.
    type Attempt;
    /// Begins an attempt.
    fn begin(&self, out: &mut MapOutput<'_>) -> Self::Attempt;
    /// Takes a value.
    fn put(&self, attempt: &mut Self::Attempt, out: &mut MapOutput<'_>, value: T) -> Result<()>;
    /// Puts out what was kept.
    fn finish(&self, attempt: Self::Attempt, out: &mut MapOutput<'_>) -> Result<()>;
}

/// How records are spread.
#[derive(Clone, Default)]
pub(crate) struct Spread {
    /// The rule.
    pub rule: Partitioner,
    /// Number of partitions, when the job fixes it.
    pub partitions: Option<u32>,
    /// How much comes, when the job has an estimate.
    pub load: Option<Load>,
}

/// Closes the flow before an exchange; gives the plan and the domain of the reduce side.
pub(crate) fn close<T: 'static, S: MapSide<T>>(
    flow: Flow<T>,
    label: String,
    spread: &Spread,
    side: S,
) -> (Plan, Domain) {
    let input_bytes = input_bytes(&flow);
    let (exchange, count) = flow.plan.open_exchange(input_bytes, spread.partitions);
    if let Err(e) = template::run(flow.node.as_ref()) {
        flow.plan.fail(e.at_stage(label.clone()));
    }
    let what = format!("exchange into {count} partitions{}", spread.rule.describe());
    let stage = ExchangeStage { node: flow.node, side, label, what, exchange, partitions: count, load: spread.load };
    flow.plan.close(Arc::new(stage));
    (flow.plan, Domain::Partitions { exchange, count, input_bytes, load: spread.load })
}

/// Bytes behind a flow. Behind an exchange, those before it: an estimate from above, known while planning.
fn input_bytes<T>(flow: &Flow<T>) -> u64 {
    match flow.node.domain() {
        Domain::Partitions { input_bytes, .. } => *input_bytes,
        _ => flow.node.input_bytes(),
    }
}

struct ExchangeStage<T, S> {
    node: Arc<dyn Node<T>>,
    side: S,
    label: String,
    what: String,
    exchange: usize,
    partitions: u32,
    load: Option<Load>,
}

impl<T: 'static, S: MapSide<T>> Stage for ExchangeStage<T, S> {
    fn kind(&self) -> StageKind {
        StageKind::Exchange { exchange: self.exchange, partitions: self.partitions }
    }

    end_of_a_chain!(self, self.what.clone());

    fn load(&self) -> Option<Load> {
        self.load
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let room = cx.exchanging();
        let mut out = MapOutput::new(&room, self.exchange, cx.split(), self.partitions);
        let mut attempt = self.side.begin(&mut out);
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            // No change of phase per record: two looks at the clock would cost as much as the record.
            let done = self.node.eval(&at, cx, &mut |v| self.side.put(&mut attempt, &mut out, v));
            done.map_err(|e| e.at_stage(self.label.clone()).at_place(at.to_string()))?;
        }
        cx.clock.enter(Phase::Exchange);
        self.side.finish(attempt, &mut out)?;
        Ok(Product::Records(out.finish()))
    }
}

/// What all nodes behind an exchange answer alike.
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
pub(crate) use reduce_side;
