//! Refuses a run whose outputs cannot fit on their disks, before hours of work.
//!
//! Outputs on one file system share its space, so they are added up. It is an estimate: a full disk is still an error
//! with a name later.

use mapfold_plan::{Error, Result};
use mapfold_store::{Loc, Stores};
use std::collections::BTreeMap;

/// Refuses when what is still to be written (likely, in bytes) is more than what is free, disk by disk.
///
/// # Errors
/// Names the outputs of the disk; and when a store does not say what is free.
pub fn check(stores: &Stores, needed: impl Iterator<Item = (Loc, u64)>) -> Result<()> {
    let mut disks: BTreeMap<u64, (u64, u64, Vec<String>)> = BTreeMap::new();
    for (loc, likely) in needed {
        let Some(disk) = stores.disk(&loc)? else { continue };
        let (_, sum, outputs) = disks.entry(disk.id).or_insert((disk.free, 0, Vec::new()));
        *sum += likely;
        outputs.push(loc.to_string());
    }
    let full = disks.into_values().find(|(free, sum, _)| free < sum);
    full.map_or(Ok(()), |(free, sum, outputs)| Err(too_much(free, sum, &outputs)))
}

fn too_much(free: u64, sum: u64, outputs: &[String]) -> Error {
    let size = mapfold_plan::explain::bytes;
    let need = if outputs.len() == 1 { "needs about" } else { "together need about" };
    let what = format!("{}: {need} {}, but only {} are free there", outputs.join(", "), size(sum), size(free));
    Error::input(what).with_remedy("free some space, or write elsewhere")
}
