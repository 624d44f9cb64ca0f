//! `mapfold fsck`: what jobs have left beside outputs, and its removal.
//!
//! A job that dies, or is stopped, leaves a hidden work folder beside its output, for `--resume`. This verb finds such
//! folders and says what they are. It removes nothing by itself: `--clean` removes what no run can make use of, and
//! `--discard` the work of unfinished jobs as well. A job that runs is never touched.

use mapfold::coord::{JobFolder, Owner, Traces, TracesStage as Stage};
use mapfold::store::{Loc, Stores};
use mapfold::{Error, Result};
use serde_json::json;
use std::process::ExitCode;

/// Find what interrupted jobs have left, and remove it
#[derive(clap::Args, Clone, Debug)]
pub struct FsckArgs {
    /// Outputs, or folders of outputs
    #[arg(value_name = "LOC", default_value = ".")]
    places: Vec<Loc>,
    /// Remove what no run can make use of: of jobs that are published, aborted, or died before they had a plan
    #[arg(long)]
    clean: bool,
    /// Remove the work of unfinished jobs too: they cannot be resumed afterwards
    #[arg(long)]
    discard: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

/// Something found.
struct Found {
    output: Loc,
    /// `None`: a folder that was being removed when its process died, or that a late one made.
    traces: Option<Traces>,
    folder: Loc,
    published: bool,
}

impl FsckArgs {
    /// Looks, removes what may be removed, and tells. Exit code 1 when something is left.
    ///
    /// # Errors
    /// Those of the store.
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let stores = Stores::new();
        let (mut rows, mut left) = (Vec::new(), 0);
        for place in &self.places {
            for found in find(&stores, place)? {
                let removed = self.may_remove(&found);
                if removed {
                    remove(&stores, &found)?;
                }
                left += u32::from(!removed);
                rows.push((found, removed));
            }
        }
        self.tell(&rows);
        Ok(ExitCode::from(u8::from(left > 0)))
    }

    fn may_remove(&self, found: &Found) -> bool {
        let Some(traces) = &found.traces else { return self.clean || self.discard };
        match (traces.owner, traces.stage) {
            (Owner::Lives | Owner::Elsewhere, _) => false,
            (_, Stage::Aborted | Stage::Claimed) => self.clean || self.discard,
            (_, Stage::Committed) => (self.clean || self.discard) && found.published,
            (_, Stage::Undecided { .. } | Stage::ElsewherePlanned) => self.discard,
        }
    }

    #[allow(clippy::print_stdout)] // The verb's result.
    fn tell(&self, rows: &[(Found, bool)]) {
        if self.json {
            let row = |(f, removed): &(Found, bool)| json!({ "output": f.output.to_string(), "traces": f.traces, "published": f.published, "removed": removed });
            println!("{:#}", json!({ "found": rows.iter().map(row).collect::<Vec<_>>() }));
            return;
        }
        if rows.is_empty() {
            println!("nothing is left of any job");
        }
        for (found, removed) in rows {
            println!("{}: {}", found.output, if *removed { "removed".to_string() } else { described(found) });
        }
    }
}

/// What it is, and what can be done.
fn described(found: &Found) -> String {
    let Some(traces) = &found.traces else {
        return "a work folder whose removal was interrupted; --clean removes it".into();
    };
    let job = &traces.job.to_string()[..8];
    match (traces.owner, traces.stage) {
        (Owner::Lives, _) => format!("job {job} is running"),
        (Owner::Elsewhere, _) => format!("job {job} may be running elsewhere: it is left alone"),
        (_, Stage::Claimed) => format!("job {job} died before it had a plan; --clean removes it"),
        (_, Stage::Aborted) => format!("job {job} was aborted; --clean removes its work"),
        (_, Stage::Committed) if found.published => format!("job {job} is published; --clean removes its work"),
        (_, Stage::Committed) => {
            format!("job {job} is committed, but not all outputs are in their place; run it again with --resume")
        }
        (_, Stage::Undecided { records }) => {
            format!(
                "job {job} is unfinished ({records} log records); run it again with --resume, or --discard its work"
            )
        }
        (_, Stage::ElsewherePlanned) => {
            format!("job {job} is unfinished and writes other outputs too; resume it, or --discard its work")
        }
    }
}

/// Work folders at a place: beside an output, or of all outputs in a folder.
fn find(stores: &Stores, place: &Loc) -> Result<Vec<Found>> {
    let nobodys = || litter(stores, (place.clone(), JobFolder::for_output(place)));
    let mut all: Vec<Found> = beside(stores, place)?.or_else(nobodys).into_iter().collect();
    let Ok(names) = stores.list(place) else { return Ok(all) }; // A file, or nothing.
    for folder in names {
        let name = folder.name().to_string();
        let Some((output, rest)) = name.strip_prefix('.').and_then(|n| n.rsplit_once(".mapfold")) else { continue };
        let output = folder.sibling(output);
        match rest {
            "" => all.extend(beside(stores, &output)?.or_else(|| litter(stores, (output, folder)))),
            _ => all.push(Found { output, traces: None, folder, published: false }),
        }
    }
    Ok(all)
}

fn beside(stores: &Stores, output: &Loc) -> Result<Option<Found>> {
    let told = |e: mapfold::coord::CoordError| Error::caused(mapfold::plan::Kind::Input, e);
    let Some(traces) = Traces::beside(stores, output).map_err(told)? else { return Ok(None) };
    let published = stores.exists(output)?;
    Ok(Some(Found { output: output.clone(), traces: Some(traces), folder: JobFolder::for_output(output), published }))
}

/// A work folder that nobody owns. Where folders are things it may be a job that is just beginning; in a store of objects
/// it holds something, which a late process of a job that is over has put there.
fn litter(stores: &Stores, (output, folder): (Loc, Loc)) -> Option<Found> {
    let nobodys = !stores.abilities(&folder).folders && stores.is_folder(&folder, false);
    nobodys.then_some(Found { output, traces: None, folder, published: false })
}

fn remove(stores: &Stores, found: &Found) -> Result<()> {
    if found.traces.is_some() || found.folder == JobFolder::for_output(&found.output) {
        let told = |e: mapfold::coord::CoordError| Error::caused(mapfold::plan::Kind::Input, e);
        return Traces::remove(stores, &found.output).map_err(told);
    }
    Ok(stores.remove_dir(&found.folder)?)
}
