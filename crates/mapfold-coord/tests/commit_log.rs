//! The commit protocol on a store that fails, loses answers and outlives its writers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mapfold_coord::log::Folder;
use mapfold_coord::{
    Attempt, CoordError, Decision, FileRecord, Generation, JobFolder, JobId, LogEntry, Manifest, PartRecord, Replay,
    SplitId, StageId,
};
use mapfold_store::{Loc, StoreError, Stores};
use serde_json::json;

/// A folder in memory that can be told to crash its user at the n-th change.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    changes: u64,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Fault {
    at_change: u64,
    applied: bool,
    /// Every later operation fails too: the process is dead.
    deadly: bool,
}

fn failed() -> StoreError {
    let why = "connection reset".to_owned();
    StoreError::Network { loc: "work folder".to_owned(), attempts: 3, why }
}

impl Memory {
    fn with_fault(&self, fault: Option<Fault>) -> Box<Memory> {
        let mut state = self.0.lock().unwrap();
        state.fault = fault;
        state.changes = 0;
        Box::new(self.clone())
    }

    /// Makes the owner look dead to others; its handle goes on working: a zombie.
    fn kill_owner(&self) {
        let mut state = self.0.lock().unwrap();
        for (name, bytes) in &mut state.files {
            if name.starts_with("claim") {
                let mut claim: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                claim["boot"] = json!("an earlier one");
                *bytes = serde_json::to_vec(&claim).unwrap();
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }
}

impl Folder for Memory {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        state.changes += 1;
        let dead = state.fault.is_some_and(|f| f.deadly && state.changes > f.at_change);
        let now = state.fault.filter(|fault| fault.at_change == state.changes);
        if dead || now.is_some_and(|fault| !fault.applied) {
            return Err(failed());
        }
        if state.files.contains_key(name) {
            return Err(StoreError::AlreadyExists { loc: name.to_owned() });
        }
        state.files.insert(name.to_owned(), bytes.to_owned());
        if now.is_some() { Err(failed()) } else { Ok(()) }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.0.lock().unwrap();
        if state.fault.is_some_and(|f| f.deadly && state.changes >= f.at_change) {
            return Err(failed());
        }
        Ok(state.files.get(name).cloned())
    }

    fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().files.remove(name);
        Ok(())
    }

    fn remove_folder(&self, name: &str) -> Result<(), StoreError> {
        let inside = format!("{name}/");
        self.0.lock().unwrap().files.retain(|file, _| !file.starts_with(&inside));
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.0.lock().unwrap().files.clear();
        Ok(())
    }

    fn describe(&self, name: &str) -> String {
        format!(".out.tif.mapfold/{name}")
    }

    fn output(&self) -> String {
        "out.tif".to_owned()
    }
}

fn part(split: u64) -> LogEntry {
    LogEntry::Part {
        stage: StageId(0),
        split: SplitId(split),
        attempt: Attempt(0),
        generation: Generation(0),
        record: PartRecord { data: json!({ "offset": split * 10 }), ..PartRecord::default() },
    }
}

fn manifest(job: JobId, splits: &[u64]) -> Manifest {
    let file = |split| FileRecord { name: format!("{split}"), ..FileRecord::default() };
    let files = splits.iter().map(file).collect();
    Manifest { job, kind: Decision::Committed, files, data: serde_json::Value::Null }
}

fn claim(memory: &Memory, overwrite: bool) -> Result<JobFolder, CoordError> {
    JobFolder::claim_in(Box::new(memory.clone()), &JobId::random().unwrap(), false, overwrite)
}

/// A job of four splits, one record each, from where the log says it stands.
fn work(folder: &mut JobFolder, entries: &[LogEntry]) -> Result<(), CoordError> {
    if folder.decided()?.is_some() {
        return Ok(());
    }
    let done = Replay::of(entries).earlier(StageId(0)).done;
    for split in (0..4).filter(|split| !done.contains(&SplitId(*split))) {
        folder.append(&[part(split)])?;
    }
    folder.decide(&manifest(folder.job(), &[0, 1, 2, 3]))
}

fn run(folder: Box<Memory>) -> Result<(), CoordError> {
    let mut folder = JobFolder::claim_in(folder, &JobId::random()?, false, false)?;
    folder.write_plan(&json!({ "splits": 4 }))?;
    work(&mut folder, &[])
}

fn resume(memory: &Memory) -> Result<JobFolder, CoordError> {
    let (mut folder, plan, entries) = JobFolder::resume_in(Box::new(memory.clone()))?;
    assert_eq!(plan, json!({ "splits": 4 }));
    work(&mut folder, &entries)?;
    Ok(folder)
}

/// The parts in the log, in order, whatever wrote them.
fn logged(memory: &Memory) -> Vec<u64> {
    let state = memory.0.lock().unwrap();
    let records = state.files.iter().filter(|(name, _)| name.starts_with("log/"));
    let mut splits = Vec::new();
    for (_, bytes) in records {
        let text = zstd::decode_all(&bytes[..]).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let entries = record["entries"].as_array().unwrap().clone();
        let rows = entries.iter().flat_map(|entry| entry["rows"].as_array().unwrap());
        splits.extend(rows.map(|row| row[0].as_u64().unwrap()));
    }
    splits
}

#[test]
fn a_crash_at_any_write_then_resume_gives_the_undisturbed_result() {
    let mut crashes = 0;
    for at_change in 1.. {
        for applied in [false, true] {
            let memory = Memory::default();
            let fault = Fault { at_change, applied, deadly: true };
            if run(memory.with_fault(Some(fault))).is_ok() {
                assert!(crashes >= 14, "only {crashes} points were reached");
                return;
            }
            crashes += 1;
            memory.with_fault(None);
            memory.kill_owner();
            let planned = memory.names().iter().any(|name| name == "plan.json");
            let claimed = memory.names().iter().any(|name| name == "claim");
            let folder = match resume(&memory) {
                Err(CoordError::NothingToResume { .. }) if !planned => {
                    assert!(claimed || run(Box::new(memory.clone())).is_ok());
                    continue;
                }
                other => other.unwrap(),
            };
            assert_eq!(logged(&memory), [0, 1, 2, 3], "change {at_change}, applied {applied}");
            assert_eq!(folder.decided().unwrap().unwrap().files.len(), 4);
        }
    }
}

#[test]
fn one_lost_answer_anywhere_is_no_fault_at_all() {
    for at_change in 1..=7 {
        let memory = Memory::default();
        run(memory.with_fault(Some(Fault { at_change, applied: true, deadly: false }))).unwrap();
        assert_eq!(logged(&memory), [0, 1, 2, 3]);
    }
}

#[test]
fn entries_of_a_failed_write_are_written_by_the_next() {
    let memory = Memory::default();
    let mut folder = claim(&memory, false).unwrap();
    let fault = Fault { at_change: 1, applied: false, deadly: false };
    memory.with_fault(Some(fault));
    folder.append(&[part(0)]).unwrap_err();
    folder.append(&[part(1)]).unwrap();
    folder.append(&[]).unwrap();
    assert_eq!(logged(&memory), [0, 1]);
}

#[test]
fn a_zombie_can_make_nothing_count() {
    let memory = Memory::default();
    let mut zombie = claim(&memory, false).unwrap();
    zombie.write_plan(&json!({ "splits": 4 })).unwrap();
    zombie.append(&[part(0)]).unwrap();
    memory.kill_owner();
    let (mut heir, _, entries) = JobFolder::resume_in(Box::new(memory.clone())).unwrap();
    assert_eq!((entries.len(), heir.life()), (1, 1));
    let refused = zombie.append(&[part(1)]).unwrap_err();
    assert!(matches!(refused, CoordError::Fenced { .. }), "{refused}");
    let refused = zombie.decide(&manifest(zombie.job(), &[0])).unwrap_err();
    assert!(matches!(refused, CoordError::Fenced { .. }), "{refused}");
    work(&mut heir, &entries).unwrap();
    assert_eq!(logged(&memory), [0, 1, 2, 3]);
}

#[test]
fn a_zombie_cleans_nothing_of_its_heir() {
    let memory = Memory::default();
    let zombie = claim(&memory, false).unwrap();
    zombie.write_plan(&json!({ "splits": 4 })).unwrap();
    memory.kill_owner();
    let heir = resume(&memory).unwrap();
    zombie.clean().unwrap();
    assert!(heir.decided().unwrap().is_some(), "the heir's manifest is still there");
    heir.clean().unwrap();
    assert_eq!(memory.names(), [""; 0]);
}

#[test]
fn another_output_of_a_job_is_adopted_by_that_job_only_and_not_from_a_living_owner() {
    let memory = Memory::default();
    let adopt = |job: &JobId| JobFolder::adopt_in(Box::new(memory.clone()), job);
    let job = JobId::random().unwrap();
    assert!(adopt(&job).unwrap().is_none(), "nothing is there");
    drop(JobFolder::claim_in(Box::new(memory.clone()), &job, false, false).unwrap());
    assert!(matches!(adopt(&job), Err(CoordError::OutputBusy { .. })));
    memory.kill_owner();
    assert!(adopt(&JobId::random().unwrap()).unwrap().is_none(), "it is another job's");
    assert_eq!(adopt(&job).unwrap().unwrap().life(), 1);
}

#[test]
fn a_job_that_died_before_it_had_a_plan_may_claim_again_under_its_name() {
    let (disk, stores) = (tempfile::tempdir().unwrap(), Stores::new());
    let output = Loc::local(disk.path().join("out.tif"));
    assert_eq!(JobFolder::unplanned(&stores, &output).unwrap(), None);
    let job = JobId::random().unwrap();
    JobFolder::claim(&stores, &output, &job, false).unwrap().leave().unwrap();
    assert_eq!(JobFolder::unplanned(&stores, &output).unwrap(), Some(job));
    let other = JobFolder::claim(&stores, &output, &JobId::random().unwrap(), false);
    assert!(matches!(other, Err(CoordError::OutputUnfinished { .. })));
    let again = JobFolder::claim(&stores, &output, &job, false).unwrap();
    again.write_plan(&json!({ "splits": 4 })).unwrap();
    assert_eq!(JobFolder::unplanned(&stores, &output).unwrap(), None, "now there is something to go on with");
}

#[test]
fn the_first_decision_stands() {
    let memory = Memory::default();
    let mut folder = claim(&memory, false).unwrap();
    let job = folder.job();
    assert_eq!(folder.decided().unwrap(), None);
    folder.decide(&manifest(job, &[0])).unwrap();
    folder.decide(&manifest(job, &[0])).unwrap();
    let other = folder.decide(&manifest(job, &[0, 1])).unwrap_err();
    assert!(matches!(other, CoordError::Decided { .. }), "{other}");
    assert_eq!(folder.decided().unwrap(), Some(manifest(job, &[0])));
    folder.clean().unwrap();
    assert_eq!(memory.names(), [""; 0]);
}

#[test]
fn a_second_job_is_refused_by_name_with_the_remedy() {
    let memory = Memory::default();
    let first = claim(&memory, false).unwrap();
    let job = first.job().to_string();
    for overwrite in [false, true] {
        let message = claim(&memory, overwrite).err().unwrap().to_string();
        assert!(message.contains(&job) && message.contains("is writing"), "{message}");
    }
    memory.kill_owner();
    let message = claim(&memory, false).err().unwrap().to_string();
    for word in ["out.tif", &job, "--resume", "--overwrite", "removes its traces"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn overwriting_a_dead_job_removes_its_traces_and_keeps_it_out() {
    let memory = Memory::default();
    let mut dead = claim(&memory, false).unwrap();
    dead.write_plan(&json!({ "splits": 4 })).unwrap();
    dead.append(&[part(0)]).unwrap();
    memory.kill_owner();
    let mut folder = claim(&memory, true).unwrap();
    assert_eq!(memory.names(), ["claim", "claim.1"]);
    folder.write_plan(&json!({ "splits": 4 })).unwrap();
    work(&mut folder, &[]).unwrap();
    assert!(dead.append(&[part(1)]).is_err());
    assert_eq!(logged(&memory), [0, 1, 2, 3]);
}

#[test]
fn a_job_that_left_can_be_resumed_by_the_same_process() {
    let memory = Memory::default();
    let folder = claim(&memory, false).unwrap();
    folder.write_plan(&json!({ "splits": 4 })).unwrap();
    folder.leave().unwrap();
    resume(&memory).unwrap().leave().unwrap();
    assert_eq!(resume(&memory).unwrap().life(), 2);
    assert_eq!(logged(&memory), [0, 1, 2, 3]);
}

#[test]
fn an_output_that_is_there_needs_overwrite_and_an_empty_place_has_nothing_to_resume() {
    let memory = Memory::default();
    let job = JobId::random().unwrap();
    let refused = JobFolder::claim_in(Box::new(memory.clone()), &job, true, false);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("out.tif exists") && message.contains("--overwrite"), "{message}");
    assert!(JobFolder::claim_in(Box::new(memory.clone()), &job, true, true).is_ok());
    let nothing = JobFolder::resume_in(Box::new(Memory::default())).err().unwrap().to_string();
    assert!(nothing.contains("run without --resume"), "{nothing}");
}

/// The whole life of a job on a real disk and in memory: claimed, interrupted, resumed, gone.
#[test]
fn a_job_on_a_real_store_leaves_nothing_beside_its_output() {
    let disk = tempfile::tempdir().unwrap();
    let on_disk = Loc::local(disk.path().join("out.tif"));
    let stores = Stores::new();
    for output in [on_disk, Loc::parse("memory://life/out.tif").unwrap()] {
        let job = JobId::random().unwrap();
        let mut folder = JobFolder::claim(&stores, &output, &job, false).unwrap();
        folder.write_plan(&json!({ "splits": 4 })).unwrap();
        folder.append(&[part(0), part(1)]).unwrap();
        assert!(stores.exists(&JobFolder::parts_for(&output)).unwrap());
        folder.leave().unwrap();
        let again = JobFolder::claim(&stores, &output, &JobId::random().unwrap(), false);
        assert!(matches!(again, Err(CoordError::OutputUnfinished { .. })));
        let (mut folder, plan, entries) = JobFolder::open_for_resume(&stores, &output).unwrap();
        assert_eq!((folder.job(), plan, entries.len()), (job, json!({ "splits": 4 }), 2));
        work(&mut folder, &entries).unwrap();
        stores.put(&output, "pixels".into()).unwrap();
        folder.clean().unwrap();
        assert!(!stores.exists(&JobFolder::for_output(&output)).unwrap());
        let once_more = JobFolder::claim(&stores, &output, &job, false);
        assert!(matches!(once_more, Err(CoordError::OutputExists { .. })));
        assert!(!stores.exists(&JobFolder::for_output(&output)).unwrap());
    }
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 1);
}

#[test]
fn of_many_claims_at_once_one_wins() {
    let disk = tempfile::tempdir().unwrap();
    let output = Loc::local(disk.path().join("out.tif"));
    let stores = Stores::new();
    for round in 0..20 {
        let claim = || JobFolder::claim(&stores, &output, &JobId::random().unwrap(), true);
        let claims: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut won: Vec<JobFolder> = claims.into_iter().filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1, "round {round}");
        // Every other round a dead job is in the way.
        let winner = won.remove(0);
        if round % 2 == 0 {
            winner.leave().unwrap();
        } else {
            winner.clean().unwrap();
        }
    }
}

#[test]
fn an_output_in_a_folder_that_is_not_there_is_refused_by_name() {
    let disk = tempfile::tempdir().unwrap();
    let output = Loc::local(disk.path().join("misspelt/out.tif"));
    let refused = JobFolder::claim(&Stores::new(), &output, &JobId::random().unwrap(), false);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("there is no folder") && message.contains("misspelt"), "{message}");
}
