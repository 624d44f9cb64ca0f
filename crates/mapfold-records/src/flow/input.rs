//! Files of an input, cut into splits while planning.

use crate::Codec;
use crate::text::{FileSize, FileSplit, SplitOptions, plan_splits};
use mapfold_plan::{FileId, Plan, Result};
use mapfold_store::{Loc, Stores};

/// Smallest and largest split, where the job does not say.
const LEAST: u64 = 1 << 20;
const MOST: u64 = 32 << 20;
/// As many splits as that, unless they would be too small or too large.
const ENOUGH: u64 = 32;

/// A file that is read in splits.
#[derive(Clone)]
pub(super) struct InputFile {
    pub loc: Loc,
    pub file: FileId,
    pub size: u64,
    pub codec: Option<Codec>,
}

/// Files and their splits: constants of the plan.
pub(super) struct Input {
    pub stores: Stores,
    pub files: Vec<InputFile>,
    pub splits: Vec<FileSplit>,
    pub bytes: u64,
}

impl InputFile {
    /// Whether the engine fetches a split before it is computed.
    pub fn is_fetched(&self) -> bool {
        self.loc.local_path().is_none() && self.codec.is_none()
    }
}

impl Input {
    /// The files that locations name.
    pub fn files<'a>(p: &Plan, locs: impl IntoIterator<Item = &'a Loc>) -> Result<Input> {
        let open = |(loc, info): (Loc, mapfold_store::ObjectInfo)| {
            let file = p.file(&loc, &info);
            InputFile { file, size: info.size, codec: Codec::of_name(loc.name()), loc }
        };
        let files: Vec<InputFile> = p.files_of(locs)?.into_iter().map(open).collect();
        let bytes = files.iter().map(|f| f.size).sum();
        Ok(Input { stores: p.stores().clone(), files, splits: Vec::new(), bytes })
    }

    /// Cuts the files; splits begin at multiples of `unit` bytes.
    pub fn cut(mut self, asked: Option<u64>, unit: u64) -> Result<Input> {
        let size = asked.unwrap_or_else(|| (self.bytes / ENOUGH).clamp(LEAST, MOST));
        let size = if size == 0 { 0 } else { size.next_multiple_of(unit) };
        let of = |f: &InputFile| FileSize { size: f.size, splittable: f.codec.is_none() };
        let sizes: Vec<FileSize> = self.files.iter().map(of).collect();
        self.splits = plan_splits(&sizes, &SplitOptions { block: size, ..SplitOptions::default() })?;
        Ok(self)
    }

    /// Names the input in a planning question: all files and their sizes.
    pub fn question(&self) -> String {
        let all: Vec<String> = self.files.iter().map(|f| format!("{} {}", f.loc, f.size)).collect();
        format!("{} ({:016x})", self.names(), mapfold_plan::hash64(all.join("\n").as_bytes()))
    }

    /// The first files by name, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.files.iter().take(4).map(|f| f.loc.name()).collect();
        let more = self.files.len() - names.len();
        names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    }
}
