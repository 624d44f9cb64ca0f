//! From a job to an application: what it asks for is checked against the cluster, its files are put there, and the
//! ResourceManager is told.

use super::asks::{self, Asks};
use super::carrier::container_mib;
use super::error::YarnError;
use super::rm::{App, Maximum, Rm};
use super::site::Site;
use super::staging::{Outcome, Resource, Staging};
use mapfold_coord::JobId;
use mapfold_store::{Loc, Secret, Stores, closest};
use mapfold_wire::Token;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Labels of nodes that stay, which the application master should be on; the first that the cluster has is taken. EMR
/// labels its nodes so: task nodes may be on the spot market.
const STEADY: [&str; 2] = ["ON_DEMAND", "CORE"];
/// Memory of the application master's own process, in MiB: it is a Java virtual machine.
const MASTER_MIB: u64 = 448;
const MASTER_HEAP: u64 = 160;

/// A job to be submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The job's name for machines.
    pub job: JobId,
    /// Its name for people, as lists of applications show it.
    pub name: String,
    /// The queue; the cluster's own choice when there is none.
    pub queue: Option<String>,
    /// The program.
    pub program: PathBuf,
    /// What the coordinator gets as arguments.
    pub arguments: Vec<String>,
    /// Settings of stores as they travel, secrets included.
    pub settings: Secret,
    /// What a member plans with, in bytes.
    pub member_memory: u64,
    /// Threads of a member.
    pub member_threads: usize,
    /// What the coordinator may use, in bytes.
    pub coordinator_memory: u64,
    /// Label of nodes for the application master; `None`: nodes that stay, where the cluster labels them.
    pub label: Option<String>,
    /// Folder for the files of applications; the user's on the cluster's own file system when there is none.
    pub staging: Option<Loc>,
    /// How often an application master may be begun.
    pub attempts: u32,
}

/// An application on its way.
#[derive(Clone, Debug)]
pub struct Submitted {
    rm: Rm,
    /// Its number: `application_1700000000000_0001`.
    pub application: String,
    staging: Staging,
}

impl Submission {
    /// Submits the job.
    ///
    /// # Errors
    /// [`YarnError`]; nothing is left on the cluster then.
    pub fn submit(&self, stores: &Stores, site: &Site) -> Result<Submitted, YarnError> {
        let rm = Rm::find(stores, site)?;
        self.check_queue(&rm)?;
        let (application, most) = rm.new_application()?;
        self.check_size(most)?;
        let staging = Staging::of(stores, site, &self.job, self.staging.as_ref())?;
        let label = self.label.clone().or_else(|| steady(&rm.labels()));
        let submitted =
            self.stage(&staging, site).and_then(|spec| rm.submit(&self.context(&application, &spec, label)));
        if let Err(e) = submitted {
            staging.remove();
            return Err(e);
        }
        Ok(Submitted { rm, application, staging })
    }

    fn check_queue(&self, rm: &Rm) -> Result<(), YarnError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let known = rm.queues()?;
        let short = |name: &str| name.rsplit('.').next().unwrap_or_default().to_string();
        if known.is_empty() || known.iter().any(|k| k == queue || *k == short(queue) || short(k) == *queue) {
            return Ok(());
        }
        let nearest = closest(queue, known.iter().map(String::as_str)).map(str::to_string);
        Err(YarnError::NoQueue { queue: queue.clone(), known: known.join(", "), nearest })
    }

    fn check_size(&self, most: Maximum) -> Result<(), YarnError> {
        let sizes = [
            ("member", container_mib(self.member_memory), self.member_threads as u64, "--memory-limit or --threads"),
            ("coordinator", self.coordinator_mib(), 1, "--am-memory"),
        ];
        for (what, mib, cores, option) in sizes {
            if mib > most.mib || cores > most.cores {
                let size = |mib: u64, cores: u64| format!("{mib} MiB and {cores} cores");
                return Err(YarnError::TooLarge {
                    what,
                    needed: size(mib, cores),
                    most: size(most.mib, most.cores),
                    option,
                });
            }
        }
        Ok(())
    }

    /// Memory of the application master's container: the coordinator's beside its own.
    fn coordinator_mib(&self) -> u64 {
        self.coordinator_memory.div_ceil(1 << 20) + MASTER_MIB
    }

    /// Puts the files there, and says what the application master's container is to be.
    fn stage(&self, staging: &Staging, site: &Site) -> Result<Value, YarnError> {
        staging.begin()?;
        let program = staging.program(&self.program)?;
        let files = [
            ("am.jar", staging.master()?, "APPLICATION"),
            ("token", staging.token(&Token::random()?)?, "APPLICATION"),
            ("settings", staging.settings(&self.settings)?, "APPLICATION"),
            ("arguments", staging.arguments(&self.arguments)?, "APPLICATION"),
            ("mapfold", program.clone(), "PRIVATE"),
        ];
        let entry = |(name, r, seen): &(&str, Resource, &str)| {
            let value = json!({ "resource": r.url, "type": "FILE", "visibility": seen, "size": r.bytes, "timestamp": r.modified_ms });
            json!({ "key": name, "value": value })
        };
        let environment = [
            ("CLASSPATH", format!("./am.jar:{}", site.class_path())),
            // Java hands arguments on in the encoding of the locale.
            ("LC_ALL", "C.UTF-8".to_string()),
            (asks::FOLDER, staging.url()),
        ];
        let variable = |(key, value): &(&str, String)| json!({ "key": key, "value": value });
        let java = format!("{{{{JAVA_HOME}}}}/bin/java -Xmx{MASTER_HEAP}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1");
        let said = [("staging", staging.url()), ("binary", program.url.clone()), ("job", self.job.to_string())];
        let said: String = said.iter().map(|(key, value)| format!(" '{key}={}'", value.replace('\'', ""))).collect();
        let command = format!(
            "exec {java} mapfold.yarn.Master{said} logs=<LOG_DIR> 1><LOG_DIR>/master.out 2><LOG_DIR>/master.err"
        );
        Ok(json!({
            "local-resources": { "entry": files.iter().map(entry).collect::<Vec<_>>() },
            "environment": { "entry": environment.iter().map(variable).collect::<Vec<_>>() },
            "commands": { "command": command },
        }))
    }

    fn context(&self, application: &str, spec: &Value, label: Option<String>) -> Value {
        let mut context = json!({
            "application-id": application,
            "application-name": self.name,
            "application-type": "MAPFOLD",
            "application-tags": { "tag": format!("mapfold-{}", self.job) },
            "unmanaged-AM": false,
            "max-app-attempts": self.attempts,
            "keep-containers-across-application-attempts": false,
            "resource": { "memory": self.coordinator_mib(), "vCores": 1 },
            "am-container-spec": spec,
        });
        if let Some(queue) = &self.queue {
            context["queue"] = json!(queue);
        }
        if let Some(label) = label.filter(|l| l != "none") {
            context["am-container-node-label-expression"] = json!(label);
        }
        context
    }
}

/// The label of nodes that stay, if the cluster has one.
fn steady(labels: &[String]) -> Option<String> {
    STEADY.iter().find(|wanted| labels.iter().any(|l| l == **wanted)).map(ToString::to_string)
}

impl Submitted {
    /// How it is.
    ///
    /// # Errors
    /// [`YarnError::Unreachable`] after a minute without an answer.
    pub fn app(&self) -> Result<App, YarnError> {
        self.rm.app(&self.application)
    }

    /// Ends it, with all its containers.
    ///
    /// # Errors
    /// [`YarnError`].
    pub fn kill(&self) -> Result<(), YarnError> {
        self.rm.kill(&self.application)
    }

    /// What its last attempt left; `None` when it was killed before it could leave anything.
    ///
    /// # Errors
    /// [`YarnError::Files`].
    pub fn outcome(&self, attempt: u64) -> Result<Option<Outcome>, YarnError> {
        self.staging.outcome(attempt)
    }

    /// How its coordinator is asked for something.
    pub fn asks(&self) -> Asks {
        self.staging.asks()
    }

    /// Whom calls go through.
    pub fn stores(&self) -> &Stores {
        self.rm.stores()
    }

    /// Removes its files from the cluster, but the program.
    pub fn clean(&self) {
        self.staging.remove();
    }

    /// The page of the application.
    pub fn page(&self) -> String {
        format!("{}/cluster/app/{}", self.rm.address(), self.application)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn submission() -> Submission {
        Submission {
            job: "00112233445566778899aabbccddeeff".parse().unwrap(),
            name: "ndvi".into(),
            queue: None,
            program: "mapfold".into(),
            arguments: vec!["run".into()],
            settings: Secret::new("[]"),
            member_memory: 1 << 30,
            member_threads: 2,
            coordinator_memory: 512 << 20,
            label: None,
            staging: None,
            attempts: 2,
        }
    }

    #[test]
    fn what_is_too_large_for_the_cluster_is_said_before_anything_is_sent() {
        let job = submission();
        assert!(job.check_size(Maximum { mib: 4096, cores: 4 }).is_ok());
        let error = job.check_size(Maximum { mib: 1024, cores: 4 }).unwrap_err();
        assert!(error.to_string().contains("a member needs a container of 1408 MiB and 2 cores"), "{error}");
        let error = job.check_size(Maximum { mib: 4096, cores: 1 }).unwrap_err();
        assert!(error.is_usage() && error.remedy().unwrap().contains("--threads"));
    }

    #[test]
    fn the_master_goes_where_nodes_stay() {
        let named = |labels: &[&str]| steady(&labels.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(named(&["SPOT", "CORE", "ON_DEMAND"]).as_deref(), Some("ON_DEMAND"));
        assert_eq!(named(&["TASK", "CORE"]).as_deref(), Some("CORE"));
        assert_eq!(named(&["gpu"]), None);
        let context = submission().context("application_1_1", &json!({}), Some("none".into()));
        assert!(context.get("am-container-node-label-expression").is_none() && context.get("queue").is_none());
        let context = submission().context("application_1_1", &json!({}), Some("CORE".into()));
        assert_eq!(context["am-container-node-label-expression"], "CORE");
    }
}
