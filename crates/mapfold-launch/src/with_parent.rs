//! Children that die with their parent: the one module of this crate with `unsafe`.
//!
//! The kernel sends SIGKILL to a child when the *thread* that started it ends, not its process. So members are started
//! by a thread that lives as long as the carrier. It is the second line of defence: the first is the pipe on the
//! member's standard input, which also reaches children of children and other systems than Linux.

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use std::io::{Error, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child of `command` end when the thread that spawns it does.
pub(crate) fn die_with_parent(command: &mut Command) {
    let launcher = getpid();
    // SAFETY: between fork and exec only async-signal-safe things may happen: these are two system calls and a
    // comparison of numbers; no memory is allocated, no lock is taken, nothing can panic.
    unsafe {
        command.pre_exec(move || tie_to(launcher));
    }
}

fn tie_to(launcher: Pid) -> Result<(), Error> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The launcher may have died before the call above: then no signal comes any more.
    match getppid() {
        Some(parent) if parent == launcher => Ok(()),
        _ => Err(Error::from(ErrorKind::BrokenPipe)),
    }
}
