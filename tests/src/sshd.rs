//! Two hosts on this machine: `host1` and `host2`, real sshds on 127.0.0.2 and 127.0.0.3 with throw-away keys.
//!
//! Each has a cache and a temporary folder of its own, and every process that a login starts carries the host's mark in
//! its environment, so that a test sees what runs there and what is left. `~/.ssh` is not touched.
//!
//! [`Hosts::apart`] puts each into a network namespace of its own, joined by a cable that can be cut (`cluster/netns.sh`).

use crate::desk::{children, signal, wait_until};
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The hosts; they end with this value.
#[derive(Debug)]
pub struct Hosts {
    folder: TempDir,
    sshds: Vec<Child>,
    /// Name of the pair of namespaces that they are in.
    pair: Option<String>,
}

const MARK: &str = "MAPFOLD_TEST_HOST";

fn sshd() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/local/sbin";
    path.split(':').map(|folder| Path::new(folder).join("sshd")).find(|sshd| sshd.exists())
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

impl Hosts {
    /// Two hosts; `None` (loudly) where there is no sshd.
    ///
    /// # Panics
    /// When they do not come up, and with `CI=true` when there is no sshd.
    pub fn two() -> Option<Hosts> {
        Hosts::new(None)
    }

    /// Two hosts that a cable joins: `host1` is 10.77.0.1, `host2` 10.77.0.2. A program that is to reach them runs on the
    /// first ([`Hosts::within`]). `None` (loudly) where namespaces cannot be made.
    ///
    /// # Panics
    /// Like [`Hosts::two`].
    pub fn apart() -> Option<Hosts> {
        let can = netns("", &["check"]).output().expect("the checkout has cluster/netns.sh");
        if !can.status.success() {
            crate::skipped(&format!("two hosts and a cable: {}", String::from_utf8_lossy(&can.stderr)), true);
            return None;
        }
        let pair = format!("mft{}", std::process::id());
        run(&mut netns(&pair, &["up"]));
        Hosts::new(Some(pair))
    }

    fn new(pair: Option<String>) -> Option<Hosts> {
        let Some(sshd) = sshd() else {
            crate::skipped("hosts over ssh (Debian package openssh-server)", true);
            return None;
        };
        let folder = tempfile::Builder::new().prefix("mapfold-hosts-").tempdir().expect("a temporary folder");
        let mut hosts = Hosts { folder, sshds: Vec::new(), pair };
        if is_root() {
            fs::create_dir_all("/run/sshd").expect("where sshd drops its privileges");
        }
        hosts.key("user");
        let mut config = String::new();
        for n in [1, 2] {
            config += &hosts.start(&sshd, n);
        }
        fs::write(hosts.path("config"), config).expect("written");
        for n in [1, 2] {
            let login = || hosts.ssh(&format!("host{n}"), "true").status().is_ok_and(|s| s.success());
            wait_until("a login", login);
        }
        Some(hosts)
    }

    /// Takes the cable between the hosts away (`cut`), or puts it back (`mend`).
    ///
    /// # Panics
    /// When that fails.
    pub fn cable(&self, verb: &str) {
        run(&mut netns(self.pair.as_deref().unwrap_or_default(), &[verb]));
    }

    /// A program on host `n`, where the hosts are apart.
    fn on(&self, n: usize, program: impl AsRef<OsStr>) -> Command {
        let Some(pair) = &self.pair else { return Command::new(program) };
        let mut command = netns(pair, &[["a", "b"][n - 1]]);
        command.arg(program);
        command
    }

    /// The words that let a program run on the first host, to stand before it.
    pub fn within(&self) -> String {
        self.pair.as_ref().map_or(String::new(), |pair| format!("netns exec {pair}-a "))
    }

    /// A path in the folder of the hosts.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str) {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(name)));
    }

    /// Starts the sshd of a host; gives what a client must know.
    fn start(&mut self, sshd: &Path, n: u8) -> String {
        let folder = self.folder.path().display().to_string();
        let (address, free) = self.address(n);
        self.key(&format!("key{n}"));
        for own in ["cache", "tmp"] {
            fs::create_dir(self.path(&format!("{own}{n}"))).expect("a folder");
        }
        let server = format!(
            "ListenAddress {address}:{free}\nHostKey {folder}/key{n}\nAuthorizedKeysFile {folder}/user.pub\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n\
             PermitRootLogin prohibit-password\nMaxStartups 100\n\
             SetEnv {MARK}={folder}/host{n} XDG_CACHE_HOME={folder}/cache{n} TMPDIR={folder}/tmp{n}\n"
        );
        fs::write(self.path(&format!("sshd{n}")), server).expect("written");
        let mut command = self.on(usize::from(n), sshd);
        command.args(["-D", "-e", "-f"]).arg(self.path(&format!("sshd{n}")));
        let log = fs::File::create(self.path(&format!("log{n}"))).expect("a log");
        self.sshds.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("sshd starts"));
        format!(
            "Host host{n}\n HostName {address}\n Port {free}\n IdentityFile {folder}/user\n IdentitiesOnly yes\n \
             UserKnownHostsFile {folder}/known\n StrictHostKeyChecking accept-new\n"
        )
    }

    fn address(&self, n: u8) -> (String, u16) {
        if self.pair.is_some() {
            return (format!("10.77.0.{n}"), 22);
        }
        let address = format!("127.0.0.{}", n + 1);
        let free = TcpListener::bind((address.as_str(), 0)).and_then(|l| l.local_addr()).expect("a free port").port();
        (address, free)
    }

    /// What `MAPFOLD_SSH` must be.
    pub fn client(&self) -> String {
        format!("ssh -F {}", self.path("config").display())
    }

    /// A command on a host.
    pub fn ssh(&self, host: &str, command: &str) -> Command {
        let mut ssh = self.on(1, "ssh");
        ssh.arg("-F").arg(self.path("config")).args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", host, command]);
        ssh.stdin(Stdio::null());
        ssh
    }

    /// Ends the sshd of a host: nobody comes in any more.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn close(&mut self, n: usize) {
        let sshd = &mut self.sshds[n - 1];
        let _ = sshd.kill();
        sshd.wait().expect("a child can be waited for");
    }

    /// Kills all sessions of a host, as when its line is cut.
    pub fn cut(&self, n: usize) {
        for session in children(self.sshds[n - 1].id()) {
            signal("KILL", session);
        }
    }

    /// Processes that logins of a host have started and that run: number and command line.
    ///
    /// # Panics
    /// When `/proc` cannot be read.
    pub fn processes(&self, n: usize) -> Vec<(u32, String)> {
        let mark = format!("{MARK}={}", self.path(&format!("host{n}")).display()).into_bytes();
        let all = fs::read_dir("/proc").expect("/proc can be read").flatten();
        let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|v| v == mark)
        };
        let line = |pid: u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        };
        pids.filter(marked).map(line).filter(|(_, line)| !line.is_empty()).collect()
    }

    /// Members that run on a host.
    pub fn members(&self, n: usize) -> Vec<u32> {
        let all = self.processes(n).into_iter();
        all.filter(|(_, line)| line.contains("--mapfold-member")).map(|(pid, _)| pid).collect()
    }

    /// Files that are in a host's cache of programs.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn programs(&self, n: usize) -> Vec<PathBuf> {
        let folder = self.path(&format!("cache{n}/mapfold/bin"));
        let mut all: Vec<PathBuf> =
            fs::read_dir(folder).map_or(Vec::new(), |all| all.flatten().map(|e| e.path()).collect());
        all.sort();
        for path in &all {
            let mode = path.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} is its owner's alone", path.display());
        }
        all
    }

    /// What is in a host's temporary folder.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn litter(&self, n: usize) -> Vec<PathBuf> {
        let all = fs::read_dir(self.path(&format!("tmp{n}"))).expect("the folder can be read");
        all.flatten().map(|e| e.path()).collect()
    }
}

fn netns(pair: &str, words: &[&str]) -> Command {
    let mut command = Command::new(crate::checkout().join("cluster/netns.sh"));
    command.args(words).stdin(Stdio::null());
    if !pair.is_empty() {
        command.env("MAPFOLD_NETNS", pair);
    }
    command
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")) == "0"
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for n in 1..=self.sshds.len() {
            for (pid, _) in self.processes(n) {
                signal("KILL", pid);
            }
            self.cut(n);
            self.close(n);
        }
        if let Some(pair) = &self.pair {
            let _ = netns(pair, &["down"]).output();
        }
    }
}
