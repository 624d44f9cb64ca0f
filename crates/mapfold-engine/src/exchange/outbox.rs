//! What a worker sends when: byte credits.
//!
//! Timely's queues have no bound. So of what a worker has sent to another, at most `limit` bytes may be unanswered: the
//! receiver answers with the exact bytes when it has found room for them (`collect`), over an edge that leads back to
//! the sender. What may not go yet waits here, for each receiver on its own, so that a slow one delays nobody else; it
//! was admitted by the hub, so it is in memory or in a file.
//!
//! An attempt is registered when its last piece has gone.

use super::wire::{Records, owner};
use crate::link::{At, Made};
use mapfold_plan::exchange::Piece;
use mapfold_plan::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Bytes of a message, about: larger ones would make slabs that never shrink.
const MESSAGE: u64 = 4 << 20;
/// Silence of a receiver that somebody waits for, after which it is told who waits for whom.
const STALLED: Duration = Duration::from_secs(10);

/// What is on its way to one worker, and what waits for it.
struct Lane {
    unanswered: u64,
    queue: VecDeque<(u64, Piece)>,
    /// When something last went or was answered.
    moved: Instant,
    told: Option<Instant>,
    /// Its worker cannot read this process's files: pieces there are loaded before they go.
    apart: bool,
    /// The first piece of the queue is being loaded.
    loading: bool,
}

/// An attempt whose pieces have not all gone.
struct Leaving {
    at: At,
    made: Made,
    left: usize,
}

/// A receiver that somebody has been waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The worker that does not answer.
    pub to: u32,
    /// Bytes that it was sent and has not answered.
    pub unanswered: u64,
    /// Bytes that wait to be sent to it.
    pub waiting: u64,
    /// For how long.
    pub silent: Duration,
}

/// What one worker sends of one stage.
pub struct Outbox {
    me: u32,
    limit: u64,
    lanes: Vec<Lane>,
    leaving: HashMap<u64, Leaving>,
    next: u64,
}

impl Outbox {
    /// An outbox of worker `me` of `peers`, with at most `limit` bytes unanswered by each; `apart` from all others:
    /// they cannot read this worker's files.
    pub fn new(me: usize, peers: usize, limit: u64, apart: bool) -> Outbox {
        let lane = |apart| Lane {
            unanswered: 0,
            queue: VecDeque::new(),
            moved: Instant::now(),
            told: None,
            apart,
            loading: false,
        };
        let lanes = (0..peers).map(|i| lane(apart && i != me)).collect();
        Outbox { me: me as u32, limit, lanes, leaving: HashMap::new(), next: 0 }
    }

    /// Takes the pieces of a granted attempt.
    pub fn put(&mut self, at: At, made: Made, pieces: Vec<Piece>) {
        let number = self.next;
        self.next += 1;
        self.leaving.insert(number, Leaving { at, made, left: pieces.len() });
        let workers = self.lanes.len();
        for piece in pieces {
            let lane = &mut self.lanes[owner(piece.origin().partition, workers)];
            if lane.queue.is_empty() {
                lane.moved = Instant::now();
            }
            lane.queue.push_back((number, piece));
        }
    }

    /// What may go now, in messages for one worker each.
    pub fn messages(&mut self) -> Vec<Records> {
        let mut messages = Vec::new();
        let most = MESSAGE.min(self.limit / 2);
        for lane in &mut self.lanes {
            while let Some(pieces) = lane.next_message(self.limit, most, &mut self.leaving) {
                messages.push(Records::new(self.me, pieces));
            }
        }
        messages
    }

    /// Pieces that must be loaded before anything more can go to their workers: each is to be brought by
    /// [`Outbox::loaded`]. One for each worker, so that memory holds no more than what may be sent.
    pub fn unloaded(&mut self) -> Vec<(usize, Piece)> {
        let limit = self.limit;
        let wanted = self.lanes.iter_mut().enumerate().filter_map(|(to, lane)| Some((to, lane.unloaded(limit)?)));
        wanted.collect()
    }

    /// The first piece for a worker, in memory now.
    pub fn loaded(&mut self, to: usize, piece: Piece) {
        let Some(lane) = self.lanes.get_mut(to) else { return };
        lane.loading = false;
        if let Some((_, first)) = lane.queue.front_mut() {
            *first = piece;
        }
    }

    /// Attempts whose last piece has gone.
    pub fn gone(&mut self) -> Vec<(At, Made)> {
        let gone: Vec<u64> = self.leaving.iter().filter(|(_, l)| l.left == 0).map(|(number, _)| *number).collect();
        gone.iter().filter_map(|number| self.leaving.remove(number)).map(|l| (l.at, l.made)).collect()
    }

    /// A worker has found room for so many bytes.
    ///
    /// # Errors
    /// When it was never sent as many: the count is wrong.
    pub fn answered(&mut self, by: u32, bytes: u64) -> Result<()> {
        let wrong = || Error::job(format!("worker {by} answers {bytes} bytes of the exchange that it was not sent"));
        let lane = self.lanes.get_mut(by as usize).ok_or_else(wrong)?;
        lane.unanswered = lane.unanswered.checked_sub(bytes).ok_or_else(wrong)?;
        lane.moved = Instant::now();
        Ok(())
    }

    /// Who has been waited for too long; each is named again after the same time.
    pub fn stalled(&mut self, now: Instant) -> Vec<Stall> {
        let mut stalls = Vec::new();
        for (to, lane) in (0..).zip(&mut self.lanes) {
            let silent = now.saturating_duration_since(lane.moved);
            let told = lane.told.is_some_and(|t| now.saturating_duration_since(t) < STALLED);
            if lane.queue.is_empty() || silent < STALLED || told {
                continue;
            }
            lane.told = Some(now);
            let waiting = lane.queue.iter().map(|(_, p)| p.held()).sum();
            stalls.push(Stall { to, unanswered: lane.unanswered, waiting, silent });
        }
        stalls
    }
}

impl Lane {
    /// The first piece, when it is in a file that its worker cannot read, and there is credit for it.
    fn unloaded(&mut self, limit: u64) -> Option<Piece> {
        let (_, piece) = self.queue.front().filter(|_| self.apart && !self.loading)?;
        piece.stored().filter(|s| self.unanswered + s.len <= limit || self.unanswered == 0)?;
        self.loading = true;
        Some(piece.clone())
    }

    /// The pieces that go together, as far as the credit allows. One that is larger than all credit goes alone.
    fn next_message(&mut self, limit: u64, most: u64, leaving: &mut HashMap<u64, Leaving>) -> Option<Vec<Piece>> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while let Some((_, piece)) = self.queue.front() {
            let next = piece.held();
            let fits = self.unanswered + next <= limit || self.unanswered == 0;
            if self.apart && piece.stored().is_some() {
                break; // It is loaded first.
            }
            if !fits || (bytes > 0 && bytes + next > most) {
                break;
            }
            bytes += next;
            self.unanswered += next;
            let Some((number, piece)) = self.queue.pop_front() else { break };
            if let Some(of) = leaving.get_mut(&number) {
                of.left -= 1;
            }
            pieces.push(piece);
        }
        if !pieces.is_empty() {
            self.moved = Instant::now();
        }
        (!pieces.is_empty()).then_some(pieces)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mapfold_coord::{Attempt, SplitId, StageId};
    use mapfold_plan::exchange::{Origin, PieceAt, SegmentBuf};

    fn piece(partition: u32) -> Piece {
        let mut buf = SegmentBuf::default();
        buf.push(b"key", &[7; 1000]).unwrap();
        Piece(PieceAt::Held(buf.seal(Origin { partition, ..Origin::default() }, 0, false)))
    }

    fn at(split: u64) -> At {
        At { stage: StageId(0), split: SplitId(split), attempt: Attempt(0) }
    }

    fn sent(outbox: &mut Outbox) -> Vec<(usize, u64)> {
        let to = |r: &Records| owner(r.pieces[0].origin().partition, 2);
        outbox.messages().iter().map(|r| (to(r), r.cost)).collect()
    }

    #[test]
    fn never_more_than_the_credit_is_unanswered_and_a_slow_one_delays_nobody_else() {
        let each = piece(0).held();
        let mut outbox = Outbox::new(0, 2, 3 * each, false);
        outbox.put(at(0), Made::default(), (0..10).map(|_| piece(0)).collect());
        outbox.put(at(1), Made::default(), vec![piece(1), piece(3)]);
        let first = sent(&mut outbox);
        let total = |to| first.iter().filter(|(t, _)| *t == to).map(|(_, n)| n).sum::<u64>();
        assert_eq!((total(0), total(1)), (3 * each, 2 * each));
        assert_eq!(outbox.gone().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(1)]);
        assert!(sent(&mut outbox).is_empty(), "nothing was answered");
        let mut answered = 0;
        for _ in 0..10 {
            outbox.answered(0, each).unwrap();
            answered += 1;
            let more: u64 = sent(&mut outbox).iter().map(|(_, n)| n).sum();
            assert!(more == each || answered > 7, "as much as was answered");
        }
        assert_eq!(outbox.gone().len(), 1, "registered with the last piece");
        assert!(outbox.answered(0, 1).is_err(), "more than was sent");
    }

    #[test]
    fn a_piece_larger_than_the_credit_goes_alone() {
        let mut outbox = Outbox::new(0, 2, 10, false);
        outbox.put(at(0), Made::default(), vec![piece(0), piece(0)]);
        let each = piece(0).held();
        assert_eq!(sent(&mut outbox), [(0, each)]);
        outbox.answered(0, each).unwrap();
        assert_eq!(sent(&mut outbox), [(0, each)]);
    }

    #[test]
    fn who_waits_for_whom_is_told_after_ten_seconds_and_not_all_the_time() {
        let each = piece(0).held();
        let mut outbox = Outbox::new(0, 2, each, false);
        outbox.put(at(0), Made::default(), vec![piece(1), piece(1), piece(1)]);
        assert_eq!(sent(&mut outbox), [(1, each)]);
        let later = |s| Instant::now() + Duration::from_secs(s);
        assert_eq!(outbox.stalled(later(9)), []);
        let now = later(11);
        let told = outbox.stalled(now);
        let [stall] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((stall.to, stall.unanswered, stall.waiting), (1, each, 2 * each));
        assert_eq!(outbox.stalled(now + Duration::from_secs(5)), [], "it was told");
        assert_eq!(outbox.stalled(now + Duration::from_secs(10)).len(), 1);
        outbox.answered(1, each).unwrap();
        assert_eq!((sent(&mut outbox).len(), outbox.stalled(Instant::now())), (1, vec![]), "it moves");
    }

    #[test]
    fn a_piece_in_a_file_is_loaded_before_it_goes_to_a_worker_that_cannot_read_it() {
        let stored = |partition| {
            let origin = Origin { partition, ..Origin::default() };
            let (file, len) = ("exchange-0".to_string(), piece(partition).held());
            Piece(PieceAt::Stored(mapfold_plan::exchange::Stored {
                origin,
                first_seq: 0,
                rows: 1,
                file,
                offset: 0,
                len,
            }))
        };
        let each = piece(0).held();
        let mut outbox = Outbox::new(0, 2, each, true);
        outbox.put(at(0), Made::default(), vec![stored(0), stored(1), stored(1)]);
        assert_eq!(sent(&mut outbox), [(0, 0)], "this worker reads its own files");
        let wanted = outbox.unloaded();
        assert_eq!(wanted.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [1]);
        assert!(outbox.unloaded().is_empty() && sent(&mut outbox).is_empty(), "one at a time");
        outbox.loaded(1, piece(1));
        assert_eq!(sent(&mut outbox), [(1, each)]);
        assert!(outbox.unloaded().is_empty(), "no credit is left");
        outbox.answered(1, each).unwrap();
        assert_eq!(outbox.unloaded().len(), 1);
        outbox.loaded(1, piece(1));
        assert_eq!((sent(&mut outbox), outbox.gone().len()), (vec![(1, each)], 1));
    }
}
