//! `mapfold ls`: names, sizes and times; for tools as JSON.

use super::{missing, named};
use crate::verbs::say;
use mapfold::Result;
use mapfold::store::{Entry, Loc, Stores};
use serde_json::{Value, json};
use std::process::ExitCode;

/// List files and folders of any store
#[derive(clap::Args, Clone, Debug)]
pub struct LsArgs {
    /// Folders, files or patterns
    #[arg(value_name = "LOC", default_value = ".")]
    places: Vec<Loc>,
    /// All files below, at any depth
    #[arg(short, long)]
    recursive: bool,
    /// Sizes in bytes and times (UTC) before the names
    #[arg(short, long)]
    long: bool,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

impl LsArgs {
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let stores = Stores::new();
        let mut all = Vec::new();
        for place in &self.places {
            all.extend(self.entries(&stores, place)?);
        }
        if self.json {
            let told: Vec<Value> = all.iter().map(as_json).collect();
            return say(&format!("{:#}\n", Value::Array(told)));
        }
        let lines: String = all.iter().map(|entry| self.line(entry)).collect();
        say(&lines)
    }

    fn entries(&self, stores: &Stores, place: &Loc) -> Result<Vec<Entry>> {
        if place.is_pattern() {
            let found = named(stores, place)?;
            return found.iter().map(|loc| file(stores, loc)).collect();
        }
        let folder = stores.is_folder(place, true);
        if !folder && stores.exists(place)? {
            return Ok(vec![file(stores, place)?]);
        }
        let listed = match self.recursive {
            true => stores.below(place),
            false => stores.entries(place),
        };
        match listed {
            // In an object store a folder that is not there is an empty one: nobody wants to be told nothing.
            Ok(all) if all.is_empty() && !folder => Err(missing(stores, place)),
            Err(mapfold::store::StoreError::NotFound { .. }) => Err(missing(stores, place)),
            other => Ok(other?),
        }
    }

    fn line(&self, entry: &Entry) -> String {
        let name = format!("{}{}", entry.loc, if entry.folder { "/" } else { "" });
        if !self.long {
            return format!("{name}\n");
        }
        let size = entry.info.as_ref().map_or_else(|| "-".into(), |info| info.size.to_string());
        let time = modified(entry).map_or_else(|| "-".into(), |t| t.format("%Y-%m-%d %H:%M:%S").to_string());
        format!("{size:>14}  {time:<19}  {name}\n")
    }
}

fn file(stores: &Stores, loc: &Loc) -> Result<Entry> {
    let info = stores.block_on(stores.head(loc))?;
    Ok(Entry { loc: loc.clone(), folder: false, link: false, info: Some(info) })
}

fn modified(entry: &Entry) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(entry.info.as_ref()?.modified_ms?)
}

fn as_json(entry: &Entry) -> Value {
    json!({
        "loc": entry.loc.to_string(),
        "name": entry.loc.file_name(),
        "kind": if entry.folder { "folder" } else { "file" },
        "size": entry.info.as_ref().map(|info| info.size),
        "modified": modified(entry).map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        "etag": entry.info.as_ref().and_then(|info| info.etag.clone()),
    })
}
