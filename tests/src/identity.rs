//! An identity provider (`cluster/oidc.py`) for tests of web identities.

use crate::checkout;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that runs; it ends with this.
pub struct Identities {
    process: Child,
    /// Its discovery document.
    pub url: String,
    /// The role that MinIO has for its tokens.
    pub role: String,
}

impl Identities {
    /// Starts one. It leaves `token` and `forged` in this folder.
    ///
    /// # Panics
    /// When it does not start: Python and openssl are needed, as for other parts.
    pub fn start(folder: &Path) -> Identities {
        let mut command = Command::new(checkout().join("cluster/oidc.py"));
        command.arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 runs cluster/oidc.py");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is a pipe");
        BufReader::new(out).read_line(&mut line).expect("what it says");
        let told: serde_json::Value = serde_json::from_str(&line).expect("it says where it is (see its words above)");
        let word = |name: &str| told[name].as_str().expect("a word").to_owned();
        Identities { process, url: word("url"), role: word("role") }
    }
}

impl Drop for Identities {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
