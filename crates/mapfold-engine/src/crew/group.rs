//! Members that exchange records in memory: one failure unit.
//!
//! Each has a seat, and partitions belong to seats. When all wait for each other, each is told where the others are.
//! When one dies, timely gives the others no way to go on: all are ended, and a new generation of processes begins in the
//! same seats. What was committed of stages that were done stays; the stages of the group begin again.

use super::{Ended, Hall, Presence, lock};
use crate::link::Mail;
use crate::orders::Place;
use mapfold_coord::{MemberId, Seat};
use mapfold_plan::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long members of a generation that is over may take to say so and go.
const GO_WITHIN: Duration = Duration::from_secs(2);

/// The group of a job.
pub struct Group {
    seats: u32,
    generation: u32,
    /// Where those who have come to the meeting wait, by seat.
    waiting: BTreeMap<u32, String>,
}

impl Group {
    /// A group of so many, none of which is there.
    pub fn new(seats: u32) -> Group {
        Group { seats, generation: 0, waiting: BTreeMap::new() }
    }

    /// A member waits for the others: the addresses of all, by seat, when it is the last.
    fn comes(&mut self, place: Place, address: String) -> Option<Vec<String>> {
        if place.generation != self.generation {
            return None;
        }
        self.waiting.insert(place.seat.index, address);
        (self.waiting.len() == self.seats as usize).then(|| self.waiting.values().cloned().collect())
    }
}

impl Hall {
    /// Starts a process for each seat.
    pub(super) fn start_generation(&self) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let (of, generation) = {
            let group = lock(group);
            (group.seats, group.generation)
        };
        let place = |index| Place { seat: Seat { index, of }, generation };
        (0..of).try_for_each(|i| self.add(Presence { place: Some(place(i)), ..Presence::default() }))
    }

    /// A member waits for the others of its group: when it is the last, all are told where all are.
    pub(super) fn bring_together(&self, member: MemberId, address: String) {
        let place = lock(&self.present).get(&member).and_then(|p| p.place);
        let (Some(group), Some(place)) = (&self.group, place) else { return };
        if let Some(addresses) = lock(group).comes(place, address) {
            self.seated().into_iter().for_each(|m| self.shell.post(m, Mail::Mesh(addresses.clone())));
        }
    }

    /// Members with a seat that have not ended.
    fn seated(&self) -> Vec<MemberId> {
        lock(&self.present).iter().filter(|(_, p)| p.place.is_some()).map(|(member, _)| *member).collect()
    }

    /// A member of the group is dead: the others are told so and end, the stages of the group begin again, and so do
    /// their members.
    pub(super) fn end_generation(&self, ended: &Ended, place: Place) -> Result<()> {
        let others = self.seated();
        if self.shell.is_over() {
            return Ok(()); // They are leaving, one after the other.
        }
        others.iter().for_each(|m| self.shell.post(*m, Mail::Over(place.seat.index)));
        self.see_off();
        let mut suspects = Vec::new();
        for (stage, split) in self.worked_on(ended.member) {
            tracing::info!("member {} worked on split {split} of stage {stage} when it ended", ended.member);
            if !self.shell.exchanges(stage) {
                suspects.push((stage, split)); // A group's splits cannot be tried alone.
            }
        }
        let done = self.shell.splits_done();
        self.shell.crashed(MemberId(ended.member), suspects, &ended.how, ended.last_line());
        others.iter().for_each(|m| self.shell.lost(*m));
        let (member, seat) = (ended.member, place.seat.index);
        tracing::info!("member {member} in seat {seat} ended ({}): its group begins again", ended.how);
        self.tell_lost(ended, !self.shell.is_over());
        self.count_death(ended, done)?;
        if self.shell.is_over() {
            return Ok(());
        }
        if let Some(group) = &self.group {
            let mut group = lock(group);
            group.generation += 1;
            group.waiting.clear();
        }
        self.start_generation()
    }

    /// Waits until nobody of the generation is left. One that stands still is killed.
    fn see_off(&self) {
        let until = Instant::now() + GO_WITHIN;
        while !self.seated().is_empty() && Instant::now() < until {
            let ended = self.crew.ended();
            lock(&self.present).retain(|member, _| !ended.iter().any(|e| e.member == member.0));
            std::thread::sleep(Duration::from_millis(5));
        }
        for member in self.seated() {
            self.crew.kill(member.0);
            lock(&self.present).remove(&member);
        }
    }
}
