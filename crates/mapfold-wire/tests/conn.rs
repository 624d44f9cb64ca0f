//! Proven connections carry bytes both ways at once, end in ways that can be told apart, and refuse by name.
#![allow(clippy::unwrap_used)]

mod common;

use common::{dialling, identity, listening, pair, soon};
use mapfold_wire::{Bound, Conn, Cover, Facts, FrameError, Identity, Mismatch, Token, Who, WireError};
use mapfold_wire::{dial, read_frame, write_frame};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

const BYTES: usize = 20 << 20;
const COVERS: [Cover; 2] = [Cover::Plain, Cover::Tls];

/// Bytes that tell their place, from a seed.
fn noise(seed: u8) -> impl Iterator<Item = u8> {
    (0..BYTES).map(move |i| (i as u8) ^ ((i >> 8) as u8).wrapping_mul(31) ^ seed)
}

fn send_noise(mut conn: Conn, seed: u8) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let all: Vec<u8> = noise(seed).collect();
        all.chunks(123_457).for_each(|piece| conn.write_all(piece).unwrap());
        conn.shutdown(Shutdown::Write).unwrap();
    })
}

fn is_noise(mut conn: Conn, seed: u8) -> thread::JoinHandle<bool> {
    thread::spawn(move || {
        let mut got = Vec::new();
        conn.read_to_end(&mut got).unwrap();
        got.into_iter().eq(noise(seed))
    })
}

#[test]
fn both_directions_at_once_through_clones() {
    for cover in COVERS {
        let (a, b) = pair(cover);
        let senders = [send_noise(a.conn.clone(), 1), send_noise(b.conn.clone(), 2)];
        let receivers = [is_noise(b.conn, 1), is_noise(a.conn, 2)];
        senders.into_iter().for_each(|s| s.join().unwrap());
        assert!(receivers.into_iter().all(|r| r.join().unwrap()), "{cover:?}");
    }
}

#[test]
fn an_end_and_silence_are_told_apart() {
    for cover in COVERS {
        let (mut a, mut b) = pair(cover);
        b.conn.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(matches!(read_frame::<u32>(&mut b.conn, 99), Err(FrameError::Idle)), "{cover:?}");
        write_frame(&mut a.conn, &417u32, 99).unwrap();
        b.conn.set_read_timeout(None).unwrap();
        assert_eq!(read_frame::<u32>(&mut b.conn, 99).unwrap(), Some(417), "silence has done no harm");
        a.conn.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_frame::<u32>(&mut b.conn, 99).unwrap(), None);
    }
}

/// Under TLS a line that was cut is not taken for an end: nobody on the way can shorten what was said.
#[test]
fn a_cut_line_is_an_error_under_tls() {
    let (a, mut b) = pair(Cover::Tls);
    drop(a);
    assert!(matches!(read_frame::<u32>(&mut b.conn, 99), Err(FrameError::Broken(_))));
}

type Change = fn(&mut Facts);

#[test]
fn a_proven_peer_that_does_not_fit_is_refused_by_name_at_both_ends() {
    let cases: [(Change, &str); 5] = [
        (|f| f.generation = 0, "generation 1, this is generation 0"),
        (|f| f.members = 5, "counts 4 members, here are 5"),
        (|f| f.plan = 1, "its plan is"),
        (|f| f.job = 8, "works for job"),
        (|f| f.who = Who::Member(0), "it says to be member 0"),
    ];
    let token = Token::random().unwrap();
    let listener = listening(&token, Cover::Plain);
    for (i, (change, message)) in cases.into_iter().enumerate() {
        let mut me = identity(&token, Cover::Plain, Who::Member(1));
        change(&mut me.facts);
        let error = dialling(&listener, &me, soon()).err().expect("refused");
        assert!(matches!(error, WireError::Unfit { who: Who::Member(0), .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(listener.next(Instant::now() + Duration::from_millis(50)).is_none());
        while listener.counts().unfit < i as u64 + 1 {
            thread::yield_now(); // it counts after its last message
        }
    }
    assert_eq!(listener.counts().accepted, 0);
}

#[test]
fn another_member_than_dialled_and_one_beyond_the_group() {
    let token = Token::random().unwrap();
    let listener = listening(&token, Cover::Plain);
    let me = identity(&token, Cover::Plain, Who::Member(3));
    let error = dial(&listener.address().to_string(), &me, Who::Member(2), soon(), &Default::default());
    let error = error.err().expect("member 0 is there").to_string();
    assert!(error.contains("dialled member 2") && error.contains("but member 0 answered"), "{error}");
    let mine = me.facts;
    let beyond = Facts { who: Who::Member(4), ..mine };
    assert_eq!(mine.differs(&beyond), Some(Mismatch::NoSuchMember { index: 4, members: 4 }));
}

#[test]
fn without_tls_nothing_goes_beyond_loopback() {
    let token = Token::random().unwrap();
    let me: Identity = identity(&token, Cover::Plain, Who::Member(1));
    let open = Bound::at("0.0.0.0:0".parse().unwrap()).unwrap().listen(me.clone());
    assert!(matches!(open.err(), Some(WireError::OffHost { .. })));
    let far = dial("192.0.2.1:9", &me, Who::Member(0), soon(), &Default::default());
    assert!(matches!(far.err(), Some(WireError::OffHost { .. })), "refused before a packet is sent");
    let tls = identity(&token, Cover::Tls, Who::Member(0));
    assert!(Bound::at("0.0.0.0:0".parse().unwrap()).unwrap().listen(tls).is_ok());
}

#[test]
fn nobody_there_is_an_error_that_says_who_where_and_why() {
    let gone = Bound::loopback().unwrap().address();
    let me = identity(&Token::random().unwrap(), Cover::Plain, Who::Member(1));
    let until = Instant::now() + Duration::from_millis(300);
    let error = dial(&gone.to_string(), &me, Who::Member(0), until, &Default::default()).err().unwrap().to_string();
    assert!(error.contains(&format!("no connection to member 0 at {gone}")) && error.contains("refused"), "{error}");
}

#[test]
fn a_listener_that_is_gone_gives_its_port_back() {
    let token = Token::random().unwrap();
    let listener = listening(&token, Cover::Plain);
    let address = listener.address();
    drop(listener);
    let until = soon();
    while Bound::at(address).is_err() {
        assert!(Instant::now() < until, "the accepting thread lives on");
        thread::sleep(Duration::from_millis(5));
    }
}
