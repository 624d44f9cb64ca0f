//! The secret of a job.
//!
//! Who has it belongs to the job. It never travels: the handshake shows that both ends know it. To a new process it is
//! handed through an inherited descriptor or a file that only its owner can read, never through arguments or the
//! environment, which other users of a machine can see. Like `mapfold_store::Secret` it does not wipe memory.

use crate::error::WireError;
use ring::rand::SecureRandom;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

const BYTES: usize = 32;

/// 256 random bits. It has neither `Debug` nor `Display` nor `Serialize`:
///
/// ```compile_fail
/// println!("{:?}", mapfold_wire::Token::random().unwrap());
/// ```
///
/// Written, it is 64 hexadecimal digits and a line feed, in a file as in a pipe:
///
/// ```
/// use mapfold_wire::Token;
/// let mut pipe = Vec::new();
/// Token::random()?.write_to(&mut pipe)?;
/// assert_eq!(pipe.len(), 65);
/// let again = Token::read_from(&mut pipe.as_slice())?;
/// # let _ = again;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Token([u8; BYTES]);

impl Token {
    /// A new one, from the system's generator.
    ///
    /// # Errors
    /// [`WireError::NoRandomness`].
    pub fn random() -> Result<Token, WireError> {
        random().map(Token)
    }

    /// Reads one line of 64 hexadecimal digits, and not a byte more: the pipe may stay open for other uses.
    ///
    /// # Errors
    /// [`WireError::BadToken`] when the line is anything else.
    pub fn read_from(source: &mut impl Read) -> Result<Token, WireError> {
        let mut line = [0; 2 * BYTES + 1];
        source
            .read_exact(&mut line)
            .map_err(|_| bad("an inherited descriptor", "it ended before 65 bytes were read"))?;
        parse(&line).ok_or_else(|| bad("an inherited descriptor", "expected 64 hexadecimal digits and a line feed"))
    }

    /// Reads it from a file that belongs to this user and that nobody else can read.
    ///
    /// # Errors
    /// [`WireError::BadToken`]: it cannot be read, is no ordinary file, is readable by others, or holds no token.
    pub fn from_file(path: &Path) -> Result<Token, WireError> {
        let wrong = |why: &str| bad(&path.display().to_string(), why);
        let mut file = std::fs::File::open(path).map_err(|e| wrong(&e.to_string()))?;
        // Asked of the open file, not of its name: nobody can swap it in between.
        let meta = file.metadata().map_err(|e| wrong(&e.to_string()))?;
        if !meta.is_file() {
            return Err(wrong("not an ordinary file"));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(wrong(
                "others can read or change it; chmod 600, and make a new token if they may have read it",
            ));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(wrong("it belongs to another user"));
        }
        Token::read_from(&mut file).map_err(|_| wrong("expected 64 hexadecimal digits and a line feed"))
    }

    /// Writes it into a new file that only this user can read.
    ///
    /// # Errors
    /// [`WireError::BadToken`]: the file exists already, or cannot be written.
    pub fn to_new_file(&self, path: &Path) -> Result<(), WireError> {
        let wrong = |e: std::io::Error| bad(&path.display().to_string(), &e.to_string());
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(wrong)?;
        self.write_to(&mut file).map_err(wrong)
    }

    /// Writes it as one line, into a pipe that only the new member holds.
    ///
    /// # Errors
    /// Those of the pipe.
    pub fn write_to(&self, to: &mut impl Write) -> std::io::Result<()> {
        let mut line = String::with_capacity(2 * BYTES + 1);
        for byte in self.0 {
            line.extend([byte >> 4, byte & 15].map(|n| char::from_digit(n.into(), 16).unwrap_or('0')));
        }
        line.push('\n');
        to.write_all(line.as_bytes())
    }

    pub(crate) fn key(&self) -> ring::hmac::Key {
        ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0)
    }
}

/// 32 random bytes, for a token or a nonce.
pub(crate) fn random() -> Result<[u8; BYTES], WireError> {
    let mut bytes = [0; BYTES];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| WireError::NoRandomness)?;
    Ok(bytes)
}

fn bad(place: &str, why: &str) -> WireError {
    WireError::BadToken { place: place.to_owned(), why: why.to_owned() }
}

fn parse(line: &[u8; 2 * BYTES + 1]) -> Option<Token> {
    let (digits, end) = line.split_at(2 * BYTES);
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|n| n as u8);
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    (end == b"\n").then_some(Token(bytes))
}
