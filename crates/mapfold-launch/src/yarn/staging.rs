//! Files on the cluster's file system: what an application needs, and what is left of it for the launcher.
//!
//! ```text
//! /user/NAME/.mapfold/bin/SHA-256/mapfold     the program, once for all jobs
//! /user/NAME/.mapfold/jobs/ID/                of one job, 0700; its files 0600
//!     token  settings  arguments  am.jar
//!     outcome-ATTEMPT/stdout stderr events exit
//! ```

use super::asks::Asks;
use super::error::YarnError;
use super::site::{Site, user};
use mapfold_coord::JobId;
use mapfold_store::{Loc, Replace, Secret, StoreError, Stores};
use mapfold_wire::Token;
use std::path::Path;

/// The application master, as `cluster/yarn-am/build.sh` makes it.
const MASTER: &[u8] = include_bytes!("../../../../cluster/yarn-am/mapfold-am.jar");

/// The folder of one job.
#[derive(Clone, Debug)]
pub struct Staging {
    stores: Stores,
    home: Loc,
    folder: Loc,
}

/// A file as a node is told of it: it is refused there if it has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) url: String,
    pub(crate) bytes: u64,
    pub(crate) modified_ms: i64,
}

/// A location as Hadoop spells it.
fn url(loc: &Loc) -> String {
    match loc.local_path() {
        Some(path) => format!("file://{}", path.display()),
        None => loc.as_text().to_string(),
    }
}

/// What is left of an attempt.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The coordinator's exit code.
    pub exit: i32,
    /// What the job printed.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: Vec<u8>,
    /// Its event log.
    pub events: Vec<u8>,
}

impl Outcome {
    /// What lies in a folder, once it is whole: the exit code comes last.
    pub(crate) fn read(stores: &Stores, folder: &Loc) -> Result<Option<Outcome>, StoreError> {
        let file = |name| if_there(stores, &folder.join(name));
        let Some(exit) = file("exit")? else { return Ok(None) };
        let exit = String::from_utf8_lossy(&exit).trim().parse().unwrap_or(1);
        let [stdout, stderr, events] = ["stdout", "stderr", "events"].map(|n| file(n).map(Option::unwrap_or_default));
        Ok(Some(Outcome { exit, stdout: stdout?, stderr: stderr?, events: events? }))
    }
}

/// A small file, where there is one.
pub(crate) fn if_there(stores: &Stores, loc: &Loc) -> Result<Option<Vec<u8>>, StoreError> {
    match stores.get(loc) {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `/user/NAME/.mapfold` on the cluster's own file system.
fn own_folder(site: &Site) -> Result<Loc, YarnError> {
    let bad = |why: String| YarnError::BadConfiguration { file: "core-site.xml".into(), why };
    let lacking = "it does not set fs.defaultFS: where are the files of an application to be?";
    let fs = site.default_fs().ok_or_else(|| bad(lacking.into()))?;
    let users = site.get("dfs.user.home.dir.prefix").unwrap_or_else(|| "/user".into());
    let text = format!("{fs}{}/{}/.mapfold", users.trim_end_matches('/'), user());
    Loc::parse(&text).map_err(|e| bad(format!("fs.defaultFS is {fs}: {e}")))
}

impl Staging {
    /// The folder of a job, below `base`, else below the user's folder on the cluster's own file system. Nothing is made
    /// yet.
    ///
    /// # Errors
    /// [`YarnError::BadConfiguration`] when the cluster names no file system, or one that is not known here.
    pub fn of(stores: &Stores, site: &Site, job: &JobId, base: Option<&Loc>) -> Result<Staging, YarnError> {
        let home = match base {
            Some(base) => base.clone(),
            None => own_folder(site)?,
        };
        let folder = home.join("jobs").join(&job.to_string());
        Ok(Staging { stores: stores.clone(), home, folder })
    }

    /// Where it is, as Hadoop spells it.
    pub(crate) fn url(&self) -> String {
        url(&self.folder)
    }

    /// Makes the folder, for this user only.
    pub(crate) fn begin(&self) -> Result<(), YarnError> {
        let failed = |source| YarnError::Files { doing: "a folder for the job on the cluster cannot be made", source };
        self.stores.create_private_dir(&self.folder).map_err(failed)
    }

    /// The application master.
    pub(crate) fn master(&self) -> Result<Resource, YarnError> {
        self.put("am.jar", MASTER.to_vec())
    }

    /// The job's secret.
    pub(crate) fn token(&self, token: &Token) -> Result<Resource, YarnError> {
        let mut line = Vec::new();
        token.write_to(&mut line).map_err(|source| YarnError::Here { file: "token".into(), source })?;
        self.put("token", line)
    }

    /// The settings of stores, with their secrets: the coordinator gets them so, and members from it.
    pub(crate) fn settings(&self, settings: &Secret) -> Result<Resource, YarnError> {
        self.put("settings", settings.expose().as_bytes().to_vec())
    }

    /// The coordinator's arguments, between zero bytes: it runs in a folder of its own, with the same words.
    pub(crate) fn arguments(&self, arguments: &[String]) -> Result<Resource, YarnError> {
        self.put("arguments", arguments.join("\0").into_bytes())
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<Resource, YarnError> {
        let failed = |source| YarnError::Files { doing: "a file of the job cannot be put onto the cluster", source };
        let loc = self.folder.join(name);
        self.stores.put_private(&loc, bytes.into()).map_err(failed)?;
        self.resource(&loc).map_err(failed)
    }

    fn resource(&self, loc: &Loc) -> Result<Resource, StoreError> {
        let info = self.stores.block_on(self.stores.head(loc))?;
        Ok(Resource { url: url(loc), bytes: info.size, modified_ms: info.modified_ms.unwrap_or(0) })
    }

    /// The program, named by its SHA-256: it travels once, whatever the number of jobs.
    pub(crate) fn program(&self, path: &Path) -> Result<Resource, YarnError> {
        let failed = |source| YarnError::Files { doing: "the program cannot be put onto the cluster", source };
        let here = |source| YarnError::Here { file: path.display().to_string(), source };
        let hash = mapfold_wire::sha256(&mut std::fs::File::open(path).map_err(here)?).map_err(here)?;
        let bytes = std::fs::metadata(path).map_err(here)?.len();
        let folder = self.home.join("bin").join(&hash);
        let place = folder.join("mapfold");
        if let Some(there) = self.resource(&place).ok().filter(|r| r.bytes == bytes) {
            return Ok(there);
        }
        self.stores.create_private_dir(&folder).map_err(failed)?;
        // Two launchers may do this at once: each writes its own file, one name wins.
        let own = folder.join(&format!("new-{}", self.folder.name()));
        self.stores.put_private(&own, std::fs::read(path).map_err(here)?.into()).map_err(failed)?;
        match self.stores.rename(&own, &place, Replace::Never) {
            Err(StoreError::AlreadyExists { .. }) => drop(self.stores.delete(&own)),
            done => done.map_err(failed)?,
        }
        self.resource(&place).map_err(failed)
    }

    /// What is asked of the job while it runs.
    pub(crate) fn asks(&self) -> Asks {
        Asks::within(&self.stores, &self.folder)
    }

    /// What an attempt left, once it is whole.
    ///
    /// # Errors
    /// [`YarnError::Files`].
    pub fn outcome(&self, attempt: u64) -> Result<Option<Outcome>, YarnError> {
        let failed = |source| YarnError::Files { doing: "what the job left on the cluster cannot be read", source };
        Outcome::read(&self.stores, &self.folder.join(&format!("outcome-{attempt}"))).map_err(failed)
    }

    /// Removes the job's folder.
    pub fn remove(&self) {
        if let Err(e) = self.stores.remove_dir(&self.folder) {
            tracing::info!("{} could not be removed: {e}", self.folder);
        }
    }
}
