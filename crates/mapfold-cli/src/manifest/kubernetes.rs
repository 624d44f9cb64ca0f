//! The objects for Kubernetes: pod 0 of an Indexed Job has the coordinator, the others lend their hosts, and
//! `kubectl exec` stands in for `ssh`, with a role that allows it in this namespace only.
//!
//! Index 0 decides: when it succeeds the job has, and the others end (success policy, Kubernetes 1.31 or later).

use super::Kubernetes;
use serde_json::{Value, json};

const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
const INDEX_LABEL: &str = "batch.kubernetes.io/job-completion-index";

impl Kubernetes {
    /// All objects, in one list.
    pub(super) fn manifest(&self) -> Value {
        let items = [self.account(), self.role(), self.binding(), self.script(), self.service(), self.job()];
        json!({ "apiVersion": "v1", "kind": "List", "items": items })
    }

    fn name(&self) -> &str {
        &self.what.name
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({ "name": self.name(), "labels": { "app.kubernetes.io/name": "mapfold" } });
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = json!(namespace);
        }
        metadata
    }

    fn account(&self) -> Value {
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata() })
    }

    fn role(&self) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": self.metadata(),
            "rules": [
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] },
                { "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"] },
            ],
        })
    }

    fn binding(&self) -> Value {
        let mut subject = json!({ "kind": "ServiceAccount", "name": self.name() });
        if let Some(namespace) = &self.namespace {
            subject["namespace"] = json!(namespace);
        }
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": self.metadata(),
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name() },
            "subjects": [subject],
        })
    }

    /// What runs in the pods.
    fn script(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(),
            "data": { "run": self.run_script(), "kubectl-as-ssh": self.ssh_script() },
        })
    }

    /// Pod 0 waits for the others and runs the job; they wait for its end.
    fn run_script(&self) -> String {
        let (name, workers) = (self.name(), self.what.workers);
        let line = self.what.line("/tmp/hosts", &format!("\"{name}-0.{name}\""));
        format!(
            r#"#!/bin/sh
set -eu
if [ "$JOB_COMPLETION_INDEX" != 0 ]; then
  trap 'exit 0' TERM
  sleep infinity &
  wait
  exit 0
fi
: > /tmp/hosts
i=1
while [ "$i" -le {workers} ]; do
  echo "{name}-$i slots=1" >> /tmp/hosts
  until kubectl get pods -l "{JOB_LABEL}={name},{INDEX_LABEL}=$i" --field-selector=status.phase=Running -o name | grep -q .; do
    sleep 2
  done
  i=$((i + 1))
done
export MAPFOLD_SSH="sh /mapfold/kubectl-as-ssh"
exec {line}
"#
        )
    }

    /// mapfold calls ssh: OPTIONS -- HOST COMMAND.
    fn ssh_script(&self) -> String {
        let name = self.name();
        format!(
            r#"#!/bin/sh
while [ "$1" != -- ]; do shift; done
index="${{2##*-}}"
pod="$(kubectl get pods -l "{JOB_LABEL}={name},{INDEX_LABEL}=$index" --field-selector=status.phase=Running -o name | head -n 1)"
exec kubectl exec -i "$pod" -- /bin/sh -c "$3"
"#
        )
    }

    /// Gives the pods their names.
    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": self.metadata(),
            "spec": { "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { JOB_LABEL: self.name() } },
        })
    }

    fn job(&self) -> Value {
        let pods = self.what.workers + 1;
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": self.metadata(),
            "spec": {
                "completionMode": "Indexed",
                "completions": pods,
                "parallelism": pods,
                "backoffLimit": 0,
                "successPolicy": { "rules": [{ "succeededIndexes": "0" }] },
                "template": { "spec": self.pod() },
            },
        })
    }

    fn pod(&self) -> Value {
        let room = json!({ "cpu": self.what.cpus.to_string(), "memory": format!("{}Mi", self.what.mebibytes()) });
        let mut mounts = vec![json!({ "name": "scripts", "mountPath": "/mapfold" })];
        let mut volumes = vec![json!({ "name": "scripts", "configMap": { "name": self.name() } })];
        if let Some((claim, path)) = &self.volume {
            mounts.push(json!({ "name": "data", "mountPath": path }));
            volumes.push(json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim } }));
        }
        json!({
            "restartPolicy": "Never",
            "subdomain": self.name(),
            "serviceAccountName": self.name(),
            "containers": [{
                "name": "mapfold",
                "image": self.image,
                "command": ["sh", "/mapfold/run"],
                "resources": { "requests": room, "limits": { "memory": room["memory"] } },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        })
    }
}
