//! A job that stands still until a test has done what it wants to do meanwhile.
//!
//! A mapper for `streaming` passes all lines on; the first splits go through, the others wait until the gate is opened.
//! So nothing depends on how fast a machine is. What it does not do: outlive its desk; who waits when that is removed,
//! ends.

use crate::Desk;
use crate::desk::{Running, wait_until};
use std::fs;

/// Splits that go through before the gate.
const FREE: usize = 2;

/// The mapper, and the files by which it is steered.
#[derive(Debug)]
pub struct Gate<'a>(&'a Desk);

impl Gate<'_> {
    /// Writes it into a desk; one there is enough.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn new(desk: &Desk) -> Gate<'_> {
        fs::create_dir(desk.path("gate")).expect("made");
        let gate = desk.arg("gate");
        let text = format!(
            "#!/bin/sh\nn=1\nuntil mkdir {gate}/$n 2>/dev/null; do\n  [ -d {gate} ] || exit 1\n  n=$((n+1))\ndone\n\
             if [ $n -gt {FREE} ]; then\n  until [ -e {gate}/open ]; do\n    [ -d {gate} ] || exit 1\n    sleep 0.1\n  done\nfi\n\
             exec cat\n"
        );
        desk.script("mapper", &text);
        Gate(desk)
    }

    /// The job over the files of `input`, in two member processes.
    pub fn job(&self, input: &str, out: &str) -> String {
        let mapper = self.0.arg("mapper");
        format!("run streaming {input} --out {out} --mapper {mapper} --mode pseudo --workers 2 --threads 1")
    }

    /// Waits until some splits have gone through and others stand before it.
    ///
    /// # Panics
    /// When the job ends before, or that takes more than a minute.
    pub fn reached(&self, run: &mut Running) {
        let second = self.0.path("gate").join((FREE + 2).to_string());
        wait_until("both members stand before the gate", || second.exists() || run.ended());
        assert!(!run.ended(), "over before the gate");
    }

    /// Lets all go on.
    ///
    /// # Panics
    /// When the desk is gone.
    pub fn open(&self) {
        fs::write(self.0.path("gate/open"), "").expect("written");
    }
}
