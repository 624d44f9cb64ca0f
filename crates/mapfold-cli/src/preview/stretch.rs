//! Which value becomes the darkest and which the brightest.

use super::PreviewError;

/// How the range of values is found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stretch {
    /// The ramp's own range if it has one; 0 to 255 for uint8; else smallest to largest value drawn.
    #[default]
    Natural,
    /// `--stretch`: these two percentiles of the values drawn, as shares from 0 to 1.
    Percentile(f64, f64),
}

impl Stretch {
    /// Percentiles such as `2,98`.
    ///
    /// # Errors
    /// [`PreviewError::Stretch`] when these are not two ascending numbers from 0 to 100.
    pub fn percentiles(text: &str) -> Result<Stretch, PreviewError> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|n| n.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[lo, hi]) if 0.0 <= lo && lo < hi && hi <= 100.0 => Ok(Stretch::Percentile(lo / 100.0, hi / 100.0)),
            _ => Err(PreviewError::Stretch(text.to_owned())),
        }
    }

    /// Low and high end for these values (invalid ones left out beforehand). `natural` is used by
    /// [`Stretch::Natural`]. The ends are finite and differ.
    pub fn range(self, values: &mut [f32], natural: Option<(f32, f32)>) -> (f32, f32) {
        let (lo, hi) = match (self, natural) {
            (Stretch::Natural, Some((lo, hi))) => (lo, hi),
            (Stretch::Percentile(lo, hi), _) => percentiles(values, lo, hi),
            (Stretch::Natural, None) => percentiles(values, 0.0, 1.0),
        };
        // One value only: draw it in the middle.
        if lo == hi { (lo - 0.5, hi + 0.5) } else { (lo, hi) }
    }
}

/// Two percentiles, interpolated between ranks as NumPy does; 0 to 1 where there is no value.
fn percentiles(values: &mut [f32], lo: f64, hi: f64) -> (f32, f32) {
    if values.is_empty() {
        return (0.0, 1.0);
    }
    (percentile(values, lo), percentile(values, hi))
}

fn percentile(values: &mut [f32], p: f64) -> f32 {
    let rank = p * (values.len() - 1) as f64;
    let below = rank.floor() as usize;
    let (_, low, rest) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = *low;
    let high = rest.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    let part = rank - below as f64;
    // In f64, so that the span of two f32 cannot overflow.
    (f64::from(low) + (f64::from(high) - f64::from(low)) * part) as f32
}
