//! Compressed text, decoded as a stream: gzip (members one after another), bzip2 (streams), Zstandard (frames).
//!
//! Memory is the decoder's own (Zstandard: a window of at most 128 MiB, larger ones are refused) and two pieces. Such a
//! file is one split: Hadoop would also cut bzip2 at its blocks. A file that ends early or is damaged is an error that
//! names the byte of the file and of the text where it was noticed; checksums are checked. What follows the last member
//! of a gzip file must be another member: padding is an error too.

use crate::Ranges;
use crate::text::{LineBatch, LineOptions, LineStream, strip_bom};
use bytes::Bytes;
use mapfold_plan::{Error, Result};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of the compressed file read at a time.
const PIECE: u64 = 256 << 10;

/// How a text is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.zst`
    Zstd,
}

impl Codec {
    /// By the ending of a file's name, as Hadoop does it; `None` for text as it is.
    ///
    /// ```
    /// use mapfold_records::Codec;
    /// assert_eq!(Codec::of_name("part-r-00000.gz"), Some(Codec::Gzip));
    /// assert_eq!(Codec::of_name("notes.txt"), None);
    /// ```
    pub fn of_name(name: &str) -> Option<Codec> {
        [Codec::Gzip, Codec::Bzip2, Codec::Zstd].into_iter().find(|codec| name.ends_with(codec.extension()))
    }

    /// The ending of names, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Codec::Gzip => ".gz",
            Codec::Bzip2 => ".bz2",
            Codec::Zstd => ".zst",
        }
    }

    fn decoder<'a, R: Ranges + Send + 'a>(self, input: Input<R>) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Codec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(27)?;
                Box::new(decoder)
            }
        })
    }
}

/// The bytes of a compressed file, decoded piece by piece.
pub struct Decoded<'a> {
    name: String,
    decoder: Box<dyn Read + Send + 'a>,
    /// Bytes of the file that the decoder has taken.
    taken: Arc<AtomicU64>,
    /// Bytes of text that it has given.
    given: u64,
    piece: usize,
}

impl<'a> Decoded<'a> {
    /// Decodes a file; pieces of text have `piece` bytes, the last one fewer.
    ///
    /// # Errors
    /// When the file is empty, or no decoder can be made.
    pub fn new<R: Ranges + Send + 'a>(input: R, codec: Codec, piece: usize) -> Result<Decoded<'a>> {
        let (name, taken) = (input.name().to_string(), Arc::new(AtomicU64::new(0)));
        if input.size() == 0 {
            return Err(broken(&name, 0, 0, "the file is empty"));
        }
        let input = Input { input, at: 0, piece: Bytes::new(), taken: taken.clone() };
        let decoder = codec.decoder(input).map_err(|e| broken(&name, 0, 0, &e.to_string()))?;
        Ok(Decoded { name, decoder, taken, given: 0, piece: piece.max(1) })
    }

    /// The next piece of text; empty at the end.
    ///
    /// # Errors
    /// When the file is damaged or ends early, or its bytes cannot be read.
    pub fn next_piece(&mut self) -> Result<Bytes> {
        let mut piece = Vec::with_capacity(self.piece);
        let read = (&mut self.decoder).take(self.piece as u64).read_to_end(&mut piece);
        read.map_err(|e| {
            broken(&self.name, self.taken.load(Relaxed), self.given + piece.len() as u64, &e.to_string())
        })?;
        self.given += piece.len() as u64;
        Ok(piece.into())
    }
}

fn broken(name: &str, taken: u64, given: u64, why: &str) -> Error {
    let what = format!("cannot be decompressed further at byte {taken} of the file (byte {given} of the text): {why}");
    Error::input(what).at_place(name).with_remedy("the file is damaged or incomplete: copy or make it again")
}

/// The lines of a compressed file. Offsets count bytes of the text.
///
/// ```
/// use mapfold_records::text::{LineBatch, LineOptions};
/// use mapfold_records::{Codec, CompressedLines, InMemory};
/// let file = zstd::encode_all(&b"one\ntwo\n"[..], 0)?;
/// let mut lines = CompressedLines::new(InMemory::new("t.zst", file), Codec::Zstd, LineOptions::default())?;
/// let (mut batch, mut found) = (LineBatch::default(), Vec::new());
/// while lines.next_batch(&mut batch)? {
///     found.extend(batch.iter().map(|(offset, line)| (offset, line.to_vec())));
/// }
/// assert_eq!(found, [(0, b"one".to_vec()), (4, b"two".to_vec())]);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
pub struct CompressedLines<'a> {
    decoded: Decoded<'a>,
    stream: LineStream,
    done: bool,
}

impl<'a> CompressedLines<'a> {
    /// The lines of this file.
    ///
    /// # Errors
    /// As [`Decoded::new`].
    pub fn new<R: Ranges + Send + 'a>(input: R, codec: Codec, options: LineOptions) -> Result<CompressedLines<'a>> {
        let decoded = Decoded::new(input, codec, options.piece)?;
        Ok(CompressedLines { decoded, stream: LineStream::new(options.delimiter, 0, options.max_line), done: false })
    }

    /// The next lines; false when there are no more. A batch can be empty.
    ///
    /// # Errors
    /// As [`Decoded::next_piece`], and when a line is too long.
    pub fn next_batch(&mut self, batch: &mut LineBatch) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let piece = self.decoded.next_piece()?;
        self.done = piece.is_empty();
        self.stream.feed(piece, self.done, batch).map_err(|e| e.at_place(&self.decoded.name))?;
        strip_bom(batch, if self.done { self.decoded.given } else { u64::MAX });
        Ok(true)
    }
}

/// A file as the decoders read it; counts what they take.
struct Input<R> {
    input: R,
    at: u64,
    piece: Bytes,
    taken: Arc<AtomicU64>,
}

impl<R: Ranges> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.input.size() - self.at;
        if self.piece.is_empty() && left > 0 {
            let len = left.min(PIECE) as usize;
            self.piece = self.input.read(self.at, len).map_err(|e| io::Error::other(e.to_string()))?;
            self.at += len as u64;
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        let _ = self.piece.split_to(amount);
        self.taken.fetch_add(amount as u64, Relaxed);
    }
}

impl<R: Ranges> Read for Input<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(to)?;
        self.consume(len);
        Ok(len)
    }
}
