//! How YARN tells that a container ended. Numbers below zero are its own (`ContainerExitStatus`).

use crate::carrier::Ended;

/// The application master's own number: the container could not be started.
const NOT_STARTED: i32 = -2000;

/// What an exit status of a container means.
pub(crate) fn ended(status: i32) -> Ended {
    match status {
        0..=128 => Ended::Code(status),
        129..=192 => Ended::Signal(status - 128),
        _ => Ended::Container(status),
    }
}

/// A status of YARN's own in words.
pub(crate) fn container(status: i32) -> &'static str {
    match status {
        NOT_STARTED => "its container could not be started",
        -100 => "its container was lost with its node, or taken back",
        -101 => "the disks of its node failed",
        -102 => "its container was given to another application (preempted)",
        -103 => "killed by YARN: more virtual memory than its container may have",
        -104 => "killed by YARN: more memory than its container has",
        -105 => "stopped by the application master",
        -106 => "killed by the ResourceManager",
        -107 => "stopped after the application had ended",
        -108 => "killed by YARN: its container was too busy with the disk or too large",
        _ => "its container ended in a way that YARN has no word for here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_ends_as_its_process_does_or_in_words() {
        assert_eq!(ended(0), Ended::Code(0));
        assert_eq!(ended(75).to_string(), "exit code 75");
        assert_eq!(ended(137), Ended::Signal(9));
        assert_eq!(ended(-104).to_string(), "killed by YARN: more memory than its container has (YARN's status -104)");
        assert!(ended(-1000).to_string().contains("-1000"));
    }
}
