//! The check that a combiner keeps its laws.
//!
//! It looks at results (`finish`) only, so that a state may hold the same thing in several ways.

use super::Combine;
use std::fmt::Debug;
use std::marker::PhantomData;

/// Checks the laws of a combiner on values of the caller's choice (some ten, with the awkward ones among them).
///
/// # Panics
/// When a law is broken; the text says which.
///
/// ```
/// use mapfold_plan::{assert_combine_laws, Count, Mean, Sum};
/// assert_combine_laws::<(Count, Sum<f64>, Mean), _>(vec![1e300, 0.1, -1e300, 0.2, f64::MIN_POSITIVE]);
/// ```
/// ```should_panic
/// # use mapfold_plan::Combine;
/// # use serde::{Deserialize, Serialize};
/// /// The value that came last: depends on the order.
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Last(u32);
/// impl Combine<u32> for Last {
///     type Out = u32;
///     fn add(&mut self, v: u32) { self.0 = v; }
///     fn merge(&mut self, other: Self) { self.0 = other.0; }
///     fn finish(self) -> u32 { self.0 }
/// }
/// mapfold_plan::assert_combine_laws::<Last, _>(vec![1, 2, 3]);
/// ```
pub fn assert_combine_laws<C, V>(values: Vec<V>)
where
    C: Combine<V>,
    V: Clone,
    C::Out: PartialEq + Debug,
{
    let laws = Laws::<C, V> { whole: fold(&values), values, types: PhantomData };
    laws.survives_serde();
    laws.default_is_the_unit();
    laws.merge_commutes();
    laws.merge_associates();
    laws.shards_agree();
    laws.orders_agree();
}

fn fold<'a, C: Combine<V>, V: Clone + 'a>(values: impl IntoIterator<Item = &'a V>) -> C {
    values.into_iter().fold(C::default(), |mut c, v| {
        c.add(v.clone());
        c
    })
}

fn merged<C: Combine<V>, V>(mut a: C, b: &C) -> C {
    a.merge(b.clone());
    a
}

/// One check of [`assert_combine_laws`] per method.
struct Laws<C, V> {
    values: Vec<V>,
    whole: C,
    types: PhantomData<V>,
}

impl<C, V> Laws<C, V>
where
    C: Combine<V>,
    V: Clone,
    C::Out: PartialEq + Debug,
{
    fn agree(&self, law: &str, left: C, right: C) {
        let name = std::any::type_name::<C>();
        let (left, right) = (left.finish(), right.finish());
        // NaN is not equal to itself, but prints the same.
        let same = left == right || format!("{left:?}") == format!("{right:?}");
        assert!(same, "{name} breaks a law of Combine: {law}\n  gives {left:?}\n  not   {right:?}");
    }

    /// Three pieces, to merge in different ways.
    fn thirds(&self) -> [C; 3] {
        [0, 1, 2].map(|k| fold(self.values.iter().skip(k).step_by(3)))
    }

    fn survives_serde(&self) {
        let name = std::any::type_name::<C>();
        for state in [C::default(), self.whole.clone()].into_iter().chain(self.thirds()) {
            let back = postcard::to_stdvec(&state).and_then(|bytes| postcard::from_bytes::<C>(&bytes));
            let back = back.unwrap_or_else(|e| panic!("{name} breaks a law of Combine: it survives serde: {e}"));
            self.agree("a state that went through serde is equal", back.clone(), state.clone());
            let (lived, other) = (merged(back, &self.whole), merged(state, &self.whole));
            self.agree("a state that went through serde merges as before", lived, other);
        }
    }

    fn default_is_the_unit(&self) {
        for state in self.thirds().into_iter().chain([self.whole.clone(), C::default()]) {
            let law = "default() is the unit: merging it into a state changes nothing";
            self.agree(law, merged(state.clone(), &C::default()), state.clone());
            let law = "default() is the unit: merging a state into it gives that state";
            self.agree(law, merged(C::default(), &state), state);
        }
    }

    fn merge_commutes(&self) {
        let [a, b, c] = self.thirds();
        for (x, y) in [(&a, &b), (&b, &c), (&a, &c)] {
            self.agree("merge is commutative: b into a = a into b", merged(x.clone(), y), merged(y.clone(), x));
        }
    }

    fn merge_associates(&self) {
        let [a, b, c] = self.thirds();
        let left = merged(merged(a.clone(), &b), &c);
        self.agree("merge is associative: (a + b) + c = a + (b + c)", left, merged(a, &merged(b, &c)));
    }

    fn shards_agree(&self) {
        for size in [1, 2, 3, 7] {
            let shards = self.values.chunks(size).map(|shard| fold::<C, V>(shard));
            let total = shards.fold(C::default(), |acc, shard| merged(acc, &shard));
            self.agree(&format!("shards of {size} values merge to the fold of all"), total, self.whole.clone());
        }
    }

    fn orders_agree(&self) {
        let mut random = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..8 {
            let mut values = self.values.clone();
            shuffle(&mut values, &mut random);
            self.agree("any order of the values gives the same", fold(&values), self.whole.clone());
            let mut shards: Vec<C> = values.chunks(2).map(|shard| fold::<C, V>(shard)).collect();
            shuffle(&mut shards, &mut random);
            let total = shards.iter().fold(C::default(), merged);
            self.agree("any order of the shards gives the same", total, self.whole.clone());
        }
    }
}

/// Fisher-Yates with Marsaglia's xorshift64: the same shuffles on every machine.
fn shuffle<T>(values: &mut [T], state: &mut u64) {
    for i in (1..values.len()).rev() {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        values.swap(i, (*state % (i as u64 + 1)) as usize);
    }
}
