//! Frames: what is written is read; what was not written is an error by name, at the price of what was really sent.
#![allow(clippy::unwrap_used)]

use mapfold_wire::{FRAME_VERSION, FrameError, read_frame, write_frame};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const CAP: u32 = 4096;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Beat,
    Lease { stage: u32, splits: Vec<u64> },
    Said(String, Option<Box<Message>>),
}

fn message() -> impl Strategy<Value = Message> {
    let leaf = prop_oneof![
        Just(Message::Beat),
        (any::<u32>(), prop::collection::vec(any::<u64>(), 0..40))
            .prop_map(|(stage, splits)| Message::Lease { stage, splits }),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| {
        (".{0,20}", prop::option::of(inner)).prop_map(|(text, rest)| Message::Said(text, rest.map(Box::new)))
    })
}

fn framed(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    messages.iter().for_each(|m| write_frame(&mut out, m, CAP).unwrap());
    out
}

/// All frames in `bytes`, and how they ended.
fn read_all(mut bytes: &[u8]) -> (Vec<Message>, Result<(), FrameError>) {
    let mut got = Vec::new();
    loop {
        match read_frame(&mut bytes, CAP) {
            Ok(Some(message)) => got.push(message),
            Ok(None) => return (got, Ok(())),
            Err(error) => return (got, Err(error)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(messages in prop::collection::vec(message(), 0..8)) {
        let (got, end) = read_all(&framed(&messages));
        prop_assert!(end.is_ok());
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn a_cut_line_gives_whole_frames_and_then_an_error(messages in prop::collection::vec(message(), 1..5), cut in any::<prop::sample::Index>()) {
        let bytes = framed(&messages);
        let cut = cut.index(bytes.len());
        let (got, end) = read_all(&bytes[..cut]);
        prop_assert_eq!(&got[..], &messages[..got.len()]);
        prop_assert_eq!(end.is_ok(), framed(&got).len() == cut, "only a cut between frames is an end");
    }

    #[test]
    fn junk_is_no_panic_and_no_endless_loop(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (got, end) = read_all(&bytes);
        prop_assert!(end.is_err() || framed(&got).len() <= bytes.len());
    }

    /// The version right and the length right, so that postcard sees the junk.
    #[test]
    fn a_junk_body_is_an_error_or_a_value(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.push(FRAME_VERSION);
        bytes.extend(&body);
        match read_frame::<Message>(&mut bytes.as_slice(), CAP) {
            Ok(value) => prop_assert!(value.is_some()),
            Err(error) => prop_assert!(matches!(error, FrameError::Body { .. }), "{}", error),
        }
    }
}

#[test]
fn a_huge_length_is_refused_before_a_byte_of_it_is_awaited() {
    let mut bytes = u32::MAX.to_le_bytes().to_vec();
    bytes.push(FRAME_VERSION);
    let error = read_frame::<Message>(&mut bytes.as_slice(), CAP).unwrap_err();
    assert_eq!(error.to_string(), "a frame of 4294967295 bytes; at most 4096 are taken");
}

#[test]
fn a_value_beyond_the_cap_is_not_sent() {
    let mut out = Vec::new();
    let error = write_frame(&mut out, &"x".repeat(5000), CAP).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { bytes: 5002, cap: CAP }), "{error}");
    assert!(out.is_empty());
}

#[test]
fn another_version_and_leftover_bytes_are_named() {
    let mut bytes = framed(&[Message::Beat]);
    bytes[4] = 9;
    let text = |bytes: &[u8]| read_frame::<Message>(&mut &*bytes, CAP).unwrap_err().to_string();
    assert_eq!(text(&bytes), "a frame of version 9; this build speaks version 1");
    let mut longer = framed(&[Message::Beat]);
    longer[0] += 2;
    longer.extend([0, 0]);
    assert_eq!(text(&longer), "a frame that cannot be understood: 2 bytes too many");
}
