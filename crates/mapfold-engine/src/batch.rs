//! What travels through timely's exchange: Arrow batches, each with its partition.
//!
//! Between workers a batch is arrow-ipc (8-byte padded); the reader is a zero-copy view into the receive slab. A
//! batch is routed whole, because the map side has partitioned already.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use std::cell::OnceCell;
use std::io::Write;
use timely::Accountable;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};

/// Batches on their way to their partitions.
#[derive(Clone, Default)]
pub struct Records {
    /// Partition and records.
    pub parts: Vec<(u32, RecordBatch)>,
    ipc: OnceCell<Vec<Vec<u8>>>,
}

impl Records {
    /// Records to be sent.
    pub fn new(parts: Vec<(u32, RecordBatch)>) -> Records {
        Records { parts, ipc: OnceCell::new() }
    }

    fn encoded(&self) -> &[Vec<u8>] {
        self.ipc.get_or_init(|| self.parts.iter().map(|(_, b)| encode(b)).collect())
    }
}

fn encode(batch: &RecordBatch) -> Vec<u8> {
    let room = Vec::with_capacity(batch.get_array_memory_size() + 1024);
    let write = || -> Result<Vec<u8>, arrow_schema::ArrowError> {
        let mut w = arrow_ipc::writer::StreamWriter::try_new(room, &batch.schema())?;
        w.write(batch)?;
        w.finish()?;
        w.into_inner()
    };
    write().expect("a batch of two binary and two number columns encodes into memory")
}

fn up8(n: usize) -> usize {
    n.next_multiple_of(8)
}

impl Accountable for Records {
    fn record_count(&self) -> i64 {
        self.parts.iter().map(|(_, b)| b.num_rows() as i64).sum()
    }
}

struct Owned(timely::bytes::arc::Bytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ContainerBytes for Records {
    fn from_bytes(bytes: timely::bytes::arc::Bytes) -> Self {
        let buffer = Buffer::from(bytes::Bytes::from_owner(Owned(bytes)));
        let number = |at: usize| u64::from_le_bytes(buffer[at..at + 8].try_into().expect("8 bytes")) as usize;
        let (mut at, mut parts) = (8, Vec::new());
        for _ in 0..number(0) {
            let (partition, len) = (number(at) as u32, number(at + 8));
            let mut body = buffer.slice_with_length(at + 16, len);
            let mut decoder = arrow_ipc::reader::StreamDecoder::new();
            let batch = decoder.decode(&mut body).ok().flatten().expect("what `into_bytes` wrote");
            parts.push((partition, batch));
            at += 16 + up8(len);
        }
        Records::new(parts)
    }

    fn length_in_bytes(&self) -> usize {
        8 + self.encoded().iter().map(|b| 16 + up8(b.len())).sum::<usize>()
    }

    fn into_bytes<W: Write>(&self, w: &mut W) {
        let mut write = |bytes: &[u8]| w.write_all(bytes).expect("timely gives room for length_in_bytes");
        write(&(self.parts.len() as u64).to_le_bytes());
        for ((partition, _), body) in self.parts.iter().zip(self.encoded()) {
            write(&u64::from(*partition).to_le_bytes());
            write(&(body.len() as u64).to_le_bytes());
            write(body);
            write(&[0; 8][..up8(body.len()) - body.len()]);
        }
    }
}

/// Sends a batch to the worker of its partition: `partition % workers`.
pub struct ByPartition;

impl Distributor<Records> for ByPartition {
    fn partition<T: Clone, P: Push<Message<T, Records>>>(
        &mut self,
        records: &mut Records,
        time: &T,
        pushers: &mut [P],
    ) {
        let peers = pushers.len();
        let mut per_worker: Vec<Vec<(u32, RecordBatch)>> = vec![Vec::new(); peers];
        for (partition, batch) in std::mem::take(&mut records.parts) {
            per_worker[partition as usize % peers].push((partition, batch));
        }
        for (parts, pusher) in per_worker.into_iter().zip(pushers) {
            if !parts.is_empty() {
                Message::push_at(&mut Records::new(parts), time.clone(), pusher);
            }
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Records>>>(&mut self, _: &T, _: &mut [P]) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow_array::{BinaryArray, UInt32Array, UInt64Array};
    use std::sync::Arc;

    #[test]
    fn records_survive_the_wire() {
        let keys = BinaryArray::from_iter_values([b"a".as_slice(), b"bcd"]);
        let batch = RecordBatch::try_new(
            mapfold_plan::shuffle_schema(),
            vec![
                Arc::new(keys.clone()),
                Arc::new(UInt64Array::from(vec![1, 2])),
                Arc::new(UInt32Array::from(vec![0, 1])),
                Arc::new(keys),
            ],
        )
        .unwrap();
        let sent = Records::new(vec![(3, batch.clone()), (9, batch)]);
        let mut wire = Vec::new();
        sent.into_bytes(&mut wire);
        assert_eq!(wire.len(), sent.length_in_bytes());
        let mut slab = timely::bytes::arc::BytesMut::from(wire);
        let n = slab.len();
        let got = Records::from_bytes(slab.extract_to(n));
        assert_eq!(got.parts, sent.parts);
    }
}
