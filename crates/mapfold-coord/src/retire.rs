//! Members that leave while the job goes on: they get nothing more, finish what they hold, and go.
//!
//! Nothing is taken back from them: a split that is being worked on cannot be stopped halfway, and what waits behind it
//! is one split a thread. So nothing is done twice because the job was made smaller.

use crate::coordinator::Coordinator;
use crate::ids::MemberId;
use crate::message::Action;

impl Coordinator {
    /// From now on the member gets nothing.
    pub(crate) fn retire(&mut self, member: MemberId) {
        if self.lost.contains(&member) || self.left.contains(&member) {
            return;
        }
        // It may not have said a word yet.
        if self.members.entry(member).or_default().seat.is_none() {
            self.retiring.insert(member);
        }
    }

    /// Those that retire and hold nothing may go.
    pub(crate) fn see_off(&mut self, out: &mut Vec<Action>) {
        if self.retiring.is_empty() {
            return;
        }
        let holds = |member: &MemberId| {
            let known = self.members.get(member);
            known.is_some_and(|m| m.wishes.values().any(|wish| wish.held > 0))
        };
        let (staying, going) = self.retiring.iter().copied().partition(holds);
        self.retiring = staying;
        let going: std::collections::BTreeSet<MemberId> = going;
        for member in going {
            if self.members.remove(&member).is_some() {
                self.left.insert(member);
                out.push(Action::Retired { member });
            }
        }
    }
}
