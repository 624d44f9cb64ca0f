//! One attempt at one split, on a compute thread: waits for bytes, runs the stage under the guard, finds room for records.
//!
//! It decides nothing. What comes out is held until the coordinator grants its emission (`source`).

use crate::fetch::SplitFetch;
use crate::guard;
use crate::link::{At, Cause, Control, Made};
use crate::member::{Member, MemberStage};
use crate::pool::Rooms;
use mapfold_coord::{Phase, PhaseTimes};
use mapfold_plan::{Cx, Error, Kind, PartRecord, Phase as Doing, Place, Product, Result};
use std::sync::Arc;

/// What comes back from the pool.
pub struct Finished {
    /// Of which attempt.
    pub at: At,
    /// What.
    pub outcome: Outcome,
}

/// How an attempt, or the writing of its part, ended.
pub enum Outcome {
    /// It is complete.
    Made(Product, Made),
    /// Its part is written.
    Stored {
        /// Where.
        record: PartRecord,
        /// How long that took.
        nanos: u64,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Error,
        /// Whether it makes sense to try again.
        cause: Cause,
    },
}

/// One attempt on a compute thread.
pub struct Try<'a> {
    /// Where.
    pub member: &'a Member,
    /// Of which stage.
    pub stage: &'a MemberStage,
    /// Who knows whether the job goes on.
    pub control: &'a dyn Control,
}

impl Try<'_> {
    /// Runs it to its product.
    pub fn run(&self, at: At, place: Place, mut fetch: Option<SplitFetch>, bytes_in: u64, rooms: &Rooms) -> Outcome {
        let _flight = self.member.flight.enter(crate::pool::thread_index(), at.stage, at.split);
        let cx = Cx::new(rooms);
        cx.set_split(at.split.0);
        cx.set_sides(self.member.sides.clone());
        cx.set_scratch_files(self.member.hub.scratch_files());
        if let Some(files) = &self.stage.files {
            cx.set_part_folder(files.clone());
        }
        if let Some(f) = &fetch {
            f.begin();
        }
        let mut transient = false;
        let product = guard::guarded(|| {
            let kind = self.stage.stage.kind();
            cx.set_exchanging(self.member.hub.room(kind, &place, &self.stage.memory, at.attempt.0));
            self.stage.stage.run(&place, self.stage.memory.cut, &cx, &mut |at, cx| {
                let go = self.hand_over(fetch.as_mut(), at, cx);
                transient |= go.as_ref().is_err_and(|e| e.kind() == Kind::Input);
                go
            })
        });
        let product = product.and_then(|p| cx.during(Doing::Exchange, || self.admit(p)));
        let mut made = Made { times: phases(cx.clock.take()), bytes_in, ..Made::default() };
        cx.take_counters().into_iter().for_each(|(name, n)| made.counters.add(name, n));
        match product {
            Ok(product) => {
                made.bytes_out = product.bytes();
                Outcome::Made(product, made)
            }
            Err(e) => {
                let error = e.at_stage(self.stage.stage.label()).at_place(place.to_string());
                let cause = match transient {
                    true => Cause::Fetch,
                    // A full disk, or a store that takes no more, is no fault of the split: neither tried again nor skipped.
                    false if error.is_resumable() => Cause::Output,
                    false => Cause::Work,
                };
                Outcome::Failed { error, cause }
            }
        }
    }

    /// Finds room for records until they are reduced: in memory, or in files.
    fn admit(&self, product: Product) -> Result<Product> {
        let Product::Records(pieces) = product else { return Ok(product) };
        let share = self.member.share(self.stage);
        self.member.hub.admit(self.stage.stage.kind(), pieces, share).map(Product::Records)
    }

    /// Waits for the bytes of the next window and hands them to the nodes.
    fn hand_over(&self, fetch: Option<&mut SplitFetch>, at: &Place, cx: &Cx<'_>) -> Result<()> {
        if self.control.has_failed() {
            return Err(Error::new(Kind::Interrupted, "stopped because the job has ended"));
        }
        if let Some(fetch) = fetch {
            let before = cx.clock.enter(Doing::Read);
            let window = fetch.next(at)?;
            cx.set_fetched(Arc::new(window));
            cx.clock.enter(before);
        }
        Ok(())
    }
}

fn phases(nanos: [u64; 7]) -> PhaseTimes {
    let mut out = PhaseTimes::default();
    let to = [
        (Doing::Read, Phase::Read),
        (Doing::Decode, Phase::Decode),
        (Doing::Compute, Phase::Compute),
        (Doing::Exchange, Phase::Exchange),
        (Doing::Encode, Phase::Encode),
        (Doing::Write, Phase::Write),
        (Doing::Other, Phase::Compute),
    ];
    for (from, phase) in to {
        out.add(phase, std::time::Duration::from_nanos(nanos[from as usize]));
    }
    out
}
