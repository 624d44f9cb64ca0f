//! A place of a test's own in a store on a server, and the program beside it.
//!
//! The servers are those of [`crate::parts`]. What lies in a store is asked by another client than ours,
//! `tests/oracle/far.py`: so a test cannot be fooled by a fault that reading and writing have in common.

use crate::desk::Running;
use crate::{Desk, Part, Ran, checkout, mapfold, part};
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
}

/// The store of a part; `None`, loudly, where it cannot be had.
pub fn far(name: &'static str) -> Option<Far> {
    let part = part(name)?;
    Some(Far { desk: Desk::new(), name, root: part.folder(), part })
}

impl Far {
    /// A location in the store.
    pub fn loc(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
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
        variables.push(("MAPFOLD_FAIL_POINTS", points));
        self.desk.start_program(program, args, &variables)
    }

    /// Names of all that lies below a location, hidden ones too.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn names(&self, name: &str) -> Vec<String> {
        self.ask("ls", name, None)
    }

    /// Uncompleted uploads of an output, or of its parts.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn uploads(&self, name: &str) -> Vec<String> {
        self.ask("uploads", name, None)
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// When the other client fails.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.desk.path("fetched");
        self.ask("get", name, Some(&file));
        std::fs::read(file).expect("it was fetched")
    }

    fn ask(&self, verb: &str, name: &str, file: Option<&Path>) -> Vec<String> {
        let mut asked = Command::new("python3");
        asked.arg(checkout().join("tests/oracle/far.py")).args([verb, &self.loc(name)]).args(file);
        let done = asked.envs(self.part.vars()).output().expect("python3 runs");
        assert!(done.status.success(), "far.py {verb} {name}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }
}
