//! The files of a work folder: their names, how they are put and read, who the claims say owns it.

use serde::{Serialize, de::DeserializeOwned};

use super::claim::Claimer;
use super::folder::Folder;
use crate::error::CoordError;
use crate::process::Alive;

pub(super) fn claim_name(number: u32) -> String {
    if number == 0 { "claim".to_owned() } else { format!("claim.{number}") }
}

pub(super) fn over_name(number: u32) -> String {
    format!("{}.over", claim_name(number))
}

pub(super) fn record_name(seq: u64) -> String {
    format!("log/{seq:08}.json.zst")
}

/// How many claims there are, and the last.
pub(super) fn claims(folder: &dyn Folder) -> Result<(u32, Option<Claimer>), CoordError> {
    let mut last = None;
    for number in 0.. {
        match read::<Claimer>(folder, &claim_name(number))? {
            Some(claim) => last = Some(claim),
            None => return Ok((number, last)),
        }
    }
    Ok((u32::MAX, last))
}

pub(super) fn refuse_living(folder: &dyn Folder, number: u32, owner: &Claimer) -> Result<(), CoordError> {
    let name = over_name(number);
    let over = folder.get(&name)?.is_some();
    if over || owner.process.alive() != Alive::Yes {
        return Ok(());
    }
    Err(CoordError::OutputBusy {
        output: folder.output(),
        job: owner.job,
        pid: owner.process.pid,
        host: owner.process.host.clone(),
    })
}

pub(super) fn unfinished(folder: &dyn Folder, owner: Claimer) -> CoordError {
    let unseen = owner.process.alive() == Alive::Unknown;
    let certainty = if unseen { " (or still runs: it cannot be seen from here)" } else { "" };
    CoordError::OutputUnfinished {
        output: folder.output(),
        job: owner.job,
        pid: owner.process.pid,
        host: owner.process.host,
        certainty: certainty.to_owned(),
    }
}

pub(super) fn nothing(folder: &dyn Folder, why: String) -> CoordError {
    CoordError::NothingToResume { output: folder.output(), why }
}

/// Put-if-absent that survives a lost answer: `true` when the file holds these bytes afterwards,
/// `false` when it holds others.
pub(super) fn create(folder: &dyn Folder, name: &str, bytes: &[u8]) -> Result<bool, CoordError> {
    let Err(doubt) = folder.create(name, bytes) else {
        return Ok(true);
    };
    match folder.get(name)? {
        Some(there) => Ok(there == bytes),
        None => Err(doubt.into()),
    }
}

pub(super) fn read<T: DeserializeOwned>(folder: &dyn Folder, name: &str) -> Result<Option<T>, CoordError> {
    let Some(bytes) = folder.get(name)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| CoordError::Damaged { file: folder.describe(name), why: error.to_string() })?;
    Ok(Some(value))
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are no strings fail, and there are none.
    serde_json::to_vec_pretty(value).expect("plain values become JSON")
}
