//! Why a host is of no use, and what to do about it, from what `ssh` and the shell there said.

use super::stage::StageError;
use crate::error::LaunchError;
use std::process::ExitStatus;

/// `ssh` itself failed: it never reached a shell.
const OF_SSH: i32 = 255;

/// What is wrong with a host.
pub(super) fn fault(host: &str, error: &StageError, status: Option<ExitStatus>, stderr: &str) -> LaunchError {
    let (what, remedy) = match error {
        StageError::Machine { system, machine } => (
            format!("it is {system} on {machine}, this program is for Linux on {}", std::env::consts::ARCH),
            "build the program on a machine of that kind and start the job there, or use other hosts".to_owned(),
        ),
        StageError::Here(e) => (format!("this program cannot be read: {e}"), "look at its permissions".to_owned()),
        StageError::Ended => said(host, status.and_then(|s| s.code()), stderr),
    };
    LaunchError::Host { host: host.to_owned(), what, remedy }
}

/// Signs in what was said, what they mean, and what to do. The first that is found counts.
const SIGNS: [(&str, &str, &str); 11] = [
    (
        "Permission denied (",
        "ssh is not let in",
        "`ssh HOST true` must work without a password: ssh-copy-id, or a key in ssh-agent",
    ),
    (
        "Too many authentication failures",
        "ssh is not let in",
        "name the key with IdentityFile and IdentitiesOnly in ~/.ssh/config",
    ),
    (
        "Host key verification failed",
        "its host key is not known, or is another one",
        "`ssh HOST true` once by hand; is it the right host?",
    ),
    (
        "Could not resolve hostname",
        "no host of that name is known",
        "look at the name; is it in DNS, /etc/hosts or ~/.ssh/config?",
    ),
    (
        "Connection refused",
        "nothing listens for ssh there",
        "is sshd running, and at this port? HOST:PORT names another one",
    ),
    ("timed out", "it does not answer", "is it up, and not behind a firewall?"),
    ("No route to host", "it cannot be reached from here", "is it up, and in a network that this machine reaches?"),
    ("GLIBC_", "its C library is too old for this program", "build the program on a system as old as that one"),
    (
        "No space left",
        "there is no space for the program in ~/.cache/mapfold",
        "free some space there, or set XDG_CACHE_HOME for that user",
    ),
    ("sha256sum: not found", "it has no sha256sum", "install GNU coreutils there"),
    ("cannot execute", "the program does not run there", "is that system like this one?"),
];

fn said(host: &str, code: Option<i32>, stderr: &str) -> (String, String) {
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line = |sign: &str| stderr.lines().map(str::trim).rfind(|line| line.contains(sign));
    if let Some((found, what, remedy)) = SIGNS.iter().find_map(|(s, what, remedy)| Some((line(s)?, what, remedy))) {
        return (format!("{what} ({found})"), remedy.replace("HOST", host));
    }
    let (what, remedy) = match code {
        Some(61 | 62) => ("the program cannot be kept in ~/.cache/mapfold", "it must be writable and have space"),
        Some(63) => ("the program did not arrive as it was sent", "try again; is sha256sum there?"),
        Some(126) => {
            ("the program may not be run in ~/.cache/mapfold", "set XDG_CACHE_HOME to a folder without noexec")
        }
        Some(127) => (
            "the program does not run there",
            "is that system like this one, with the libraries that the program needs?",
        ),
        Some(OF_SSH) => ("ssh cannot reach it", "`ssh HOST true` must work without a question"),
        _ => ("the shell there did not answer as expected", "`ssh HOST true` must work and print nothing more"),
    };
    let what = if last.is_empty() { what.to_owned() } else { format!("{what} ({last})") };
    (what, remedy.replace("HOST", host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_becomes_a_cause_and_a_remedy() {
        let cases = [
            (255, "me@h: Permission denied (publickey).", "not let in", "`ssh h true`"),
            (255, "ssh: Could not resolve hostname h: Name or service not known", "no host of that name", "DNS"),
            (255, "ssh: connect to host h port 22: Connection refused", "nothing listens", "h:PORT"),
            (
                1,
                "/h/ab12: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /h/ab12)",
                "too old",
                "as old as",
            ),
            (63, "", "did not arrive", "try again"),
            (255, "something new", "cannot reach it (something new)", "without a question"),
        ];
        for (code, stderr, what, remedy) in cases {
            let (w, r) = said("h", Some(code), stderr);
            assert!(w.contains(what) && r.contains(remedy), "{w}; {r}");
        }
    }
}
