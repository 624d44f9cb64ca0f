//! What travels through timely's exchange: pieces of segments, routed by their partition.
//!
//! Between workers a piece in memory is its segment's own bytes; the receiver reads them where they arrived, in the
//! slab, without a copy. A piece in a file travels as its record. The map side has partitioned already, so a piece is
//! routed whole.

use bytes::Bytes;
use mapfold_plan::Error;
use mapfold_plan::exchange::{Piece, PieceAt, Segment};
use std::io::Write;
use timely::Accountable;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};

/// Pieces on their way to their partitions.
#[derive(Clone, Default, Debug)]
pub struct Records {
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// What was wrong with the bytes that came. Timely's decoder has no way to say it.
    pub fault: Option<String>,
}

impl Records {
    /// Pieces to be sent.
    pub fn new(pieces: Vec<Piece>) -> Records {
        Records { pieces, fault: None }
    }

    /// The pieces.
    ///
    /// # Errors
    /// When they did not arrive as they were sent.
    pub fn take(&mut self) -> Result<Vec<Piece>, Error> {
        match self.fault.take() {
            Some(fault) => Err(Error::job(fault)),
            None => Ok(std::mem::take(&mut self.pieces)),
        }
    }
}

/// Kinds of a piece on the wire.
const HELD: u64 = 0;
const STORED: u64 = 1;

fn up8(n: usize) -> usize {
    n.next_multiple_of(8)
}

/// Hands kind, length and bytes of a piece to `write`.
fn encode<O>(piece: &Piece, write: impl FnOnce(u64, usize, &[&[u8]]) -> O) -> O {
    match &piece.0 {
        PieceAt::Held(segment) => segment.write(|parts| write(HELD, segment.len() as usize, parts)),
        PieceAt::Stored(s) => {
            let record = postcard::to_stdvec(s).unwrap_or_default();
            write(STORED, record.len(), &[&record])
        }
    }
}

/// Bytes of a piece.
fn length(piece: &Piece) -> usize {
    match &piece.0 {
        PieceAt::Held(segment) => segment.len() as usize,
        PieceAt::Stored(_) => encode(piece, |_, len, _| len),
    }
}

fn decode(kind: u64, body: Bytes) -> Result<Piece, Error> {
    match kind {
        HELD => Ok(Piece(PieceAt::Held(Segment::decode(body)?))),
        _ => Ok(Piece(PieceAt::Stored(postcard::from_bytes(&body)?))),
    }
}

impl Accountable for Records {
    fn record_count(&self) -> i64 {
        self.pieces.iter().map(|p| i64::from(p.rows())).sum()
    }
}

struct Owned(timely::bytes::arc::Bytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes `n` bytes off the front.
fn take(bytes: &mut Bytes, n: u64) -> Result<Bytes, Error> {
    if bytes.len() as u64 >= n {
        Ok(bytes.split_to(n as usize))
    } else {
        Err(Error::job("a message of the exchange is cut short"))
    }
}

fn number(bytes: &mut Bytes) -> Result<u64, Error> {
    Ok(take(bytes, 8)?.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn read(mut bytes: Bytes) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    for _ in 0..number(&mut bytes)? {
        let (kind, len) = (number(&mut bytes)?, number(&mut bytes)?);
        let body = take(&mut bytes, len)?;
        take(&mut bytes, up8(len as usize) as u64 - len)?;
        pieces.push(decode(kind, body)?);
    }
    Ok(pieces)
}

impl ContainerBytes for Records {
    fn from_bytes(bytes: timely::bytes::arc::Bytes) -> Self {
        match read(Bytes::from_owner(Owned(bytes))) {
            Ok(pieces) => Records::new(pieces),
            Err(e) => Records { pieces: Vec::new(), fault: Some(e.to_string()) },
        }
    }

    fn length_in_bytes(&self) -> usize {
        8 + self.pieces.iter().map(|p| 16 + up8(length(p))).sum::<usize>()
    }

    fn into_bytes<W: Write>(&self, w: &mut W) {
        let mut write = |bytes: &[u8]| w.write_all(bytes).expect("timely gives room for length_in_bytes");
        write(&(self.pieces.len() as u64).to_le_bytes());
        for piece in &self.pieces {
            encode(piece, |kind, len, parts| {
                write(&kind.to_le_bytes());
                write(&(len as u64).to_le_bytes());
                parts.iter().for_each(|part| write(part));
                write(&[0; 8][..up8(len) - len]);
            });
        }
    }
}

/// Bytes of a message, about: larger ones would make slabs that never shrink.
const MESSAGE: u64 = 4 << 20;

/// Sends a piece to the worker of its partition: `partition % workers`.
pub struct ByPartition;

impl Distributor<Records> for ByPartition {
    fn partition<T: Clone, P: Push<Message<T, Records>>>(
        &mut self,
        records: &mut Records,
        time: &T,
        pushers: &mut [P],
    ) {
        let peers = pushers.len();
        let mut per_worker: Vec<(Vec<Piece>, u64)> = vec![Default::default(); peers];
        for piece in std::mem::take(&mut records.pieces) {
            let worker = piece.origin().partition as usize % peers;
            let (pieces, bytes) = &mut per_worker[worker];
            *bytes += piece.held();
            pieces.push(piece);
            if *bytes >= MESSAGE {
                *bytes = 0;
                Message::push_at(&mut Records::new(std::mem::take(pieces)), time.clone(), &mut pushers[worker]);
            }
        }
        for ((pieces, _), pusher) in per_worker.into_iter().zip(pushers) {
            if !pieces.is_empty() {
                Message::push_at(&mut Records::new(pieces), time.clone(), pusher);
            }
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Records>>>(&mut self, _: &T, _: &mut [P]) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mapfold_plan::exchange::{Origin, SegmentBuf, Stored};

    fn sent() -> Records {
        let mut buf = SegmentBuf::default();
        buf.push(b"a", b"1").unwrap();
        buf.push(b"bcd", b"").unwrap();
        let origin = Origin { partition: 3, split: 9, ..Origin::default() };
        let held = Piece(PieceAt::Held(buf.seal(origin, 4, false)));
        let stored = Stored { origin, first_seq: 6, rows: 7, file: "exchange-0".into(), offset: 8, len: 99 };
        Records::new(vec![held, Piece(PieceAt::Stored(stored))])
    }

    fn arrive(wire: Vec<u8>) -> Records {
        let mut slab = timely::bytes::arc::BytesMut::from(wire);
        let n = slab.len();
        Records::from_bytes(slab.extract_to(n))
    }

    #[test]
    fn pieces_survive_the_wire() {
        let (sent, mut wire) = (sent(), Vec::new());
        sent.into_bytes(&mut wire);
        assert_eq!(wire.len(), sent.length_in_bytes());
        let got = arrive(wire).take().unwrap();
        let PieceAt::Held(segment) = &got[0].0 else { panic!("{got:?}") };
        assert_eq!(
            (segment.rows(), segment.first_seq(), segment.key(1), segment.value(0)),
            (2, 4, &b"bcd"[..], &b"1"[..])
        );
        assert_eq!(got[1].stored(), sent.pieces[1].stored());
    }

    #[test]
    fn damage_on_the_wire_is_a_fault_and_no_panic() {
        let mut wire = Vec::new();
        sent().into_bytes(&mut wire);
        wire[100] ^= 1;
        assert!(arrive(wire.clone()).take().unwrap_err().to_string().contains("damaged"));
        assert!(arrive(wire[..50].to_vec()).take().is_err());
    }
}
