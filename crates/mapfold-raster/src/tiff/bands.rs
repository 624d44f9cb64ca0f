//! Which bands a location asks for: `scene.tif#4`, `scene.tif#B04`, `scene.tif#1,3`.

use crate::{RasterError, RasterMeta};
use mapfold_store::{Loc, closest};

/// Band numbers from 0 that the fragment of `loc` names; all bands without a fragment.
///
/// A name is looked for first (case counts), then a number from 1: a band called `4` is found by its name.
///
/// # Errors
/// [`RasterError::NoBand`] with the nearest name, or the list.
pub fn select_bands(meta: &RasterMeta, loc: &Loc) -> Result<Vec<usize>, RasterError> {
    let Some(fragment) = loc.fragment().filter(|f| !f.is_empty()) else {
        return Ok((0..meta.bands.len()).collect());
    };
    fragment.split(',').map(|word| one_band(meta, loc, word.trim())).collect()
}

fn one_band(meta: &RasterMeta, loc: &Loc, word: &str) -> Result<usize, RasterError> {
    if let Some(found) = meta.bands.iter().position(|b| b.name.as_deref() == Some(word)) {
        return Ok(found);
    }
    match word.parse::<usize>() {
        Ok(n) if (1..=meta.bands.len()).contains(&n) => Ok(n - 1),
        _ => Err(RasterError::NoBand { loc: loc.clone(), band: word.into(), hint: hint(meta, word) }),
    }
}

fn hint(meta: &RasterMeta, word: &str) -> String {
    let names: Vec<&str> = meta.bands.iter().filter_map(|b| b.name.as_deref()).collect();
    if let Some(near) = closest(word, names.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    let n = meta.bands.len();
    let numbers = if n == 1 { "it has one band, #1".into() } else { format!("it has bands #1 to #{n}") };
    match names.is_empty() {
        true => numbers,
        false => format!("{numbers}: {}", names.join(", ")),
    }
}
