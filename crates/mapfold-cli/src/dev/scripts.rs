//! The scripts of `cluster/`, inside this program, and how they are called.
//!
//! Why inside: `mapfold dev` works for who has the binary only. They are unpacked into the user's state folder, and keep
//! what runs beside themselves; what parts are made of goes into the cache, where `make test` looks too.
//! What this does not do: know a part; the scripts do.

use mapfold::coord::events::jobs_folder;
use mapfold::{Error, Result};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Path and text of each file that the parts need; a test compares it with the folder.
pub const FILES: &[(&str, &str)] = &[
    ("part.sh", include_str!("../../../../cluster/part.sh")),
    ("lib.sh", include_str!("../../../../cluster/lib.sh")),
    ("hadoop/pom.xml", include_str!("../../../../cluster/hadoop/pom.xml")),
    ("hadoop/hadoop.sh", include_str!("../../../../cluster/hadoop/hadoop.sh")),
    ("hadoop/conf.sh", include_str!("../../../../cluster/hadoop/conf.sh")),
    ("hadoop/conf-yarn.sh", include_str!("../../../../cluster/hadoop/conf-yarn.sh")),
    ("hadoop/nodes.sh", include_str!("../../../../cluster/hadoop/nodes.sh")),
    ("hadoop/realm.sh", include_str!("../../../../cluster/hadoop/realm.sh")),
    ("gcs/server.py", include_str!("../../../../cluster/gcs/server.py")),
    ("gcs/objects.py", include_str!("../../../../cluster/gcs/objects.py")),
    ("gcs/bearer.py", include_str!("../../../../cluster/gcs/bearer.py")),
    ("parts/hdfs.sh", include_str!("../../../../cluster/parts/hdfs.sh")),
    ("parts/hdfs-ha.sh", include_str!("../../../../cluster/parts/hdfs-ha.sh")),
    ("parts/hdfs-krb.sh", include_str!("../../../../cluster/parts/hdfs-krb.sh")),
    ("parts/yarn.sh", include_str!("../../../../cluster/parts/yarn.sh")),
    ("parts/s3.sh", include_str!("../../../../cluster/parts/s3.sh")),
    ("parts/azure.sh", include_str!("../../../../cluster/parts/azure.sh")),
    ("parts/gcs.sh", include_str!("../../../../cluster/parts/gcs.sh")),
    ("parts/ssh.sh", include_str!("../../../../cluster/parts/ssh.sh")),
    ("emr/server.py", include_str!("../../../../cluster/emr/server.py")),
    ("emr/requirements.txt", include_str!("../../../../cluster/emr/requirements.txt")),
    ("parts/emr.sh", include_str!("../../../../cluster/parts/emr.sh")),
    ("parts/postgres.sh", include_str!("../../../../cluster/parts/postgres.sh")),
];

/// The unpacked scripts of this user.
pub struct Scripts {
    folder: PathBuf,
}

impl Scripts {
    /// Unpacks them, where that was not done yet or by another version of this program.
    ///
    /// # Errors
    /// No state folder, or it cannot be written.
    pub fn unpacked() -> Result<Scripts> {
        let place = jobs_folder().and_then(|jobs| Some(jobs.parent()?.join("dev")));
        let folder = place.ok_or_else(|| Error::input("mapfold dev needs a place: set HOME or XDG_STATE_HOME"))?;
        let cannot = |e: io::Error| {
            Error::input(format!("{}: {}", folder.display(), crate::verbs::os_words(&e)))
                .with_remedy("set XDG_STATE_HOME to a folder that can be written")
        };
        for (name, text) in FILES {
            unpack(&folder.join("scripts").join(name), text).map_err(cannot)?;
        }
        Ok(Scripts { folder })
    }

    /// Where pids, logs, data and secrets of what runs are.
    pub fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Whether anything was ever started here.
    pub fn used(&self, part: &str) -> bool {
        self.run_folder().join(part).exists()
    }

    /// `part.sh PARTS VERB`; standard error goes to the user when `tells`, else into the output.
    ///
    /// # Errors
    /// No `bash`.
    pub fn call(&self, parts: &[&str], verb: &str, tells: bool) -> Result<Output> {
        let mut command = Command::new("bash");
        command.arg(self.folder.join("scripts/part.sh")).args([&parts.join(","), verb]);
        command.env("MAPFOLD_PARTS_RUN", self.run_folder()).stdin(Stdio::null()).stdout(Stdio::piped());
        // Those are for tests; a user's servers outlive the shell that started them.
        for name in ["MAPFOLD_PARTS_OWNER", "MAPFOLD_PARTS_INSTALL", "MAPFOLD_PARTS_OFFLINE"] {
            command.env_remove(name);
        }
        command.stderr(if tells { Stdio::inherit() } else { Stdio::piped() });
        let done = command.spawn().and_then(std::process::Child::wait_with_output);
        done.map_err(|e| {
            Error::input(format!("bash does not start: {}", crate::verbs::os_words(&e)))
                .with_remedy("apt-get install bash")
        })
    }
}

/// Writes a file, for its owner only, unless it is there; whole, since a script may be running.
fn unpack(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension(format!("new{}", std::process::id()));
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?; // part.sh starts itself
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::FILES;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in std::fs::read_dir(folder).expect("cluster/ is there").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_parts_is_embedded() {
        let cluster = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo says it")).join("../../cluster");
        let mut found = vec![cluster.join("part.sh"), cluster.join("lib.sh")];
        ["parts", "hadoop", "gcs", "emr"].iter().for_each(|folder| files(&cluster.join(folder), &mut found));
        let name = |path: &PathBuf| path.strip_prefix(&cluster).expect("below it").to_string_lossy().into_owned();
        let there: BTreeSet<String> = found.iter().map(name).filter(|n| !n.contains("__pycache__")).collect();
        let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, there);
    }
}
