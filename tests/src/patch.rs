//! Files that no good program writes: damaged copies, and a raster of a million tiles that holds nothing.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Copies a file with every occurrence of `from` replaced by `to`.
///
/// # Panics
/// When it does not occur, or the lengths differ.
pub fn replace(original: &str, copy: &Path, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(original).unwrap_or_else(|e| panic!("{original}: {e}"));
    let found: Vec<usize> = (0..=bytes.len() - from.len()).filter(|&i| &bytes[i..i + from.len()] == from).collect();
    assert!(!found.is_empty(), "{original} does not hold {from:?}");
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(copy, bytes).unwrap_or_else(|e| panic!("{}: {e}", copy.display()));
}

/// Overwrites `range` of a file (as parts of its length) with a byte.
///
/// # Panics
/// When the file cannot be read or written.
pub fn garbage(path: &Path, range: std::ops::Range<f64>) {
    let mut bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let at = |part: f64| (part * bytes.len() as f64) as usize;
    let (from, to) = (at(range.start), at(range.end));
    bytes[from..to].fill(0xA5);
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A BigTIFF of `tiles` x `tiles` tiles of 512 x 512 uint8, none of them stored: a hole in the disk.
///
/// # Panics
/// When it cannot be written.
pub fn sparse(path: &Path, tiles: u64) {
    let count = tiles * tiles;
    let offsets = 4096; // behind header and directory
    let counts = offsets + 8 * count;
    let (short, long, long8) = (3, 4, 16);
    let entries: &[(u16, u16, u64, u64)] = &[
        (256, long, 1, 512 * tiles), // width
        (257, long, 1, 512 * tiles), // height
        (258, short, 1, 8),          // bits
        (259, short, 1, 1),          // no compression
        (262, short, 1, 1),          // black is zero
        (277, short, 1, 1),          // one band
        (322, short, 1, 512),
        (323, short, 1, 512),
        (324, long8, count, offsets),
        (325, long, count, counts),
    ];
    let mut head: Vec<u8> = b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec();
    head.extend((entries.len() as u64).to_le_bytes());
    for (tag, kind, n, value) in entries {
        head.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        head.extend([n.to_le_bytes(), value.to_le_bytes()].concat());
    }
    head.extend([0; 8]); // no further directory
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(path)?;
        file.write_all(&head)?;
        file.seek(SeekFrom::Start(counts + 4 * count - 1))?;
        file.write_all(&[0])
    };
    write().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
