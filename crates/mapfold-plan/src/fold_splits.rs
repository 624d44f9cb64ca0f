//! One value for all values of a split.
//!
//! Deliberately absent: folds over windows of a raster. A window is cut as memory asks, and what a fold gives must not
//! depend on memory; a fold over a split that the engine cuts would. So the split is asked for as a whole.

use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Phase, Place, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// A fold after a node; see [`crate::Flow::fold_splits`].
pub(crate) struct FoldSplits<T, A, B, F> {
    inner: Arc<dyn Node<T>>,
    /// Bytes that a folded value may hold.
    most: u64,
    begin: B,
    add: F,
    at: String,
    _a: PhantomData<fn() -> A>,
}

impl<T, A, B, F> FoldSplits<T, A, B, F> {
    pub(crate) fn new(inner: Arc<dyn Node<T>>, most: u64, begin: B, add: F, at: String) -> Self {
        FoldSplits { inner, most, begin, add, at, _a: PhantomData }
    }
}

impl<T: 'static, A: 'static, B, F> Node<A> for FoldSplits<T, A, B, F>
where
    B: Fn() -> A + Send + Sync,
    F: Fn(&mut A, T) -> Result<bool> + Send + Sync,
{
    fn domain(&self) -> &Domain {
        self.inner.domain()
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(A) -> Result<()>) -> Result<()> {
        let mut folded = (self.begin)();
        self.inner.eval(at, cx, &mut |value| {
            let full = cx.during(Phase::Compute, || (self.add)(&mut folded, value));
            let full = full.map_err(|e| e.at_stage(format!("fold at {}", self.at)).at_place(at.to_string()))?;
            if full { emit(std::mem::replace(&mut folded, (self.begin)())) } else { Ok(()) }
        })?;
        emit(folded)
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.inner.needs(at, out)
    }

    fn held(&self, at: &Place) -> u64 {
        self.inner.held(at) + self.most
    }

    fn memory(&self, at: &Place) -> u64 {
        self.inner.memory(at) + self.most
    }

    fn cuttable(&self) -> bool {
        false
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.inner.recompute(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        out.push(Step { what: "fold each split".into(), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}
