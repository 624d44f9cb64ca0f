//! One value from all values: folds without a key.
//!
//! It is an exchange into one partition, to which every split sends one state. So what a split has folded is sent,
//! never its values, and the result is there even when there was none: that of an empty fold.

use crate::node::{Need, Node, Step};
use crate::{Combine, Cx, Domain, Flow, Place, Result};
use mapfold_grid::{Block, Pixel};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

impl<V: 'static> Flow<V> {
    /// Folds all values into one. Without any value it is what the empty fold gives.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
    /// plan.range(10).map(|n| n as f64).fold_all::<(Count, Mean)>().report("all")?;
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fold_all<C: Combine<V>>(self) -> Flow<C::Out>
    where
        C::Out: 'static,
    {
        self.folded::<C>(|| C::default().finish())
    }

    #[track_caller]
    fn folded<C: Combine<V>>(self, empty: impl Fn() -> C::Out + Send + Sync + 'static) -> Flow<C::Out>
    where
        C::Out: 'static,
    {
        let folded = self.map(|v| ((), v)).arranged().partitions(1).combine::<C>();
        let node = Total { inner: folded.node.clone(), empty };
        Flow::from_node(&folded.plan, Arc::new(node))
    }
}

impl<T: Pixel> Flow<Block<T>> {
    /// Folds the valid pixels of all bands into one value.
    ///
    /// With a combiner of the library ([`crate::exact::Moments`], [`crate::Mean`], ...) it is the same to the bit for
    /// any cut and order.
    #[track_caller]
    pub fn combine<C: Combine<T>>(self) -> Flow<C::Out>
    where
        C::Out: 'static,
    {
        self.fold_all::<OfPixels<C>>()
    }

    /// Folds the valid pixels of each band: one list with a value for each band.
    #[track_caller]
    pub fn combine_bands<C: Combine<T>>(self) -> Flow<Vec<C::Out>>
    where
        C::Out: 'static,
    {
        // A broken template is reported where the flow is closed.
        let template = crate::template::run(self.node.as_ref()).unwrap_or_default();
        let bands = template.first().map_or(1, Block::band_count);
        self.folded::<OfBands<C>>(move || (0..bands).map(|_| C::default().finish()).collect())
    }
}

/// A combiner of pixels, fed with blocks.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(bound = "C: Serialize + serde::de::DeserializeOwned")]
struct OfPixels<C>(C);

/// A combiner of pixels for each band, fed with blocks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "C: Serialize + serde::de::DeserializeOwned")]
struct OfBands<C>(Vec<C>);

impl<C> Default for OfBands<C> {
    fn default() -> Self {
        OfBands(Vec::new())
    }
}

fn add_band<T: Pixel, C: Combine<T>>(block: &Block<T>, band: usize, to: &mut C) {
    let mut ok = vec![0; block.pixel_count()];
    block.band_valid(band, 0, &mut ok);
    to.add_all(block.band(band), ok.contains(&0).then_some(&ok));
}

impl<T: Pixel, C: Combine<T>> Combine<Block<T>> for OfPixels<C> {
    type Out = C::Out;

    fn add(&mut self, block: Block<T>) {
        (0..block.band_count()).for_each(|band| add_band(&block, band, &mut self.0));
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn finish(self) -> C::Out {
        self.0.finish()
    }
}

impl<T: Pixel, C: Combine<T>> Combine<Block<T>> for OfBands<C> {
    type Out = Vec<C::Out>;

    fn add(&mut self, block: Block<T>) {
        let bands = self.0.len().max(block.band_count());
        self.0.resize(bands, C::default());
        (0..block.band_count()).for_each(|band| add_band(&block, band, &mut self.0[band]));
    }

    fn merge(&mut self, other: Self) {
        let bands = self.0.len().max(other.0.len());
        self.0.resize(bands, C::default());
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    fn finish(self) -> Vec<C::Out> {
        self.0.into_iter().map(C::finish).collect()
    }
}

/// The one value behind the fold.
struct Total<T, E> {
    inner: Arc<dyn Node<((), T)>>,
    empty: E,
}

impl<T: 'static, E: Fn() -> T + Send + Sync> Node<T> for Total<T, E> {
    fn domain(&self) -> &Domain {
        self.inner.domain()
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(T) -> Result<()>) -> Result<()> {
        let mut came = false;
        self.inner.eval(at, cx, &mut |((), total)| {
            came = true;
            emit(total)
        })?;
        if came { Ok(()) } else { emit((self.empty)()) }
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.inner.needs(at, out)
    }

    fn held(&self, at: &Place) -> u64 {
        self.inner.held(at)
    }

    fn memory(&self, at: &Place) -> u64 {
        self.inner.memory(at)
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.inner.recompute(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::Moments;
    use crate::{Count, Max, assert_combine_laws};
    use mapfold_grid::{GeoBox, Shape};

    fn blocks() -> Vec<Block<f32>> {
        let grid = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 2 }));
        let block = |data: [f32; 4]| Block::new(grid.clone(), grid.shape.window(), 2, data.to_vec());
        [[1.0, 2.0, f32::NAN, 4.0], [-1.5, 1e-30, 3e30, f32::NAN], [f32::NAN; 4]].into_iter().flat_map(block).collect()
    }

    #[test]
    fn folds_of_blocks_obey_the_laws() {
        assert_combine_laws::<OfPixels<Moments>, _>(blocks());
        assert_combine_laws::<OfBands<Moments>, _>(blocks());
        assert_combine_laws::<OfBands<(Count, Max<f32>)>, _>(blocks());
    }

    #[test]
    fn invalid_pixels_are_left_out_and_bands_are_kept_apart() {
        let mut all = OfPixels::<Count>::default();
        let mut bands = OfBands::<(Count, Max<f32>)>::default();
        blocks().into_iter().for_each(|b| {
            all.add(b.clone());
            bands.add(b);
        });
        assert_eq!(Combine::<Block<f32>>::finish(all), 6);
        assert_eq!(Combine::<Block<f32>>::finish(bands), [(4, Some(2.0)), (2, Some(3e30))]);
    }
}
