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
pub use step::{StepPlan, quoted};
