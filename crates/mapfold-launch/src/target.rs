//! `--target`: where the members of a job in cluster mode run. This is the one place that understands it.
//!
//! | text | meaning |
//! |---|---|
//! | `ssh://host1,me@host2:2222` | these hosts, by the user's own `ssh` |
//! | `FILE` | the same, one host a line, with `slots=N` behind it as in MPI host files |
//! | `yarn` | containers of the cluster that `HADOOP_CONF_DIR` describes |
//! | `emr://j-…` | the same, from outside, through a step of this EMR cluster |
//!
//! What it does not do: reach anything. Names are checked for their form only, so that nothing in them can be an option
//! or a command of a shell.

use crate::emr::cluster_id;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Where members run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Hosts that `ssh` reaches.
    Ssh(Vec<SshHost>),
    /// Containers of a YARN cluster.
    Yarn,
    /// A YARN cluster of Amazon EMR, by its id.
    Emr(String),
}

/// A host that `ssh` reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHost {
    /// As whom; else as `ssh` is configured.
    pub user: Option<String>,
    /// A name, an address, or an alias of `~/.ssh/config`.
    pub host: String,
    /// The port of its sshd; else as `ssh` is configured.
    pub port: Option<u16>,
    /// How many members it may have; else as many as come to it.
    pub slots: Option<u32>,
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.iter().try_for_each(|user| write!(f, "{user}@"))?;
        f.write_str(&self.host)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

impl FromStr for Target {
    type Err = String;

    /// ```
    /// use mapfold_launch::Target;
    /// let Ok(Target::Ssh(hosts)) = "ssh://a,me@b:2222".parse() else { panic!() };
    /// assert_eq!((hosts[0].to_string(), hosts[1].to_string()), ("a".into(), "me@b:2222".into()));
    /// assert_eq!("yarn".parse(), Ok(Target::Yarn));
    /// assert!("ssh://-oProxyCommand=x".parse::<Target>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Target, String> {
        if let Some(hosts) = text.strip_prefix("ssh://") {
            let hosts: Vec<SshHost> = hosts.split(',').map(host).collect::<Result<_, _>>()?;
            return Ok(Target::Ssh(merged(hosts)));
        }
        if let Some(id) = text.strip_prefix("emr://") {
            return cluster_id(id.strip_suffix('/').unwrap_or(id)).map(|id| Target::Emr(id.to_owned()));
        }
        match text {
            "yarn" => Ok(Target::Yarn),
            _ if text.contains("://") => {
                Err(format!("{text:?}: write ssh://HOST,…, yarn, emr://ID or a file of hosts"))
            }
            _ => host_file(text),
        }
    }
}

/// A host that is named again has a slot more each time.
fn merged(hosts: Vec<SshHost>) -> Vec<SshHost> {
    let mut all: Vec<SshHost> = Vec::new();
    for host in hosts {
        match all.iter_mut().find(|h| h.to_string() == host.to_string()) {
            Some(same) => same.slots = Some(same.slots.unwrap_or(1) + host.slots.unwrap_or(1)),
            None => all.push(host),
        }
    }
    all
}

/// `[user@]host[:port]`, an IPv6 address in brackets.
fn host(text: &str) -> Result<SshHost, String> {
    let bad = |why: &str| format!("{text:?} is no host for ssh: {why}; write [USER@]HOST[:PORT]");
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let (name, port) = match (rest.strip_prefix('['), rest.rsplit_once(':')) {
        (Some(v6), _) => {
            let (name, after) = v6.split_once(']').ok_or_else(|| bad("a bracket is open"))?;
            (name, after.strip_prefix(':'))
        }
        (None, Some((name, port))) if !name.contains(':') => (name, Some(port)),
        (None, _) => (rest, None),
    };
    let port = port.map(|p| p.parse::<u16>().map_err(|_| bad("the port is a number up to 65535"))).transpose()?;
    let plain = |word: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '+');
        !word.is_empty() && !word.starts_with('-') && word.chars().all(fits)
    };
    if !plain(name) {
        return Err(bad("it has letters, digits, dots and hyphens, and begins with none of the latter"));
    }
    if user.is_some_and(|user| !plain(user)) {
        return Err(bad("no user is called so"));
    }
    Ok(SshHost { user: user.map(str::to_owned), host: name.to_owned(), port, slots: None })
}

/// One host a line; `#` begins a comment.
fn host_file(path: &str) -> Result<Target, String> {
    let text = std::fs::read_to_string(Path::new(path)).map_err(|e| {
        let why = e.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        format!("{path:?} is neither ssh://HOST,…, yarn nor emr://ID, and as a file of hosts it cannot be read: {why}")
    })?;
    let line = |(n, line): (usize, &str)| {
        let line = line.split('#').next().unwrap_or_default();
        host_line(line).map_err(|e| format!("{path}, line {}: {e}", n + 1)).transpose()
    };
    let hosts: Vec<SshHost> = text.lines().enumerate().filter_map(line).collect::<Result<_, _>>()?;
    if hosts.is_empty() { Err(format!("{path}: there is no host in it")) } else { Ok(Target::Ssh(merged(hosts))) }
}

fn host_line(line: &str) -> Result<Option<SshHost>, String> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(None) };
    let mut host = host(first)?;
    for word in words {
        let slots = word.strip_prefix("slots=").ok_or_else(|| format!("{word:?}: only slots=N may follow a host"))?;
        let slots = slots.parse().ok().filter(|n| (1..=1024).contains(n));
        host.slots = Some(slots.ok_or_else(|| format!("{word:?}: slots are a number from 1 to 1024"))?);
    }
    Ok(Some(host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hosts(text: &str) -> Vec<SshHost> {
        match text.parse().unwrap() {
            Target::Ssh(hosts) => hosts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_as_ssh_writes_them() {
        let all = hosts("ssh://a.example.org,me@b:2222,[fe80::1%eth0]:22,10.0.0.1,root@[::1]");
        let names: Vec<&str> = all.iter().map(|h| h.host.as_str()).collect();
        assert_eq!(names, ["a.example.org", "b", "fe80::1%eth0", "10.0.0.1", "::1"]);
        assert_eq!(all.iter().map(|h| h.port).collect::<Vec<_>>(), [None, Some(2222), Some(22), None, None]);
        assert_eq!(all[1].user.as_deref(), Some("me"));
        let twice = hosts("ssh://a,b,a");
        assert_eq!(twice.iter().map(|h| h.slots).collect::<Vec<_>>(), [Some(2), None]);
    }

    #[test]
    fn nothing_in_a_name_can_be_an_option_or_a_command() {
        for bad in ["-oProxyCommand=x", "a b", "$(x)", "a;b", "", "a,", "u`x`@a", "-l@a", "a:99999", "[::1", "a/b"] {
            assert!(format!("ssh://{bad}").parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_other_targets() {
        assert_eq!("emr://j-2AXXXXXXGAPLF".parse(), Ok(Target::Emr("j-2AXXXXXXGAPLF".to_owned())));
        for bad in ["emr://", "emr://x", "emr://j-", "k8s://a", "/no/such/file"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn files_of_hosts_have_slots_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().parse::<Target>()
        };
        let Ok(Target::Ssh(all)) = read("# two\nme@a:2222 slots=4\n\nb # the other\n") else { panic!() };
        assert_eq!((all[0].slots, all[1].slots, all[1].host.as_str()), (Some(4), None, "b"));
        assert!(read("a\nb cores=3\n").unwrap_err().contains("line 2"));
        assert!(read("a slots=0").unwrap_err().contains("1 to 1024"));
        assert!(read("# none\n").unwrap_err().contains("no host"));
    }
}
