//! A proven connection: plain TCP, or TLS that a reader and a writer can use at the same time.
//!
//! A TLS session is one state for both directions, but a thread that waits for bytes must not keep another from
//! sending. So the session's lock is never held during a system call: raw bytes are read without it and then given to
//! the session, and a lock of their own keeps encrypted records in order on their way out.

use crate::budget::Budgeted;
use crate::error::WireError;
use crate::facts::{Cover, Facts, Identity};
use crate::handshake::{as_dialler, as_listener};
use crate::tls;
use rustix::net::sockopt;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Raw bytes that are read, and plain bytes that are encrypted, at a time.
const PIECE: usize = 64 * 1024;
/// A host that has gone without a word is found after this.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// The other end of a proven connection.
pub struct Peer {
    /// What it said of itself; fits what was said here.
    pub facts: Facts,
    /// Where it is.
    pub address: SocketAddr,
    /// The connection.
    pub conn: Conn,
}

/// A proven connection. Clones share it; one of them may read while another writes.
#[derive(Clone)]
pub struct Conn {
    socket: Arc<TcpStream>,
    session: Option<Arc<Session>>,
}

struct Session {
    tls: Mutex<rustls::Connection>,
    /// Held while encrypted records are taken from the session and sent, so that they stay in order.
    sending: Mutex<()>,
    received: Mutex<Raw>,
}

/// Bytes from the socket that the session has not seen yet.
struct Raw {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

/// No code of ours panics under these locks, and if it did the session would notice by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Conn {
    /// The address of this end: by it the other end's host can reach this one.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn here(&self) -> Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Makes blocking calls return at once (or block again). Not to be used under TLS while something is sent.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    /// How long a read may wait; `None` for ever.
    ///
    /// # Errors
    /// Those of the socket; a limit of zero.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.socket.set_read_timeout(limit)
    }

    /// How long a write may wait; `None` for ever. After a write that was cut off the connection is of no more use.
    ///
    /// # Errors
    /// Those of the socket; a limit of zero.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.socket.set_write_timeout(limit)
    }

    /// Closes one direction or both; a reader or writer that waits wakes up.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if let Some(session) = &self.session
            && how != Shutdown::Read
        {
            lock(&session.tls).send_close_notify(); // the other end can tell this from a cut line
            let said = self.drain(session);
            return self.socket.shutdown(how).and(said);
        }
        self.socket.shutdown(how)
    }

    /// Sends what the session has encrypted so far.
    fn drain(&self, session: &Session) -> Result<()> {
        let _order = lock(&session.sending);
        let mut out = Vec::new();
        let mut tls = lock(&session.tls);
        while tls.wants_write() {
            tls.write_tls(&mut out)?;
        }
        drop(tls);
        (&*self.socket).write_all(&out)
    }

    /// Gives the session a piece of what came, or news of the end.
    fn feed(&self, session: &Session, raw: &mut Raw) -> Result<()> {
        if raw.from == raw.to {
            (raw.from, raw.to) = (0, 0);
            raw.to = (&*self.socket).read(&mut raw.bytes)?; // waits, without the session's lock
        }
        let mut tls = lock(&session.tls);
        let mut piece = &raw.bytes[raw.from..raw.to];
        raw.from += tls.read_tls(&mut piece)?; // of an empty piece: the end
        tls.process_new_packets().map_err(|e| std::io::Error::new(ErrorKind::InvalidData, e))?;
        let reply = tls.wants_write();
        drop(tls);
        if reply { self.drain(session) } else { Ok(()) }
    }
}

impl Read for Conn {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let Some(session) = &self.session else { return (&*self.socket).read(into) };
        let mut raw = lock(&session.received);
        loop {
            match lock(&session.tls).reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.feed(session, &mut raw)?;
        }
    }
}

impl Write for Conn {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        let Some(session) = &self.session else { return (&*self.socket).write(from) };
        let n = lock(&session.tls).writer().write(&from[..from.len().min(PIECE)])?;
        self.drain(session)?;
        Ok(n)
    }

    fn flush(&mut self) -> Result<()> {
        match &self.session {
            Some(session) => self.drain(session),
            None => Ok(()),
        }
    }
}

/// Which end of a handshake this is.
pub(crate) enum Side<'a> {
    Dialler,
    Listener(Option<&'a tls::Server>),
}

/// Makes a proven connection of a socket, or says why not. `until` ends it earlier than its own limit.
pub(crate) fn prove(
    socket: TcpStream,
    address: SocketAddr,
    me: &Identity,
    side: &Side<'_>,
    until: Instant,
) -> std::result::Result<Peer, WireError> {
    let broken = |doing| move |source| WireError::Broken { address, doing, source };
    tune(&socket).map_err(broken("setting up the socket"))?;
    let mut io = Budgeted::new(&socket, until);
    let (facts, tls) = match me.cover {
        Cover::Plain => (shake(&mut io, address, me, side, &[0; 32])?, None),
        Cover::Tls => under_tls(&mut io, address, me, side).map(|(facts, tls)| (facts, Some(tls)))?,
    };
    io.lift().map_err(broken("setting up the socket"))?;
    if let Some(mismatch) = me.facts.differs(&facts) {
        return Err(WireError::Unfit { who: facts.who, address, mismatch });
    }
    let session = tls.map(|tls| Arc::new(Session::new(tls)));
    Ok(Peer { facts, address, conn: Conn { socket: Arc::new(socket), session } })
}

fn shake(
    io: &mut (impl Read + Write),
    address: SocketAddr,
    me: &Identity,
    side: &Side<'_>,
    binding: &[u8; 32],
) -> std::result::Result<Facts, WireError> {
    match side {
        Side::Dialler => as_dialler(io, address, me, binding),
        Side::Listener(_) => as_listener(io, address, me, binding),
    }
}

fn under_tls(
    io: &mut Budgeted<'_>,
    address: SocketAddr,
    me: &Identity,
    side: &Side<'_>,
) -> std::result::Result<(Facts, rustls::Connection), WireError> {
    let failed = |source| WireError::Tls { address, source };
    let mut tls = match side {
        Side::Listener(Some(server)) => server.connection(),
        Side::Listener(None) => Err(rustls::Error::General("this listener has no key".to_owned())),
        Side::Dialler => tls::client(),
    }
    .map_err(failed)?;
    while tls.is_handshaking() {
        tls.complete_io(io).map_err(|source| WireError::Broken { address, doing: "agreeing on TLS", source })?;
    }
    let binding = tls::binding(&tls).map_err(failed)?;
    let facts = shake(&mut tls::Within { tls: &mut tls, io }, address, me, side, &binding)?;
    Ok((facts, tls))
}

impl Session {
    fn new(mut tls: rustls::Connection) -> Session {
        tls.set_buffer_limit(None); // each writer adds at most a piece and then sends it
        let raw = Raw { bytes: vec![0; PIECE], from: 0, to: 0 };
        Session { tls: Mutex::new(tls), sending: Mutex::new(()), received: Mutex::new(raw) }
    }
}

/// Small messages at once; and a host that is gone without closing is noticed, which TCP by itself does not do.
fn tune(socket: &TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, GONE_AFTER / 3)?;
    sockopt::set_tcp_keepintvl(socket, GONE_AFTER / 6)?;
    sockopt::set_tcp_keepcnt(socket, 4)?;
    sockopt::set_tcp_user_timeout(socket, GONE_AFTER.as_millis() as u32)?;
    Ok(())
}
