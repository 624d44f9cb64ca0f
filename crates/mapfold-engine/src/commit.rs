//! From granted parts to a visible file: claim, streams, layout, manifest, publish.
//!
//! Order, which is the protocol (`mapfold-coord`'s log holds the records): claim the output path; write the plan;
//! append granted parts to streams and log them; lay the file out; write the manifest (the decision); rename; remove
//! the work folder. A crash before the manifest leaves nothing visible and `--resume` goes on; a crash after it is
//! rolled forward by `--resume`.

use crate::link::unpack;
use crate::options::RunOptions;
use crate::outcome::OutputDone;
use crate::pool::Rooms;
use crate::streams::{Streams, stream_name};
use mapfold_coord::{CoordError, Decision, FileRecord, JobFolder, JobId, LogEntry, Manifest, Replay, StageId};
use mapfold_plan::{Assignment, Cx, Error, FinishCx, Kind, Output, Part, PartRecord, Plan, Result, Stage, Units};
use mapfold_store::{Loc, Replace, StoreError, Stores, WorkFile};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Name of the laid-out file inside the folder of parts, when it is not a stream itself.
const WHOLE: &str = "whole";

/// An output of a running job.
pub struct OutputRun {
    stage: Arc<dyn Stage>,
    stores: Stores,
    dir: Loc,
    folder: Option<JobFolder>,
    /// Parts that an earlier run committed.
    pub earlier: Vec<PartRecord>,
    decided: Option<Manifest>,
    overwrite: bool,
    /// The laid-out file: its name in the work folder, its size, whether it is a stream completed in place.
    whole: Option<(String, u64, bool)>,
}

/// Whether an unfinished job of this output is there.
fn is_unfinished(stores: &Stores, output: &Loc) -> Result<bool> {
    Ok(stores.exists(&JobFolder::for_output(output).join("plan.json"))?)
}

fn coord_error(e: CoordError) -> Error {
    match e {
        CoordError::Store(s) => Error::from(s),
        other => Error::caused(Kind::Input, other),
    }
}

/// A fault of the store while the output is made, told about the user's file and not about our working files.
pub fn about_output(e: StoreError, output: &Loc) -> Error {
    let StoreError::NoSpace { .. } = e else { return Error::from(e) };
    Error::input(format!("{output}: no space left on its disk")).with_remedy("free some space").resumable()
}

/// An output in a folder that is not there.
fn missing_folder(e: StoreError, output: &Loc) -> Error {
    let folder = output.parent().map_or_else(String::new, |p| p.to_string());
    match e {
        StoreError::NotFound { .. } => Error::input(format!("{folder}: there is no such folder"))
            .with_remedy(format!("mkdir -p {folder}, or choose another output")),
        StoreError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => {
            Error::input(format!("{folder} is a file, not a folder")).with_remedy("choose another output")
        }
        other => Error::from(other),
    }
}

/// What makes two runs the same job: the plan and the program.
pub fn identity(plan: &Plan, params: &Value) -> String {
    format!("{:032x}-{:016x}", plan.fingerprint(params), program_hash().unwrap_or(0))
}

/// Hash of this program's file, read in pieces.
fn program_hash() -> std::io::Result<u64> {
    let mut file = std::fs::File::open(std::env::current_exe()?)?;
    let mut piece = vec![0; 1 << 20];
    let mut hash = 0;
    loop {
        let n = std::io::Read::read(&mut file, &mut piece)?;
        if n == 0 {
            return Ok(hash);
        }
        hash = mapfold_plan::hash64(&piece[..n]) ^ u64::rotate_left(hash, 7);
    }
}

impl OutputRun {
    /// Claims the output of a stage, or takes up an interrupted run.
    ///
    /// # Errors
    /// When the output exists, is owned by another job, cannot be written, or belongs to another plan.
    pub fn open(stage: &Arc<dyn Stage>, plan: &Plan, id: StageId, job: &JobId, opts: &RunOptions) -> Result<OutputRun> {
        let out = stage.output().ok_or_else(|| Error::job("only stages with an output are claimed"))?;
        let stores = plan.stores().clone();
        stores.check_writable(out.loc()).map_err(|e| missing_folder(e, out.loc()))?;
        let mut run = OutputRun {
            stage: stage.clone(),
            dir: JobFolder::parts_for(out.loc()),
            folder: None,
            earlier: Vec::new(),
            decided: None,
            overwrite: opts.overwrite,
            whole: None,
            stores,
        };
        if opts.resume && is_unfinished(&run.stores, out.loc())? {
            run.take_up(plan, id, opts)?;
        } else {
            run.claim(plan, job, opts)?;
        }
        Ok(run)
    }

    fn loc(&self) -> &Loc {
        self.output().loc()
    }

    fn output(&self) -> &dyn Output {
        self.stage.output().expect("checked when the run was opened")
    }

    fn claim(&mut self, plan: &Plan, job: &JobId, opts: &RunOptions) -> Result<()> {
        let folder = JobFolder::claim(&self.stores, self.loc(), job, opts.overwrite).map_err(coord_error)?;
        let written = folder.write_plan(
            &json!({ "identity": identity(plan, &opts.params), "overwrite": opts.overwrite, "params": mapfold_plan::redacted(&opts.params) }),
        );
        written.map_err(coord_error)?;
        self.folder = Some(folder);
        Ok(())
    }

    fn take_up(&mut self, plan: &Plan, id: StageId, opts: &RunOptions) -> Result<()> {
        let (folder, kept, entries) = JobFolder::open_for_resume(&self.stores, self.loc()).map_err(coord_error)?;
        if kept["identity"].as_str() != Some(&identity(plan, &opts.params)) {
            let what = format!("{}: the interrupted run had other parameters, inputs or another program", self.loc());
            folder.leave().map_err(coord_error)?;
            return Err(Error::input(what).with_remedy("run it as it was, or start over with --overwrite"));
        }
        self.overwrite = kept["overwrite"] == true;
        self.decided = folder.decided().map_err(coord_error)?;
        let replay = Replay::of(&entries);
        let of_stage =
            |(at, r): (&(StageId, _), &mapfold_coord::PartRecord)| (at.0 == id).then(|| unpack(r.data.as_str()?))?;
        self.earlier = replay.parts.iter().filter_map(of_stage).collect();
        self.folder = Some(folder);
        Ok(())
    }

    /// Opens the streams, dropping earlier parts whose bytes are not as they were.
    ///
    /// # Errors
    /// Those of the store.
    pub fn streams(&mut self, hold: u64) -> Result<Streams> {
        let streams = match self.open_streams(hold) {
            Err(_) if !self.earlier.is_empty() => {
                self.earlier.clear();
                self.open_streams(hold)?
            }
            opened => opened?,
        };
        let before = self.earlier.len();
        self.earlier.retain(|r| streams.verify(r));
        if self.earlier.len() == before { Ok(streams) } else { self.open_streams(hold) }
    }

    fn open_streams(&self, hold: u64) -> Result<Streams> {
        let splits = self.stage.domain().splits();
        Streams::open(&self.stores, &self.dir, self.output(), splits, hold, &self.earlier)
    }

    /// Splits that need not run again.
    pub fn done(&self) -> mapfold_coord::Earlier {
        let done = self.earlier.iter().map(|r| mapfold_coord::SplitId(r.split)).collect();
        mapfold_coord::Earlier { done, ..Default::default() }
    }

    /// Every split: those of an output that was decided.
    pub fn all_done(&self) -> mapfold_coord::Earlier {
        let done = (0..self.stage.domain().splits()).map(mapfold_coord::SplitId).collect();
        mapfold_coord::Earlier { done, ..Default::default() }
    }

    /// Whether an earlier run had decided already: only publishing is left.
    pub fn is_decided(&self) -> bool {
        self.decided.as_ref().is_some_and(|m| m.kind == Decision::Committed)
    }

    /// Writes log entries of this output's stage.
    ///
    /// # Errors
    /// When the log cannot be written, or another coordinator has taken over.
    pub fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        let loc = self.loc().clone();
        self.folder.as_mut().map_or(Ok(()), |f| f.append(entries)).map_err(|e| match e {
            CoordError::Store(s) => about_output(s, &loc),
            other => coord_error(other),
        })
    }

    /// Leaves the work for a later `--resume`; without committed parts, removes it.
    pub fn leave(&mut self, worth_keeping: bool) {
        let Some(folder) = self.folder.take() else { return };
        let worth_keeping = worth_keeping || !self.earlier.is_empty() || self.decided.is_some();
        let done = if worth_keeping { folder.leave() } else { folder.clean() };
        if let Err(e) = done {
            tracing::info!("{}: the work folder could not be left in order: {e}", self.loc());
        }
    }

    /// Makes the whole file in the work folder. Nothing is visible yet.
    ///
    /// # Errors
    /// When a part is missing, a unit fails or the store does.
    pub fn lay_out(&mut self, streams: &Streams, parts: &[PartRecord], threads: usize) -> Result<()> {
        let units = PoolUnits { streams, threads };
        let pieces = self.output().lay_out(&FinishCx { parts, units: &units })?;
        self.whole = Some(self.assemble(streams, pieces)?);
        Ok(())
    }

    /// Writes the manifest: from here on the output counts, and `--resume` publishes it.
    ///
    /// # Errors
    /// When it cannot be written, or the job was decided otherwise.
    pub fn decide(&mut self) -> Result<()> {
        let Some((name, bytes, _)) = &self.whole else { return Ok(()) };
        let file = FileRecord { name: self.loc().name().to_string(), size: *bytes, checksum: String::new() };
        let data = json!({ "from": name, "replace": self.overwrite });
        let folder = self.folder.as_mut().ok_or_else(|| Error::job("the output's claim is gone"))?;
        let manifest = Manifest { job: folder.job(), kind: Decision::Committed, files: vec![file], data };
        folder.decide(&manifest).map_err(coord_error)?;
        self.decided = Some(manifest);
        Ok(())
    }

    /// Publishes what is decided: one rename, then the work folder goes. May be repeated.
    ///
    /// # Errors
    /// Those of the store; `--resume` publishes.
    pub fn reveal(&mut self) -> Result<OutputDone> {
        let manifest = self.decided.take().ok_or_else(|| Error::job("nothing is decided"))?;
        let from = self.dir.join(manifest.data["from"].as_str().unwrap_or(WHOLE));
        let replace = if manifest.data["replace"] == true { Replace::Allowed } else { Replace::Never };
        if self.stores.exists(&from)? {
            self.stores.rename(&from, &self.loc().without_fragment(), replace)?;
        } // Else it was revealed already, and only the folder was left.
        if let Some(folder) = self.folder.take() {
            folder.clean().map_err(coord_error)?;
        }
        let bytes = manifest.files.first().map_or(0, |f| f.size);
        let in_place = self.whole.as_ref().is_some_and(|w| w.2);
        Ok(OutputDone { loc: self.loc().clone(), what: self.output().describe(), bytes, in_place })
    }

    /// Makes the file: a stream completed in place when its data lies in order and the front can be put before it,
    /// else a copy in order.
    ///
    /// A run that is killed between the room and the decision finds the parts of that stream elsewhere on `--resume`,
    /// and makes them again.
    fn assemble(&self, streams: &Streams, pieces: Vec<Assignment>) -> Result<(String, u64, bool)> {
        let pieces = merged(pieces);
        let bytes = total(&pieces);
        if let Some(tail) = Tail::of(&pieces)
            && tail.make_room(streams.file(tail.stream).as_ref())?
        {
            let file = streams.file(tail.stream);
            lay_down(file.as_ref(), streams, &pieces[..pieces.len() - 1])?;
            file.set_len(bytes)?;
            file.sync()?;
            return Ok((stream_name(tail.stream), bytes, true));
        }
        let file = self.stores.create_file(&self.dir.join(WHOLE))?;
        lay_down(file.as_ref(), streams, &pieces)?;
        file.sync()?;
        Ok((WHOLE.into(), bytes, false))
    }
}

/// Writes pieces one after the other from the start of `file`.
fn lay_down(file: &dyn WorkFile, streams: &Streams, pieces: &[Assignment]) -> Result<()> {
    let mut at = 0;
    for piece in pieces {
        at += match piece {
            Assignment::Bytes(b) => {
                file.write_at(at, b)?;
                b.len() as u64
            }
            Assignment::Stored { stream, offset, len } => {
                file.copy_from(streams.file(*stream).as_ref(), *offset, at, *len)?;
                *len
            }
        };
    }
    Ok(())
}

/// The stream whose bytes, all in order, end the file.
struct Tail {
    stream: u32,
    /// Where they begin in the stream, and where they are to begin in the file.
    start: u64,
    front: u64,
}

impl Tail {
    /// Looks at the last of the merged pieces.
    fn of(merged: &[Assignment]) -> Option<Tail> {
        let (last, before) = merged.split_last()?;
        let Assignment::Stored { stream, offset, .. } = *last else { return None };
        let other = |p: &Assignment| !matches!(p, Assignment::Stored { stream: s, .. } if *s == stream);
        before.iter().all(other).then(|| Tail { stream, start: offset, front: total(before) })
    }

    /// Puts the bytes where they belong; `false` when that takes a copy.
    fn make_room(&self, file: &dyn WorkFile) -> Result<bool> {
        if self.start == self.front {
            return Ok(true); // The room was left when the stream began.
        }
        Ok(self.start == 0 && file.insert_front(self.front)?)
    }
}

fn total(pieces: &[Assignment]) -> u64 {
    pieces
        .iter()
        .map(|p| match p {
            Assignment::Bytes(b) => b.len() as u64,
            Assignment::Stored { len, .. } => *len,
        })
        .sum()
}

/// Neighbouring ranges as one.
fn merged(pieces: Vec<Assignment>) -> Vec<Assignment> {
    let mut out: Vec<Assignment> = Vec::new();
    for p in pieces {
        if let (Some(Assignment::Stored { stream: a, offset: x, len: n }), Assignment::Stored { stream, offset, len }) =
            (out.last_mut(), &p)
            && a == stream
            && *x + *n == *offset
        {
            *n += len;
            continue;
        }
        out.push(p);
    }
    out
}

/// Work after the splits, on threads of its own (the pool is idle then).
struct PoolUnits<'a> {
    streams: &'a Streams,
    threads: usize,
}

impl Units for PoolUnits<'_> {
    fn run(&self, count: u64, make: &(dyn Fn(u64, &Cx<'_>) -> Result<Part> + Sync)) -> Result<Vec<PartRecord>> {
        let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        let serve = || {
            let rooms = Rooms::default();
            loop {
                let unit = next.fetch_add(1, Relaxed);
                if unit >= count {
                    return;
                }
                let cx = Cx::new(&rooms);
                cx.set_split(unit);
                let made = crate::guard::guarded(|| make(unit, &cx)).and_then(|part| self.streams.append(unit, part));
                let failed = made.is_err();
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(made);
                if failed {
                    next.store(count, Relaxed);
                }
            }
        };
        std::thread::scope(|s| (0..(self.threads as u64).clamp(1, count.max(1))).for_each(|_| drop(s.spawn(serve))));
        let all = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut records = all.into_iter().collect::<Result<Vec<_>>>()?;
        records.sort_by_key(|r| r.split);
        Ok(records)
    }

    fn read(&self, stream: u32, offset: u64, len: usize) -> Result<bytes::Bytes> {
        Ok(self.streams.file(stream).read_at(offset, len)?)
    }
}
