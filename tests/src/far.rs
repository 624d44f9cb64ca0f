//! A place of a test's own in a store on a server, and the program beside it.
//!
//! The servers are those of [`crate::parts`]. What lies in a store is asked by another client than ours,
//! `tests/oracle/far.py`: so a test cannot be fooled by a fault that reading and writing have in common.

use crate::desk::Running;
use crate::{Desk, FaultProxy, Part, Ran, checkout, mapfold, part};
use std::path::Path;
use std::process::Command;

/// A folder of its own in a store, and a desk to run the program at.
#[derive(Debug)]
pub struct Far {
    /// Where the program runs.
    pub desk: Desk,
    /// The name of the part.
    pub name: &'static str,
    root: String,
    part: Part,
    /// What is set besides what reaches the store, and stronger.
    set: Vec<(&'static str, String)>,
}

/// The store of a part; `None`, loudly, where it cannot be had.
pub fn far(name: &'static str) -> Option<Far> {
    let part = part(name)?;
    Some(Far { desk: Desk::new(), name, root: part.folder(), part, set: Vec::new() })
}

impl Far {
    /// The same store, reached by the program (and not by the other client) through a proxy that hurts requests.
    /// `None`, said loudly, without Python.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn through(mut self, variables: &[&'static str], options: &str) -> Option<(Far, FaultProxy)> {
        let proxy = FaultProxy::start(self.part.var(variables[0]), options)?;
        self.set = variables.iter().map(|name| (*name, proxy.address().to_owned())).collect();
        Some((self, proxy))
    }

    /// A location in the store.
    pub fn loc(&self, name: &str) -> String {
        format!("{}/{name}", self.root).trim_end_matches('/').to_owned()
    }

    /// Runs `mapfold ARGS…` with what reaches the store.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run(&self, args: &str) -> Ran {
        self.start(mapfold(), args, "").wait()
    }

    /// Starts a program with what reaches the store, and fail points.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, program: &Path, args: &str, points: &str) -> Running {
        let mut variables = self.part.vars();
        variables.extend(self.set.iter().map(|(name, value)| (*name, value.as_str())));
        variables.push(("MAPFOLD_FAIL_POINTS", points));
        self.desk.start_program(program, args, &variables)
    }

    /// Names of all that lies below a location, hidden ones too.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn names(&self, name: &str) -> Vec<String> {
        self.ask("ls", &[name], None)
    }

    /// Uncompleted uploads of outputs, or of their parts.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn uploads(&self, names: &[&str]) -> Vec<String> {
        self.ask("uploads", names, None)
    }

    /// Begins an upload to an object, and forgets its id (S3).
    ///
    /// # Panics
    /// When the other client fails.
    pub fn begin_upload(&self, name: &str) {
        self.ask("begin", &[name], None);
    }

    /// Copies a file of the desk into the store; gives its location there.
    ///
    /// # Panics
    /// When that fails.
    pub fn upload(&self, file: &str, name: &str) -> String {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.ask("mkdir", &[folder], None);
        self.run(&format!("cp {file} {}", self.loc(name))).fine();
        self.loc(name)
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.ask("get", &[name], Some("fetched"));
        self.desk.bytes("fetched")
    }

    /// Names and bytes of all that lies below a location.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn tree(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        std::fs::create_dir_all(self.desk.path("tree")).expect("a folder of our own");
        let names = self.ask("tree", &[name], Some("tree"));
        names.into_iter().enumerate().map(|(n, name)| (name, self.desk.bytes(&format!("tree/{n}")))).collect()
    }

    fn ask(&self, verb: &str, names: &[&str], to: Option<&str>) -> Vec<String> {
        let mut asked = Command::new("python3");
        asked.arg(checkout().join("tests/oracle/far.py")).arg(verb).args(names.iter().map(|name| self.loc(name)));
        let done = asked.args(to.map(|to| self.desk.path(to))).envs(self.part.vars()).output().expect("python3 runs");
        assert!(done.status.success(), "far.py {verb} {names:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }
}
