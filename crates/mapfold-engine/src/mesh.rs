//! The mesh: timely workers of several processes, one worker each, over proven sockets.
//!
//! [`connect`] makes a connection between every two members; [`run`] gives them to timely and runs a function on this
//! member's worker. Timely's own `create_sockets` is never used (why: decision 0009).
//!
//! A mesh lives or dies as a whole: timely has no partial survival. When a member dies, timely's threads in the others
//! panic, in an order that nobody can foretell. That is turned into one line, "stopped because member 2 died", and one
//! error, [`MeshError::MemberDied`], on which the process ends with [`EXIT_MEMBER_DIED`]: whoever started it reports
//! another member's end as the cause, and starts the next generation. A member that hangs is found by heartbeats of the
//! control connection, which are not here.

mod connect;
mod error;
mod lost;
mod run;
mod stream;

pub use connect::{CONNECT_LIMIT, connect};
pub use error::{Absent, EXIT_MEMBER_DIED, MeshError};
pub(crate) use lost::{explains, note};
pub use run::run;
