//! Clusters of Amazon EMR: made, listed, taken down, and given steps. A job runs there as a step: the launcher on the
//! primary node, which then does what [`crate::yarn`] does.
//!
//! | module | where it runs | what |
//! |---|---|---|
//! | [`Emr`] | user's machine | the API: signed calls, answers as values |
//! | [`ClusterPlan`] | user's machine | what a new cluster is to be, and the request that asks for it |
//! | [`StepPlan`] | user's machine | a command of ours as a step |
//! | [`Home`] | both | what a job printed and said, from the primary node to who added the step, through S3 |
//!
//! Why not Amazon's library: ten calls of one kind, JSON over POST, signed with what the S3 client brings already
//! (decision 0023).
//! What it does not do: instance fleets, bootstrap actions, EMR Serverless, EMR on EKS.

mod api;
mod error;
mod home;
mod plan;
mod step;

pub use api::{Emr, Listed, Made, StepState};
pub use error::EmrError;
pub use home::{HOME_VARIABLE, Home, Left};
pub use plan::{ClusterPlan, IdleTimeout};
pub use step::StepPlan;

/// The text, if it is an id of a cluster.
///
/// ```
/// use mapfold_launch::emr::cluster_id;
/// assert_eq!(cluster_id("j-2AXXXXXXGAPLF"), Ok("j-2AXXXXXXGAPLF"));
/// assert!(cluster_id("j-").is_err() && cluster_id("2AXXXXXXGAPLF").is_err());
/// ```
///
/// # Errors
/// What ids look like.
pub fn cluster_id(text: &str) -> Result<&str, String> {
    match text.strip_prefix("j-") {
        Some(rest) if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()) => Ok(text),
        _ => Err(format!("{text:?} is no id of an EMR cluster; they look like j-2AXXXXXXGAPLF")),
    }
}
