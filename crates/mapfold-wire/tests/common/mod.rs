//! Two ends of a group of four.
#![allow(dead_code)] // each test binary uses a part

use mapfold_wire::{Bound, Cover, Facts, Identity, Listener, Peer, Purpose, Token, Who, WireError, dial};
use std::time::{Duration, Instant};

pub fn identity(token: &Token, cover: Cover, who: Who) -> Identity {
    let facts = Facts { job: 7, plan: 9, generation: 1, members: 4, who };
    Identity { token: token.clone(), facts, purpose: Purpose::Mesh, cover }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub fn listening(token: &Token, cover: Cover) -> Listener {
    Bound::loopback().unwrap().listen(identity(token, cover, Who::Member(0))).unwrap()
}

pub fn dialling(listener: &Listener, me: &Identity, until: Instant) -> Result<Peer, WireError> {
    dial(&listener.address().to_string(), me, Who::Member(0), until, &Default::default())
}

/// Both ends of one connection: the dialler's and the listener's.
pub fn pair(cover: Cover) -> (Peer, Peer) {
    let token = Token::random().unwrap();
    let listener = listening(&token, cover);
    let dialled = dialling(&listener, &identity(&token, cover, Who::Member(1)), soon()).unwrap();
    (dialled, listener.next(soon()).unwrap())
}
