//! Writing granted parts: a member's hands on the working files of an output.
//!
//! The places come from the coordinator ([`crate::streams`]); the files are opened when the first part is written.
//! An output that is a folder has no streams: each attempt makes files under names of its own ([`PartFolder`]). In a
//! store of objects such a file is an upload at its place in the output, which nobody sees before it is published. What
//! failed attempts leave goes with the work folder.

use crate::commit::about_output;
use crate::streams::{random, stream_name, write_part};
use mapfold_plan::{OutputShape, Part, PartFolder, PartRecord, Result};
use mapfold_store::{Loc, StoreError, Stores, WorkFile};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The working files of one output, as one process writes them.
pub struct PartFiles {
    stores: Stores,
    dir: Loc,
    output: Loc,
    shape: OutputShape,
    open: Mutex<HashMap<u32, Arc<dyn WorkFile>>>,
}

impl PartFiles {
    /// Working files in `dir`, for parts of `output`, which is made so.
    pub fn new(stores: Stores, dir: Loc, (output, shape): (Loc, OutputShape)) -> PartFiles {
        PartFiles { stores, dir, output, shape, open: Mutex::default() }
    }

    /// Writes a part to its places and says where it is.
    ///
    /// # Errors
    /// Those of the store: no space, read-only, or the folder is gone because the job has ended.
    pub fn write(&self, split: u64, part: &Part, offsets: &[u64]) -> Result<PartRecord> {
        write_part(split, part, offsets, &|s| self.file(s)).map_err(|e| about_output(e, &self.output))
    }

    fn file(&self, stream: u32) -> Result<Arc<dyn WorkFile>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&stream) {
            return Ok(file.clone());
        }
        let file = self.stores.open_file(&self.dir.join(&stream_name(stream)))?;
        open.insert(stream, file.clone());
        Ok(file)
    }
}

impl PartFolder for PartFiles {
    fn create(&self, name: &str) -> Result<(String, Arc<dyn WorkFile>)> {
        // Not the attempt's number: after `--resume` numbers begin anew, and a late process of the run before may write.
        let unique = random();
        let attempt = format!("{name}.{:x}.{unique:016x}", std::process::id());
        let to = match self.shape {
            OutputShape::Folder => self.output.join(name),
            _ => self.output.without_fragment(),
        };
        let made = self.stores.start_file(&self.dir.join(&attempt), &to);
        Ok((attempt, made.map_err(|e| about_output(e, &self.output))?))
    }
}
