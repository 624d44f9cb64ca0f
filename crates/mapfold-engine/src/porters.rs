//! Who carries the portions of an output that a store of objects is to put together: the members, and this process where
//! there are none.
//!
//! A member reads what a portion consists of and sends it as one part; it says how the store calls that part, and the hash
//! of its bytes. What a member says that it could not send is carried here. When one says nothing any more (it died, or
//! stands still) its part may arrive at any time: it might take the place of one that was sent instead, and stores that
//! encrypt call two parts of the same bytes by different names. So the whole file is begun anew then, as another upload,
//! which that member does not know ([`Porters::given_up`]).

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
    /// How long a member may take for one portion.
    within: Duration,
}

/// What became of an errand.
enum Answered {
    /// It was carried.
    Arrived(Arrived),
    /// It was not, for sure.
    No,
    /// Nobody knows.
    Silence(MemberId),
}

#[derive(Default)]
struct State {
    last: u64,
    /// How many each member has.
    members: BTreeMap<MemberId, usize>,
    open: HashMap<u64, (MemberId, Answer)>,
    /// Errands that were never answered.
    given_up: u64,
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
        Arc::new(Errands { shell, state: Mutex::default(), within: CARRY_WITHIN })
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

    /// Asks the member that has least to do; nobody when there is none.
    fn ask(&self, portion: &Portion) -> Option<(MemberId, oneshot::Receiver<Option<Arrived>>)> {
        let (answer, answered) = oneshot::channel();
        let (errand, member) = {
            let mut state = lock(&self.state);
            state.members.retain(|member, _| self.shell.is_enrolled(*member)); // Some were not wanted any more.
            let member = *state.members.iter().min_by_key(|(_, n)| **n)?.0;
            state.last += 1;
            let errand = state.last;
            state.members.entry(member).and_modify(|n| *n += 1);
            state.open.insert(errand, (member, answer));
            (errand, member)
        };
        tracing::debug!(%member, part = portion.number, bytes = portion.bytes(), "is asked to carry");
        self.shell.post(member, Mail::Carry(errand, portion.clone()));
        Some((member, answered))
    }

    /// Has a member carry it.
    async fn run(&self, portion: &Portion) -> Answered {
        let Some((member, answered)) = self.ask(portion) else { return Answered::No };
        match tokio::time::timeout(self.within, answered).await {
            Ok(Ok(Some(arrived))) => return Answered::Arrived(arrived),
            Ok(Ok(None)) => return Answered::No,
            Ok(Err(_)) => {} // It is lost.
            Err(_) => tracing::warn!("member {member} has not sent a part of the output within {:?}", self.within),
        }
        self.lost(member);
        lock(&self.state).given_up += 1;
        Answered::Silence(member)
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

    /// Portions of which nobody knows whether they were sent: the file that they are of is to be begun anew.
    pub fn given_up(&self) -> u64 {
        self.errands.as_ref().map_or(0, |errands| lock(&errands.state).given_up)
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
            let answered = match errands {
                Some(errands) => errands.run(&portion).await,
                None => Answered::No,
            };
            let arrived = match answered {
                Answered::Arrived(arrived) => arrived,
                Answered::No => carry(&stores, &portion).await?,
                Answered::Silence(member) => return Err(silent(&portion, member)),
            };
            lock(&hashes).insert(portion.number, arrived.hash);
            Ok(arrived.part)
        })
    }
}

fn silent(portion: &Portion, member: MemberId) -> StoreError {
    let what = format!("member {member} has not said what became of part {}", portion.number);
    StoreError::Io { loc: portion.to.to_string(), source: std::io::Error::new(std::io::ErrorKind::TimedOut, what) }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::groups::Role;
    use crate::link::Post;
    use mapfold_coord::{Coordinator, EventLog, Policy, SplitId, StageId, StageSpec};
    use mapfold_store::{Loc, Section};

    /// Takes mail and says nothing.
    #[derive(Default)]
    struct Silent(Mutex<Vec<u64>>);

    impl Post for Silent {
        fn post(&self, mail: Mail) {
            if let Mail::Carry(errand, _) = mail {
                lock(&self.0).push(errand);
            }
        }
    }

    struct Room {
        errands: Arc<Errands>,
        boxes: Vec<Arc<Silent>>,
        stores: Stores,
    }

    impl Room {
        /// Of so many members, which may take so long.
        fn of(members: u32, within: Duration) -> Room {
            let coord = Coordinator::new(vec![StageSpec::new(StageId(0), 1)], Policy::default()).unwrap();
            let places = Box::new(|_: StageId, _: SplitId| (String::new(), String::new()));
            let told = (places as _, Box::new(|_: StageId| Role::default()) as _);
            let shell = Arc::new(Shell::new(coord, BTreeMap::new(), told, Arc::new(EventLog::nowhere())));
            let errands = Arc::new(Errands { shell: shell.clone(), state: Mutex::default(), within });
            let boxes: Vec<Arc<Silent>> = (0..members).map(|_| Arc::default()).collect();
            for (member, silent) in (0..).map(MemberId).zip(&boxes) {
                shell.enrol(member, false, silent.clone());
                errands.joined(member);
            }
            Room { errands, boxes, stores: Stores::new() }
        }

        fn run(&self) -> Answered {
            self.stores.block_on(self.errands.run(&portion()))
        }
    }

    fn portion() -> Portion {
        let sections = vec![Section::Bytes(b"bytes".to_vec())];
        Portion { to: Loc::parse("s3://bucket/out").unwrap(), upload: "1".into(), number: 3, sections }
    }

    #[test]
    fn who_says_nothing_is_given_up_and_asked_no_more() {
        let room = Room::of(2, Duration::from_millis(30));
        let porters = Porters::new(&room.stores, Some(room.errands.clone()));
        assert_eq!((porters.at_once(), porters.given_up()), (4, 0));
        for left in [1, 0] {
            let error = room.stores.block_on(porters.carry(portion())).unwrap_err();
            assert!(error.to_string().contains("part 3"), "{error}");
            assert!(Error::from(error).is_resumable(), "it is begun anew");
            assert_eq!((room.errands.members(), porters.given_up()), (left, 2 - left as u64));
        }
        assert_eq!(room.boxes.iter().map(|b| lock(&b.0).len()).collect::<Vec<_>>(), [1, 1]);
        assert!(matches!(room.run(), Answered::No), "nobody is left: it is carried here");
    }

    #[test]
    fn who_dies_meanwhile_is_given_up_at_once() {
        let room = Room::of(1, CARRY_WITHIN);
        let errands = room.errands.clone();
        let post = room.boxes[0].clone();
        let dies = std::thread::spawn(move || {
            while lock(&post.0).is_empty() {
                std::thread::yield_now();
            }
            errands.lost(MemberId(0));
        });
        assert!(matches!(room.run(), Answered::Silence(MemberId(0))));
        dies.join().unwrap();
    }

    #[test]
    fn who_was_not_wanted_any_more_is_not_asked() {
        let room = Room::of(1, CARRY_WITHIN);
        room.errands.shell.lost(MemberId(0));
        assert!(matches!(room.run(), Answered::No));
        assert!(lock(&room.boxes[0].0).is_empty());
    }

    #[test]
    fn what_could_not_be_sent_is_known_not_to_have_been() {
        let room = Room::of(1, CARRY_WITHIN);
        for arrived in [None, Some(Arrived { part: "etag".into(), hash: 7 })] {
            let (errands, post, said) = (room.errands.clone(), room.boxes[0].clone(), arrived.clone());
            let answers = std::thread::spawn(move || {
                let errand = loop {
                    if let Some(errand) = lock(&post.0).pop() {
                        break errand;
                    }
                    std::thread::yield_now();
                };
                errands.answered(errand, said);
            });
            match (room.run(), arrived) {
                (Answered::No, None) => {}
                (Answered::Arrived(got), Some(sent)) => assert_eq!(got, sent),
                _ => panic!("another answer"),
            }
            answers.join().unwrap();
        }
    }
}
