//! A proven connection as timely wants its sockets.

use mapfold_wire::Conn;
use std::io::{Read, Result, Write};
use std::net::Shutdown;
use timely::communication::allocator::zero_copy::stream::Stream;

/// Timely's trait and the wire's type are both foreign here, so a type of our own stands between.
pub(super) struct MeshStream(pub(super) Conn);

impl Read for MeshStream {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        self.0.read(into)
    }
}

impl Write for MeshStream {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        self.0.write(from)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

impl Stream for MeshStream {
    fn try_clone(&self) -> Result<MeshStream> {
        Ok(MeshStream(self.0.clone()))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.0.shutdown(how)
    }
}
