//! Sockets between the processes of one job: each end proves who it is before the other believes a byte.
//!
//! | module | what |
//! |---|---|
//! | [`Token`] | the secret of a job, 256 bits |
//! | [`Facts`], [`Identity`] | what both ends must agree on, and who speaks |
//! | [`Bound`], [`Listener`] | the listening end: hostile connections cost it little and stop nobody |
//! | [`dial`] | the dialling end: tries again until its time is over |
//! | [`Conn`] | the proven connection, plain or under TLS, used by a reader and a writer at once |
//! | [`write_frame`], [`read_frame`] | values on it, with a length that is checked before it is believed |
//!
//! Why its own handshake: the dataflow library's listener trusts any index, ends on eight bytes of junk and waits for
//! ever for a silent peer (measured, timely 0.31). Why not certificates: all processes of a job share one secret
//! already, so it proves both ends, and TLS beneath it needs keys that live as long as a listener only.
//!
//! What is not here: what the frames say (the coordinator's and the engine's business), names of hosts, who may start
//! a job, heartbeats. A plain connection is proven once, then trusted: it is for loopback only, and every other
//! address is refused without TLS.
//!
//! ```
//! use mapfold_wire::{Bound, Cover, Facts, Identity, Purpose, Token, Who, dial, read_frame, write_frame};
//! use std::time::{Duration, Instant};
//!
//! let (token, until) = (Token::random()?, Instant::now() + Duration::from_secs(10));
//! let facts = |who| Facts { job: 7, plan: 1, generation: 0, members: 2, who };
//! let identity = |who| Identity { token: token.clone(), facts: facts(who), purpose: Purpose::Control, cover: Cover::Tls };
//!
//! let bound = Bound::loopback()?;
//! let address = bound.address().to_string();
//! let listener = bound.listen(identity(Who::Coordinator))?;
//! let member = std::thread::spawn({
//!     let me = identity(Who::Member(1));
//!     move || dial(&address, &me, Who::Coordinator, until, &Default::default())
//! });
//!
//! let mut peer = listener.next(until).expect("somebody dials");
//! assert_eq!(peer.facts.who, Who::Member(1));
//! write_frame(&mut peer.conn, &("split", 417u32), 1024)?;
//! let mut coordinator = member.join().expect("no panic")?;
//! assert_eq!(read_frame(&mut coordinator.conn, 1024)?, Some(("split".to_owned(), 417u32)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod budget;
mod conn;
mod dial;
mod digest;
mod error;
mod facts;
mod frame;
mod handshake;
mod listener;
mod slots;
mod tls;
mod token;

pub use conn::{Conn, Peer};
pub use dial::dial;
pub use digest::sha256;
pub use error::WireError;
pub use facts::{Cover, Facts, Identity, Mismatch, Purpose, Who};
pub use frame::{FRAME_VERSION, FrameError, read_frame, write_frame};
pub use listener::{Bound, Counts, HANDSHAKES, Listener};
pub use token::Token;
