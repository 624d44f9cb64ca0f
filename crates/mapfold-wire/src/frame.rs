//! Values on a connection: `length (u32, little endian), version (u8), body (postcard)`.
//!
//! The length counts the body. It is compared with the caller's cap before anything is allocated, and memory grows with
//! what has come, not with what was announced. A body must be used up by its value: leftover bytes mean that the two
//! ends do not speak of the same thing.

use serde::{Serialize, de::DeserializeOwned};
use std::io::{ErrorKind, Read, Write};

/// Of all frames of this build.
pub const FRAME_VERSION: u8 = 1;
const HEAD: usize = 5;
/// What is allocated at once, whatever a length says.
const STEP: usize = 64 * 1024;

/// What can be wrong with a frame. After any of these but `Idle` the connection is of no more use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No frame began within the connection's time limit; the next read may go on.
    #[error("nothing came within the time limit")]
    Idle,
    /// The connection failed, or ended within a frame.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// Longer than agreed.
    #[error("a frame of {bytes} bytes; at most {cap} are taken")]
    TooLong {
        /// As announced, or as encoded.
        bytes: u64,
        /// As agreed.
        cap: u32,
    },
    /// Another build.
    #[error("a frame of version {found}; this build speaks version {FRAME_VERSION}")]
    Version {
        /// As it says.
        found: u8,
    },
    /// The body is no such value.
    #[error("a frame that cannot be understood: {why}")]
    Body {
        /// Why not.
        why: String,
    },
}

/// Writes `value` as one frame of at most `cap` bytes of body, in one call. One writer at a time: clones of a
/// connection that write at once would mix their frames.
///
/// # Errors
/// [`FrameError::TooLong`] before anything is written; [`FrameError::Broken`].
pub fn write_frame<T: Serialize + ?Sized>(to: &mut impl Write, value: &T, cap: u32) -> Result<(), FrameError> {
    let unfit = |e: postcard::Error| FrameError::Body { why: e.to_string() };
    let mut frame = postcard::to_extend(value, vec![0; HEAD]).map_err(unfit)?;
    let bytes = (frame.len() - HEAD) as u64;
    let length = u32::try_from(bytes).ok().filter(|length| *length <= cap);
    let length = length.ok_or(FrameError::TooLong { bytes, cap })?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4] = FRAME_VERSION;
    to.write_all(&frame)?;
    Ok(to.flush()?)
}

/// Reads one frame of at most `cap` bytes of body. `None` if the other end closed between two frames.
///
/// # Errors
/// Any [`FrameError`].
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read, cap: u32) -> Result<Option<T>, FrameError> {
    let mut head = [0; HEAD];
    if !begins(from, &mut head[..1])? {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let [a, b, c, d, version] = head;
    if version != FRAME_VERSION {
        return Err(FrameError::Version { found: version });
    }
    let length = u32::from_le_bytes([a, b, c, d]);
    if length > cap {
        return Err(FrameError::TooLong { bytes: length.into(), cap });
    }
    decode(&body(from, length as usize)?).map(Some)
}

/// Waits for the first byte; false at the end of the connection.
fn begins(from: &mut impl Read, first: &mut [u8]) -> Result<bool, FrameError> {
    loop {
        return match from.read(first) {
            Ok(n) => Ok(n > 0),
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(FrameError::Idle),
            Err(e) => Err(e.into()),
        };
    }
}

fn body(from: &mut impl Read, length: usize) -> Result<Vec<u8>, FrameError> {
    let mut body = Vec::with_capacity(length.min(STEP));
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
    }
    Ok(body)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|e| FrameError::Body { why: e.to_string() })?;
    match rest.len() {
        0 => Ok(value),
        n => Err(FrameError::Body { why: format!("{n} bytes too many") }),
    }
}
