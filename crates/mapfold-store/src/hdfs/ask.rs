//! How a question is asked until it is answered, and for how long.
//!
//! Who has answered once is waited for long: it restarts, or another name node takes over. Who never did is given up soon,
//! and what it may be lacking is said. Files that are written are repeated elsewhere: they are whole or not there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hdfs_native::HdfsError;

use super::Hdfs;
use super::fault::{closed, fault, unheard};
use crate::retry::{Fault, Patience, retrying};
use crate::{Loc, StoreError};

/// Who never answered yet is probably misspelt: no long patience.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);
/// A name service may be between two active name nodes, and its name is in a file: not misspelt.
const FIRST_PATIENCE_OF_SERVICE: Duration = Duration::from_secs(30);
/// What a name node that wants Kerberos does to those who do not speak it: it hangs up.
const WANTS_KERBEROS: &str = "; a cluster with Kerberos does so unless HADOOP_CONF_DIR says that it wants it";

/// How long one is waited for that never answered.
pub(super) fn first_patience(is_service: bool) -> Duration {
    if is_service { FIRST_PATIENCE_OF_SERVICE } else { FIRST_PATIENCE }
}

impl Hdfs {
    pub(super) fn patience(&self) -> Patience {
        match self.answered.load(Ordering::Relaxed) {
            true => Patience::of(self.options.hdfs_patience),
            false => Patience::of(self.first_patience.min(self.options.hdfs_patience)),
        }
    }

    /// Asks something that may be asked twice, until it is answered.
    pub(super) async fn ask<T, F>(&self, loc: &Loc, question: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, HdfsError>>,
    {
        let asked = || async {
            let answer = question().await;
            let heard = !answer.as_ref().is_err_and(unheard);
            self.answered.fetch_or(heard, Ordering::Relaxed);
            answer.map_err(|error| self.fault(loc, error))
        };
        retrying(self.patience(), &self.counters, loc, asked).await
    }

    /// The fault of a question; a name node that hangs up on everybody may want Kerberos.
    fn fault(&self, loc: &Loc, error: HdfsError) -> Fault {
        let hung_up = closed(&error) && !self.secure && !self.answered.load(Ordering::Relaxed);
        match fault(loc, error) {
            Fault::Passing { why, after } if hung_up => Fault::Passing { why: why + WANTS_KERBEROS, after },
            other => other,
        }
    }
}
