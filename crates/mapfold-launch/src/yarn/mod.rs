//! YARN: a job as an application of a Hadoop cluster.
//!
//! The launcher on the user's machine only submits and watches; the job's coordinator runs in the container of the
//! application master, so it lives on when the launcher dies, and a second attempt of the application goes on where the
//! first one was. The application master itself is a small Java program (`cluster/yarn-am`), because nothing else
//! speaks YARN's protocols; it does what the coordinator says over its standard input and output.
//!
//! | module | where it runs | what |
//! |---|---|---|
//! | [`Site`] | launcher | the cluster's configuration: `yarn-site.xml`, `core-site.xml` |
//! | [`Rm`] | launcher | the ResourceManager's REST API |
//! | [`Submission`] | launcher | files onto the cluster, the application, its outcome |
//! | `page` | launcher | what is new in the job's event log, through the cluster's proxy |
//! | [`Yarn`] | coordinator | the carrier: asks the application master for containers |
//! | [`Asks`] | both | what the user asks of the running job |
//! | `words` | coordinator | how YARN tells that a container ended |
//!
//! What it does not do: Kerberos (the ResourceManager's answer is told), application timeline, more than one kind of
//! container.

mod asks;
mod carrier;
mod error;
mod page;
mod rm;
mod site;
mod staging;
mod submit;
mod words;

pub use asks::Asks;
pub use carrier::{
    Proxied, WITHIN, Yarn, container_mib, host, is_member, proxied, tell_end, tell_progress, tell_tracking,
};
pub use error::YarnError;
pub use page::{Piece, job_page, new_events};
pub use rm::{App, Maximum, Rm};
pub use site::Site;
pub(crate) use staging::if_there;
pub use staging::{Outcome, Staging};
pub use submit::{Submission, Submitted};
pub(crate) use words::container as container_words;
