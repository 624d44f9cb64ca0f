//! Iterations, as the coordinator sees them: which round was the last, and where the states are then.
//!
//! The plan has as many rounds as there may be. When a round is done that said nothing, the rounds after it are spared,
//! and whoever reads the exchange of the last round is given that of this one.

use crate::link::Mail;
use mapfold_coord::{Coordinator, JobEvent, StageId};
use mapfold_plan::{Error, Result, Round, Stage};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rounds of a job.
#[derive(Default)]
pub struct RoundTable {
    rounds: BTreeMap<StageId, Round>,
    /// Rounds that nobody works on: nothing was left to do, or a later round is done already.
    spared: BTreeSet<StageId>,
    /// What is told when a round begins.
    plans: HashMap<StageId, JobEvent>,
    /// Where the pieces of an exchange are, if they are those of another.
    moved: HashMap<usize, usize>,
}

/// What follows from the end of a round.
pub enum After {
    /// Nothing: it was no round, or one that counts no more.
    Nothing,
    /// Another round begins.
    Next(Option<JobEvent>),
    /// The states are there: these rounds are spared, and members are told where to find the states.
    Settled(Vec<StageId>, Mail),
}

impl RoundTable {
    /// The rounds among these stages, and whether they were done in an earlier run beyond need.
    pub fn of<'a>(stages: impl Iterator<Item = (StageId, &'a dyn Stage, bool)>) -> RoundTable {
        let mut table = RoundTable::default();
        for (id, stage, spared) in stages {
            let Some(round) = stage.round() else { continue };
            table.rounds.insert(id, round.clone());
            if spared {
                table.spared.insert(id);
            }
        }
        table
    }

    /// Keeps what is to be told of a round until it begins.
    pub fn withhold(&mut self, stage: StageId, plan: JobEvent) {
        if self.rounds.get(&stage).is_some_and(|r| r.number > 1) {
            self.plans.insert(stage, plan);
        }
    }

    /// Whether nobody was told of this stage.
    pub fn is_unheard_of(&self, stage: StageId) -> bool {
        self.plans.contains_key(&stage)
    }

    /// Whether nobody works on this stage.
    pub fn is_spared(&self, stage: StageId) -> bool {
        self.spared.contains(&stage)
    }

    /// The exchange that a round reads, unless nobody works on it.
    pub fn reads(&self, stage: StageId) -> Option<usize> {
        self.rounds.get(&stage).filter(|_| !self.is_spared(stage)).map(|round| round.from)
    }

    /// The exchange whose pieces are read in the name of this one.
    pub fn source(&self, exchange: usize) -> usize {
        self.moved.get(&exchange).copied().unwrap_or(exchange)
    }

    /// A round begins again with its group: what followed from it is forgotten.
    pub fn begin_again(&mut self, stage: StageId) {
        if let Some(round) = self.rounds.get(&stage) {
            self.moved.remove(&round.last);
            self.spared.remove(&stage);
        }
    }

    /// A stage is done.
    ///
    /// # Errors
    /// When it was the last round and messages are on their way that must be heard.
    pub fn done(&mut self, stage: StageId, coord: &Coordinator) -> Result<After> {
        let Some(round) = self.rounds.get(&stage).filter(|_| !self.is_spared(stage)).cloned() else {
            return Ok(After::Nothing);
        };
        let said = coord.counted(stage, &round.counter);
        match said {
            0 => Ok(self.settle(&round)),
            _ if round.number < round.limit => {
                let next = self.rounds.iter().find(|(_, r)| r.from == round.to).map(|(id, _)| *id);
                Ok(After::Next(next.and_then(|id| self.plans.remove(&id))))
            }
            _ if !round.until_still => Ok(After::Nothing),
            n => {
                let what = format!("no fixed point after {} rounds: {n} messages are on their way", round.limit);
                Err(Error::job(what).with_remedy("allow more rounds, or take what there is with Rounds::at_most"))
            }
        }
    }

    fn settle(&mut self, round: &Round) -> After {
        if round.to == round.last {
            return After::Nothing;
        }
        let later = |r: &Round| r.last == round.last && r.number > round.number;
        let later: Vec<StageId> = self.rounds.iter().filter(|(_, r)| later(r)).map(|(id, _)| *id).collect();
        self.spared.extend(&later);
        self.moved.insert(round.last, round.to);
        After::Settled(later, Mail::Settled { read: round.last, from: round.to })
    }
}
