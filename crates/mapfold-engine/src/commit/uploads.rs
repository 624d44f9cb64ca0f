//! A folder of part files in a store of objects: uploads that are completed one by one when all is decided.
//!
//! Each file of an attempt is an uncompleted upload at its final place, and a note in the work folder. Here the list of
//! those that count is written (before the decision), and after it they are completed, many at a time; `_SUCCESS` comes
//! last. All of it may be repeated: what an earlier run had completed is found by its size and its hash.
//!
//! Taking the place of an older folder is not one step here: `_SUCCESS` goes first, so that nobody takes a mixture for a
//! result, then the files are replaced, then what the new folder does not have is removed.

use super::faults::about_output;
use super::folder::{SUCCESS, told};
use super::output::Whole;
use crate::streams::{WHOLE, is_file, random};
use mapfold_plan::{Error, PartFile, Result};
use mapfold_store::{Entry, Loc, Replace, StoreError, Stores, many};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the folder is made of.
#[derive(Serialize, Deserialize)]
struct Listed {
    /// The text of `_SUCCESS`.
    success: String,
    files: Vec<PartFile>,
}

/// Writes down the files that count.
///
/// # Errors
/// Those of the store.
pub fn list((stores, dir): (&Stores, &Loc), files: &[&PartFile], success: String) -> Result<Whole, StoreError> {
    let (checksum, bytes) = (told(success.as_bytes()), files.iter().map(|f| f.bytes).sum());
    let listed = Listed { success, files: files.iter().map(|f| (*f).clone()).collect() };
    let text = serde_json::to_vec(&listed).expect("plain values become JSON");
    // A name of its own: a late process of an earlier run cannot change the list that is decided on.
    let name = format!("{WHOLE}.{:016x}", random());
    stores.put(&dir.join(&name), text.into())?;
    Ok(Whole { name, bytes, in_place: true, checksum })
}

/// Completes the uploads of the list at `from`, and says that the folder `to` is whole.
///
/// # Errors
/// Those of the store; when a file is neither uploaded nor in its place.
pub fn reveal(stores: &Stores, from: &Loc, to: &Loc, replace: Replace) -> Result<()> {
    let named = |e: StoreError| about_output(e, to);
    let damaged = |e| Error::input(format!("{from}: the list of the output's files is damaged: {e}"));
    let listed: Listed = serde_json::from_slice(&stores.get(from)?).map_err(damaged)?;
    let dir = from.parent().ok_or_else(|| Error::job("a work folder is in a folder"))?;
    if replace == Replace::Allowed {
        stores.delete(&to.join(SUCCESS)).map_err(named)?;
    }
    let complete = |file: &PartFile| {
        let place = to.join(&file.name);
        let is_it = || is_file(stores, &place, file.bytes, file.hash);
        stores.publish(&dir.join(&file.attempt), &place, replace, &is_it)
    };
    many(&listed.files, &complete).map_err(named)?;
    if replace == Replace::Allowed {
        remove_others(stores, to, &listed.files).map_err(named)?;
    }
    stores.put(&to.join(SUCCESS), listed.success.into()).map_err(named)
}

/// Removes what an older output had and this one has not.
fn remove_others(stores: &Stores, to: &Loc, files: &[PartFile]) -> Result<(), StoreError> {
    let names: BTreeSet<&str> = files.iter().map(|f| f.name.as_str()).collect();
    let mut others = stores.entries(to)?;
    others.retain(|entry| entry.folder || !names.contains(entry.loc.name()));
    let remove = |entry: &Entry| match entry.folder {
        true => stores.remove_dir(&entry.loc),
        false => stores.delete(&entry.loc),
    };
    many(&others, &remove)
}
