//! The law of splits: whatever the text, wherever it is cut and however it is read, the lines of all splits in order are
//! the lines of the whole.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use mapfold_records::InMemory;
use mapfold_records::text::{Delimiter, FileSplit, LineBatch, LineOptions, LineReader, LineStream};
use proptest::prelude::*;

type Lines = Vec<(u64, Vec<u8>)>;

/// By the definition, byte by byte.
fn naive_newlines(text: &[u8]) -> Lines {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let len = match (text[at], text.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        if len > 0 {
            lines.push((start as u64, text[start..at].to_vec()));
            start = at + len;
        }
        at += len.max(1);
    }
    if start < text.len() {
        lines.push((start as u64, text[start..].to_vec()));
    }
    lines
}

fn naive_bytes(text: &[u8], delimiter: &[u8]) -> Lines {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        if text[at..].starts_with(delimiter) {
            lines.push((start as u64, text[start..at].to_vec()));
            at += delimiter.len();
            start = at;
        } else {
            at += 1;
        }
    }
    if start < text.len() {
        lines.push((start as u64, text[start..].to_vec()));
    }
    lines
}

fn without_bom(mut lines: Lines, text: &[u8]) -> Lines {
    if text == b"\xef\xbb\xbf" {
        return Vec::new();
    }
    if let Some(first) = lines.first_mut()
        && first.1.starts_with(b"\xef\xbb\xbf")
    {
        first.1.drain(..3);
    }
    lines
}

fn split_lines(text: &[u8], start: u64, end: u64, delimiter: &Delimiter, piece: usize) -> Lines {
    let input = InMemory::new("t", text.to_vec());
    let options = LineOptions { delimiter: delimiter.clone(), piece, max_line: 1 << 20 };
    let mut reader = LineReader::new(&input, FileSplit { file: 0, start, len: end - start }, options).unwrap();
    let (mut batch, mut lines) = (LineBatch::default(), Vec::new());
    while reader.next_batch(&mut batch).unwrap() {
        lines.extend(batch.iter().map(|(at, line)| (at, line.to_vec())));
    }
    lines
}

fn all_splits(text: &[u8], cuts: &[usize], delimiter: &Delimiter, piece: usize) -> Lines {
    let mut cuts: Vec<u64> = cuts.iter().map(|c| (c % (text.len() + 1)) as u64).collect();
    cuts.extend([0, text.len() as u64]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).flat_map(|w| split_lines(text, w[0], w[1], delimiter, piece)).collect()
}

/// Text full of what matters: newlines of all kinds, delimiters, their beginnings, byte order marks.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "a",
        "bc",
        "\n",
        "\r",
        "\r\n",
        "|",
        "||",
        "|-",
        "-|",
        "\u{feff}",
        "\n\n",
        "0123456789abcdef0123456789",
    ]);
    (any::<bool>(), prop::collection::vec(word, 0..40))
        .prop_map(|(bom, words)| if bom { "\u{feff}".to_string() + &words.concat() } else { words.concat() })
        .prop_map(String::into_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn newlines(text in text(), cuts in prop::collection::vec(0usize..200, 0..6), piece in 1usize..80) {
        let expected = without_bom(naive_newlines(&text), &text);
        prop_assert_eq!(all_splits(&text, &cuts, &Delimiter::Newline, piece), expected);
    }

    /// Also for delimiters that overlap themselves, where Hadoop's own reader loses and doubles lines.
    #[test]
    fn delimiters(
        text in text(),
        delimiter in prop::sample::select(vec!["|", "||", "|-|", "|-", "\n\n", "\r\n", "a", "||||"]),
        cuts in prop::collection::vec(0usize..200, 0..6),
        piece in 1usize..80,
    ) {
        let expected = without_bom(naive_bytes(&text, delimiter.as_bytes()), &text);
        let delimiter = Delimiter::bytes(delimiter.as_bytes()).unwrap();
        prop_assert_eq!(all_splits(&text, &cuts, &delimiter, piece), expected);
    }

    /// A stream gives the same, in whatever pieces it comes.
    #[test]
    fn streams(text in text(), cuts in prop::collection::vec(0usize..200, 0..9)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        for (delimiter, expected) in [
            (Delimiter::Newline, naive_newlines(&text)),
            (Delimiter::bytes(b"||").unwrap(), naive_bytes(&text, b"||")),
        ] {
            let (mut stream, mut batch, mut lines) = (LineStream::new(delimiter, 0, 1000), LineBatch::default(), Vec::new());
            for (i, w) in cuts.windows(2).enumerate() {
                let last = i + 2 == cuts.len();
                stream.feed(Bytes::copy_from_slice(&text[w[0]..w[1]]), last, &mut batch).unwrap();
                lines.extend(batch.iter().map(|(at, line)| (at, line.to_vec())));
            }
            prop_assert_eq!(lines, expected);
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_an_error_with_its_place() {
    let text = format!("short\n{}\n", "x".repeat(100));
    let read = |piece, max_line| {
        let options = LineOptions { piece, max_line, ..LineOptions::default() };
        let input = InMemory::new("notes.txt", text.clone());
        let len = text.len() as u64;
        let mut reader = LineReader::new(input, FileSplit { file: 0, start: 0, len }, options).unwrap();
        let mut batch = LineBatch::default();
        loop {
            match reader.next_batch(&mut batch) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(format!("{e:?}")),
            }
        }
    };
    for piece in [1, 7, 50, 1000] {
        assert_eq!(read(piece, 100), None, "piece {piece}");
        let message = read(piece, 99).unwrap();
        assert!(message.contains("byte 6") && message.contains("notes.txt") && message.contains("try"), "{message}");
    }
}
