//! Which process is which, and whether it lives.
//!
//! A process is named by machine, boot, process number and start time: numbers are used again, the four together are
//! not. From another machine (or another container) it cannot be seen whether it lives. Written into claims and into
//! the event log, so that a job whose process is gone is known to have died, and no stranger is sent a signal.

use serde::{Deserialize, Serialize};

/// A process of some machine.
///
/// ```
/// use mapfold_coord::process::{Alive, Process};
/// assert_eq!(Process::here().alive(), Alive::Yes);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Boot of the machine; differs after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Space of process numbers (container); differs where the number means another process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Start of the process, in clock ticks since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
}

/// Whether a process lives, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// It runs.
    Yes,
    /// It is gone; its number may be another's by now.
    No,
    /// It cannot be seen from here.
    Unknown,
}

impl Process {
    /// This process.
    #[must_use]
    pub fn here() -> Process {
        let pid = std::process::id();
        let boot = file("/proc/sys/kernel/random/boot_id");
        Process { pid, host: host(), boot, space: space(), started: start_of(pid) }
    }

    /// Whether it lives.
    #[must_use]
    pub fn alive(&self) -> Alive {
        let here = Process::here();
        if self.host != here.host {
            return Alive::Unknown;
        }
        if self.boot.is_some() && self.boot != here.boot {
            return Alive::No;
        }
        if self.space.is_some() && self.space != here.space {
            return Alive::Unknown;
        }
        match (self.started, here.started) {
            (Some(then), Some(_)) if start_of(self.pid) == Some(then) => Alive::Yes,
            (Some(_), Some(_)) => Alive::No,
            _ => signalled(self.pid),
        }
    }
}

impl Process {
    /// Asks it to end (TERM), if it is this very process that lives.
    ///
    /// # Errors
    /// When it is gone, cannot be seen from here, or belongs to another user.
    pub fn terminate(&self) -> std::io::Result<()> {
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such process here");
        if self.alive() != Alive::Yes {
            return Err(gone());
        }
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw).ok_or_else(gone)?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
    }
}

/// Where there is no `/proc`: a process of that number exists, or does not.
fn signalled(pid: u32) -> Alive {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match pid.map(rustix::process::test_kill_process) {
        Some(Ok(())) => Alive::Yes,
        Some(Err(rustix::io::Errno::SRCH)) | None => Alive::No,
        Some(Err(_)) => Alive::Unknown,
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn file(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn space() -> Option<String> {
    Some(std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// Field 22 of `/proc/<pid>/stat`. Field 2 may hold blanks and brackets: count from the last `)`.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let zombie = fields.next()? == "Z";
    let start = fields.nth(18)?.parse().ok()?;
    (!zombie).then_some(start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_lives_until_it_ends_and_its_number_alone_proves_nothing() {
        let me = Process::here();
        assert_eq!(me.alive(), Alive::Yes);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Process { pid: child.id(), ..me.clone() };
        child.wait().unwrap();
        assert_eq!(ended.alive(), Alive::No);
        let elsewhere = Process { host: "elsewhere.example".to_owned(), ..me.clone() };
        assert_eq!(elsewhere.alive(), Alive::Unknown);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_start_or_another_boot_is_another_process() {
        let me = Process::here();
        let older = Process { started: me.started.map(|ticks| ticks - 1), ..me.clone() };
        assert_eq!(older.alive(), Alive::No);
        let before = Process { boot: Some("an earlier one".to_owned()), ..me };
        assert_eq!(before.alive(), Alive::No);
    }
}
