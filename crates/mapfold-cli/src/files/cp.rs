//! `mapfold cp`: between any two stores, folders in parallel.
//!
//! As `cp` does: a target that is a folder (or ends with `/`) takes the sources into it, else the one source becomes the
//! target. Each file appears whole or not at all. Everything is looked up before the first byte is copied, so that a
//! mistake leaves nothing half done; Ctrl-C leaves whole files only, and `--resume` goes on behind them.

use super::{named, some_of};
use crate::verbs::say;
use indicatif::{ProgressBar, ProgressStyle};
use mapfold::engine::Cancel;
use mapfold::plan::Kind;
use mapfold::store::{Loc, Replace, StoreError, Stores};
use mapfold::watch::human;
use mapfold::{Error, Result};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Copy files between stores
#[derive(clap::Args, Clone, Debug)]
pub struct CpArgs {
    /// Files, patterns or lists (@FILE); with -r folders too
    #[arg(value_name = "FROM", required = true)]
    from: Vec<Loc>,
    /// Where to; one that ends with / is a folder, and is made
    #[arg(value_name = "TO", value_hint = clap::ValueHint::AnyPath)]
    to: String,
    /// Copy folders with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Replace files that are there
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Leave out files that are there with the same length
    #[arg(long)]
    resume: bool,
    /// Make the folder of the target
    #[arg(short, long)]
    parents: bool,
    /// Files at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    parallel: u64,
    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,
    /// Totals as JSON on stdout
    #[arg(long)]
    json: bool,
    /// No progress, no totals
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

/// One file to copy.
struct Step {
    from: Loc,
    to: Loc,
    size: u64,
}

/// What is to be done, and what was found out before.
#[derive(Default)]
struct Work {
    steps: Vec<Step>,
    folders: BTreeSet<Loc>,
    left_out: usize,
}

impl CpArgs {
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let (stores, began) = (Stores::new(), Instant::now());
        let work = self.plan(&stores)?;
        if self.dry_run {
            let lines: String = work.steps.iter().map(|s| format!("{} -> {}\n", s.from, s.to)).collect();
            return say(&lines);
        }
        for folder in &work.folders {
            stores.create_dirs(folder)?;
        }
        let cancel = Cancel::default();
        let _ = cancel.on_signals();
        let copied = self.copy_all(&stores, &work, &cancel)?;
        self.tell(&work, copied, began)
    }

    /// Looks everything up.
    fn plan(&self, stores: &Stores) -> Result<Work> {
        let to = Loc::parse(&self.to)?;
        let mut sources = Vec::new();
        for from in &self.from {
            sources.extend(named(stores, from)?);
        }
        let into = self.to.ends_with('/') || stores.is_folder(&to, true);
        if sources.len() > 1 && !into && stores.abilities(&to).folders {
            let what = format!("{} files cannot become one: {to} is no folder", sources.len());
            return Err(Error::usage(what).with_remedy(format!("{to}/ makes it")));
        }
        let into = into || sources.len() > 1;
        let mut work = Work::default();
        if self.to.ends_with('/') {
            work.folders.insert(to.clone());
        }
        for source in &sources {
            let target = if into { to.join(&source.file_name()) } else { to.clone() };
            self.add(stores, source, &target, &mut work)?;
        }
        self.check_targets(stores, &mut work)?;
        Ok(work)
    }

    fn add(&self, stores: &Stores, from: &Loc, to: &Loc, work: &mut Work) -> Result<()> {
        if !stores.is_folder(from, true) {
            let size = stores.block_on(stores.head(from))?.size;
            if self.parents {
                work.folders.extend(to.parent());
            }
            work.steps.push(Step { from: from.clone(), to: to.clone(), size });
            return Ok(());
        }
        if !self.recursive {
            return Err(Error::input(format!("{from} is a folder")).with_remedy("-r copies folders"));
        }
        if to == from || is_below(to, from) {
            return Err(Error::usage(format!("{from} cannot be copied into itself")));
        }
        work.folders.insert(to.clone());
        for entry in stores.below(from)? {
            let target = names_below(from, &entry.loc).iter().fold(to.clone(), |at, name| at.join(name));
            work.folders.extend(target.parent());
            let size = match entry.info {
                Some(info) => info.size,
                None => stores.block_on(stores.head(&entry.loc))?.size,
            };
            work.steps.push(Step { from: entry.loc, to: target, size });
        }
        Ok(())
    }

    /// Refuses what would be replaced, and two files that would become one.
    fn check_targets(&self, stores: &Stores, work: &mut Work) -> Result<()> {
        let mut targets = BTreeSet::new();
        if let Some(twice) = work.steps.iter().find(|step| !targets.insert(&step.to)) {
            return Err(Error::input(format!("two files would become {}", twice.to)).with_remedy("copy them apart"));
        }
        if self.overwrite {
            return Ok(());
        }
        let mut there = Vec::new();
        let mut steps = Vec::new();
        for step in std::mem::take(&mut work.steps) {
            match stores.block_on(stores.head(&step.to)) {
                Ok(info) if self.resume && info.size == step.size => work.left_out += 1,
                Ok(_) if self.resume => steps.push(step),
                Ok(_) => there.push(step.to),
                Err(StoreError::NotFound { .. }) => steps.push(step),
                Err(error) => return Err(error.into()),
            }
        }
        work.steps = steps;
        match there.is_empty() {
            true => Ok(()),
            false => Err(Error::input(format!("{}: already there; nothing was copied", some_of(&there)))
                .with_remedy("--overwrite replaces, --resume leaves out what is there with the same length")),
        }
    }

    fn copy_all(&self, stores: &Stores, work: &Work, cancel: &Cancel) -> Result<u64> {
        let bar = self.bar(work);
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None::<StoreError>));
        let replace = if self.overwrite || self.resume { Replace::Allowed } else { Replace::Never };
        let moved = |bytes: i64| {
            match bytes >= 0 {
                true => bar.inc(bytes.unsigned_abs()),
                false => bar.dec(bytes.unsigned_abs()),
            }
            cancel.signal() == 0
        };
        let one = || {
            while cancel.signal() == 0 && failed.lock().is_ok_and(|f| f.is_none()) {
                let Some(step) = work.steps.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                if let Err(error) = stores.copy(&step.from, &step.to, replace, &moved) {
                    failed.lock().map(|mut first| first.get_or_insert(error).loc().len()).unwrap_or_default();
                }
            }
        };
        std::thread::scope(|scope| {
            (0..self.parallel.min(work.steps.len() as u64)).for_each(|_| drop(scope.spawn(one)));
        });
        bar.finish_and_clear();
        let again = "the same command with --resume goes on";
        match (cancel.signal(), failed.into_inner().ok().flatten()) {
            (0, None) => Ok(work.steps.iter().map(|step| step.size).sum()),
            (0, Some(error)) if work.steps.len() > 1 => Err(told(error, work).with_more_remedy(again)),
            (0, Some(error)) => Err(told(error, work)),
            (15, _) => Err(Error::new(Kind::Terminated, "stopped").with_remedy(again)),
            _ => Err(Error::new(Kind::Interrupted, "stopped").with_remedy(again)),
        }
    }

    fn bar(&self, work: &Work) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(work.steps.iter().map(|step| step.size).sum());
        let style = "{wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}";
        ProgressStyle::with_template(style).map_or(bar.clone(), |style| bar.with_style(style))
    }

    #[allow(clippy::print_stderr)] // Not a result.
    fn tell(&self, work: &Work, bytes: u64, began: Instant) -> Result<ExitCode> {
        let seconds = began.elapsed().as_secs_f64();
        let files = work.steps.len();
        if self.json {
            let told = json!({ "files": files, "bytes": bytes, "left_out": work.left_out, "seconds": seconds });
            return say(&format!("{told:#}\n"));
        }
        if !self.quiet {
            let left = if work.left_out > 0 { format!(", {} were there", work.left_out) } else { String::new() };
            let rate = human::bytes((bytes as f64 / seconds.max(1e-3)) as u64);
            let plural = if files == 1 { "file" } else { "files" };
            let total = human::bytes(bytes);
            eprintln!("copied {files} {plural}, {total} in {} ({rate}/s){left}", human::seconds(seconds));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A folder that is missing is to be made, not to be spelt better.
fn told(error: StoreError, work: &Work) -> Error {
    let is_target = |loc: &str| work.steps.iter().filter_map(|step| step.to.parent()).any(|to| to.to_string() == loc);
    match error {
        StoreError::NotFound { loc } if is_target(&loc) => {
            Error::input(format!("{loc}: there is no such folder")).with_remedy("--parents makes it")
        }
        other => other.into(),
    }
}

/// The names that lead from `folder` to `loc`.
fn names_below(folder: &Loc, loc: &Loc) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = loc.clone();
    while at != *folder {
        names.push(at.file_name());
        let Some(above) = at.parent() else { break };
        at = above;
    }
    names.reverse();
    names
}

fn is_below(loc: &Loc, folder: &Loc) -> bool {
    std::iter::successors(loc.parent(), Loc::parent).take(4096).any(|above| above == *folder)
}
