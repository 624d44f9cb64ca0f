//! Small results of one flow that a later flow uses.
//!
//! A [`Side`] closes a stage. Its values are kept by the coordinator, in the order of their keys (without keys, of the
//! splits), and every member gets them before it works on a later stage. They are decoded once in each process.
//!
//! Deliberately absent: large ones. Every process keeps a side to the end, so it may have [`MOST_SIDE`] bytes; what is
//! larger comes to its partner by an exchange.

use crate::node::Node;
use crate::stage::{Fetch, end_of_a_chain};
use crate::{Cut, Cx, Error, Flow, Place, Plan, Product, Result, Stage, StageKind, template};
use serde::{Serialize, de::DeserializeOwned};
use std::any::Any;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

/// Bytes that the values of one side may have, as they are sent.
pub const MOST_SIDE: u64 = 4 << 20;

/// Bytes that a process keeps of a side: as it was sent, and decoded.
pub(crate) const KEPT_OF_A_SIDE: u64 = 2 * MOST_SIDE;

type Decode<T> = fn(&[Vec<u8>]) -> Result<T>;

/// A small result that a later flow of the same plan uses: see [`Flow::side`].
pub struct Side<T> {
    number: u32,
    label: String,
    /// What the template sees, before there is a value.
    template: Arc<T>,
    decode: Decode<T>,
    plan: Plan,
}

impl<T> Clone for Side<T> {
    fn clone(&self) -> Side<T> {
        let (label, template, plan) = (self.label.clone(), self.template.clone(), self.plan.clone());
        Side { number: self.number, label, template, decode: self.decode, plan }
    }
}

impl<T: Send + Sync + 'static> Side<T> {
    /// Hands the value to `use_it`.
    fn with<O>(&self, cx: &Cx<'_>, use_it: impl FnOnce(&T) -> Result<O>) -> Result<O> {
        if cx.is_template() {
            return use_it(&self.template);
        }
        let sides = cx.sides();
        use_it(sides.get(self.number, self.decode).map_err(|e| e.at_stage(self.label.clone()))?)
    }
}

/// The sides that this process has got.
#[derive(Default)]
pub struct Sides(Vec<Slot>);

#[derive(Default)]
struct Slot {
    sent: OnceLock<Vec<Vec<u8>>>,
    decoded: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Sides {
    /// Room for the sides of a plan.
    pub fn of(plan: &Plan) -> Sides {
        Sides((0..plan.sides()).map(|_| Slot::default()).collect())
    }

    /// The values of a side have come. They may come again: they are the same.
    pub fn put(&self, number: u32, values: Vec<Vec<u8>>) {
        if let Some(slot) = self.0.get(number as usize) {
            let _ = slot.sent.set(values);
        }
    }

    fn get<T: Send + Sync + 'static>(&self, number: u32, decode: Decode<T>) -> Result<&T> {
        let absent = || Error::job("a side is used before its stage is done");
        let slot = self.0.get(number as usize).ok_or_else(absent)?;
        if slot.decoded.get().is_none() {
            // Two threads may decode at once: either result will do.
            let _ = slot.decoded.set(Box::new(decode(slot.sent.get().ok_or_else(absent)?)?));
        }
        slot.decoded.get().and_then(|d| d.downcast_ref()).ok_or_else(absent)
    }
}

fn one<T: DeserializeOwned>(values: &[Vec<u8>]) -> Result<T> {
    match values {
        [one] => Ok(postcard::from_bytes(one)?),
        several => Err(Error::job(format!("a side of one value has {}", several.len()))),
    }
}

fn all<T: DeserializeOwned>(values: &[Vec<u8>]) -> Result<Vec<T>> {
    values.iter().map(|v| Ok(postcard::from_bytes(v)?)).collect()
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Flow<T> {
    /// The one value of this flow, for a later flow: `combine` over blocks and [`Flow::fold_all`] give one.
    ///
    /// While planning, when there is no value yet, the later flow is tried on the value of an empty input.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// let total = plan.range(10).fold_all::<Sum<u64>>().side()?;
    /// plan.range(10).map_with(&total, |n, total| n as f64 / *total as f64).report("shares")?;
    /// assert_eq!(plan.stages().len(), 3); // sums of each split, the side, the report
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// When the template fails, or the flow may have more values than one. That it has none, or that the value has
    /// more than [`MOST_SIDE`] bytes, ends the run.
    #[track_caller]
    pub fn side(self) -> Result<Side<T>> {
        let label = format!("side at {}", crate::flow::label(Location::caller()));
        let plan = self.plan.clone();
        let made = template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        let Ok([template]) = <[T; 1]>::try_from(made) else {
            let what = "a side is one value, but this flow has one for each split or key";
            let remedy = "side_all() takes a list of them; combine() or fold_all() makes them one";
            return Err(Error::usage(what).with_remedy(remedy).at_stage(label));
        };
        let number = self.close_side(true, &label)?;
        Ok(Side { number, label, template: Arc::new(template), decode: one, plan })
    }

    /// All values of this flow as a list, for a later flow: in the order of their keys, without keys in that of the
    /// splits. For a small table that each value of another flow is looked up in.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// let sizes = plan.range(100).map(|n| (n % 3, n)).combine::<Count>().side_all()?;
    /// plan.range(3).map_with(&sizes, |n, sizes| sizes.iter().find(|(k, _)| *k == n).map(|(_, size)| *size)).report("sizes")?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// When the template fails. More than [`MOST_SIDE`] bytes end the run.
    #[track_caller]
    pub fn side_all(self) -> Result<Side<Vec<T>>> {
        let label = format!("side at {}", crate::flow::label(Location::caller()));
        let plan = self.plan.clone();
        template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        let number = self.close_side(false, &label)?;
        Ok(Side { number, label, template: Arc::new(Vec::new()), decode: all, plan })
    }

    fn close_side(self, single: bool, label: &str) -> Result<u32> {
        self.plan.check()?;
        let number = self.plan.open_side();
        let label = label.to_string();
        self.plan.close(Arc::new(SideStage { node: self.node, number, single, label }));
        Ok(number)
    }
}

impl<T: 'static> Flow<T> {
    /// Each value together with a [`Side`]: the stage of the side comes first.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// let largest = plan.range(5).fold_all::<Max<u64>>().side()?;
    /// plan.range(5).map_with(&largest, |n, largest| Some(n) == *largest).report("is it the largest?")?;
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn map_with<S, U: 'static>(self, side: &Side<S>, f: impl Fn(T, &S) -> U + Send + Sync + 'static) -> Flow<U>
    where
        S: Send + Sync + 'static,
    {
        let (at, side) = (crate::flow::label(Location::caller()), self.uses(side));
        self.link("map with a side", at, move |v, cx, emit| emit(side.with(cx, |s| Ok(f(v, s)))?))
    }

    /// Any number of values from each value and a [`Side`].
    #[track_caller]
    pub fn flat_map_with<S, U: 'static, I: IntoIterator<Item = U>>(
        self,
        side: &Side<S>,
        f: impl Fn(T, &S) -> I + Send + Sync + 'static,
    ) -> Flow<U>
    where
        S: Send + Sync + 'static,
    {
        let (at, side) = (crate::flow::label(Location::caller()), self.uses(side));
        self.link("flat_map with a side", at, move |v, cx, emit| {
            side.with(cx, |s| f(v, s).into_iter().try_for_each(&mut *emit))
        })
    }

    fn uses<S>(&self, side: &Side<S>) -> Side<S> {
        if !self.plan.is(&side.plan) {
            self.plan.fail(Error::usage("a side is used in another plan than its own").at_stage(side.label.clone()));
        }
        side.clone()
    }
}

struct SideStage<T> {
    node: Arc<dyn Node<T>>,
    number: u32,
    single: bool,
    label: String,
}

impl<T: Serialize + 'static> Stage for SideStage<T> {
    fn kind(&self) -> StageKind {
        StageKind::Side { number: self.number, single: self.single }
    }

    // Whole splits: how many values there are must not depend on how memory cuts windows.
    end_of_a_chain!(self, "keep as a side".into(), cuttable: false);

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let (mut values, mut bytes) = (Vec::new(), 0);
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let keep = &mut |v: T| {
                let value = postcard::to_stdvec(&v)?;
                bytes += value.len() as u64;
                values.push((cx.order(), value));
                if bytes > MOST_SIDE { Err(too_large()) } else { Ok(()) }
            };
            self.node.eval(&at, cx, keep).map_err(|e| e.at_stage(self.label.clone()).at_place(at.to_string()))?;
        }
        Ok(Product::Side(values))
    }
}

fn too_large() -> Error {
    let what = format!("a side holds at most {} for each process", crate::explain::bytes(MOST_SIDE));
    Error::usage(what).with_remedy("fold it further, or bring the two together with key_by and reduce")
}

/// The values of a side from what its splits have made: ordered by rank, where there is none by split.
///
/// # Errors
/// When they are too many, or not the one that was promised.
pub fn gathered(made: Vec<(Vec<u8>, Vec<u8>)>, single: bool) -> Result<Vec<Vec<u8>>> {
    let mut made = made;
    made.sort_by(|a, b| a.0.cmp(&b.0)); // Stable: without ranks, the order of the splits stays.
    let values: Vec<Vec<u8>> = made.into_iter().map(|(_, value)| value).collect();
    if values.iter().map(|v| v.len() as u64).sum::<u64>() > MOST_SIDE {
        return Err(too_large());
    }
    if single && values.len() != 1 {
        return Err(Error::job(format!("a side is one value, but {} came", values.len())));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_come_in_the_order_of_their_ranks_and_too_many_bytes_are_refused() {
        let value = |rank: &[u8], n: u8| (rank.to_vec(), vec![n]);
        assert_eq!(gathered(vec![value(b"b", 1), value(b"a", 2), value(b"b", 3)], false).unwrap(), [[2], [1], [3]]);
        assert!(gathered(Vec::new(), true).unwrap_err().to_string().contains("0 came"));
        let e = gathered(vec![(Vec::new(), vec![0; (MOST_SIDE + 1) as usize])], true).unwrap_err();
        assert!(e.to_string().contains("at most 4.0 MiB") && e.remedy().is_some(), "{e}");
    }

    #[test]
    fn a_side_that_has_not_come_is_an_error_and_one_that_comes_twice_stays() {
        let plan = Plan::new(mapfold_store::Stores::new(), crate::PlanOptions::default());
        plan.open_side();
        let sides = Sides::of(&plan);
        assert!(sides.get::<u64>(0, one).is_err() && sides.get::<u64>(7, one).is_err());
        sides.put(0, vec![vec![5]]);
        sides.put(0, vec![vec![6]]);
        assert_eq!(sides.get::<u64>(0, one).unwrap(), &5);
    }
}
