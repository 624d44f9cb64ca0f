//! The dialling end.
//!
//! Members start in any order, so nobody being there yet is usual, and a listener under attack may close a handshake
//! half way: both are tried again until time is over. Only what a proven peer says is final.

use crate::conn::{Peer, Side, prove};
use crate::error::WireError;
use crate::facts::{Cover, Identity, Who};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// For one attempt to reach a host; it may be booting.
const CONNECT: Duration = Duration::from_secs(5);

/// Connects to `address` ("host:port"), proves who we are and that `expected` answers. Tries until `until`, or until
/// `stop` is set.
///
/// # Errors
/// [`WireError::TooLate`] with the reason of the last try; [`WireError::Unfit`] and [`WireError::Other`] when a proven
/// peer is not the right one; [`WireError::OffHost`] for another host without TLS.
pub fn dial(address: &str, me: &Identity, expected: Who, until: Instant, stop: &AtomicBool) -> Result<Peer, WireError> {
    let (mut pause, mut tries) = (FIRST_PAUSE, 0);
    loop {
        tries += 1;
        let last = match attempt(address, me, until) {
            Ok(peer) if peer.facts.who == expected => return Ok(peer),
            Ok(peer) => {
                return Err(WireError::Other { expected, found: peer.facts.who, address: peer.address });
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => error,
        };
        if stop.load(Relaxed) || Instant::now() + pause >= until {
            let (address, last) = (address.to_owned(), last.to_string());
            return Err(WireError::TooLate { who: expected, address, tries, last });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn attempt(address: &str, me: &Identity, until: Instant) -> Result<Peer, WireError> {
    let unknown = |source| WireError::NoSuchHost { address: address.to_owned(), source };
    let places: Vec<SocketAddr> = address.to_socket_addrs().map_err(unknown)?.collect();
    let mut failed = unknown(std::io::Error::other("the name has no address"));
    for place in places {
        if me.cover == Cover::Plain && !place.ip().is_loopback() {
            return Err(WireError::OffHost { address: place });
        }
        match reach(place, until).and_then(|socket| prove(socket, place, me, &Side::Dialler, until)) {
            Err(error) if !error.is_final() => failed = error,
            done => return done,
        }
    }
    Err(failed)
}

fn reach(place: SocketAddr, until: Instant) -> Result<TcpStream, WireError> {
    let left = until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CONNECT);
    TcpStream::connect_timeout(&place, left).map_err(|source| WireError::Broken {
        address: place,
        doing: "connecting",
        source,
    })
}
