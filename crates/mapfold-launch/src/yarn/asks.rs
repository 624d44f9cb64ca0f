//! What its user asks of a job that runs on the cluster: so many members.
//!
//! A file in the job's folder there, which only its user enters: the launcher writes it, the coordinator takes it away
//! (`mapfold_coord::asks` is the same on one machine). So no door has to listen, and the launcher need not reach the node.

use super::carrier::Yarn;
use super::error::YarnError;
use mapfold_store::{Loc, StoreError, Stores};

/// The variable with the job's folder, in the container of the coordinator.
pub(crate) const FOLDER: &str = "MAPFOLD_STAGING";
const MEMBERS: &str = "members-wanted";

/// The file of a job.
#[derive(Clone, Debug)]
pub struct Asks {
    stores: Stores,
    members: Loc,
}

impl Asks {
    pub(crate) fn within(stores: &Stores, folder: &Loc) -> Asks {
        Asks { stores: stores.clone(), members: folder.join(MEMBERS) }
    }

    /// In a coordinator: of its own job.
    pub fn of_this_job() -> Option<Asks> {
        let folder = std::env::var(FOLDER).ok().filter(|_| Yarn::is_within())?;
        Some(Asks::within(&Stores::new(), &Loc::parse(&folder).ok()?))
    }

    /// Asks for so many members. A question that was not taken yet is forgotten.
    ///
    /// # Errors
    /// [`YarnError::Files`].
    pub fn put(&self, members: u32) -> Result<(), YarnError> {
        let failed =
            |source| YarnError::Files { doing: "what is asked of the job cannot be put onto the cluster", source };
        match self.stores.delete(&self.members) {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(e) => return Err(failed(e)),
        }
        self.stores.put_private(&self.members, format!("{members}\n").into()).map_err(failed)
    }

    /// How many members were asked for since the last look.
    pub fn take(&self) -> Option<u32> {
        let text = self.stores.get(&self.members).ok()?;
        let whole = std::str::from_utf8(&text).ok()?.strip_suffix('\n')?; // Without an end it is being written.
        if let Err(error) = self.stores.delete(&self.members) {
            tracing::warn!(%error, "what is asked of the job cannot be taken");
            return None;
        }
        whole.parse().inspect_err(|_| tracing::warn!("{whole:?} is no number of members")).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_question_is_taken_once_and_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new();
        let asks = Asks::within(&stores, &Loc::parse(folder.path().to_str().unwrap()).unwrap());
        let file = folder.path().join(MEMBERS);
        assert_eq!(asks.take(), None);
        asks.put(2).unwrap();
        asks.put(3).unwrap();
        assert_eq!((asks.take(), asks.take()), (Some(3), None), "the last question, once");
        std::fs::write(&file, "1").unwrap();
        assert_eq!(asks.take(), None, "half of it");
        assert!(file.exists());
        std::fs::write(&file, "many\n").unwrap();
        assert_eq!(asks.take(), None);
        assert!(!file.exists(), "junk is taken away");
    }
}
