//! Ten thousand bad connections: none is believed, none stops a good one.
//!
//! One test in a process of its own: it counts panics of all threads.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{dialling, identity, listening, soon};
use mapfold_wire::{Counts, Cover, Listener, Token, Who};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

static PANICS: AtomicUsize = AtomicUsize::new(0);
const ATTACKERS: usize = 8;
/// Silent connections that each attacker keeps open; more in all than a listener has places.
const HELD: usize = 16;

/// One bad connection of the kind `n`; it is given back while it is of use to keep it open.
fn attack(n: usize, to: SocketAddr, good: &[u8], stranger: &Token, cover: Cover) -> Option<TcpStream> {
    if n % 8 == 7 {
        let (me, once) = (identity(stranger, cover, Who::Member(1)), AtomicBool::new(true));
        let refused = mapfold_wire::dial(&to.to_string(), &me, Who::Member(0), soon(), &once);
        assert!(refused.is_err(), "a stranger was let in");
        return None;
    }
    let mut socket = TcpStream::connect(to).ok()?;
    let junk = |salt: u8| -> Vec<u8> { (0..200u8).map(|i| i.wrapping_mul(167) ^ salt).collect() };
    // What a listener makes of these is its own affair: errors of writing are expected.
    let _ = match n % 8 {
        0 => socket.write_all(&junk(n as u8)),
        1 => socket.write_all(&junk(n as u8)[..8]), // ended timely's own listener
        2 => return Some(socket),                   // silent
        3 => socket.write_all(&good[..n % good.len()]), // half a handshake, then gone
        4 => socket.write_all(&good[..n % good.len()]).map(|()| thread::sleep(Duration::from_millis(1))),
        5 => socket.write_all(good), // all that a good peer said
        // A record of TLS, and a frame, of the greatest length.
        _ => socket.write_all(&[&[22, 3, 3, 255, 255][..], &[255; 8], &[1, 0xff, 0xff, 0xff], &[0; 3000]].concat()),
    };
    None
}

/// A good peer's connection through a recorder: every byte that it sent.
fn recorded(listener: &Listener, token: &Token, cover: Cover) -> Vec<u8> {
    let recorder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, to) = (recorder.local_addr().unwrap(), listener.address());
    let record = Arc::new(Mutex::new(Vec::new()));
    let keep = record.clone();
    let line = thread::spawn(move || {
        let (mut near, mut far) = (recorder.accept().unwrap().0, TcpStream::connect(to).unwrap());
        let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = near.read(&mut piece) {
            keep.lock().unwrap().extend_from_slice(&piece[..n]);
            far.write_all(&piece[..n]).unwrap();
        }
    });
    let me = identity(token, cover, Who::Member(1));
    let peer = mapfold_wire::dial(&at.to_string(), &me, Who::Member(0), soon(), &AtomicBool::new(false)).unwrap();
    listener.next(soon()).unwrap();
    drop(peer);
    line.join().unwrap();
    let record = record.lock().unwrap();
    assert!(record.len() >= 118);
    record.clone()
}

fn flood(to: SocketAddr, good: &[u8], cover: Cover, count: usize) {
    let stranger = Token::random().unwrap();
    thread::scope(|scope| {
        for attacker in 0..ATTACKERS {
            let stranger = &stranger;
            scope.spawn(move || {
                let mut held = VecDeque::new();
                for n in (attacker..count).step_by(ATTACKERS) {
                    // so that each attacker sends all kinds
                    held.extend(attack(n / ATTACKERS, to, good, stranger, cover));
                    if held.len() > HELD {
                        held.pop_front();
                    }
                }
            });
        }
    });
}

/// Good peers come during the flood and after it; returns how the listener counted.
fn under_fire(cover: Cover, count: usize, peers: u64) -> Counts {
    let token = Token::random().unwrap();
    let listener = listening(&token, cover);
    let (to, good) = (listener.address(), recorded(&listener, &token, cover));
    thread::scope(|scope| {
        scope.spawn(|| flood(to, &good, cover, count));
        for i in 0..peers {
            let me = identity(&token, cover, Who::Member(1 + (i % 3) as u32));
            dialling(&listener, &me, soon()).expect("a good peer gets through");
            assert_eq!(listener.next(soon()).unwrap().facts.who, me.facts.who, "nobody else did");
        }
    });
    let until = soon();
    let all = |c: Counts| c.accepted + c.unfit + c.dropped + c.displaced;
    while all(listener.counts()) < count as u64 + 1 + peers {
        assert!(Instant::now() < until, "connections are unaccounted for: {:?}", listener.counts());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(listener.next(Instant::now()).is_none(), "a hostile connection was accepted");
    listener.counts()
}

#[test]
fn hostile_connections_are_not_believed_and_stop_nobody() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Relaxed);
        before(info);
    }));
    for (cover, count, peers) in [(Cover::Plain, 10_000, 100), (Cover::Tls, 2_000, 20)] {
        let counts = under_fire(cover, count, peers);
        println!("{cover:?}: {counts:?}");
        assert_eq!(counts.accepted, 1 + peers, "the recorded one and the good ones");
        assert_eq!(counts.unfit, 0);
    }
    assert_eq!(PANICS.load(Relaxed), 0);
}
