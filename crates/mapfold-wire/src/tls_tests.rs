//! Somebody in the middle, who ends both TLS sessions and passes every byte on, is found by the binding.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::conn::{Side, prove};
use crate::error::WireError;
use crate::facts::{Cover, Facts, Identity, Purpose, Who};
use crate::listener::Bound;
use crate::token::Token;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

fn identity(token: &Token, who: Who) -> Identity {
    let facts = Facts { job: 7, plan: 9, generation: 1, members: 2, who };
    Identity { token: token.clone(), facts, purpose: Purpose::Mesh, cover: Cover::Tls }
}

fn agreed(mut tls: Connection, socket: &mut TcpStream) -> Connection {
    while tls.is_handshaking() {
        tls.complete_io(socket).unwrap();
    }
    tls
}

fn pass(from: &mut impl Read, to: &mut impl Write, bytes: usize) -> io::Result<()> {
    let mut message = vec![0; bytes];
    from.read_exact(&mut message)?;
    to.write_all(&message)?;
    to.flush()
}

/// Passes hello, answer and proof on, word by word; gives what the listener then says.
fn in_the_middle(mut near: TcpStream, mut far: TcpStream) -> io::Result<()> {
    let mut victim = agreed(Server::new().unwrap().connection().unwrap(), &mut near);
    let mut target = agreed(client().unwrap(), &mut far);
    let mut victim = Within { tls: &mut victim, io: &mut near };
    let mut target = Within { tls: &mut target, io: &mut far };
    pass(&mut victim, &mut target, 42)?;
    pass(&mut target, &mut victim, 41)?;
    pass(&mut victim, &mut target, 76)?;
    pass(&mut target, &mut victim, 76)
}

#[test]
fn who_passes_everything_on_gets_no_proof() {
    let (token, until) = (Token::random().unwrap(), Instant::now() + Duration::from_secs(20));
    let listener = Bound::loopback().unwrap().listen(identity(&token, Who::Member(0))).unwrap();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    let (lured_to, real) = (trap.local_addr().unwrap(), listener.address());
    let middle = thread::spawn(move || in_the_middle(trap.accept().unwrap().0, TcpStream::connect(real).unwrap()));
    let socket = TcpStream::connect(lured_to).unwrap();
    let lured = prove(socket, lured_to, &identity(&token, Who::Member(1)), &Side::Dialler, until);
    assert!(matches!(lured, Err(WireError::Broken { .. })), "the dialler got no proof");
    assert!(middle.join().unwrap().is_err(), "the listener said nothing after the proof");
    // The listener's own thread counts, a moment later.
    while listener.counts().dropped == 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((listener.counts().accepted, listener.counts().dropped), (0, 1));
}
