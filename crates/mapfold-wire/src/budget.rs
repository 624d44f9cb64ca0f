//! A socket that may be used for so long and for so many bytes, and no more.
//!
//! A limit per read does not stop a peer that sends a byte every four seconds; a limit for the whole handshake does.
//! The limit on bytes is for TLS, whose messages have lengths that the other end chooses.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What one handshake may take.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// A plain handshake reads 118 bytes at most, one under TLS about 500.
const HANDSHAKE_BYTES: usize = 16 * 1024;

/// The socket of a connection that is not proven yet.
pub(crate) struct Budgeted<'a> {
    socket: &'a TcpStream,
    until: Instant,
    bytes: Cell<usize>,
}

impl<'a> Budgeted<'a> {
    pub(crate) fn new(socket: &'a TcpStream, until: Instant) -> Budgeted<'a> {
        Budgeted { socket, until: until.min(Instant::now() + HANDSHAKE_TIME), bytes: Cell::new(HANDSHAKE_BYTES) }
    }

    fn left(&self) -> Result<Option<Duration>> {
        match self.until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Error::new(ErrorKind::TimedOut, "the handshake took too long")),
        }
    }

    /// Takes the limits off again.
    pub(crate) fn lift(self) -> Result<()> {
        self.socket.set_read_timeout(None)?;
        self.socket.set_write_timeout(None)
    }
}

/// The system calls a limit that was reached "would block"; say what it means.
fn named(error: Error) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock => Error::new(ErrorKind::TimedOut, "the handshake took too long"),
        _ => error,
    }
}

impl Read for Budgeted<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let room = into.len().min(self.bytes.get());
        if room == 0 && !into.is_empty() {
            return Err(Error::new(ErrorKind::InvalidData, "the handshake is too long"));
        }
        self.socket.set_read_timeout(self.left()?)?;
        let n = self.socket.read(&mut into[..room]).map_err(named)?;
        self.bytes.set(self.bytes.get() - n);
        Ok(n)
    }
}

impl Write for Budgeted<'_> {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(from).map_err(named)
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What the receiving end makes of a peer that sends `piece` every few milliseconds until it is cut off.
    fn against(piece: &'static [u8], limit: Duration) -> (Vec<u8>, ErrorKind) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let sending = thread::spawn(move || {
            while peer.write_all(piece).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut got = Vec::new();
        let error = Budgeted::new(&socket, Instant::now() + limit).read_to_end(&mut got).unwrap_err();
        drop(socket);
        sending.join().unwrap();
        (got, error.kind())
    }

    /// Each single read is quick; all together are too long.
    #[test]
    fn a_peer_that_drips_is_cut_off_by_time() {
        let (got, error) = against(b"x", Duration::from_millis(200));
        assert_eq!(error, ErrorKind::TimedOut);
        assert!(got.len() > 1, "it was not for silence");
    }

    #[test]
    fn a_peer_that_pours_is_cut_off_by_bytes() {
        let (got, error) = against(&[b'x'; 5000], Duration::from_secs(60));
        assert_eq!((got.len(), error), (HANDSHAKE_BYTES, ErrorKind::InvalidData));
    }
}
