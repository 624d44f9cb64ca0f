//! What the commit protocol asks of a store ([`Folder`]): four operations, and names for messages.
//!
//! They are a trait so that the protocol is tested against a store that fails and loses answers.
//! [`StoreFolder`] is the one for real stores.

use mapfold_store::{Loc, Replace, StoreError, Stores};

use super::files::{claim_name, over_name};
use crate::error::CoordError;
use crate::ids::JobId;

/// The work folder of one output, by names relative to it.
pub trait Folder: Send + Sync {
    /// Puts a file if the name is free ([`StoreError::AlreadyExists`] else), durably and whole: on
    /// `Ok` it survives a power cut, and no one ever reads half of it. After any other error it is
    /// not known whether it was put.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// The file's bytes; `None` when it is not there.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Removes a file; fine when it is not there.
    fn remove_file(&self, name: &str) -> Result<(), StoreError>;

    /// Removes a folder with all it holds; fine when it is not there.
    fn remove_folder(&self, name: &str) -> Result<(), StoreError>;

    /// Removes the whole work folder, as if at once.
    fn clear(&self) -> Result<(), StoreError>;

    /// The full name of a file in it, for messages, free of secrets; of the folder for `""`.
    fn describe(&self, name: &str) -> String;

    /// The output that the folder belongs to, for messages, free of secrets.
    fn output(&self) -> String;
}

/// The work folder beside a single-file output.
pub(super) struct StoreFolder {
    stores: Stores,
    output: Loc,
    folder: Loc,
}

/// `.<name>.mapfold/` beside the output.
pub(super) fn beside(output: &Loc) -> Loc {
    let whole = output.without_fragment();
    whole.sibling(&format!(".{}.mapfold", whole.name()))
}

impl StoreFolder {
    pub fn new(stores: &Stores, output: &Loc) -> StoreFolder {
        let output = output.without_fragment();
        StoreFolder { stores: stores.clone(), folder: beside(&output), output }
    }

    /// Refuses an output whose own folder is not there: it is rather misspelt than to be made.
    pub fn check_place(&self) -> Result<(), CoordError> {
        let Some(parent) = self.output.parent() else {
            return Ok(());
        };
        match self.output.local_path().is_none() || self.stores.exists(&parent)? {
            true => Ok(()),
            false => Err(CoordError::NoSuchFolder { output: self.output.to_string(), folder: parent.to_string() }),
        }
    }

    /// Makes the folder and those in it that hold files.
    pub fn make(&self) -> Result<(), StoreError> {
        self.stores.create_dir(&self.folder)?;
        self.stores.create_dir(&self.folder.join("log"))?;
        self.stores.create_dir(&self.folder.join(super::PARTS))
    }

    /// Removes one after the other what the folder holds, in an order in which whatever is left says the truth: with the
    /// plan gone nothing can be gone on with; the manifest says until near the end that the job is decided; and as long as
    /// the first claim is there the output is this job's, so that nobody else begins in between.
    fn clear_objects(&self) -> Result<(), StoreError> {
        self.remove_folder(super::PARTS)?;
        self.remove_file(super::PLAN)?;
        self.remove_folder("log")?;
        self.remove_file(super::MANIFEST)?;
        let mut claims = 0;
        while self.get(&claim_name(claims))?.is_some() {
            claims += 1;
        }
        for number in (0..claims).rev() {
            self.remove_file(&over_name(number))?;
            self.remove_file(&claim_name(number))?;
        }
        Ok(())
    }
}

impl Folder for StoreFolder {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let loc = self.folder.join(name);
        match self.stores.create(&loc, bytes.to_vec().into()) {
            Err(StoreError::NotFound { .. }) => {
                self.make()?;
                self.stores.create(&loc, bytes.to_vec().into())
            }
            other => other,
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.stores.get(&self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        absent_is_fine(self.stores.delete(&self.folder.join(name)))
    }

    /// Uploads of attempts end with the notes of them: without these nobody would find them again.
    fn remove_folder(&self, name: &str) -> Result<(), StoreError> {
        if name == super::PARTS {
            self.stores.abandon_uploads(&self.folder.join(name))?;
        }
        absent_is_fine(self.stores.remove_dir(&self.folder.join(name)))
    }

    /// Moves the folder aside first: a job that claims the output in this moment makes a new one,
    /// of which nothing may be removed. Objects cannot be moved: see [`StoreFolder::clear_objects`].
    fn clear(&self) -> Result<(), StoreError> {
        if !self.stores.abilities(&self.folder).rename {
            return self.clear_objects();
        }
        let unique = JobId::random().map_or_else(|_| "gone".to_owned(), |id| id.to_string());
        let aside = self.folder.sibling(&format!("{}.{unique}", self.folder.name()));
        match self.stores.rename(&self.folder, &aside, Replace::Never) {
            Ok(()) => absent_is_fine(self.stores.remove_dir(&aside)),
            Err(StoreError::NotFound { .. }) => Ok(()),
            Err(_) => absent_is_fine(self.stores.remove_dir(&self.folder)),
        }
    }

    fn describe(&self, name: &str) -> String {
        match name {
            "" => self.folder.to_string(),
            name => self.folder.join(name).to_string(),
        }
    }

    fn output(&self) -> String {
        self.output.to_string()
    }
}

fn absent_is_fine(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
