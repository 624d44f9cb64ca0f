//! The listening end.
//!
//! Each connection gets a thread, five seconds and a few kilobytes to prove itself; at most [`HANDSHAKES`] do so at a
//! time (`slots`). The thread that accepts never reads, so nobody can block it. What fails is counted, and told to the
//! log less and less often: a flood of bad connections must not become a flood of lines.

use crate::conn::{Peer, Side, prove};
use crate::error::WireError;
use crate::facts::{Cover, Identity};
use crate::slots::Slots;
use crate::tls;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections that may be in their handshake at a time.
pub const HANDSHAKES: usize = 64;

/// A socket that has its port but takes nobody in yet: its address can be told before facts are known.
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// On loopback, at a free port.
    ///
    /// # Errors
    /// [`WireError::Bind`].
    pub fn loopback() -> Result<Bound, WireError> {
        Bound::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// At an address of the user's choice; port 0 is a free one.
    ///
    /// # Errors
    /// [`WireError::Bind`].
    pub fn at(address: SocketAddr) -> Result<Bound, WireError> {
        let failed = |source| WireError::Bind { address, source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Bound { socket, address })
    }

    /// Where it is, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to take peers in.
    ///
    /// # Errors
    /// [`WireError::OffHost`] for an address beyond loopback without TLS; [`WireError::Bind`] if no thread can be had.
    pub fn listen(self, me: Identity) -> Result<Listener, WireError> {
        let address = self.address;
        if me.cover == Cover::Plain && !address.ip().is_loopback() {
            return Err(WireError::OffHost { address });
        }
        let tls = (me.cover == Cover::Tls).then(tls::Server::new).transpose();
        let tls = tls.map_err(|source| WireError::Tls { address, source })?;
        let (sender, peers) = channel();
        let shared = Arc::new(Shared { me, tls, slots: Slots::default(), tally: Tally::default(), stop: false.into() });
        let (door, socket) = (shared.clone(), self.socket);
        let accepting = std::thread::Builder::new().name("wire:accept".to_owned());
        accepting
            .spawn(move || accept(&socket, &door, &sender))
            .map_err(|source| WireError::Bind { address, source })?;
        Ok(Listener { address, shared, peers: Mutex::new(peers) })
    }
}

/// How connections to a listener ended so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Proven, and fit.
    pub accepted: u64,
    /// Proven, but of another job, generation, size or plan.
    pub unfit: u64,
    /// Not proven: junk, silence, another token, no resources.
    pub dropped: u64,
    /// Given up in favour of newer ones.
    pub displaced: u64,
}

#[derive(Default)]
struct Tally {
    accepted: AtomicU64,
    unfit: AtomicU64,
    dropped: AtomicU64,
    displaced: AtomicU64,
}

struct Shared {
    me: Identity,
    tls: Option<tls::Server>,
    slots: Slots,
    tally: Tally,
    stop: AtomicBool,
}

/// Takes peers in until it is dropped.
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    peers: Mutex<Receiver<Peer>>,
}

impl Listener {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next proven peer, or `None` when `until` has come. For one thread at a time: another waits for its turn.
    pub fn next(&self, until: Instant) -> Option<Peer> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }

    /// How connections ended so far.
    pub fn counts(&self) -> Counts {
        let t = &self.shared.tally;
        Counts {
            accepted: t.accepted.load(Relaxed),
            unfit: t.unfit.load(Relaxed),
            dropped: t.dropped.load(Relaxed),
            displaced: t.displaced.load(Relaxed),
        }
    }
}

impl Drop for Listener {
    /// The accepting thread is woken by a connection to itself, sees that it shall stop, and closes the socket.
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        let mut to = self.address;
        if to.ip().is_unspecified() {
            let here = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
            to.set_ip(here);
        }
        let _ = TcpStream::connect_timeout(&to, Duration::from_secs(1));
        self.shared.slots.clear();
    }
}

fn accept(socket: &TcpListener, shared: &Arc<Shared>, peers: &Sender<Peer>) {
    loop {
        let came = socket.accept();
        if shared.stop.load(Relaxed) {
            return;
        }
        match came {
            Ok((stream, from)) => admit(stream, from, shared, peers),
            Err(error) => {
                // Out of descriptors, most likely: those of handshakes come back within seconds.
                shared.dropped(&error);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn admit(stream: TcpStream, from: SocketAddr, shared: &Arc<Shared>, peers: &Sender<Peer>) {
    let handle = match stream.try_clone() {
        Ok(handle) => handle,
        Err(error) => return shared.dropped(&error),
    };
    let slot = shared.slots.enter(handle, HANDSHAKES);
    let (door, peers) = (shared.clone(), peers.clone());
    let thread = std::thread::Builder::new().name("wire:handshake".to_owned()).stack_size(256 * 1024);
    if let Err(error) = thread.spawn(move || door.handshake(stream, from, slot, &peers)) {
        shared.slots.leave(slot);
        shared.dropped(&error);
    }
}

impl Shared {
    fn handshake(&self, stream: TcpStream, from: SocketAddr, slot: u64, peers: &Sender<Peer>) {
        let until = Instant::now() + crate::budget::HANDSHAKE_TIME;
        // Nothing in there is known to panic; but a place that is never given back would be gone for good.
        let shaken =
            catch_unwind(AssertUnwindSafe(|| prove(stream, from, &self.me, &Side::Listener(self.tls.as_ref()), until)));
        let kept = self.slots.leave(slot);
        let Ok(proven) = shaken else { return self.dropped(&"the handshake panicked (please report this)") };
        match proven {
            _ if !kept => drop(self.tally.displaced.fetch_add(1, Relaxed)),
            Ok(peer) => {
                self.tally.accepted.fetch_add(1, Relaxed);
                let _ = peers.send(peer); // nobody listens any more: the connection closes
            }
            Err(error @ WireError::Unfit { .. }) => {
                self.tally.unfit.fetch_add(1, Relaxed);
                tracing::warn!("{error}");
            }
            Err(error) => self.dropped(&error),
        }
    }

    fn dropped(&self, why: &dyn std::fmt::Display) {
        let count = self.tally.dropped.fetch_add(1, Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!("dropped a connection ({count} so far): {why}");
        }
    }
}
