//! The plan of one run: files, recorded answers, stages in order.

use crate::{Error, FileId, Kind, Result, Stage, redacted};
use mapfold_store::{Loc, ObjectInfo, Stores};
use serde::{Serialize, de::DeserializeOwned};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};

/// Number of a stage, in the order in which the job closed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct StageId(pub u32);

/// What the run options say to planning.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
pub struct PlanOptions {
    /// Partitions of every exchange; default from the input's bytes.
    pub partitions: Option<u32>,
    /// Edge of a superblock in pixels; default 2048, or as the inputs are stored.
    pub tile: Option<usize>,
}

/// A file that the plan reads.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Where it is.
    pub loc: Loc,
    /// Its size and version when the plan was made.
    pub info: ObjectInfo,
    /// Its name in the scratch folder, when the run makes it.
    pub made: Option<String>,
}

/// One recorded planning answer: what was asked, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Answer {
    /// The question, redacted.
    pub question: String,
    /// The answer as postcard bytes.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: Vec<FileEntry>,
    numbers: HashMap<Loc, usize>,
    answers: Vec<Answer>,
    /// What the fingerprint takes of each answer.
    identities: Vec<u128>,
    replay: Option<std::vec::IntoIter<Answer>>,
    stages: Vec<Arc<dyn Stage>>,
    exchanges: Vec<u32>,
    sides: u32,
    warnings: Vec<String>,
    fault: Option<Error>,
    settings: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// The settings as text, by type: what they change, the fingerprint must show.
    told: BTreeMap<&'static str, String>,
    /// Which answer a question got. Kept as asked: two questions may differ in their secrets only.
    asked: HashMap<(String, TypeId), usize>,
}

struct Inner {
    stores: Stores,
    options: PlanOptions,
    state: Mutex<State>,
}

/// What a job function gets: the door to sources, and the list of what it asked for.
///
/// ```
/// use mapfold_plan::*;
/// let plan = Plan::new(mapfold_store::Stores::new(), PlanOptions::default());
/// plan.range(10).map(|n| (n % 2, n)).combine::<Sum<u64>>().report("sums").unwrap();
/// assert_eq!(plan.stages().len(), 2); // map side, then reduce side
/// ```
#[derive(Clone)]
pub struct Plan(Arc<Inner>);

impl Plan {
    /// An empty plan over these stores.
    pub fn new(stores: Stores, options: PlanOptions) -> Plan {
        Plan(Arc::new(Inner { stores, options, state: Mutex::default() }))
    }

    /// The same, answering planning questions from a record: what members of a job do, without I/O.
    pub fn replaying(stores: Stores, options: PlanOptions, answers: Vec<Answer>) -> Plan {
        let plan = Plan::new(stores, options);
        plan.state().replay = Some(answers.into_iter());
        plan
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Where files are.
    pub fn stores(&self) -> &Stores {
        &self.0.stores
    }

    /// What the run options say to planning.
    pub fn options(&self) -> &PlanOptions {
        &self.0.options
    }

    /// A typed setting of a format room (reader and writer options), when the command line gave one.
    pub fn setting<S: Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.state().settings.get(&TypeId::of::<S>()).cloned().and_then(|s| s.downcast().ok())
    }

    /// Hands a typed setting to the format rooms. Its `Debug` text is part of the fingerprint.
    pub fn set<S: std::fmt::Debug + Send + Sync + 'static>(&self, setting: S) {
        let mut s = self.state();
        s.told.insert(std::any::type_name::<S>(), format!("{setting:?}"));
        s.settings.insert(TypeId::of::<S>(), Arc::new(setting));
    }

    /// Asks a planning question once: listings, headers, item lists. The answer is recorded, and given again when
    /// the question is asked again; a replaying plan takes the recorded ones, in call order, and `find` is not called.
    ///
    /// What the fingerprint takes of an answer is its `Debug` text, redacted: a URL that was signed anew is the same
    /// input.
    ///
    /// # Errors
    /// Those of `find`; and when a replayed plan asks something else than the recorded one did.
    pub fn ask<A: Serialize + DeserializeOwned + Debug + 'static>(
        &self,
        question: &str,
        find: impl FnOnce() -> Result<A>,
    ) -> Result<A> {
        let asked = (question.to_string(), TypeId::of::<A>());
        let known = self.state().asked.get(&asked).copied();
        if let Some(i) = known {
            return Ok(postcard::from_bytes(&self.state().answers[i].bytes)?);
        }
        let question = mapfold_store::redact(question);
        let recorded = self.state().replay.as_mut().map(Iterator::next);
        let answer = match recorded {
            None => Answer { bytes: postcard::to_stdvec(&find()?)?, question },
            Some(Some(a)) if a.question == question => a,
            Some(other) => {
                let had = other.map_or("nothing more".to_string(), |a| format!("{:?}", a.question));
                let what = format!(
                    "the plan asks {question:?}, but the recorded one asked {had}: planning is not deterministic"
                );
                return Err(Error::new(Kind::Job, what));
            }
        };
        let value: A = postcard::from_bytes(&answer.bytes)?;
        let told = mapfold_store::redact(&format!("{value:?}"));
        let mut s = self.state();
        let number = s.answers.len();
        s.asked.insert(asked, number);
        s.answers.push(answer);
        s.identities.push(xxhash_rust::xxh3::xxh3_128(told.as_bytes()));
        Ok(value)
    }

    /// Registers a file that will be read; the same file twice has one number.
    pub fn file(&self, loc: &Loc, info: &ObjectInfo) -> FileId {
        let mut s = self.state();
        let next = s.files.len();
        let id = *s.numbers.entry(loc.clone()).or_insert(next);
        if id == next {
            s.files.push(FileEntry { loc: loc.clone(), info: info.clone(), made: None });
        }
        FileId(id as u32)
    }

    /// Registers a file that the run makes in its scratch folder: its number and name. `describe` gives name and length
    /// from a number that no other one has.
    pub(crate) fn scratch_file(&self, describe: impl FnOnce(usize) -> (String, u64)) -> (FileId, String) {
        let mut s = self.state();
        let (name, size) = describe(s.files.iter().filter(|f| f.made.is_some()).count());
        let loc = Loc::local(&name); // In a folder that the run will know.
        let info = ObjectInfo { size, etag: None, modified_ms: None };
        s.files.push(FileEntry { loc, info, made: Some(name.clone()) });
        (FileId(s.files.len() as u32 - 1), name)
    }

    /// Every file of the plan, by number.
    pub fn files(&self) -> Vec<FileEntry> {
        self.state().files.clone()
    }

    /// Every recorded answer, in call order.
    pub fn answers(&self) -> Vec<Answer> {
        self.state().answers.clone()
    }

    /// Adds a closed stage.
    pub fn close(&self, stage: Arc<dyn Stage>) -> StageId {
        let mut s = self.state();
        s.stages.push(stage);
        StageId(s.stages.len() as u32 - 1)
    }

    /// Every stage, in an order in which each comes after those it reads from.
    pub fn stages(&self) -> Vec<Arc<dyn Stage>> {
        self.state().stages.clone()
    }

    /// Registers an exchange and fixes its partitions: what the job says, else `--partitions`, else one for every 32 MiB
    /// of input, 4 at least and 1024 at most. It never depends on threads, workers or memory.
    pub fn open_exchange(&self, input_bytes: u64, partitions: Option<u32>) -> (usize, u32) {
        let count = partitions.unwrap_or_else(|| self.usual_partitions(input_bytes)).max(1);
        let mut s = self.state();
        s.exchanges.push(count);
        (s.exchanges.len() - 1, count)
    }

    /// Partitions of an exchange for so many bytes of input, where the job says nothing: see [`Plan::open_exchange`].
    pub fn usual_partitions(&self, input_bytes: u64) -> u32 {
        self.0.options.partitions.unwrap_or_else(|| input_bytes.div_ceil(32 << 20).clamp(4, 1024) as u32).max(1)
    }

    /// Partitions of every exchange.
    pub fn exchanges(&self) -> Vec<u32> {
        self.state().exchanges.clone()
    }

    /// Registers a side: its number.
    pub(crate) fn open_side(&self) -> u32 {
        let mut s = self.state();
        s.sides += 1;
        s.sides - 1
    }

    /// Number of sides.
    pub fn sides(&self) -> u32 {
        self.state().sides
    }

    /// Whether both are handles on one plan.
    pub(crate) fn is(&self, other: &Plan) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Tells the user something once the run starts; each text once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut s = self.state();
        if !s.warnings.contains(&text) {
            s.warnings.push(text);
        }
    }

    /// Remembers the first fault of a verb that gives no `Result`; [`Plan::check`] gives it before anything runs.
    pub fn fail(&self, fault: Error) {
        self.state().fault.get_or_insert(fault);
    }

    /// The fault that was remembered, if any.
    ///
    /// # Errors
    /// That fault.
    pub fn check(&self) -> Result<()> {
        self.state().fault.take().map_or(Ok(()), Err)
    }

    /// Everything to tell the user.
    pub fn warnings(&self) -> Vec<String> {
        self.state().warnings.clone()
    }

    /// A number that changes whenever the results could: parameters, settings, recorded answers, stages with their
    /// grids and splits. Secrets of URLs are left out of all of them: a signature is not what is read. The engine
    /// adds the binary's own hash.
    pub fn fingerprint(&self, params: &serde_json::Value) -> u128 {
        let mut text = redacted(params).to_string();
        for stage in self.stages() {
            let steps: Vec<String> = stage.steps().iter().map(|s| format!("{} {}", s.what, s.at)).collect();
            text += &format!("\n{}|{:?}|{}", stage.label(), stage.domain(), steps.join(";"));
        }
        let s = self.state();
        text += &format!("\n{:?}{:?}", s.exchanges, s.told);
        let mut bytes = text.into_bytes();
        s.answers.iter().zip(&s.identities).for_each(|(a, identity)| {
            bytes.extend_from_slice(a.question.as_bytes());
            bytes.extend_from_slice(&identity.to_le_bytes());
        });
        xxhash_rust::xxh3::xxh3_128(&bytes)
    }
}
