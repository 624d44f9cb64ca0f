//! The one lazy handle of the job API, and the verbs that need no exchange.

use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Phase, Place, Plan, Result, template};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Values to be computed, wherever and whenever they are needed. Cloning a flow means computing it twice.
///
/// ```
/// use mapfold_plan::*;
/// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
/// let even = plan.range(6).filter(|n| n % 2 == 0).map(|n| n * 10);
/// assert_eq!(even.collect_here().unwrap(), [0, 20, 40]);
/// ```
pub struct Flow<T> {
    pub(crate) node: Arc<dyn Node<T>>,
    pub(crate) plan: Plan,
}

impl<T> Clone for Flow<T> {
    fn clone(&self) -> Self {
        Flow { node: self.node.clone(), plan: self.plan.clone() }
    }
}

/// `jobs/ndvi/src/lib.rs:19` of the caller, short.
pub(crate) fn label(at: &Location<'_>) -> String {
    let file = at.file();
    let parts: Vec<&str> = file.split('/').collect();
    let short = parts[parts.len().saturating_sub(4)..].join("/");
    format!("{short}:{}", at.line())
}

impl<T: 'static> Flow<T> {
    /// A flow from a node: what format rooms use to bring their sources in.
    pub fn from_node(plan: &Plan, node: Arc<dyn Node<T>>) -> Flow<T> {
        Flow { node, plan: plan.clone() }
    }

    /// The plan that this flow belongs to.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The node behind the handle.
    pub fn node(&self) -> &Arc<dyn Node<T>> {
        &self.node
    }

    /// Each value by itself; cannot fail.
    #[track_caller]
    pub fn map<U: 'static>(self, f: impl Fn(T) -> U + Send + Sync + 'static) -> Flow<U> {
        self.link("map", label(Location::caller()), move |v, _, emit| emit(f(v)))
    }

    /// Each value by itself; an error stops the split with the place and this line.
    #[track_caller]
    pub fn try_map<U: 'static>(self, f: impl Fn(T) -> Result<U> + Send + Sync + 'static) -> Flow<U> {
        self.link("try_map", label(Location::caller()), move |v, _, emit| emit(f(v)?))
    }

    /// Any number of values from each.
    #[track_caller]
    pub fn flat_map<U: 'static, I: IntoIterator<Item = U>>(
        self,
        f: impl Fn(T) -> I + Send + Sync + 'static,
    ) -> Flow<U> {
        self.link("flat_map", label(Location::caller()), move |v, _, emit| f(v).into_iter().try_for_each(&mut *emit))
    }

    /// Only values for which `keep` is true. A block that is dropped is nodata in a raster output.
    ///
    /// Whether a block stays is asked of the whole split (see `--tile`), never of a window of it: what is dropped
    /// must not depend on `--chunks` or memory. For single pixels use [`mapfold_grid::Block::mask`].
    #[track_caller]
    pub fn filter(self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Flow<T> {
        let kept = move |v, cx: &Cx<'_>, emit: &mut dyn FnMut(T) -> Result<()>| {
            // The template is kept whatever the closure says: the header needs a block to look at.
            if keep(&v) || cx.is_template() { emit(v) } else { Ok(()) }
        };
        self.chain("filter", label(Location::caller()), false, kept)
    }

    /// All values of a split as one, or as several where `add` says that one is full: what a split tells an exchange,
    /// folded before anything is copied. A split without values gives one too. `most` bytes are what one may hold.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// let sums = plan.range(2).flat_map(|n| [n, n + 1, n + 2]).fold_splits(8, || 0, |sum, n| {
    ///     *sum += n;
    ///     Ok(false)
    /// });
    /// assert_eq!(sums.collect_here().unwrap(), [3, 6]);
    /// ```
    #[track_caller]
    pub fn fold_splits<A: 'static>(
        self,
        most: u64,
        begin: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, T) -> Result<bool> + Send + Sync + 'static,
    ) -> Flow<A> {
        let at = label(Location::caller());
        let fold = crate::fold_splits::FoldSplits::new(self.node, most, begin, add, at);
        Flow { node: Arc::new(fold), plan: self.plan }
    }

    pub(crate) fn link<U: 'static, F>(self, what: &'static str, at: String, f: F) -> Flow<U>
    where
        F: Fn(T, &Cx<'_>, &mut dyn FnMut(U) -> Result<()>) -> Result<()> + Send + Sync + 'static,
    {
        self.chain(what, at, true, f)
    }

    fn chain<U: 'static, F>(self, what: &'static str, at: String, cuttable: bool, f: F) -> Flow<U>
    where
        F: Fn(T, &Cx<'_>, &mut dyn FnMut(U) -> Result<()>) -> Result<()> + Send + Sync + 'static,
    {
        let link = Link { inner: self.node, f, what, at, cuttable, heft: AtomicU64::new(0) };
        Flow { node: Arc::new(link), plan: self.plan }
    }

    /// Computes everything here and now, in this thread: for doctests and small looks, not for jobs. Sources with
    /// files cannot be read this way.
    ///
    /// # Errors
    /// Those of the flow.
    pub fn collect_here(&self) -> Result<Vec<T>> {
        let rooms = std::cell::RefCell::default();
        let cx = Cx::new(&rooms);
        let mut out = Vec::new();
        let domain = self.node.domain();
        for split in 0..domain.splits() {
            self.node.eval(&domain.place(split), &cx, &mut |v| {
                out.push(v);
                Ok(())
            })?;
        }
        Ok(out)
    }
}

/// A closure after a node.
struct Link<T, F> {
    inner: Arc<dyn Node<T>>,
    f: F,
    what: &'static str,
    at: String,
    /// Whether the closure may be given windows of a split.
    cuttable: bool,
    heft: AtomicU64,
}

impl<T: 'static, U: 'static, F> Node<U> for Link<T, F>
where
    F: Fn(T, &Cx<'_>, &mut dyn FnMut(U) -> Result<()>) -> Result<()> + Send + Sync,
{
    fn domain(&self) -> &Domain {
        self.inner.domain()
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(U) -> Result<()>) -> Result<()> {
        self.inner.eval(at, cx, &mut |v| {
            let before = cx.clock.enter(Phase::Compute);
            let done = (self.f)(v, cx, &mut |u| {
                if cx.is_template() {
                    self.heft.fetch_max(template::heft(&u), Relaxed);
                }
                emit(u)
            });
            cx.clock.enter(before);
            done.map_err(|e: Error| e.at_stage(format!("{} at {}", self.what, self.at)).at_place(at.to_string()))
        })
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.inner.needs(at, out)
    }

    fn held(&self, at: &Place) -> u64 {
        self.heft.load(Relaxed) * at.pixels()
    }

    fn memory(&self, at: &Place) -> u64 {
        // Twice: results of several bands are stacked from one block a band.
        self.inner.memory(at).max(self.inner.held(at) + 2 * self.held(at))
    }

    fn cuttable(&self) -> bool {
        self.cuttable && self.inner.cuttable()
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.inner.recompute(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        out.push(Step { what: self.what.to_string(), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}

impl Plan {
    /// The numbers `0..count`, each a split of its own: for jobs that make their own data, tests and benchmarks.
    pub fn range(&self, count: u64) -> Flow<u64> {
        Flow::from_node(self, Arc::new(Range { domain: Domain::Units { count } }))
    }
}

struct Range {
    domain: Domain,
}

impl Node<u64> for Range {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        match at {
            Place::Unit(n) if !cx.is_template() => emit(*n),
            _ => Ok(()),
        }
    }

    fn needs(&self, _: &Place, _: &mut Vec<Need>) -> Result<()> {
        Ok(())
    }

    fn held(&self, _: &Place) -> u64 {
        8
    }

    fn memory(&self, _: &Place) -> u64 {
        8
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        out.push(Step { what: "range".into(), at: String::new() });
    }

    fn input_bytes(&self) -> u64 {
        0
    }
}
