//! A command of ours as a step. EMR runs it on the primary node, as the user `hadoop`, in an empty folder.

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
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl StepPlan {
    /// What bash is told. The program is fetched once for a node; what was fetched half is never run.
    pub fn script(&self) -> String {
        let words: Vec<String> = self.arguments.iter().map(|a| quoted(a)).collect();
        let (program, hash) = (quoted(&self.program), &self.hash);
        format!(
            "set -euo pipefail\n\
             bin=${{MAPFOLD_BIN:-$HOME/.mapfold/bin}}/{hash}\n\
             mkdir -p \"$bin\"\n\
             if ! [ -x \"$bin/mapfold\" ]; then\n\
             \x20 new=$(mktemp \"$bin/new.XXXXXX\")\n\
             \x20 aws s3 cp --only-show-errors {program} \"$new\"\n\
             \x20 echo \"{hash}  $new\" | sha256sum --check --quiet\n\
             \x20 chmod 755 \"$new\"\n\
             \x20 mv \"$new\" \"$bin/mapfold\"\n\
             fi\n\
             export HADOOP_CONF_DIR=${{HADOOP_CONF_DIR:-/etc/hadoop/conf}}\n\
             exec \"$bin/mapfold\" {}\n",
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

/// Text as one word of a shell.
///
/// ```
/// assert_eq!(mapfold_launch::emr::quoted("it's"), r"'it'\''s'");
/// assert_eq!(mapfold_launch::emr::quoted("--out"), "--out");
/// ```
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_string() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
