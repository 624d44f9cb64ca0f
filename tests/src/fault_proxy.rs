//! HTTP faults on purpose, between a client under test and a real server.

use crate::{checkout, skipped};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A proxy in front of an HTTP server that answers 500 and 503, resets connections, loses answers, waits: see
/// `cluster/fault_proxy.py`. It ends when this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    child: Child,
    address: String,
}

impl FaultProxy {
    /// In front of `http://HOST:PORT`, with options such as `--seed 7 --error-503 0.05 --lost-answer 0.02`. `None`, said
    /// loudly, without Python.
    ///
    /// # Panics
    /// With `CI=true` without Python, and for options that it does not know.
    pub fn start(server: &str, options: &str) -> Option<FaultProxy> {
        let Some(python) = std::env::var_os("MAPFOLD_TEST_PYTHON") else {
            skipped("faults of HTTP (Python is set up by `make test`)", true);
            return None;
        };
        let to = server.trim_start_matches("http://").trim_end_matches('/');
        let mut command = Command::new(python);
        command.arg("-B").arg(checkout().join("cluster/fault_proxy.py")).args(["--to", to]);
        command.args(options.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_else(|| panic!("no proxy with {options}"));
        std::thread::spawn(move || lines.for_each(drop)); // a full pipe would stop it
        let ready: serde_json::Value = serde_json::from_str(&first).expect("its first line is JSON");
        let address = format!("http://{}", ready["listen"].as_str().expect("an address"));
        Some(FaultProxy { child, address })
    }

    /// `http://127.0.0.1:PORT`: what a client is given in place of the server.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it did so far: `{"chosen": 40, "passed": 2, "faults": {"reset": 3}}`.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn report(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.address.trim_start_matches("http://")).expect("the proxy listens");
        stream.write_all(b"GET /__faults HTTP/1.1\r\nConnection: close\r\n\r\n").expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
