//! One child process: start, signals, end.
//!
//! A member leads a process group of its own, so that a signal reaches what it started itself, and a Ctrl-C at the
//! terminal reaches the launcher alone, which then stops its members in order.

use crate::carrier::{Ended, MemberSpec};
use crate::error::LaunchError;
use crate::membership::MEMBER_OPTION;
use crate::with_parent::die_with_parent;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A log that takes what comes at its end, readable by this user only; and its length so far.
pub(crate) fn open_log(path: &Path) -> Result<(File, u64), LaunchError> {
    let failed = |source| LaunchError::Log { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

/// Starts `program` as a member, from the thread that calls, with its output going to `log`.
///
/// The log is a file, not a pipe: a member never waits for its launcher to read, and what it says last is not lost
/// when the launcher dies first.
pub(crate) fn spawn(
    program: &Path,
    spec: &MemberSpec,
    environment: Vec<(String, String)>,
    log: File,
) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.envs(environment);
    command.args(&spec.arguments).arg(MEMBER_OPTION).arg(spec.place.to_string());
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
    die_with_parent(&mut command);
    let mut child = command.spawn()?;
    if let Some(pipe) = child.stdin.as_mut() {
        // 65 bytes fit into any pipe. If the member has ended already, its exit says so.
        let _ = spec.token.write_to(pipe);
    }
    Ok(child)
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits until the process has ended but leaves its number taken, so that it can still be signalled safely.
pub(crate) fn wait_for_end(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
}

/// Signals a process and what it started. Only while its number is taken: before [`reap`].
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _ = kill_process_group(pid, signal); // fails only when nobody is left
}

/// Gives the number back and says how the process ended.
pub(crate) fn reap(child: &mut Child) -> Ended {
    match child.wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => Ended::Unknown,
        },
        Err(_) => Ended::Unknown,
    }
}
