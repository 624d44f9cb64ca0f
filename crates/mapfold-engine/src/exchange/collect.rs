//! What becomes of records that arrive: they are admitted, and their sender gets its credit back.
//!
//! From a worker of this process they are admitted already. Those of another process are new here: they stay in memory
//! while the share allows it, else the writer's thread puts them into a file, for a timely thread never waits for a
//! disk. Only then is the answer sent: what has arrived and has no room yet counts against its sender.

use super::wire::Records;
use crate::member::{Member, MemberStage};
use mapfold_plan::exchange::Piece;
use mapfold_plan::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;

/// So many bytes of a sender have found room here: (sender, who answers, bytes).
pub type Ack = (u32, u32, u64);

/// Pieces that were put into files, by the number of their message.
type Stored = (u64, Result<Vec<Piece>>);

/// What one worker has received of one stage.
pub struct Collector {
    member: Arc<Member>,
    stage: Arc<MemberStage>,
    me: u32,
    wake: Arc<SyncActivator>,
    stored: (Sender<Stored>, Receiver<Stored>),
    /// Messages on their way into a file. The capability keeps the stage open until they are there.
    storing: HashMap<u64, (Ack, Capability<u64>)>,
    next: u64,
}

impl Collector {
    /// Of worker `me`; `wake` runs its operator.
    pub fn new(member: Arc<Member>, stage: Arc<MemberStage>, me: usize, wake: SyncActivator) -> Collector {
        let (storing, stored) = (HashMap::new(), channel());
        Collector { member, stage, me: me as u32, wake: Arc::new(wake), stored, storing, next: 0 }
    }

    /// Takes a message; gives its answer if there is room already.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn take(&mut self, records: &mut Records, capability: impl FnOnce() -> Capability<u64>) -> Result<Option<Ack>> {
        let ack = (records.from, self.me, records.cost);
        let pieces = records.take()?;
        let hub = &self.member.hub;
        if self.member.shares_memory(records.from) || hub.has_room(records.cost, self.member.share(&self.stage)) {
            hub.collect(pieces);
            return Ok(Some(ack));
        }
        self.storing.insert(self.next, (ack, capability()));
        self.store(pieces);
        self.next += 1;
        Ok(None)
    }

    fn store(&self, pieces: Vec<Piece>) {
        let (number, member, kind) = (self.next, self.member.clone(), self.stage.stage.kind());
        let (tell, wake) = (self.stored.0.clone(), self.wake.clone());
        self.member.writer.submit(move |_| {
            let _ = tell.send((number, member.hub.store_all(kind, pieces))); // The stage is over, and its job with it.
            let _ = wake.activate();
        });
    }

    /// The answers to messages that are in files by now.
    ///
    /// # Errors
    /// Those of the files.
    pub fn stored(&mut self) -> Result<Vec<(Ack, Capability<u64>)>> {
        let mut answers = Vec::new();
        while let Ok((number, pieces)) = self.stored.1.try_recv() {
            self.member.hub.collect(pieces?);
            let answer = self.storing.remove(&number);
            answers.push(answer.ok_or_else(|| Error::job("records of the exchange were stored twice"))?);
        }
        Ok(answers)
    }
}
