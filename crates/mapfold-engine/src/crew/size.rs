//! How many members there are: as many as are wanted, as far as they can be had.
//!
//! A run begins with those that come first and aims for the most. One that dies is replaced; where that fails the run goes
//! on, as long as the least are there, and tries again later. What the user asks for while it runs (`mapfold scale`) is
//! found in the job's state folder. Members that are too many finish what they hold and go.
//!
//! A group that exchanges records in memory has a fixed number of seats: nothing here applies to it.

use super::{Hall, Presence, lock};
use mapfold_coord::{JobEvent, MemberId, asks};
use mapfold_plan::{Error, Result};
use std::time::{Duration, Instant};

/// Between two looks at what the user asks for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After a member could not be had: how long until it is tried again, the first time and at most.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// How many members a run has.
#[derive(Clone, Debug)]
pub struct Size {
    /// Fewer are a failure when no more can be had.
    pub least: u32,
    /// No more than these.
    pub most: u32,
    wanted: u32,
    looked: Instant,
    /// When a member is tried again, and how long was waited for that.
    again: Option<(Instant, Duration)>,
}

impl Size {
    /// As many as can be had, from `least` to `most`.
    pub fn new(least: u32, most: u32) -> Size {
        Size { least, most, wanted: most, looked: Instant::now(), again: None }
    }

    /// It has gone wrong once more: seconds until the next try.
    fn wait(&mut self) -> u64 {
        let (first, longest) = TRY_AGAIN;
        let pause = self.again.map_or(first, |(_, pause)| (2 * pause).min(longest));
        self.again = Some((Instant::now() + pause, pause));
        pause.as_secs()
    }

    /// Those that are there get on.
    pub(super) fn calm_down(&mut self) {
        self.again = None;
    }

    pub(super) fn is_due(&self) -> bool {
        self.again.is_none_or(|(at, _)| Instant::now() >= at)
    }
}

impl Hall {
    /// Starts members until as many as are wanted are there, or on their way.
    ///
    /// # Errors
    /// When one cannot be started and cannot be done without.
    pub(super) fn fill_up(&self) -> Result<()> {
        while !self.shell.is_over() && self.lacks_one() {
            if let Err(e) = self.add(Presence::default()) {
                self.do_without(e)?;
            }
        }
        Ok(())
    }

    fn lacks_one(&self) -> bool {
        let size = lock(&self.size);
        self.group.is_none() && self.staying(|_| true).len() < size.wanted as usize && size.is_due()
    }

    /// Members that are to stay, ascending; not those for suspects.
    fn staying(&self, which: impl Fn(&Presence) -> bool) -> Vec<MemberId> {
        let present = lock(&self.present);
        let stays = present.iter().filter(|(_, p)| !p.solo && !p.retiring && which(p));
        stays.map(|(member, _)| *member).collect()
    }

    /// One cannot be had: the run goes on without, if enough are at work, and tries again later.
    ///
    /// # Errors
    /// The same, if too few are.
    pub(super) fn do_without(&self, why: Error) -> Result<()> {
        let at_work = self.staying(|p| p.came_in).len();
        let mut size = lock(&self.size);
        if size.least == size.most || at_work < size.least as usize {
            return Err(why);
        }
        let seconds = size.wait();
        let (why, wanted) = (why.to_string(), size.wanted);
        drop(size);
        tracing::warn!("{at_work} of {wanted} members are there, and no more can be had for {seconds} s: {why}");
        self.shell.report(&JobEvent::MemberMissing { why, seconds });
        Ok(())
    }

    /// Does what the user has asked for since the last look; what cannot be done is said and passed over.
    pub(super) fn resize(&self) {
        let mut size = lock(&self.size);
        if self.group.is_some() || size.looked.elapsed() < LOOK_EVERY {
            return;
        }
        size.looked = Instant::now();
        let asked = self.shell.folder().and_then(|folder| asks::members_asked(&folder));
        let Some(wanted) = asked else { return };
        let (least, most) = (size.least, size.most);
        if !(least..=most).contains(&wanted) {
            tracing::warn!("{wanted} members were asked for: this run has {least} to {most}");
            return;
        }
        (size.wanted, size.again) = (wanted, None);
        drop(size);
        tracing::info!("{wanted} members are wanted from now on");
        self.shell.report(&JobEvent::MembersWanted { wanted });
        self.retire(wanted as usize);
    }

    /// Those that are too many go: first who has not come in yet, then the youngest.
    fn retire(&self, wanted: usize) {
        let (early, at_work) = (self.staying(|p| !p.came_in), self.staying(|p| p.came_in));
        let surplus = (early.len() + at_work.len()).saturating_sub(wanted);
        for member in early.into_iter().rev().chain(at_work.into_iter().rev()).take(surplus) {
            let here = lock(&self.present).get_mut(&member).is_some_and(|p| {
                p.retiring = true;
                p.came_in
            });
            if here {
                self.shell.retire(member);
            } else {
                self.crew.kill(member.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_cannot_be_had_is_tried_again_more_and_more_rarely() {
        let mut size = Size::new(1, 4);
        assert!(size.is_due());
        let waits: Vec<u64> = (0..7).map(|_| size.wait()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        assert!(!size.is_due());
    }
}
