//! What a new cluster is to be. The whole of it is one request, which `--dry-run` shows.

use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Seconds that EMR takes for an idle timeout.
const SHORTEST: u64 = 60;
const LONGEST: u64 = 7 * 24 * 3600;

/// How long a cluster may have nothing to do before it is taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTimeout(pub u64);

impl Default for IdleTimeout {
    /// An hour.
    fn default() -> IdleTimeout {
        IdleTimeout(3600)
    }
}

impl FromStr for IdleTimeout {
    type Err = String;

    /// ```
    /// use mapfold_launch::emr::IdleTimeout;
    /// assert_eq!("90m".parse(), Ok(IdleTimeout(5400)));
    /// assert!("30s".parse::<IdleTimeout>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<IdleTimeout, String> {
        let bad = || format!("{text:?}: write 1h, 90m or 3600s, from 1m to 7d");
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let seconds = match unit {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(bad()),
        };
        let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).ok_or_else(bad)?;
        if (SHORTEST..=LONGEST).contains(&seconds) { Ok(IdleTimeout(seconds)) } else { Err(bad()) }
    }
}

impl fmt::Display for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// A cluster to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Its name.
    pub name: String,
    /// Amazon's release: `emr-7.5.0`.
    pub release: String,
    /// Nodes beside the primary one.
    pub instances: u32,
    /// Their kind.
    pub instance_type: String,
    /// The primary node's kind.
    pub primary_type: String,
    /// Further nodes on the spot market, which may be taken away at any time: members may run there, the application
    /// master does not.
    pub spot: u32,
    /// Name of the SSH key of the nodes' user `hadoop`.
    pub key: Option<String>,
    /// Subnet of the nodes.
    pub subnet: Option<String>,
    /// `s3://…` for logs.
    pub logs: Option<String>,
    /// Idle for so long, it is taken down; `None`: never.
    pub idle: Option<IdleTimeout>,
    /// Role of the service.
    pub service_role: String,
    /// Role of the nodes: it reads and writes the job's data.
    pub node_role: String,
}

impl Default for ClusterPlan {
    fn default() -> ClusterPlan {
        ClusterPlan {
            name: "mapfold".into(),
            release: "emr-7.5.0".into(),
            instances: 2,
            instance_type: "m6i.xlarge".into(),
            primary_type: "m6i.xlarge".into(),
            spot: 0,
            key: None,
            subnet: None,
            logs: None,
            idle: Some(IdleTimeout::default()),
            service_role: "EMR_DefaultRole".into(),
            node_role: "EMR_EC2_DefaultRole".into(),
        }
    }
}

impl ClusterPlan {
    /// The request `RunJobFlow`.
    pub fn request(&self) -> Value {
        let group = |name: &str, role: &str, kind: &str, count: u32, market: &str| json!({ "Name": name, "InstanceRole": role, "InstanceType": kind, "InstanceCount": count, "Market": market });
        let mut groups = vec![
            group("primary", "MASTER", &self.primary_type, 1, "ON_DEMAND"),
            group("core", "CORE", &self.instance_type, self.instances, "ON_DEMAND"),
        ];
        if self.spot > 0 {
            groups.push(group("spot", "TASK", &self.instance_type, self.spot, "SPOT"));
        }
        let mut instances =
            json!({ "InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": true, "TerminationProtected": false });
        let optional = [("Ec2KeyName", &self.key), ("Ec2SubnetId", &self.subnet)];
        optional.into_iter().filter_map(|(k, v)| Some((k, v.as_ref()?))).for_each(|(k, v)| instances[k] = json!(v));
        let mut request = json!({
            "Name": self.name,
            "ReleaseLabel": self.release,
            "Applications": [{ "Name": "Hadoop" }],
            "Instances": instances,
            "ServiceRole": self.service_role,
            "JobFlowRole": self.node_role,
            "VisibleToAllUsers": true,
            // The second is what Amazon's own role for the service asks for.
            "Tags": [
                { "Key": "made-by", "Value": "mapfold" },
                { "Key": "for-use-with-amazon-emr-managed-policies", "Value": "true" },
            ],
        });
        if self.spot > 0 {
            request["Configurations"] = labels();
        }
        if let Some(idle) = self.idle {
            request["AutoTerminationPolicy"] = json!({ "IdleTimeout": idle.0 });
        }
        if let Some(logs) = &self.logs {
            request["LogUri"] = json!(logs);
        }
        request
    }

    /// The request `PutAutoTerminationPolicy`; `None` for a cluster that stays. The policy is in [`ClusterPlan::request`]
    /// already, so that nothing can come between; this asks for it by name, so that EMR says yes or no.
    pub fn policy(&self, id: &str) -> Option<Value> {
        let idle = self.idle?;
        Some(json!({ "ClusterId": id, "AutoTerminationPolicy": { "IdleTimeout": idle.0 } }))
    }

    /// As an existing cluster is. Its teardown is set anew.
    pub(crate) fn of(cluster: &Value, groups: &Value) -> ClusterPlan {
        let text = |value: &Value| value.as_str().filter(|s| !s.is_empty()).map(str::to_string);
        let default = ClusterPlan::default();
        let role = |role: &str, market: &str| {
            let all = groups.as_array().into_iter().flatten();
            all.filter(|g| g["InstanceGroupType"] == role && (market.is_empty() || g["Market"] == market))
                .collect::<Vec<_>>()
        };
        let count =
            |groups: &[&Value]| groups.iter().filter_map(|g| g["RequestedInstanceCount"].as_u64()).sum::<u64>() as u32;
        let kind = |groups: &[&Value]| groups.first().and_then(|g| text(&g["InstanceType"]));
        let (primary, core, spot) = (role("MASTER", ""), role("CORE", ""), role("TASK", "SPOT"));
        let ec2 = &cluster["Ec2InstanceAttributes"];
        ClusterPlan {
            name: text(&cluster["Name"]).unwrap_or(default.name),
            release: text(&cluster["ReleaseLabel"]).unwrap_or(default.release),
            instances: count(&core).max(1),
            instance_type: kind(&core).unwrap_or(default.instance_type),
            primary_type: kind(&primary).unwrap_or(default.primary_type),
            spot: count(&spot),
            key: text(&ec2["Ec2KeyName"]),
            subnet: text(&ec2["Ec2SubnetId"]),
            logs: text(&cluster["LogUri"]).map(|logs| logs.replacen("s3n://", "s3://", 1)),
            idle: default.idle,
            service_role: text(&cluster["ServiceRole"]).unwrap_or(default.service_role),
            node_role: text(&ec2["IamInstanceProfile"]).unwrap_or(default.node_role),
        }
    }
}

/// By it a cluster knows nodes that stay from those on the spot market.
fn labels() -> Value {
    json!([{
        "Classification": "yarn-site",
        "Properties": {
            "yarn.node-labels.enabled": "true",
            "yarn.node-labels.am.default-node-label-expression": "ON_DEMAND",
        },
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_torn_down_unless_it_is_to_stay() {
        let plan = ClusterPlan::default();
        assert_eq!(plan.policy("j-1").map(|p| p["AutoTerminationPolicy"]["IdleTimeout"].clone()), Some(json!(3600)));
        assert!(ClusterPlan { idle: None, ..plan }.policy("j-1").is_none());
    }

    #[test]
    fn a_clone_asks_for_the_same_nodes() {
        let plan = ClusterPlan { instances: 5, spot: 3, key: Some("me".into()), ..ClusterPlan::default() };
        let request = plan.request();
        let groups: Vec<Value> = request["Instances"]["InstanceGroups"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|g| {
                json!({ "InstanceGroupType": g["InstanceRole"], "InstanceType": g["InstanceType"],
                        "RequestedInstanceCount": g["InstanceCount"], "Market": g["Market"] })
            })
            .collect();
        let cluster = json!({ "Name": "mapfold", "ReleaseLabel": plan.release, "ServiceRole": plan.service_role,
            "Ec2InstanceAttributes": { "Ec2KeyName": "me", "IamInstanceProfile": plan.node_role } });
        assert_eq!(ClusterPlan::of(&cluster, &json!(groups)), plan);
    }

    #[test]
    fn idle_timeouts_as_people_write_them() {
        assert_eq!("1h".parse(), Ok(IdleTimeout(3600)));
        assert_eq!("7d".parse::<IdleTimeout>().map(|t| t.to_string()), Ok("168h".into()));
        for bad in ["", "h", "1w", "59s", "8d", "-1h", "99999999999999999999h"] {
            assert!(bad.parse::<IdleTimeout>().is_err(), "{bad}");
        }
    }
}
