//! A command of ours as a step. EMR runs it on the primary node, as the user `hadoop`, in an empty folder.
//!
//! Everybody who may list the cluster's steps reads all of it, and so do its processes' lists: no secret is in it.

use super::home::HOME_VARIABLE;
use crate::words::quoted;
use serde_json::{Value, json};

/// A step to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPlan {
    /// Its name in EMR's lists.
    pub name: String,
    /// Where the program is: `s3://bucket/…`.
    pub program: String,
    /// The SHA-256 of it: another file is not run.
    pub hash: String,
    /// The cluster's region.
    pub region: String,
    /// Folder for what the job leaves ([`super::Home`]); `None` when nobody waits for it.
    pub home: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl StepPlan {
    /// What bash is told. The program is fetched once for a node; what was fetched half is never run.
    pub fn script(&self) -> String {
        let words: Vec<String> = self.arguments.iter().map(|a| quoted(a)).collect();
        let (program, hash, region) = (quoted(&self.program), &self.hash, quoted(&self.region));
        let home =
            self.home.iter().map(|home| format!("export {HOME_VARIABLE}={}\n", quoted(home))).collect::<String>();
        format!(
            "set -euo pipefail\n\
             export AWS_DEFAULT_REGION=${{AWS_DEFAULT_REGION:-{region}}}\n\
             bin=$HOME/.mapfold/bin/{hash}\n\
             mkdir -p \"$bin\"\n\
             if ! [ -x \"$bin/mapfold\" ]; then\n\
             \x20 new=$(mktemp \"$bin/new.XXXXXX\")\n\
             \x20 aws s3 cp --only-show-errors {program} \"$new\"\n\
             \x20 echo \"{hash}  $new\" | sha256sum --check --quiet\n\
             \x20 chmod 755 \"$new\"\n\
             \x20 mv \"$new\" \"$bin/mapfold\"\n\
             fi\n\
             export HADOOP_CONF_DIR=${{HADOOP_CONF_DIR:-/etc/hadoop/conf}}\n\
             {home}exec \"$bin/mapfold\" {}\n",
            words.join(" ")
        )
    }

    /// As `AddJobFlowSteps` takes it.
    pub fn request(&self) -> Value {
        json!({
            "Name": self.name,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": { "Jar": "command-runner.jar", "Args": ["bash", "-c", self.script()] },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    fn step(hash: &str, arguments: &[&str]) -> StepPlan {
        StepPlan {
            name: "mapfold ndvi".into(),
            program: "s3://bucket/it's here/mapfold".into(),
            hash: hash.into(),
            region: "eu-central-1".into(),
            home: Some("s3://bucket/jobs/1".into()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }
    }

    /// Runs a step where `aws s3 cp FROM TO` copies a file of this test.
    fn run(folder: &std::path::Path, step: &StepPlan) -> (bool, String) {
        let script = "aws() { [ \"$4\" = \"s3://bucket/it's here/mapfold\" ] && cp \"$FROM\" \"$5\"; }\n";
        let script = format!("{script}{}", step.script());
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).env("HOME", folder).env("FROM", folder.join("program"));
        let done = bash.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.success(), text(&done.stdout) + &text(&done.stderr))
    }

    #[test]
    fn the_program_is_fetched_once_and_gets_its_words_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let program =
            "#!/bin/sh\nprintf '<%s>' \"$@\"; echo \" $AWS_DEFAULT_REGION $HADOOP_CONF_DIR $MAPFOLD_EMR_HOME\"\n";
        std::fs::write(folder.path().join("program"), program).unwrap();
        let hash = mapfold_wire::sha256(&mut program.as_bytes()).unwrap();
        let step = step(&hash, &["run", "a b", "$(id)", "it's", ""]);
        let (fine, said) = run(folder.path(), &step);
        let words = "<run><a b><$(id)><it's><> eu-central-1 /etc/hadoop/conf s3://bucket/jobs/1";
        assert!(fine && said.contains(words), "{said}");
        std::fs::remove_file(folder.path().join("program")).unwrap();
        assert!(run(folder.path(), &step).0, "it is there already");
    }

    #[test]
    fn another_file_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("program"), "#!/bin/sh\necho ran\n").unwrap();
        let (fine, said) = run(folder.path(), &step(&"0".repeat(64), &["run"]));
        assert!(!fine && !said.contains("ran"), "{said}");
    }
}
