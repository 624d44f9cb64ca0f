//! Flight slots: what each compute thread of a member is working on, in a file that outlives the process.
//!
//! A process that dies by a signal cannot say which split it died of. Each thread writes the split into its slot before
//! it touches it and clears it afterwards; the bytes are the kernel's from then on, so even `kill -9` leaves them. One
//! small write a split, about a microsecond.

use mapfold_coord::{SplitId, StageId};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a slot: the stage's number plus one (zero: empty), the split.
const SLOT: usize = 16;

/// The slots of this process; nowhere unless it was opened.
#[derive(Debug, Default)]
pub struct Flight(Option<File>);

impl Flight {
    /// Slots in a new file. A file that cannot be made costs the knowledge of suspects, no more.
    pub fn open(path: &Path) -> Flight {
        let file = File::options().write(true).create(true).truncate(true).open(path);
        let told = file.inspect_err(|e| tracing::warn!("{}: no flight slots: {e}", path.display()));
        Flight(told.ok())
    }

    /// Thread `slot` begins to work on a split; it ends when the guard is dropped.
    pub fn enter(&self, slot: usize, stage: StageId, split: SplitId) -> InFlight<'_> {
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(&(u64::from(stage.0) + 1).to_le_bytes());
        bytes[8..].copy_from_slice(&split.0.to_le_bytes());
        self.write(slot, &bytes);
        InFlight { flight: self, slot }
    }

    fn write(&self, slot: usize, bytes: &[u8; SLOT]) {
        if let Some(file) = &self.0 {
            let _ = file.write_all_at(bytes, (slot * SLOT) as u64); // As for a file that could not be made.
        }
    }
}

/// A split that is being worked on.
pub struct InFlight<'a> {
    flight: &'a Flight,
    slot: usize,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.flight.write(self.slot, &[0; SLOT]);
    }
}

/// What a process that has died was working on, by the bytes of its file.
pub fn in_flight(bytes: &[u8]) -> Vec<(StageId, SplitId)> {
    let number = |b: &[u8]| b.try_into().map_or(0, u64::from_le_bytes);
    let slots = bytes.chunks_exact(SLOT).map(|slot| (number(&slot[..8]), number(&slot[8..])));
    let taken =
        |(stage, split): (u64, u64)| Some((StageId(u32::try_from(stage.checked_sub(1)?).ok()?), SplitId(split)));
    slots.filter_map(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_and_not_left_is_found() {
        let path = std::env::temp_dir().join(format!("mapfold-flight-{}", std::process::id()));
        let flight = Flight::open(&path);
        let in_flight = |path| in_flight(&std::fs::read(path).unwrap_or_default());
        assert_eq!(in_flight(&path), []);
        let first = flight.enter(2, StageId(0), SplitId(417));
        let second = flight.enter(0, StageId(1), SplitId(0));
        assert_eq!(in_flight(&path), [(StageId(1), SplitId(0)), (StageId(0), SplitId(417))]);
        drop((first, second));
        assert_eq!(in_flight(&path), []);
        std::fs::remove_file(&path).ok();
        assert_eq!(in_flight(&path), []);
    }
}
