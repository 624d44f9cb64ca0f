//! A segment: records of one (exchange, partition, split, attempt) in flat buffers.
//!
//! ```text
//! header   64 bytes, little endian (`Header`)
//! ends     u32 per record: where each key ends; left out when all keys have one width
//! ends     the same for values
//! keys     the bytes of all keys, one behind the other
//! values   the same for values
//! ```
//! The place of a record is its sequence: record `i` is number `first_seq + i` of what its split put into its
//! partition (in a sorted segment that holds among equal keys). So an order needs no column of its own, and a record of
//! 100 bytes costs 100 bytes. Reading copies nothing: keys and values are slices of the buffer, which may be a message,
//! a part of a file or heap.
//!
//! A segment from elsewhere is checked whole before its first record is read: lengths, ends and an XXH3 checksum.
//! Damaged bytes give an error, never a panic and never other records.
//!
//! Deliberately absent: compression, types, and any knowledge of where the bytes come from.

use crate::{Error, Result};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of a header.
pub(crate) const HEADER: usize = 64;
/// Largest key or value, in bytes: ends are 32-bit numbers.
pub const MAX_ITEM: usize = 1 << 30;

const MAGIC: [u8; 4] = *b"mfsg";
const VERSION: u8 = 1;
const SORTED: u8 = 1;
const FIXED_KEYS: u8 = 2;
const FIXED_VALUES: u8 = 4;

/// Whose records a segment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// Exchange of the plan.
    pub exchange: u32,
    /// Partition of the exchange.
    pub partition: u32,
    /// The split that put the records.
    pub split: u64,
    /// Its attempt.
    pub attempt: u32,
}

/// What is known of a segment before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    origin: Origin,
    rows: u32,
    first_seq: u64,
    sorted: bool,
    keys: Shape,
    values: Shape,
}

/// How the keys (or values) of a segment lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Width of each, when all have one.
    width: Option<u32>,
    /// Bytes of all.
    bytes: u32,
}

impl Shape {
    fn ends(&self, rows: u32) -> usize {
        if self.width.is_some() { 0 } else { rows as usize * 4 }
    }
}

impl Header {
    /// Bytes of the segment.
    fn len(&self) -> usize {
        let ends = self.keys.ends(self.rows) + self.values.ends(self.rows);
        HEADER + ends + self.keys.bytes as usize + self.values.bytes as usize
    }

    /// The header but for the checksum, which comes last.
    fn encode(&self) -> [u8; HEADER - 8] {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = flag(self.sorted, SORTED)
            | flag(self.keys.width.is_some(), FIXED_KEYS)
            | flag(self.values.width.is_some(), FIXED_VALUES);
        let mut out = [0; HEADER - 8];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&[VERSION, flags, 0, 0]);
        put(&self.origin.exchange.to_le_bytes());
        put(&self.origin.partition.to_le_bytes());
        put(&self.origin.split.to_le_bytes());
        put(&self.origin.attempt.to_le_bytes());
        put(&self.rows.to_le_bytes());
        put(&self.first_seq.to_le_bytes());
        put(&self.keys.width.unwrap_or(0).to_le_bytes());
        put(&self.values.width.unwrap_or(0).to_le_bytes());
        put(&self.keys.bytes.to_le_bytes());
        put(&self.values.bytes.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Header> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let flags = head[5];
        let known = flags & !(SORTED | FIXED_KEYS | FIXED_VALUES) == 0 && head[6..8] == [0, 0];
        if head[..4] != MAGIC || head[4] != VERSION || !known {
            return None;
        }
        let shape = |bit: u8, width: u32, bytes: u32| Shape { width: (flags & bit != 0).then_some(width), bytes };
        Some(Header {
            origin: Origin { exchange: u32_at(8), partition: u32_at(12), split: u64_at(16), attempt: u32_at(24) },
            rows: u32_at(28),
            first_seq: u64_at(32),
            sorted: flags & SORTED != 0,
            keys: shape(FIXED_KEYS, u32_at(40), u32_at(48)),
            values: shape(FIXED_VALUES, u32_at(44), u32_at(52)),
        })
    }
}

fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Xxh3::new();
    parts.into_iter().for_each(|p| hash.update(p));
    hash.digest()
}

/// Records in flat buffers. Cloning copies references.
///
/// ```
/// use mapfold_plan::exchange::{Origin, Segment, SegmentBuf};
/// let mut buf = SegmentBuf::default();
/// buf.push(b"b", b"first").unwrap();
/// buf.push(b"a", b"second").unwrap();
/// let sealed = buf.seal(Origin::default(), 0, false);
/// let read = Segment::decode(sealed.to_bytes()).unwrap();
/// assert_eq!((read.rows(), read.key(0), read.value(1)), (2, &b"b"[..], &b"second"[..]));
/// ```
#[derive(Clone)]
pub struct Segment {
    head: Header,
    keys: Items,
    values: Items,
}

/// All keys, or all values. Those of a segment that was read are slices of one buffer; those of one that was filled are
/// the buffers that were filled.
#[derive(Clone)]
struct Items {
    width: Option<usize>,
    ends: Bytes,
    bytes: Bytes,
}

impl Items {
    fn new(shape: Shape, ends: Bytes, bytes: Bytes) -> Items {
        Items { width: shape.width.map(|w| w as usize), ends, bytes }
    }

    #[inline]
    fn end(&self, row: usize) -> usize {
        let b = &self.ends[row * 4..row * 4 + 4];
        u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize
    }

    #[inline]
    fn get(&self, row: u32) -> &[u8] {
        let row = row as usize;
        if let Some(width) = self.width {
            return &self.bytes[row * width..][..width];
        }
        let from = if row == 0 { 0 } else { self.end(row - 1) };
        &self.bytes[from..self.end(row)]
    }

    /// Whether ends rise and the last one is the end.
    fn is_whole(&self, rows: u32) -> bool {
        if let Some(width) = self.width {
            return width as u64 * u64::from(rows) == self.bytes.len() as u64;
        }
        let rises = (1..rows as usize).all(|row| self.end(row - 1) <= self.end(row));
        let last = (rows as usize).checked_sub(1).map_or(0, |row| self.end(row));
        rises && last == self.bytes.len()
    }
}

impl Segment {
    /// Checks bytes and makes a segment of them, without a copy.
    ///
    /// # Errors
    /// When they are not exactly one whole, undamaged segment.
    pub fn decode(bytes: Bytes) -> Result<Segment> {
        let bad = |what: &str| Error::job(format!("exchanged records are damaged: {what}"));
        let head = Header::decode(&bytes).ok_or_else(|| bad("not a segment of this version"))?;
        if bytes.len() != head.len() {
            return Err(bad(&format!("{} bytes where the header says {}", bytes.len(), head.len())));
        }
        let (start, body) = (&bytes[..HEADER - 8], &bytes[HEADER..]);
        if checksum([start, body]).to_le_bytes() != bytes[HEADER - 8..HEADER] {
            return Err(bad("wrong checksum"));
        }
        let mut rest = bytes;
        drop(rest.split_to(HEADER));
        let (key_ends, value_ends) = (head.keys.ends(head.rows), head.values.ends(head.rows));
        let [key_ends, value_ends, keys] = [key_ends, value_ends, head.keys.bytes as usize].map(|n| rest.split_to(n));
        let (keys, values) = (Items::new(head.keys, key_ends, keys), Items::new(head.values, value_ends, rest));
        let whole = keys.is_whole(head.rows) && values.is_whole(head.rows);
        if whole { Ok(Segment { head, keys, values }) } else { Err(bad("records reach beyond the end")) }
    }

    /// The key of a row below [`Segment::rows`].
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn key(&self, row: u32) -> &[u8] {
        self.keys.get(row)
    }

    /// The value of a row below [`Segment::rows`].
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn value(&self, row: u32) -> &[u8] {
        self.values.get(row)
    }

    /// Number of records.
    pub fn rows(&self) -> u32 {
        self.head.rows
    }

    /// Whose records these are.
    pub fn origin(&self) -> Origin {
        self.head.origin
    }

    /// Number of the first record among what its split put into its partition.
    pub fn first_seq(&self) -> u64 {
        self.head.first_seq
    }

    /// Whether keys ascend.
    pub fn is_sorted(&self) -> bool {
        self.head.sorted
    }

    /// Width of every key, when they have one.
    pub(crate) fn key_width(&self) -> Option<usize> {
        self.keys.width
    }

    /// Bytes of the segment.
    pub fn len(&self) -> u64 {
        self.head.len() as u64
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.head.rows == 0
    }

    /// Hands the bytes of the segment to `write`, in pieces that follow each other. The checksum is made here: records
    /// that never leave the process need none.
    pub fn write<O>(&self, write: impl FnOnce(&[&[u8]]) -> O) -> O {
        let start = self.head.encode();
        let (keys, values) = (&self.keys, &self.values);
        let hash = checksum([&start[..], &keys.ends, &values.ends, &keys.bytes, &values.bytes]).to_le_bytes();
        write(&[&start, &hash, &keys.ends, &values.ends, &keys.bytes, &values.bytes])
    }

    /// The bytes of the segment in one buffer.
    pub fn to_bytes(&self) -> Bytes {
        self.write(|parts| parts.concat()).into()
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({} rows of {:?} from {})", self.head.rows, self.head.origin, self.head.first_seq)
    }
}

/// Keys, or values, of a segment that is being filled.
#[derive(Default)]
struct Column {
    bytes: Vec<u8>,
    /// Empty while all items have the width of the first.
    ends: Vec<u32>,
    width: u32,
    varied: bool,
}

impl Column {
    #[inline]
    fn push(&mut self, item: &[u8], rows: u32) {
        if !self.varied && item.len() != self.width as usize {
            self.vary(item.len() as u32, rows);
        }
        self.bytes.extend_from_slice(item);
        if self.varied {
            self.ends.push(self.bytes.len() as u32);
        }
    }

    /// The first item says the width; the first of another width ends that.
    #[cold]
    fn vary(&mut self, len: u32, rows: u32) {
        if rows == 0 {
            self.width = len;
            return;
        }
        self.varied = true;
        self.ends.extend((1..=rows).map(|row| row * self.width));
    }

    fn held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }

    fn shape(&self) -> Shape {
        Shape { width: (!self.varied).then_some(self.width), bytes: self.bytes.len() as u32 }
    }

    /// The items so far, in the memory that they were put into; the next ones get as much.
    fn seal(&mut self) -> Items {
        let (shape, room) = (self.shape(), self.bytes.capacity());
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() - bytes.len() > bytes.len() / 8 {
            bytes.shrink_to_fit();
        } else {
            self.bytes.reserve_exact(room);
        }
        let ends = self.ends.iter().flat_map(|e| e.to_le_bytes()).collect::<Vec<u8>>();
        self.ends.clear();
        (self.width, self.varied) = (0, false);
        Items::new(shape, ends.into(), bytes.into())
    }
}

/// A segment that is being filled.
#[derive(Default)]
pub struct SegmentBuf {
    rows: u32,
    keys: Column,
    values: Column,
}

impl SegmentBuf {
    /// Adds a record.
    ///
    /// # Errors
    /// When key or value is larger than [`MAX_ITEM`].
    #[inline]
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if key.len().max(value.len()) > MAX_ITEM {
            return Err(too_large(key, value));
        }
        self.keys.push(key, self.rows);
        self.values.push(value, self.rows);
        self.rows += 1;
        Ok(())
    }

    /// Number of records so far.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Bytes of keys and values so far.
    #[inline]
    pub fn data(&self) -> usize {
        self.keys.bytes.len() + self.values.bytes.len()
    }

    /// Bytes of memory held.
    pub fn held(&self) -> u64 {
        (self.keys.held() + self.values.held()) as u64
    }

    fn header(&self, origin: Origin, first_seq: u64, sorted: bool) -> Header {
        let (keys, values) = (self.keys.shape(), self.values.shape());
        Header { origin, rows: self.rows, first_seq, sorted, keys, values }
    }

    /// The records so far as a segment, without a copy; the buffer is empty then.
    pub fn seal(&mut self, origin: Origin, first_seq: u64, sorted: bool) -> Segment {
        let head = self.header(origin, first_seq, sorted);
        self.rows = 0;
        Segment { head, keys: self.keys.seal(), values: self.values.seal() }
    }
}

#[cold]
pub(crate) fn too_large(key: &[u8], value: &[u8]) -> Error {
    let most = MAX_ITEM >> 20;
    let what =
        format!("a record has a key of {} and a value of {} bytes; each may have {most} MiB", key.len(), value.len());
    Error::job(what).with_remedy("cut large values into pieces")
}
