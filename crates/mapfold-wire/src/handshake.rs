//! Who are you: four messages of fixed length.
//!
//! ```text
//! dialler  -> hello    magic, version, purpose, nonce
//! listener -> answer   magic, version, nonce
//! dialler  -> proof    its facts, HMAC("dialler", binding, hello, answer, facts)
//! listener -> verdict  its facts, HMAC("listener", binding, hello, answer, facts, facts)
//! ```
//!
//! HMAC-SHA256 with the job's token; `binding` is a value that both ends of a TLS session derive from it (RFC 5705),
//! and zeros without TLS. So a proof holds for one connection (both nonces), one direction (the label: a reflected
//! proof is none), one purpose, and one TLS session: who sits between two ends has two sessions and no proof for
//! either.
//!
//! The dialler proves first. A stranger learns that something here speaks this protocol, and nothing else: neither the
//! job nor why it was dropped. Facts that do not fit are shown to a proven peer only; each end compares for itself and
//! can say what differs. There is no length on the wire, so none can be wrong.

use crate::error::WireError;
use crate::facts::{FACTS_BYTES, Facts, Identity, Purpose};
use crate::token;
use ring::hmac;
use std::io::{Read, Write};
use std::net::SocketAddr;

const MAGIC: &[u8; 8] = b"mapfoldW";
const VERSION: u8 = 1;
const NONCE: usize = 32;
const TAG: usize = 32;
const HELLO: usize = 8 + 1 + 1 + NONCE;
const ANSWER: usize = 8 + 1 + NONCE;

/// What a TLS session contributes to the proof.
pub(crate) type Binding = [u8; 32];

/// Proves who we are to a listener and has it prove itself. The other end's facts, proven but not compared.
pub(crate) fn as_dialler(
    io: &mut (impl Read + Write),
    at: SocketAddr,
    me: &Identity,
    binding: &Binding,
) -> Result<Facts, WireError> {
    let hello = hello(me.purpose, &token::random()?);
    send(io, at, &hello)?;
    let answer: [u8; ANSWER] = receive(io, at, "waiting for its answer")?;
    check_head(&answer, at)?;
    let facts = me.facts.to_bytes();
    let tag = hmac::sign(&me.token.key(), &spoken(b"D", binding, &hello, &answer, &[&facts]));
    send(io, at, &[&facts[..], tag.as_ref()].concat())?;
    let verdict: [u8; FACTS_BYTES + TAG] = receive(io, at, "waiting for its proof (it may know another token)")?;
    let (theirs, tag) = split(&verdict);
    let said = spoken(b"L", binding, &hello, &answer, &[&facts, &theirs]);
    prove(me, &said, tag, at)?;
    Ok(Facts::from_bytes(&theirs))
}

/// Has a dialler prove itself, then proves who we are. The other end's facts, proven but not compared.
pub(crate) fn as_listener(
    io: &mut (impl Read + Write),
    at: SocketAddr,
    me: &Identity,
    binding: &Binding,
) -> Result<Facts, WireError> {
    let hello: [u8; HELLO] = receive(io, at, "waiting for its hello")?;
    check_head(&hello, at)?;
    if hello[9] != purpose_byte(me.purpose) {
        return Err(WireError::Unproven { address: at, why: "it came for another purpose" });
    }
    let answer = answer(&token::random()?);
    send(io, at, &answer)?;
    let proof: [u8; FACTS_BYTES + TAG] = receive(io, at, "waiting for its proof")?;
    let (theirs, tag) = split(&proof);
    prove(me, &spoken(b"D", binding, &hello, &answer, &[&theirs]), tag, at)?;
    let facts = me.facts.to_bytes();
    let tag = hmac::sign(&me.token.key(), &spoken(b"L", binding, &hello, &answer, &[&theirs, &facts]));
    send(io, at, &[&facts[..], tag.as_ref()].concat())?;
    Ok(Facts::from_bytes(&theirs))
}

fn purpose_byte(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Control => 1,
        Purpose::Mesh => 2,
    }
}

fn hello(purpose: Purpose, nonce: &[u8; NONCE]) -> [u8; HELLO] {
    let mut out = [0; HELLO];
    out[..8].copy_from_slice(MAGIC);
    out[8] = VERSION;
    out[9] = purpose_byte(purpose);
    out[10..].copy_from_slice(nonce);
    out
}

fn answer(nonce: &[u8; NONCE]) -> [u8; ANSWER] {
    let mut out = [0; ANSWER];
    out[..8].copy_from_slice(MAGIC);
    out[8] = VERSION;
    out[9..].copy_from_slice(nonce);
    out
}

fn check_head(message: &[u8], at: SocketAddr) -> Result<(), WireError> {
    if !message.starts_with(MAGIC) {
        return Err(WireError::Unproven { address: at, why: "it does not speak mapfold's protocol" });
    }
    if message[8] != VERSION {
        return Err(WireError::Unproven { address: at, why: "it speaks another version of mapfold's protocol" });
    }
    Ok(())
}

/// The bytes that are signed. All parts but the list of facts have a fixed length, and the label fixes that list's.
fn spoken(label: &[u8; 1], binding: &Binding, hello: &[u8], answer: &[u8], facts: &[&[u8; FACTS_BYTES]]) -> Vec<u8> {
    let mut out = [&label[..], binding, hello, answer].concat();
    facts.iter().for_each(|f| out.extend_from_slice(&f[..]));
    out
}

fn split(message: &[u8; FACTS_BYTES + TAG]) -> ([u8; FACTS_BYTES], &[u8]) {
    (std::array::from_fn(|i| message[i]), &message[FACTS_BYTES..])
}

/// Compares in constant time.
fn prove(me: &Identity, said: &[u8], tag: &[u8], at: SocketAddr) -> Result<(), WireError> {
    hmac::verify(&me.token.key(), said, tag)
        .map_err(|_| WireError::Unproven { address: at, why: "it does not know the token of this job" })
}

fn send(io: &mut impl Write, at: SocketAddr, bytes: &[u8]) -> Result<(), WireError> {
    let sent = io.write_all(bytes).and_then(|()| io.flush());
    sent.map_err(|source| WireError::Broken { address: at, doing: "sending the handshake", source })
}

fn receive<const N: usize>(io: &mut impl Read, at: SocketAddr, doing: &'static str) -> Result<[u8; N], WireError> {
    let mut out = [0; N];
    io.read_exact(&mut out).map_err(|source| WireError::Broken { address: at, doing, source })?;
    Ok(out)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
