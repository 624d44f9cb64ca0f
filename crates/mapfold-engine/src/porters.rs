//! Who carries the portions of an output that a store of objects is to put together: the members, and this process where
//! there are none.
//!
//! A member reads what a portion consists of and sends it as one part; it says how the store calls that part, and the hash
//! of its bytes. What does not come back (the member died, stands still, or could not) is carried here: nothing is decided
//! yet, and the same part may be sent twice.

use crate::link::{Mail, Said};
use crate::shell::Shell;
use mapfold_coord::{FailPoint, MemberId};
use mapfold_plan::{Error, Result, hash64};
use mapfold_store::{Carried, Porter, Portion, StoreError, Stores};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Portions that are under way where this process carries them, or for each member.
const AT_ONCE: usize = 2;
/// Portions that are under way in all, at most.
const MOST_AT_ONCE: usize = 32;
/// More bytes than these do not travel in a message to a member.
const MOST_ENCLOSED: u64 = 1 << 20;
/// How long a member may take for one portion.
const CARRY_WITHIN: Duration = Duration::from_secs(60);

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A portion that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// As the store calls it.
    pub part: String,
    /// Of its bytes.
    pub hash: u64,
}

/// Reads a portion and sends it.
///
/// # Errors
/// Those of the store.
pub async fn carry(stores: &Stores, portion: &Portion) -> Result<Arrived, StoreError> {
    let bytes = stores.gather(portion).await?;
    let hash = hash64(&bytes);
    Ok(Arrived { part: stores.send_portion(portion, bytes).await?, hash })
}

type Answer = oneshot::Sender<Option<Arrived>>;

/// What members were asked to carry.
pub struct Errands {
    shell: Arc<Shell>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    /// How many each member has.
    members: BTreeMap<MemberId, usize>,
    open: HashMap<u64, (MemberId, Answer)>,
}

impl State {
    fn close(&mut self, errand: u64) -> Option<Answer> {
        let (member, answer) = self.open.remove(&errand)?;
        self.members.entry(member).and_modify(|n| *n -= 1);
        Some(answer)
    }
}

impl Errands {
    /// Of nobody yet.
    pub fn new(shell: Arc<Shell>) -> Arc<Errands> {
        Arc::new(Errands { shell, state: Mutex::default() })
    }

    /// A member is there.
    pub fn joined(&self, member: MemberId) {
        lock(&self.state).members.insert(member, 0);
    }

    /// A member is gone, or not to be relied on: what it was asked is not answered.
    pub fn lost(&self, member: MemberId) {
        let mut state = lock(&self.state);
        let open: Vec<u64> = state.open.iter().filter(|(_, (m, _))| *m == member).map(|(e, _)| *e).collect();
        open.into_iter().for_each(|errand| drop(state.close(errand)));
        state.members.remove(&member);
    }

    /// A member has done it, or could not.
    pub fn answered(&self, errand: u64, arrived: Option<Arrived>) {
        if let Some(answer) = lock(&self.state).close(errand) {
            let _ = answer.send(arrived); // Nobody waits for it when the output is begun anew.
        }
    }

    /// Asks the member that has least to do.
    fn ask(&self, portion: &Portion) -> Option<(MemberId, oneshot::Receiver<Option<Arrived>>)> {
        let (answer, answered) = oneshot::channel();
        let (errand, member) = {
            let mut state = lock(&self.state);
            let member = *state.members.iter().min_by_key(|(_, n)| **n)?.0;
            state.last += 1;
            let errand = state.last;
            state.members.entry(member).and_modify(|n| *n += 1);
            state.open.insert(errand, (member, answer));
            (errand, member)
        };
        tracing::debug!(%member, part = portion.number, bytes = portion.bytes(), "is asked to carry");
        match self.shell.is_enrolled(member) {
            true => self.shell.post(member, Mail::Carry(errand, portion.clone())),
            false => self.lost(member), // It was not wanted any more.
        }
        Some((member, answered))
    }

    /// Has a member carry it; nothing when that did not work.
    async fn run(&self, portion: &Portion) -> Option<Arrived> {
        let (member, answered) = self.ask(portion)?;
        if let Ok(answer) = tokio::time::timeout(CARRY_WITHIN, answered).await {
            return answer.ok().flatten();
        }
        tracing::warn!(
            "member {member} has not sent a part of the output within {CARRY_WITHIN:?}: it is asked no more"
        );
        self.lost(member);
        None
    }

    fn members(&self) -> usize {
        lock(&self.state).members.len()
    }
}

/// Has the portions of outputs carried, one output after the other.
pub struct Porters {
    stores: Stores,
    errands: Option<Arc<Errands>>,
    /// Of what has arrived, by number.
    hashes: Arc<Mutex<HashMap<usize, u64>>>,
}

impl Porters {
    /// Members carry them; without errands this process does.
    pub fn new(stores: &Stores, errands: Option<Arc<Errands>>) -> Porters {
        Porters { stores: stores.clone(), errands, hashes: Arc::default() }
    }

    /// Another file begins: numbers begin anew.
    pub fn begin(&self) {
        lock(&self.hashes).clear();
    }

    /// The hash of a portion that has arrived.
    ///
    /// # Errors
    /// When it has not.
    pub fn hash_of(&self, number: usize) -> Result<u64> {
        let hash = lock(&self.hashes).get(&number).copied();
        hash.ok_or_else(|| Error::job(format!("part {number} of the output has not arrived")))
    }
}

impl Porter for Porters {
    fn at_once(&self) -> usize {
        let members = self.errands.as_ref().map_or(1, |errands| errands.members());
        (AT_ONCE * members.max(1)).min(MOST_AT_ONCE)
    }

    fn carry(&self, portion: Portion) -> Carried {
        let (stores, hashes) = (self.stores.clone(), self.hashes.clone());
        let errands = self.errands.clone().filter(|_| portion.enclosed() <= MOST_ENCLOSED);
        Box::pin(async move {
            let away = match errands {
                Some(errands) => errands.run(&portion).await,
                None => None,
            };
            let arrived = match away {
                Some(arrived) => arrived,
                None => carry(&stores, &portion).await?,
            };
            lock(&hashes).insert(portion.number, arrived.hash);
            Ok(arrived.part)
        })
    }
}

/// What a member says when it has carried something, or could not.
pub fn report(stores: &Stores, errand: u64, portion: &Portion) -> Said {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!("part {} of {} could not be sent from here: {error}", portion.number, portion.to);
    };
    if let Err(error) = FailPoint::Carrying.reached() {
        failed(&error);
        return Said::Carried { errand, arrived: None };
    }
    let arrived = stores.block_on(carry(stores, portion));
    Said::Carried { errand, arrived: arrived.inspect_err(|error| failed(error)).ok() }
}
