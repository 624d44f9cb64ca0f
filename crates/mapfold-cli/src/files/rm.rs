//! `mapfold rm`: files, and with `-r` folders.

use super::named;
use crate::verbs::say;
use mapfold::store::{Loc, Stores};
use mapfold::{Error, Result};
use std::process::ExitCode;

/// Remove files of any store
#[derive(clap::Args, Clone, Debug)]
pub struct RmArgs {
    /// Files, patterns or lists; with -r folders too
    #[arg(value_name = "LOC", required = true)]
    places: Vec<Loc>,
    /// Remove folders and all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// What is not there is no error
    #[arg(short, long)]
    force: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not say what was removed
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

impl RmArgs {
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let stores = Stores::new();
        // Everything is looked at before anything is removed.
        let mut all = Vec::new();
        for place in &self.places {
            all.extend(self.looked_up(&stores, place)?);
        }
        for (loc, folder) in &all {
            if !self.dry_run {
                match folder {
                    true => stores.remove_dir(loc)?,
                    false => stores.delete(loc)?,
                }
            }
            if !self.quiet {
                let verb = if self.dry_run { "would remove" } else { "removed" };
                say(&format!("{verb} {loc}{}\n", if *folder { "/" } else { "" }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Files and folders with whether each is a folder.
    fn looked_up(&self, stores: &Stores, place: &Loc) -> Result<Vec<(Loc, bool)>> {
        if self.force && !place.is_pattern() && !stores.exists(place)? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for loc in named(stores, place)? {
            let folder = stores.is_folder(&loc, false);
            if folder && !self.recursive {
                return Err(
                    Error::input(format!("{loc} is a folder; nothing was removed")).with_remedy("-r removes folders")
                );
            }
            if loc.parent().is_none() {
                return Err(Error::input(format!("{loc} is the root of a store; nothing was removed"))
                    .with_remedy("name what is in it, or a pattern"));
            }
            found.push((loc, folder));
        }
        Ok(found)
    }
}
