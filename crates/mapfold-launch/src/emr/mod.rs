//! Clusters of Amazon EMR: made, listed, taken down, and given steps. A job runs there as a step: the launcher on the
//! primary node, which then does what [`crate::yarn`] does.
//!
//! | module | what |
//! |---|---|
//! | [`Emr`] | the API: signed calls, answers as values |
//! | [`ClusterPlan`] | what a new cluster is to be, and the request that asks for it |
//! | [`StepPlan`] | a command of ours as a step |
//!
//! Why not Amazon's library: nine calls of one kind, JSON over POST, signed with what the S3 client brings already
//! (decision 0021).

mod api;
mod plan;
mod step;

pub use api::{Emr, EmrError, Listed, Made, StepState};
pub use plan::{ClusterPlan, IdleTimeout};
pub use step::{StepPlan, quoted};
