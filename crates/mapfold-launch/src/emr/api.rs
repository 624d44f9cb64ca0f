//! The calls: values in, values out. What a refusal means for a user is in [`EmrError`].

use super::error::EmrError;
use super::plan::ClusterPlan;
use super::step::StepPlan;
use mapfold_store::{AwsAnswer, AwsCall, Stores};
use serde_json::{Value, json};

/// Calls that do a thing each time they are made.
const ONCE: [&str; 2] = ["RunJobFlow", "AddJobFlowSteps"];

/// The API of one region.
#[derive(Clone, Debug)]
pub struct Emr {
    stores: Stores,
    region: Option<String>,
}

/// A cluster that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `j-2AXXXXXXGAPLF`
    pub id: String,
}

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// `j-2AXXXXXXGAPLF`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `STARTING`, `RUNNING`, `WAITING`, `TERMINATED` and others.
    pub state: String,
    /// Why it is in that state, where EMR says so.
    pub reason: String,
    /// The primary node's name, once it has one.
    pub primary: String,
    /// Where EMR puts logs.
    pub logs: String,
}

impl Listed {
    /// Whether it takes no jobs any more.
    pub fn is_ending(&self) -> bool {
        self.state.starts_with("TERMINAT")
    }
}

/// How a step is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepState {
    /// `PENDING`, `RUNNING`, `COMPLETED`, `FAILED`, `CANCELLED`, `INTERRUPTED`.
    pub state: String,
    /// Why it failed, where EMR says so.
    pub reason: String,
}

impl StepState {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
    }
}

impl Emr {
    /// In a region; without one, where the user's AWS settings say.
    pub fn new(stores: &Stores, region: Option<String>) -> Emr {
        Emr { stores: stores.clone(), region }
    }

    /// The region, where one is known.
    ///
    /// # Errors
    /// [`EmrError::Call`] for files of settings that cannot be understood.
    pub fn region(&self) -> Result<Option<String>, EmrError> {
        match &self.region {
            Some(region) => Ok(Some(region.clone())),
            None => Ok(self.stores.aws_region()?),
        }
    }

    fn call(&self, action: &'static str, body: Value) -> Result<Value, EmrError> {
        let call = AwsCall {
            service: "elasticmapreduce",
            endpoint: "aws_endpoint_url_emr",
            region: self.region.clone(),
            target: format!("ElasticMapReduce.{action}"),
            body,
            repeatable: !ONCE.contains(&action),
        };
        match self.stores.call_aws(&call)? {
            AwsAnswer::Done(said) => Ok(said),
            AwsAnswer::Refused { kind, why } => Err(EmrError::Refused { action, kind, why }),
            AwsAnswer::Lost { why } => Err(EmrError::Lost { action, why }),
        }
    }

    /// Makes a cluster that takes itself down. If that cannot be set, it is terminated at once: nothing may run, and
    /// cost, for ever by accident.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn create(&self, plan: &ClusterPlan) -> Result<Made, EmrError> {
        let answer = self.call("RunJobFlow", plan.request())?;
        let id = answer["JobFlowId"].as_str().map(str::to_string);
        let id = id.ok_or_else(|| EmrError::Strange { action: "RunJobFlow", why: answer.to_string() })?;
        if let Some(policy) = plan.policy(&id)
            && let Err(e) = self.call("PutAutoTerminationPolicy", policy)
        {
            let ended = self.terminate(std::slice::from_ref(&id)).is_ok();
            return Err(EmrError::Unguarded { id, why: e.to_string(), ended });
        }
        Ok(Made { id })
    }

    /// A cluster as it is now.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn describe(&self, id: &str) -> Result<Listed, EmrError> {
        let answer = self.call("DescribeCluster", json!({ "ClusterId": id }))?;
        Ok(listed(&answer["Cluster"]))
    }

    /// What a cluster is, as a plan for another one like it.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn plan_of(&self, id: &str) -> Result<ClusterPlan, EmrError> {
        let cluster = self.call("DescribeCluster", json!({ "ClusterId": id }))?;
        if cluster["Cluster"]["InstanceCollectionType"] == "INSTANCE_FLEET" {
            return Err(EmrError::Fleets { id: id.to_string() });
        }
        let groups = self.call("ListInstanceGroups", json!({ "ClusterId": id }))?;
        Ok(ClusterPlan::of(&cluster["Cluster"], &groups["InstanceGroups"]))
    }

    /// Clusters that live, or all of the last two months; newest first.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn list(&self, all: bool) -> Result<Vec<Listed>, EmrError> {
        const ALIVE: [&str; 5] = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"];
        let (mut clusters, mut marker) = (Vec::new(), Value::Null);
        loop {
            let mut ask = if all { json!({}) } else { json!({ "ClusterStates": ALIVE }) };
            if !marker.is_null() {
                ask["Marker"] = marker;
            }
            let answer = self.call("ListClusters", ask)?;
            clusters.extend(answer["Clusters"].as_array().into_iter().flatten().map(listed));
            marker = answer["Marker"].clone();
            if marker.is_null() || marker == "" {
                return Ok(clusters);
            }
        }
    }

    /// Takes clusters down.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn terminate(&self, ids: &[String]) -> Result<(), EmrError> {
        self.call("TerminateJobFlows", json!({ "JobFlowIds": ids })).map(drop)
    }

    /// Gives a cluster a step; the step's id.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn add_step(&self, id: &str, step: &StepPlan) -> Result<String, EmrError> {
        let answer = self.call("AddJobFlowSteps", json!({ "JobFlowId": id, "Steps": [step.request()] }))?;
        let step = answer["StepIds"][0].as_str().map(str::to_string);
        step.ok_or_else(|| EmrError::Strange { action: "AddJobFlowSteps", why: answer.to_string() })
    }

    /// How a step is.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn step(&self, cluster: &str, step: &str) -> Result<StepState, EmrError> {
        let answer = self.call("DescribeStep", json!({ "ClusterId": cluster, "StepId": step }))?;
        let status = &answer["Step"]["Status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let reason = text(&status["FailureDetails"]["Message"]);
        let reason = if reason.is_empty() { text(&status["FailureDetails"]["Reason"]) } else { reason };
        Ok(StepState { state: text(&status["State"]), reason })
    }

    /// Asks a step that waits or runs to end.
    ///
    /// # Errors
    /// [`EmrError`].
    pub fn cancel_step(&self, cluster: &str, step: &str) -> Result<(), EmrError> {
        let ask = json!({ "ClusterId": cluster, "StepIds": [step], "StepCancellationOption": "SEND_INTERRUPT" });
        self.call("CancelSteps", ask).map(drop)
    }
}

fn listed(cluster: &Value) -> Listed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    Listed {
        id: text(&cluster["Id"]),
        name: text(&cluster["Name"]),
        state: text(&cluster["Status"]["State"]),
        reason: text(&cluster["Status"]["StateChangeReason"]["Message"]),
        primary: text(&cluster["MasterPublicDnsName"]),
        // EMR tells of s3n:// where it was given s3://.
        logs: text(&cluster["LogUri"]).replacen("s3n://", "s3://", 1),
    }
}
