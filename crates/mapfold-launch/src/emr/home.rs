//! What a job on the primary node leaves for who added its step: small files in a folder of S3, beside the program.
//!
//! A step's own logs come to S3 minutes after its end, packed, and only where the cluster has a folder for logs; its exit
//! code is only `COMPLETED` or `FAILED`. So the launcher there puts what it would have printed into this folder, the exit
//! code last, and the one here prints it and removes the folder.

use crate::yarn::{Outcome, if_there};
use mapfold_coord::JobId;
use mapfold_store::{Loc, StoreError, Stores};

/// The variable that tells a launcher on the primary node where the folder is.
pub const HOME_VARIABLE: &str = "MAPFOLD_EMR_HOME";

/// The folder of one step.
#[derive(Clone, Debug)]
pub struct Home {
    stores: Stores,
    folder: Loc,
}

/// What was left there.
#[derive(Clone, Debug)]
pub enum Left {
    /// The job ended, well or not; its words are its own.
    Outcome(Outcome),
    /// It never became an application: an error, as the launcher there wrote it down.
    Error(Vec<u8>),
}

impl Home {
    /// Of a job whose program is staged in `staging`.
    pub fn new(stores: &Stores, staging: &Loc, job: &JobId) -> Home {
        Home { stores: stores.clone(), folder: staging.join("jobs").join(&job.to_string()) }
    }

    /// Of this process, when a step started it.
    pub fn from_env(stores: &Stores) -> Option<Home> {
        let text = std::env::var(HOME_VARIABLE).ok()?;
        Some(Home { stores: stores.clone(), folder: Loc::parse(&text).ok()? })
    }

    /// Where it is.
    pub fn folder(&self) -> &Loc {
        &self.folder
    }

    /// Leaves what an application left.
    ///
    /// # Errors
    /// Those of S3.
    pub fn leave(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let files = [("stdout", &outcome.stdout), ("stderr", &outcome.stderr), ("events", &outcome.events)];
        files.iter().try_for_each(|(name, bytes)| self.stores.put(&self.folder.join(name), (*bytes).clone().into()))?;
        self.stores.put(&self.folder.join("exit"), outcome.exit.to_string().into_bytes().into())
    }

    /// Leaves an error.
    ///
    /// # Errors
    /// Those of S3.
    pub fn leave_error(&self, error: Vec<u8>) -> Result<(), StoreError> {
        self.stores.put(&self.folder.join("error"), error.into())
    }

    /// What was left, once it is whole; then the folder goes.
    ///
    /// # Errors
    /// Those of S3.
    pub fn take(&self) -> Result<Option<Left>, StoreError> {
        let left = match Outcome::read(&self.stores, &self.folder)? {
            Some(outcome) => Some(Left::Outcome(outcome)),
            None => if_there(&self.stores, &self.folder.join("error"))?.map(Left::Error),
        };
        if left.is_some()
            && let Err(e) = self.stores.remove_dir(&self.folder)
        {
            tracing::info!("{} could not be removed: {e}", self.folder);
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_left_comes_home_once_and_leaves_nothing() {
        let stores = Stores::new();
        let staging = Loc::parse("memory://bucket/mapfold").unwrap();
        let home = Home::new(&stores, &staging, &"00112233445566778899aabbccddeeff".parse().unwrap());
        assert!(home.take().unwrap().is_none());
        home.leave(&Outcome { exit: 4, stdout: b"out".to_vec(), stderr: b"err".to_vec(), events: Vec::new() }).unwrap();
        let Some(Left::Outcome(outcome)) = home.take().unwrap() else { panic!() };
        assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), (4, b"out".to_vec(), b"err".to_vec()));
        assert!(home.take().unwrap().is_none() && !stores.exists(home.folder()).unwrap());
        home.leave_error(b"no".to_vec()).unwrap();
        assert!(matches!(home.take().unwrap(), Some(Left::Error(said)) if said == b"no"));
    }
}
