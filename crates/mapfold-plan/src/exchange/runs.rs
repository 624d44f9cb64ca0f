//! Sorted runs in files, and their merge.
//!
//! A run is a list of small sorted segments, so that merging 64 runs needs 64 small reads in memory and no more. Runs
//! are numbered in the order of their records: where keys are equal, the lower run goes first, and the order (key,
//! split, sequence) comes out without being stored.

use super::groups::{RawGroups, Sorted};
use super::order::prefix;
use super::raw::RawCombiner;
use super::segment::{Origin, Segment, SegmentBuf};
use super::store::{Piece, PieceAt, SegmentStore};
use crate::Result;
use std::collections::VecDeque;
use std::sync::Arc;

/// Runs that are merged at once.
pub(crate) const FAN_IN: usize = 64;

/// Sizes of a reduce side with a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of records and index that are sorted at once.
    pub batch: u64,
    /// Bytes of a segment of a run.
    pub block: usize,
}

impl Sizes {
    /// Five eighths for a batch (the rest is the run being written, and slack), or a block for every run and its reading.
    pub fn of(budget: u64) -> Sizes {
        let block = (budget / (3 * FAN_IN as u64)).clamp(4 << 10, 1 << 20);
        Sizes { batch: (budget / 8 * 5).max(64 << 10), block: block as usize }
    }
}

/// Sorted records in a file.
pub(crate) type Run = VecDeque<Piece>;

/// Writes records as a run, folding the values of each key when there is a combiner.
pub(crate) fn write(
    from: Sorted,
    combiner: Option<&RawCombiner>,
    sizes: Sizes,
    store: &dyn SegmentStore,
) -> Result<Run> {
    let mut run = Writer { run: Run::new(), buf: SegmentBuf::default(), block: sizes.block, store };
    match combiner {
        None => copy(from, &mut run)?,
        Some(combiner) => fold(from, combiner, &mut run)?,
    }
    run.seal()?;
    Ok(run.run)
}

fn copy(mut from: Sorted, to: &mut Writer<'_>) -> Result<()> {
    while let Some((key, value)) = from.head() {
        to.put(key, value)?;
        from.advance()?;
    }
    Ok(())
}

fn fold(from: Sorted, combiner: &RawCombiner, to: &mut Writer<'_>) -> Result<()> {
    let (mut groups, mut folded) = (RawGroups::over(from, None), Vec::new());
    while let Some(mut group) = groups.next() {
        folded.clear();
        combiner(group.key, &mut group.values, &mut folded)?;
        to.put(group.key, &folded)?;
    }
    groups.finish()
}

struct Writer<'a> {
    run: Run,
    buf: SegmentBuf,
    block: usize,
    store: &'a dyn SegmentStore,
}

impl Writer<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.buf.push(key, value)?;
        if self.buf.data() >= self.block { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<()> {
        if self.buf.rows() > 0 {
            let sealed = Piece(PieceAt::Held(self.buf.seal(Origin::default(), 0, true)));
            self.run.push_back(sealed.store(self.store)?);
        }
        Ok(())
    }
}

/// Where the merge is in a run.
struct Cursor {
    rest: Run,
    segment: Option<Segment>,
    row: u32,
    prefix: u64,
}

impl Cursor {
    fn open(run: Run, store: &dyn SegmentStore) -> Result<Cursor> {
        let mut cursor = Cursor { rest: run, segment: None, row: 0, prefix: u64::MAX };
        cursor.next_segment(store)?;
        Ok(cursor)
    }

    fn next_segment(&mut self, store: &dyn SegmentStore) -> Result<()> {
        (self.segment, self.row) = (None, 0);
        if let Some(piece) = self.rest.pop_front() {
            self.segment = Some(piece.load(store)?);
        }
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        self.prefix = self.segment.as_ref().map_or(u64::MAX, |s| prefix(s.key(self.row), 0));
    }

    fn advance(&mut self, store: &dyn SegmentStore) -> Result<()> {
        self.row += 1;
        if self.segment.as_ref().is_some_and(|s| self.row < s.rows()) {
            self.look();
            return Ok(());
        }
        self.next_segment(store)
    }

    /// Whether its record comes before that of `other`, a run with a higher number. One at its end comes last.
    fn goes_before(&self, other: &Cursor) -> bool {
        if self.prefix != other.prefix {
            return self.prefix < other.prefix;
        }
        match (&self.segment, &other.segment) {
            (Some(a), Some(b)) => a.key(self.row) <= b.key(other.row),
            (a, _) => a.is_some(),
        }
    }
}

/// Merges runs: a tournament in which only the path of the last winner is played again.
pub(crate) struct Merge {
    store: Arc<dyn SegmentStore>,
    cursors: Vec<Cursor>,
    /// `tree[0]` is the winner; the others are the losers of their match. Leaves are the cursors, by number.
    tree: Vec<usize>,
}

impl Merge {
    pub fn open(runs: Vec<Run>, store: Arc<dyn SegmentStore>) -> Result<Merge> {
        let cursors = runs.into_iter().map(|r| Cursor::open(r, store.as_ref())).collect::<Result<Vec<_>>>()?;
        let mut merge = Merge { store, tree: vec![usize::MAX; cursors.len().max(1)], cursors };
        (0..merge.cursors.len()).for_each(|i| merge.play(i));
        Ok(merge)
    }

    fn beats(&self, a: usize, b: usize) -> bool {
        if a < b {
            self.cursors[a].goes_before(&self.cursors[b])
        } else {
            !self.cursors[b].goes_before(&self.cursors[a])
        }
    }

    /// Plays from the leaf of a cursor up. While the tree is being set up, the first to come to a match waits there.
    fn play(&mut self, cursor: usize) {
        let (mut winner, mut node) = (cursor, (cursor + self.cursors.len()) / 2);
        while node > 0 {
            let other = self.tree[node];
            if other == usize::MAX {
                self.tree[node] = winner;
                return;
            }
            if self.beats(other, winner) {
                self.tree[node] = winner;
                winner = other;
            }
            node /= 2;
        }
        self.tree[0] = winner;
    }

    pub fn head(&self) -> Option<(&[u8], &[u8])> {
        let cursor = self.cursors.get(self.tree[0])?;
        let segment = cursor.segment.as_ref()?;
        Some((segment.key(cursor.row), segment.value(cursor.row)))
    }

    pub fn advance(&mut self) -> Result<()> {
        let winner = self.tree[0];
        self.cursors[winner].advance(self.store.as_ref())?;
        self.play(winner);
        Ok(())
    }
}
