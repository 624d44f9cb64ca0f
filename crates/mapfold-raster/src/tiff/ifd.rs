//! Image file directories of classic and BigTIFF files, in either byte order, from anything that gives bytes.
//!
//! The parser is pure and does not trust the file: every count, offset and size is checked against the file's length
//! and against fixed limits before memory is taken, a chain of directories that bites its tail ends with an error,
//! and all values together may not be larger than the file. Values that lie outside their entry are asked for in one
//! call for all directories, so that a store can fetch them together.
//!
//! Deliberately absent: what the tags mean (see `image`, `geo`, `gdal`).

use super::fault::Fault;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Gives the bytes of a file's header.
pub(crate) trait HeaderBytes {
    /// Length of the file in bytes.
    fn size(&self) -> u64;
    /// The bytes of each range, all inside the file.
    fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Fault>;
}

/// A file that is already in memory.
impl HeaderBytes for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Fault> {
        Ok(ranges.iter().map(|r| self.slice(r.start as usize..r.end as usize)).collect())
    }
}

/// Entries of one directory; real files have some twenty.
const MAX_ENTRIES: u64 = 1024;
/// Directories looked at: a COG with masks has some twenty, a multi-page scan may have thousands (those are told of).
const MAX_IFDS: usize = 128;

/// Byte order and offset width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) big_endian: bool,
    pub(crate) big_tiff: bool,
}

impl Layout {
    /// An unsigned number of 1, 2, 4 or 8 bytes.
    pub(crate) fn uint(self, bytes: &[u8]) -> u64 {
        let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }
}

/// The values of one tag.
#[derive(Clone, Debug)]
struct Value {
    kind: u16,
    bytes: Bytes,
}

/// One directory: its tags by number.
#[derive(Clone, Debug)]
pub(crate) struct Ifd {
    layout: Layout,
    values: BTreeMap<u16, Value>,
}

/// A parsed header: the directories of the chain, in the file's order.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) layout: Layout,
    pub(crate) ifds: Vec<Ifd>,
    /// The chain went on after the last directory looked at.
    pub(crate) more: bool,
}

/// Bytes of one value of a TIFF type, `None` for types that are not known (their tags are skipped).
fn kind_size(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 | 17 | 18 => Some(8),
        _ => None,
    }
}

/// Reads all directories and the values of their tags.
pub(crate) fn parse(file: &mut dyn HeaderBytes) -> Result<Header, Fault> {
    let (layout, first) = parse_start(file)?;
    let mut walk = Walk { layout, seen: BTreeSet::new(), budget: file.size().saturating_add(1 << 20) };
    let (mut raw, mut next) = (Vec::new(), first);
    while next != 0 && raw.len() < MAX_IFDS {
        let (entries, after) = walk.directory(file, next, raw.len())?;
        raw.push(entries);
        next = after;
    }
    let ifds = load_values(file, layout, raw)?;
    Ok(Header { layout, ifds, more: next != 0 })
}

fn parse_start(file: &mut dyn HeaderBytes) -> Result<(Layout, u64), Fault> {
    let size = file.size();
    match size {
        0 => return Err(Fault::NotTiff("it is empty".into())),
        1..8 => return Err(Fault::NotTiff(format!("it has only {size} bytes"))),
        _ => {}
    }
    let head = read_one(file, 0..size.min(16))?;
    let big_endian = match &head[..2] {
        b"II" => false,
        b"MM" => true,
        _ => return Err(Fault::NotTiff(looks_like(&head))),
    };
    let classic = Layout { big_endian, big_tiff: false };
    match classic.uint(&head[2..4]) {
        42 => Ok((classic, classic.uint(&head[4..8]))),
        43 if head.len() == 16 && classic.uint(&head[4..8]) == if big_endian { 8 << 16 } else { 8 } => {
            Ok((Layout { big_tiff: true, ..classic }, classic.uint(&head[8..16])))
        }
        43 => Err(Fault::Damaged("its BigTIFF header is not complete".into())),
        n => Err(Fault::NotTiff(format!("its version number is {n}, not 42 or 43"))),
    }
}

/// What a file is, by its first bytes, as far as people hand it over under the name of a TIFF.
fn looks_like(head: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 13] = [
        (b"\x89PNG", "a PNG file"),
        (b"\xff\xd8\xff", "a JPEG file"),
        (b"\0\0\0\x0cjP", "a JPEG 2000 file"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 code stream"),
        (b"\x89HDF", "an HDF5 or NetCDF 4 file"),
        (b"CDF", "a NetCDF file"),
        (b"GRIB", "a GRIB file"),
        (b"PK\x03\x04", "a ZIP file"),
        (b"\x1f\x8b", "a gzip file"),
        (b"PAR1", "a Parquet file"),
        (b"%PDF", "a PDF file"),
        (b"RIFF", "a WebP file"),
        (b"<", "an HTML or XML page"),
    ];
    match KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, what)) => format!("it looks like {what}"),
        None => format!("it begins with \"{}\"", head[..head.len().min(4)].escape_ascii()),
    }
}

fn read_one(file: &mut dyn HeaderBytes, range: Range<u64>) -> Result<Bytes, Fault> {
    let got = file.read(std::slice::from_ref(&range))?;
    got.into_iter().next().ok_or_else(|| Fault::Damaged("no bytes came".into()))
}

/// One entry as it stands in the directory.
struct Entry {
    tag: u16,
    kind: u16,
    /// Bytes of the value.
    len: u64,
    /// The value itself when it fits, else `None` and `at`.
    inline: Option<Bytes>,
    at: u64,
}

struct Walk {
    layout: Layout,
    seen: BTreeSet<u64>,
    /// Bytes that values may still take: hostile entries may all point at one large range.
    budget: u64,
}

impl Walk {
    fn directory(&mut self, file: &mut dyn HeaderBytes, at: u64, index: usize) -> Result<(Vec<Entry>, u64), Fault> {
        if !self.seen.insert(at) {
            return Fault::damaged(format!("directory {index} is one that was read before (a loop)"));
        }
        let (count_len, entry_len, next_len) = if self.layout.big_tiff { (8, 20, 8) } else { (2, 12, 4) };
        let size = file.size();
        let beyond =
            || Fault::Damaged(format!("directory {index} at byte {at} lies beyond the file's end ({size} bytes)"));
        let body = at.checked_add(count_len).filter(|end| *end <= size).ok_or_else(beyond)?;
        let count = self.layout.uint(&read_one(file, at..body)?);
        if count == 0 || count > MAX_ENTRIES {
            return Fault::damaged(format!("directory {index} says it has {count} entries"));
        }
        let end = body + count * entry_len;
        if end > size {
            return Err(beyond());
        }
        // Some writers end the file without the pointer to the next directory: that is the end of the chain.
        let all = read_one(file, body..(end + next_len).min(size))?;
        let mut entries = Vec::with_capacity(count as usize);
        for i in 0..count as usize {
            let raw = all.slice(i * entry_len as usize..(i + 1) * entry_len as usize);
            entries.extend(self.entry(&raw, size)?);
        }
        let next = all.slice((count * entry_len) as usize..);
        let after = if next.len() == next_len as usize { self.layout.uint(&next) } else { 0 };
        Ok((entries, after))
    }

    fn entry(&mut self, raw: &Bytes, size: u64) -> Result<Option<Entry>, Fault> {
        let l = self.layout;
        let (tag, kind) = (l.uint(&raw[..2]) as u16, l.uint(&raw[2..4]) as u16);
        let (count, field) =
            if l.big_tiff { (l.uint(&raw[4..12]), raw.slice(12..20)) } else { (l.uint(&raw[4..8]), raw.slice(8..12)) };
        let Some(one) = kind_size(kind) else { return Ok(None) };
        let too_long = || Fault::Damaged(format!("tag {tag} says it has {count} values, more than the file can hold"));
        let len = one.checked_mul(count).filter(|n| *n <= self.budget).ok_or_else(too_long)?;
        self.budget -= len;
        if len <= field.len() as u64 {
            return Ok(Some(Entry { tag, kind, len, inline: Some(field.slice(..len as usize)), at: 0 }));
        }
        let at = l.uint(&field);
        if at.checked_add(len).is_none_or(|end| end > size) {
            return Fault::damaged(format!("the values of tag {tag} lie beyond the file's end ({size} bytes)"));
        }
        Ok(Some(Entry { tag, kind, len, inline: None, at }))
    }
}

/// Fetches what lies outside the entries, for all directories in one call.
fn load_values(file: &mut dyn HeaderBytes, layout: Layout, raw: Vec<Vec<Entry>>) -> Result<Vec<Ifd>, Fault> {
    let outside: Vec<Range<u64>> =
        raw.iter().flatten().filter(|e| e.inline.is_none()).map(|e| e.at..e.at + e.len).collect();
    let mut fetched = if outside.is_empty() { Vec::new() } else { file.read(&outside)? }.into_iter();
    let mut ifds = Vec::with_capacity(raw.len());
    for entries in raw {
        let mut values = BTreeMap::new();
        for e in entries {
            let bytes = e.inline.or_else(|| fetched.next()).unwrap_or_default();
            // The first of two entries with one number wins, as in libtiff.
            values.entry(e.tag).or_insert(Value { kind: e.kind, bytes });
        }
        ifds.push(Ifd { layout, values });
    }
    Ok(ifds)
}

impl Ifd {
    /// Whether the tag is there.
    pub(crate) fn has(&self, tag: u16) -> bool {
        self.values.contains_key(&tag)
    }

    /// All values of an unsigned tag.
    pub(crate) fn uints(&self, tag: u16) -> Result<Option<Vec<u64>>, Fault> {
        let Some(v) = self.values.get(&tag) else { return Ok(None) };
        let one = match v.kind {
            1 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            kind => return Fault::damaged(format!("tag {tag} has type {kind}, which is not an unsigned number")),
        };
        Ok(Some(v.bytes.chunks_exact(one).map(|b| self.layout.uint(b)).collect()))
    }

    /// The first value of an unsigned tag.
    pub(crate) fn uint(&self, tag: u16) -> Result<Option<u64>, Fault> {
        Ok(self.uints(tag)?.and_then(|v| v.first().copied()))
    }

    /// All values of a tag of floating point numbers.
    pub(crate) fn floats(&self, tag: u16) -> Option<Vec<f64>> {
        let v = self.values.get(&tag)?;
        match v.kind {
            12 => Some(v.bytes.chunks_exact(8).map(|b| f64::from_bits(self.layout.uint(b))).collect()),
            11 => {
                Some(v.bytes.chunks_exact(4).map(|b| f64::from(f32::from_bits(self.layout.uint(b) as u32))).collect())
            }
            _ => None,
        }
    }

    /// Text up to the first NUL; bytes that are not UTF-8 are taken as Latin-1.
    pub(crate) fn text(&self, tag: u16) -> Option<String> {
        let v = self.values.get(&tag).filter(|v| matches!(v.kind, 1 | 2 | 7))?;
        let end = v.bytes.iter().position(|b| *b == 0).unwrap_or(v.bytes.len());
        let raw = &v.bytes[..end];
        Some(match std::str::from_utf8(raw) {
            Ok(text) => text.to_owned(),
            Err(_) => raw.iter().map(|b| char::from(*b)).collect(),
        })
    }
}
