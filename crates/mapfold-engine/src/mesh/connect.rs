//! All pairs of connections: a member dials those with a lower index and is dialled by those with a higher one.
//!
//! Everybody dials at once, so one that is late delays nobody else, and at the end the error names all that are missing,
//! not only the first.

use crate::mesh::error::{Absent, MeshError};
use mapfold_wire::{Conn, Facts, Identity, Listener, Peer, Who, WireError, dial};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a group may take to come together: containers of a busy cluster start minutes apart.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at whether a dialler has found that it is of no use to wait.
const LOOK: Duration = Duration::from_millis(10);

/// Connections to all other members, by index; `None` at this member's own. `addresses` are all members', by index;
/// `listener` is this member's, and `me` what it was made with.
///
/// # Errors
/// [`MeshError::Missing`] after `limit`; [`MeshError::Refused`] at once when a proven member does not fit;
/// [`MeshError::BadGroup`].
pub fn connect(
    listener: &Listener,
    addresses: &[String],
    me: &Identity,
    limit: Duration,
) -> Result<Vec<Option<Conn>>, MeshError> {
    let mine = index(&me.facts, addresses)?;
    let (until, stop) = (Instant::now() + limit, AtomicBool::new(false));
    let mut group = Group { mine, addresses, conns: vec![None; addresses.len()], late: Vec::new() };
    thread::scope(|scope| {
        let (tell, dialled) = channel();
        for (to, address) in addresses.iter().enumerate().take(mine) {
            let (tell, stop) = (tell.clone(), &stop);
            scope.spawn(move || dial_one(to, address, me, until, stop, &tell));
        }
        let mut result = Ok(());
        while result.is_ok() && !group.is_complete() && Instant::now() < until {
            // Nobody is to come when all others are dialled: then wait for the diallers only.
            if let Some(peer) = listener.next(until.min(Instant::now() + LOOK)) {
                group.came(peer);
            }
            result = dialled.try_iter().try_for_each(|(to, dialled)| group.dialled(to, dialled));
        }
        stop.store(true, Relaxed);
        drop(tell);
        // The last words of the diallers that gave up say why.
        let rest = dialled.iter().try_for_each(|(to, dialled)| group.dialled(to, dialled));
        result.and(rest)
    })?;
    group.finished(limit)
}

type Dialled = (usize, Result<Peer, WireError>);

fn dial_one(to: usize, address: &str, me: &Identity, until: Instant, stop: &AtomicBool, tell: &Sender<Dialled>) {
    let peer = dial(address, me, Who::Member(to as u32), until, stop);
    let _ = tell.send((to, peer)); // nobody waits any more: another member was refused
}

fn index(facts: &Facts, addresses: &[String]) -> Result<usize, MeshError> {
    let bad = || MeshError::BadGroup { who: facts.who, members: facts.members, addresses: addresses.len() };
    match facts.who {
        Who::Member(index) if (index as usize) < addresses.len() && facts.members as usize == addresses.len() => {
            Ok(index as usize)
        }
        _ => Err(bad()),
    }
}

/// What has come so far.
struct Group<'a> {
    mine: usize,
    addresses: &'a [String],
    conns: Vec<Option<Conn>>,
    late: Vec<Absent>,
}

impl Group<'_> {
    fn is_complete(&self) -> bool {
        self.conns.iter().flatten().count() + 1 == self.conns.len()
    }

    /// A member that dialled. One that comes again has lost its first connection before it could know of it.
    fn came(&mut self, peer: Peer) {
        match peer.facts.who {
            Who::Member(i) if i as usize > self.mine => self.conns[i as usize] = Some(peer.conn),
            who => tracing::warn!("{who} at {} dialled, but it is to be dialled", peer.address),
        }
    }

    fn dialled(&mut self, to: usize, dialled: Result<Peer, WireError>) -> Result<(), MeshError> {
        match dialled {
            Ok(peer) => self.conns[to] = Some(peer.conn),
            Err(WireError::TooLate { last, .. }) => self.late.push(self.absent(to, last)),
            Err(error) => return Err(MeshError::Refused(error)),
        }
        Ok(())
    }

    fn absent(&self, member: usize, why: String) -> Absent {
        Absent { member: member as u32, address: self.addresses[member].clone(), why }
    }

    fn finished(mut self, limit: Duration) -> Result<Vec<Option<Conn>>, MeshError> {
        if self.is_complete() {
            return Ok(self.conns);
        }
        let silent = (self.mine + 1..self.conns.len()).filter(|i| self.conns[*i].is_none());
        let silent: Vec<Absent> = silent.map(|i| self.absent(i, "it has not dialled".to_owned())).collect();
        self.late.extend(silent);
        self.late.sort_by_key(|a| a.member);
        Err(MeshError::Missing { absent: self.late, limit })
    }
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
