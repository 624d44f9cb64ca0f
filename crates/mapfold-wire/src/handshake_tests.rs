//! The laws of the handshake, on pipes in memory: what is recorded, replayed, reflected or changed proves nothing.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::facts::{Cover, Mismatch, Who};
use crate::token::Token;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const FREE: Binding = [0; 32];

fn identity(token: &Token, who: Who) -> Identity {
    let facts = Facts { job: 7, plan: 9, generation: 1, members: 4, who };
    Identity { token: token.clone(), facts, purpose: Purpose::Mesh, cover: Cover::Plain }
}

type Ends = (Result<Facts, WireError>, Result<Facts, WireError>);

/// Both ends, over a line that `meddle` may change: it sees each byte's direction, position and value.
fn meet(dialler: &Identity, listener: Identity, bindings: (Binding, Binding), meddle: Meddle) -> Ends {
    let (a, b) = UnixStream::pair().unwrap();
    let listening = thread::spawn(move || as_listener(&mut Line::new(b, 1, meddle), AT, &listener, &bindings.1));
    let dialled = as_dialler(&mut Line::new(a, 0, meddle), AT, dialler, &bindings.0);
    (dialled, listening.join().unwrap())
}

type Meddle = fn(from: usize, at: usize, byte: u8) -> u8;
const HONEST: Meddle = |_, _, byte| byte;

/// One end of the line: what it writes is changed on the way and put on record.
struct Line {
    stream: UnixStream,
    from: usize,
    written: usize,
    meddle: Meddle,
    record: Arc<Mutex<Vec<u8>>>,
}

impl Line {
    fn new(stream: UnixStream, from: usize, meddle: Meddle) -> Line {
        Line { stream, from, written: 0, meddle, record: Arc::default() }
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(into)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent: Vec<u8> = bytes.iter().zip(self.written..).map(|(b, at)| (self.meddle)(self.from, at, *b)).collect();
        self.written += bytes.len();
        self.record.lock().unwrap().extend_from_slice(&sent);
        self.stream.write_all(&sent).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn who_knows_the_token_learns_the_others_facts() {
    let token = Token::random().unwrap();
    let (d, l) = (identity(&token, Who::Member(2)), identity(&token, Who::Member(0)));
    let (seen_by_d, seen_by_l) = meet(&d, l.clone(), (FREE, FREE), HONEST);
    assert_eq!(seen_by_d.unwrap(), l.facts);
    assert_eq!(seen_by_l.unwrap(), d.facts);
}

#[test]
fn another_token_purpose_or_tls_session_proves_nothing() {
    let token = Token::random().unwrap();
    let (d, l) = (identity(&token, Who::Member(2)), identity(&token, Who::Member(0)));
    let stranger = identity(&Token::random().unwrap(), Who::Member(2));
    let elsewhere = Identity { purpose: Purpose::Control, ..d.clone() };
    let in_the_middle = ([1; 32], [2; 32]);
    for (case, (left, right)) in [
        ("token", meet(&stranger, l.clone(), (FREE, FREE), HONEST)),
        ("purpose", meet(&elsewhere, l.clone(), (FREE, FREE), HONEST)),
        ("binding", meet(&d, l, in_the_middle, HONEST)),
    ] {
        assert!(left.is_err(), "{case}: the dialler believed");
        assert!(matches!(right, Err(WireError::Unproven { .. })), "{case}: the listener believed");
    }
}

/// The purpose is inside the proof, not only beside it: changing it on the way does not help.
#[test]
fn a_purpose_changed_on_the_way_is_noticed() {
    let token = Token::random().unwrap();
    let d = Identity { purpose: Purpose::Control, ..identity(&token, Who::Member(2)) };
    let to_mesh: Meddle = |from, at, byte| if from == 0 && at == 9 { 2 } else { byte };
    let (left, right) = meet(&d, identity(&token, Who::Member(0)), (FREE, FREE), to_mesh);
    assert!(left.is_err() && matches!(right, Err(WireError::Unproven { .. })));
}

/// Any single byte of either direction, flipped: at least the end that received it does not believe, and a flip in the
/// dialler's messages makes both refuse.
#[test]
fn a_changed_byte_is_noticed() {
    static POSITION: Mutex<(usize, usize)> = Mutex::new((0, 0));
    let token = Token::random().unwrap();
    let flip: Meddle = |from, at, byte| if (from, at) == *POSITION.lock().unwrap() { byte ^ 0x10 } else { byte };
    let ours = (HELLO + FACTS_BYTES + TAG, ANSWER + FACTS_BYTES + TAG);
    for (from, at) in (0..ours.0).map(|at| (0, at)).chain((0..ours.1).map(|at| (1, at))) {
        *POSITION.lock().unwrap() = (from, at);
        let (d, l) = (identity(&token, Who::Member(2)), identity(&token, Who::Member(0)));
        let (left, right) = meet(&d, l, (FREE, FREE), flip);
        assert!(left.is_err(), "byte {at} from {from}: the dialler believed");
        let verdict_only = from == 1 && at >= ANSWER; // the listener is done by then
        assert_eq!(right.is_err(), !verdict_only, "byte {at} from {from}: the listener");
    }
}

/// What a good dialler said once, said again: the listener's nonce is another one.
#[test]
fn a_replayed_dialler_is_refused() {
    let token = Token::random().unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    let listener = identity(&token, Who::Member(0));
    let mut line = Line::new(a, 0, HONEST);
    let record = line.record.clone();
    let first = thread::spawn({
        let (mut b, l) = (b, listener.clone());
        move || as_listener(&mut b, AT, &l, &FREE)
    });
    as_dialler(&mut line, AT, &identity(&token, Who::Member(2)), &FREE).unwrap();
    first.join().unwrap().unwrap();

    let (mut attacker, mut b) = UnixStream::pair().unwrap();
    attacker.write_all(&record.lock().unwrap()).unwrap();
    let again = as_listener(&mut b, AT, &listener, &FREE);
    assert!(matches!(again, Err(WireError::Unproven { .. })));
}

/// A "listener" that knows nothing and gives the dialler its own words back: as they are, and as a verdict.
#[test]
fn a_reflection_is_refused() {
    let token = Token::random().unwrap();
    let (mut a, mut mirror) = UnixStream::pair().unwrap();
    let me = identity(&token, Who::Member(2));
    let dialling = thread::spawn(move || as_dialler(&mut a, AT, &me, &FREE));
    let mut hello = [0; HELLO];
    mirror.read_exact(&mut hello).unwrap();
    let nonce = std::array::from_fn(|i| hello[10 + i]);
    mirror.write_all(&answer(&nonce)).unwrap();
    let mut proof = [0; FACTS_BYTES + TAG];
    mirror.read_exact(&mut proof).unwrap();
    mirror.write_all(&proof).unwrap();
    assert!(matches!(dialling.join().unwrap(), Err(WireError::Unproven { .. })));
}

/// Two diallers connected to each other by somebody in the middle: neither takes the other for a listener.
#[test]
fn two_diallers_do_not_believe_each_other() {
    let token = Token::random().unwrap();
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let (x, y) = (identity(&token, Who::Member(1)), identity(&token, Who::Member(2)));
    let other = thread::spawn(move || as_dialler(&mut b, AT, &y, &FREE));
    let one = as_dialler(&mut a, AT, &x, &FREE);
    drop(a);
    assert!(one.is_err() && other.join().unwrap().is_err());
}

#[test]
fn facts_survive_the_wire_and_name_what_differs() {
    let mine = Facts { job: u128::MAX - 3, plan: 1 << 100, generation: 5, members: 4, who: Who::Member(3) };
    assert_eq!(Facts::from_bytes(&mine.to_bytes()), mine);
    let theirs = Facts { who: Who::Coordinator, ..mine };
    assert_eq!(Facts::from_bytes(&theirs.to_bytes()), theirs);
    assert_eq!(mine.differs(&theirs), None);
    assert_eq!(mine.differs(&mine), Some(Mismatch::Myself { who: Who::Member(3) }));
    let any = |who| Facts { members: 0, who, ..mine };
    assert_eq!(any(Who::Coordinator).differs(&any(Who::Member(99))), None, "an open group has no bounds");
}
