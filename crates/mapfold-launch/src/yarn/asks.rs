//! What its user asks of a job that runs on the cluster: so many members.
//!
//! A file in the job's folder there, which only its user enters: the launcher writes it, the coordinator looks
//! (`mapfold_coord::asks` is the same on one machine). So no door has to listen, and the launcher need not reach the node.
//! The file stays, with a number of the question in it: what is not taken away cannot be taken away unseen, and a second
//! attempt of the application hears what the first one was asked.

use super::carrier::Yarn;
use super::error::YarnError;
use mapfold_coord::events::unix_ms;
use mapfold_store::{Loc, Stores};

/// The variable with the job's folder, in the container of the coordinator.
pub(crate) const FOLDER: &str = "MAPFOLD_STAGING";
const MEMBERS: &str = "members-wanted";

/// The file of a job.
#[derive(Clone, Debug)]
pub struct Asks {
    stores: Stores,
    members: Loc,
    heard: String,
}

impl Asks {
    pub(crate) fn within(stores: &Stores, folder: &Loc) -> Asks {
        Asks { stores: stores.clone(), members: folder.join(MEMBERS), heard: String::new() }
    }

    /// In a coordinator: of its own job.
    pub fn of_this_job() -> Option<Asks> {
        let folder = std::env::var(FOLDER).ok().filter(|_| Yarn::is_within())?;
        Some(Asks::within(&Stores::new(), &Loc::parse(&folder).ok()?))
    }

    /// Asks for so many members, instead of what was asked before.
    ///
    /// # Errors
    /// [`YarnError::Files`].
    pub fn put(&self, members: u32) -> Result<(), YarnError> {
        let question = format!("{} {members}\n", unix_ms());
        let failed =
            |source| YarnError::Files { doing: "what is asked of the job cannot be put onto the cluster", source };
        self.stores.put(&self.members, question.into()).map_err(failed)
    }

    /// How many members are asked for, where that is a new question.
    pub fn news(&mut self) -> Option<u32> {
        let text = self.stores.get(&self.members).ok()?;
        let question = std::str::from_utf8(&text).ok()?.strip_suffix('\n')?; // Without an end it is being written.
        if question == self.heard {
            return None;
        }
        question.clone_into(&mut self.heard);
        let members = question.split_once(' ').and_then(|(_, members)| members.parse().ok());
        if members.is_none() {
            tracing::warn!("{}: this is no question of `mapfold scale`", self.members);
        }
        members
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_question_is_heard_once_and_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new();
        let mut asks = Asks::within(&stores, &Loc::parse(folder.path().to_str().unwrap()).unwrap());
        let mut other = asks.clone();
        let file = folder.path().join(MEMBERS);
        assert_eq!(asks.news(), None);
        for n in [2, 3] {
            asks.put(n).unwrap();
        }
        assert_eq!((asks.news(), asks.news()), (Some(3), None), "the last question, once");
        std::thread::sleep(Duration::from_millis(2));
        asks.put(3).unwrap();
        assert_eq!(asks.news(), Some(3), "the same again is another question");
        assert_eq!(other.news(), Some(3), "who begins later hears it too");
        for junk in ["1 4", "many\n", "1 \n", "1 -1\n", "\n"] {
            std::fs::write(&file, junk).unwrap();
            assert_eq!(asks.news(), None, "{junk:?}");
        }
    }
}
