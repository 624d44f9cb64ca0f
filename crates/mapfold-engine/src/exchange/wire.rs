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
    /// The worker that sent them.
    pub from: u32,
    /// Bytes of its credit that they use up. It travels apart, so that it comes back even when the pieces are damaged.
    pub cost: u64,
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// What was wrong with the bytes that came. Timely's decoder has no way to say it.
    pub fault: Option<String>,
}

impl Records {
    /// Pieces to be sent by a worker.
    pub fn new(from: u32, pieces: Vec<Piece>) -> Records {
        let cost = pieces.iter().map(Piece::held).sum();
        Records { from, cost, pieces, fault: None }
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
        let mut bytes = Bytes::from_owner(Owned(bytes));
        let mut next = || number(&mut bytes).unwrap_or_default();
        let (from, cost) = (next() as u32, next());
        match read(bytes) {
            Ok(pieces) => Records { from, cost, pieces, fault: None },
            Err(e) => Records { from, cost, pieces: Vec::new(), fault: Some(e.to_string()) },
        }
    }

    fn length_in_bytes(&self) -> usize {
        24 + self.pieces.iter().map(|p| 16 + up8(length(p))).sum::<usize>()
    }

    fn into_bytes<W: Write>(&self, w: &mut W) {
        let mut write = |bytes: &[u8]| w.write_all(bytes).expect("timely gives room for length_in_bytes");
        [u64::from(self.from), self.cost, self.pieces.len() as u64].iter().for_each(|n| write(&n.to_le_bytes()));
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

/// The worker of a partition.
pub fn owner(partition: u32, workers: usize) -> usize {
    partition as usize % workers
}

/// Sends pieces to the worker of their partition. A message has pieces for one worker only (`outbox`).
pub struct ByPartition;

impl Distributor<Records> for ByPartition {
    fn partition<T: Clone, P: Push<Message<T, Records>>>(
        &mut self,
        records: &mut Records,
        time: &T,
        pushers: &mut [P],
    ) {
        let Some(to) = records.pieces.first().map(|p| owner(p.origin().partition, pushers.len())) else { return };
        Message::push_at(records, time.clone(), &mut pushers[to]);
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
        Records::new(7, vec![held, Piece(PieceAt::Stored(stored))])
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
        let mut arrived = arrive(wire);
        assert_eq!((arrived.from, arrived.cost), (7, sent.cost));
        let got = arrived.take().unwrap();
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
        wire[116] ^= 1;
        let mut arrived = arrive(wire.clone());
        assert!(arrived.take().unwrap_err().to_string().contains("damaged"));
        assert_eq!(arrived.cost, sent().cost, "the credit comes back all the same");
        assert!(arrive(wire[..50].to_vec()).take().is_err());
    }
}
