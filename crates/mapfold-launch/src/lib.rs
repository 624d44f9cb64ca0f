//! Carriers: they start the members of a job, stop them, and report how they ended. Nothing else.
//!
//! Who is a member, when one is replaced, what its death means is decided once, by the coordinator, for all carriers.
//! So a [`Carrier`] is small: [`Local`] starts child processes of this machine, [`Ssh`] has the same done on other hosts;
//! others fit the same trait. Which one a job gets its [`Target`] says.
//!
//! A member is the same program, started with one hidden option more ([`MEMBER_OPTION`], its [`Membership`]). The job's
//! token never is an argument or in the environment: [`Local`] writes it into the member's standard input, a pipe that
//! then stays open for as long as the launcher lives. [`inherit`] is the member's end of it.
//!
//! Deliberately absent: the engine, formats, supervision, retries, heartbeats.

mod carrier;
pub mod emr;
mod error;
mod host;
mod inherit;
mod local;
mod membership;
mod process;
mod ssh;
mod tail;
mod target;
mod told;
mod with_parent;
mod words;
pub mod yarn;

pub use carrier::{Carrier, Ended, Exit, MemberSpec, Room, Slot};
pub use error::LaunchError;
pub use host::{HOST_OPTION, serve_host};
pub use inherit::{Inherited, Lifeline, inherit};
pub use local::Local;
pub use membership::{MEMBER_OPTION, Membership};
pub use ssh::{Ssh, SshOptions, Staged, share, spread};
pub use tail::TAIL_BYTES;
pub use target::{SshHost, Target};
pub use words::{quoted, ssh_command};
