//! Compressed text: the lines of the text; and no damage goes unnoticed.
#![allow(clippy::unwrap_used)]

use mapfold_records::text::{LineBatch, LineOptions};
use mapfold_records::{Codec, CompressedLines, Decoded, InMemory};
use std::io::Write;

const CODECS: [Codec; 3] = [Codec::Gzip, Codec::Bzip2, Codec::Zstd];

fn compress(codec: Codec, text: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 0).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn decode(codec: Codec, file: &[u8]) -> mapfold_plan::Result<Vec<u8>> {
    let mut decoded = Decoded::new(InMemory::new("t", file.to_vec()), codec, 1000)?;
    let mut text = Vec::new();
    loop {
        let piece = decoded.next_piece()?;
        if piece.is_empty() {
            return Ok(text);
        }
        text.extend_from_slice(&piece);
    }
}

fn text() -> Vec<u8> {
    (0..3000).flat_map(|i: u64| format!("line {i} {}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()).collect()
}

#[test]
fn several_members_are_one_text() {
    for codec in CODECS {
        let (a, b) = (compress(codec, b"\xef\xbb\xbfone\ntw"), compress(codec, b"o\r\nthree"));
        let file = [a, compress(codec, b""), b].concat();
        let mut lines =
            CompressedLines::new(InMemory::new("t", file), codec, LineOptions { piece: 4, ..LineOptions::default() })
                .unwrap();
        let (mut batch, mut found) = (LineBatch::default(), Vec::new());
        while lines.next_batch(&mut batch).unwrap() {
            found.extend(batch.iter().map(|(offset, line)| (offset, String::from_utf8(line.to_vec()).unwrap())));
        }
        assert_eq!(found, [(0, "one".into()), (7, "two".into()), (12, "three".to_string())], "{codec:?}");
    }
}

/// Law: of a file that was cut off anywhere nothing is taken for the whole.
#[test]
fn a_file_that_ends_early_is_an_error() {
    let text = text();
    for codec in CODECS {
        let file = compress(codec, &text);
        assert_eq!(decode(codec, &file).unwrap(), text, "{codec:?}");
        for len in (0..40).chain((40..file.len() - 40).step_by(997)).chain(file.len() - 40..file.len()) {
            let error = decode(codec, &file[..len]).expect_err("a part is not the whole");
            assert!(format!("{error:?}").contains("byte "), "{codec:?} {len}: {error:?}");
        }
    }
}

/// Law: a changed byte is an error, or (in a header's comment or date) changes nothing.
#[test]
fn a_damaged_file_is_an_error() {
    let text = text();
    for codec in CODECS {
        let file = compress(codec, &text);
        for at in (0..file.len()).step_by(211).chain(0..20).chain(file.len() - 20..file.len()) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            if let Ok(found) = decode(codec, &damaged) {
                assert!(found == text, "{codec:?}: byte {at} changed, and another text came out");
            }
        }
    }
}

#[test]
fn what_follows_the_last_member_is_no_padding() {
    for codec in CODECS {
        let file = [compress(codec, b"text"), b"garbage".to_vec()].concat();
        assert!(decode(codec, &file).is_err(), "{codec:?}");
    }
}
