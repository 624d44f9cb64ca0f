//! Outputs that are made of files of attempts: a folder of them, or the only one.
//!
//! Each attempt wrote its own file; here those that count are moved into one folder under their final names, with a
//! `_SUCCESS` that says what is there, and that folder is revealed by one rename: nobody sees half of it. Over an older
//! folder the two are exchanged in one step, and the old one goes with the work folder.
//!
//! A store of objects has no folders to rename. There each file is an upload at its final place, the list of those that
//! count is kept in the work folder, and revealing completes them one by one, `_SUCCESS` last: who waits for it sees all
//! or nothing ([`uploads`](super::uploads)).
//!
//! Every step may be repeated after a crash: a file that is in its new place is left there, and a folder that says in
//! `_SUCCESS` that it is this job's is not exchanged back.

use super::faults::about_output;
use super::layout::GoOn;
use super::output::Whole;
use super::uploads;
use crate::streams::{WHOLE, random};
use mapfold_plan::{Error, Output, OutputShape, PartFile, PartRecord, Result};
use mapfold_store::{Loc, Replace, Scheme, StoreError, Stores};
use serde_json::{Value, json};

/// The file that says that a folder is whole.
pub const SUCCESS: &str = "_SUCCESS";

/// Whether an output could be put in its place.
///
/// # Errors
/// When a folder is in the way that no job has written: `--overwrite` takes the place of results only.
pub fn check_place(stores: &Stores, output: &dyn Output, overwrite: bool) -> Result<Result<(), StoreError>> {
    let loc = output.loc();
    make_parents(stores, loc)?;
    if output.shape() != OutputShape::Folder {
        return Ok(stores.check_writable(loc));
    }
    if overwrite && stores.exists(loc)? && !stores.exists(&loc.join(SUCCESS))? {
        let what =
            format!("{loc}: what is there was not written by a job (it has no {SUCCESS}), so it is not replaced");
        return Err(Error::usage(what).with_remedy("move it away, or choose another output"));
    }
    Ok(stores.check_writable(&loc.sibling(&format!(".{}.new", loc.name()))))
}

/// Folders above an output in HDFS are made, as all programs of Hadoop do.
fn make_parents(stores: &Stores, loc: &Loc) -> Result<(), StoreError> {
    let Some(parent) = loc.parent().filter(|_| loc.scheme() == Scheme::Hdfs) else { return Ok(()) };
    if stores.exists(&parent)? {
        return Ok(());
    }
    make_parents(stores, &parent)?;
    stores.create_dir(&parent)
}

/// Moves the files of the parts into one folder.
///
/// # Errors
/// Those of the store; when two parts have a file of one name.
pub fn gather(
    (stores, dir): (&Stores, &Loc),
    output: &dyn Output,
    parts: &[PartRecord],
    go_on: GoOn<'_>,
) -> Result<Whole> {
    let whole = dir.join(WHOLE);
    let named = |e: StoreError| about_output(e, output.loc());
    let mut files: Vec<&PartFile> = parts.iter().flat_map(|p| &p.files).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = files.windows(2).find(|two| two[0].name == two[1].name) {
        return Err(Error::job(format!("two parts are called {}", twice[0].name)));
    }
    if !stores.abilities(dir).rename {
        return uploads::list((stores, dir), &files, success(output, &files)).map_err(named);
    }
    stores.create_dir(&whole).map_err(named)?;
    for file in &files {
        go_on()?;
        let (from, to) = (dir.join(&file.attempt), whole.join(&file.name));
        if stores.exists(&from)? {
            stores.open_file(&from)?.sync().map_err(named)?;
            stores.rename(&from, &to, Replace::Allowed).map_err(named)?;
        }
    }
    let success = success(output, &files);
    let checksum = told(success.as_bytes());
    stores.put(&whole.join(SUCCESS), success.into()).map_err(named)?;
    let bytes = files.iter().map(|f| f.bytes).sum();
    Ok(Whole { name: WHOLE.into(), bytes, in_place: true, checksum })
}

pub(super) fn told(success: &[u8]) -> String {
    format!("{:016x}", mapfold_plan::hash64(success))
}

/// What a folder says of itself: the same for the same parts, but for `written`, a number that is never the same, so
/// that of two folders one can be told to be this job's.
fn success(output: &dyn Output, files: &[&PartFile]) -> String {
    let file = |f: &&PartFile| json!({ "name": f.name, "bytes": f.bytes, "records": f.records, "xxh3": format!("{:016x}", f.hash) });
    let (bytes, records): (u64, u64) = files.iter().fold((0, 0), |(b, r), f| (b + f.bytes, r + f.records));
    let told = json!({
        "format": output.describe(),
        "bytes": bytes,
        "records": records,
        "files": files.iter().map(file).collect::<Vec<Value>>(),
        "written": format!("{:016x}", random()),
    });
    format!("{told:#}\n")
}

/// Puts the decided folder, which has this checksum, in its place.
///
/// # Errors
/// Those of the store; when it is neither here nor there.
pub fn reveal(stores: &Stores, (from, checksum): (&Loc, &str), to: &Loc, replace: Replace) -> Result<()> {
    let success = to.join(SUCCESS);
    if stores.exists(&success)? && told(&stores.get(&success)?) == checksum {
        return Ok(()); // An earlier run came that far.
    }
    if !stores.exists(from)? {
        let what = format!("{to}: the interrupted run had put it in its place, but it is gone or has changed");
        return Err(Error::input(what).with_remedy("start over with --overwrite"));
    }
    let moved = match replace {
        _ if !stores.abilities(to).rename => return uploads::reveal(stores, from, to, replace),
        Replace::Allowed if stores.exists(to)? => stores.swap(from, to),
        _ => stores.rename(from, to, Replace::Never),
    };
    moved.map_err(|e| about_output(e, to))
}

/// The only file of the only part.
///
/// # Errors
/// When there is not one.
pub fn only((stores, dir): (&Stores, &Loc), parts: &[PartRecord]) -> Result<Whole> {
    let mut files = parts.iter().flat_map(|p| &p.files);
    let (Some(file), None) = (files.next(), files.next()) else {
        return Err(Error::job("the output is one file, but not one part has been written"));
    };
    if stores.abilities(dir).rename {
        stores.open_file(&dir.join(&file.attempt))?.sync()?;
    }
    let checksum = format!("{:016x}", file.hash);
    Ok(Whole { name: file.attempt.clone(), bytes: file.bytes, in_place: true, checksum })
}
