//! The servers of `cluster/`: each starts, is used, dies by name, comes back, and leaves no process. What other tests
//! build on them (stores, YARN, SSH) is theirs; here it is the parts themselves.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{lives, wait_until};
use mapfold_tests::{Desk, FaultProxy, Part, checkout, own_part, part};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// `curl` against a part; the status, and the body.
fn curl(args: &[&str]) -> (u32, String) {
    let done =
        Command::new("curl").args(["-s", "--max-time", "20", "-w", "\n%{http_code}"]).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    (status.parse().unwrap_or(0), body.to_owned())
}

#[test]
fn hdfs_keeps_a_file_on_both_nodes_and_survives_the_death_of_one() {
    let Some(hdfs) = own_part("hdfs") else { return };
    let desk = Desk::new();
    let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(desk.path("in"), &bytes).unwrap();
    hdfs.hadoop("hdfs", &["dfs", "-put", &desk.arg("in"), "/file"]);
    let blocks = curl(&[&format!("{}/file?op=GETFILEBLOCKLOCATIONS", hdfs.var("MAPFOLD_PART_WEBHDFS"))]).1;
    assert!(blocks.contains("127.0.0.2") && blocks.contains("127.0.0.3"), "a replica on each node: {blocks}");

    let before = hdfs.pid("dn1").unwrap();
    hdfs.kill9("dn1");
    assert!(!lives(before) && hdfs.pid("dn1").is_none());
    hdfs.hadoop("hdfs", &["dfs", "-get", "/file", &desk.arg("out")]);
    assert!(desk.bytes("out") == bytes, "the other replica is whole");

    hdfs.heal();
    let after = hdfs.pid("dn1").unwrap();
    assert!(lives(after) && after != before);
    let all: Vec<u32> = ["nn", "dn1", "dn2"].iter().filter_map(|name| hdfs.pid(name)).collect();
    drop(hdfs);
    assert!(all.len() == 3 && all.iter().all(|pid| !lives(*pid)), "a dropped part leaves no JVM: {all:?}");
}

#[test]
fn yarn_sees_both_nodes() {
    let Some(yarn) = part("yarn") else { return };
    let (status, nodes) = curl(&[&format!("{}/ws/v1/cluster/nodes", yarn.var("MAPFOLD_PART_YARN"))]);
    assert_eq!(status, 200);
    assert!(nodes.contains("127.0.0.2") && nodes.contains("127.0.0.3"), "{nodes}");
}

/// SHA-256 of nothing, and of `one`: a signed request says it, and old curls do not by themselves.
const HASHES: [&str; 2] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
];

/// `curl` signs for S3 itself.
fn s3(part: &Part, hash: &str, args: &[&str], path: &str) -> (u32, String) {
    let user = format!("{}:{}", part.var("AWS_ACCESS_KEY_ID"), part.var("AWS_SECRET_ACCESS_KEY"));
    let url = format!("{}/{path}", part.var("AWS_ENDPOINT_URL"));
    let hash = format!("x-amz-content-sha256: {hash}");
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, "-H", &hash];
    curl(&[&signed, args, &[&url]].concat())
}

#[test]
fn s3_wants_its_keys_and_keeps_the_first_of_two_creators() {
    let Some(minio) = part("s3") else { return };
    let path = minio.folder().trim_start_matches("s3://").to_owned() + "/x";
    let create = ["-X", "PUT", "-d", "one", "-H", "If-None-Match: *", "-H", "Content-Type: text/plain"];
    assert_eq!(s3(&minio, HASHES[1], &create, &path), (200, String::new()));
    assert_eq!(s3(&minio, HASHES[1], &create, &path).0, 412);
    assert_eq!(s3(&minio, HASHES[0], &[], &path), (200, "one".into()));
    assert_eq!(curl(&[&format!("{}/{path}", minio.var("AWS_ENDPOINT_URL"))]).0, 403, "nobody else may read it");
}

#[test]
fn azure_wants_a_signature() {
    let Some(azure) = part("azure") else { return };
    let container = azure.uri().trim_start_matches("az://").to_owned();
    let (status, body) = curl(&[&format!("{}/{container}?restype=container", azure.var("AZURE_STORAGE_ENDPOINT"))]);
    assert!(status == 403 && body.contains("AuthorizationFailure"), "{status} {body}");
}

#[test]
fn gcs_wants_a_token() {
    let Some(gcs) = part("gcs") else { return };
    let url = format!("{}/mapfold/x", gcs.var("GOOGLE_BASE_URL"));
    let (status, body) = curl(&[&url]);
    assert!(status == 401 && body.contains("no bearer token"), "{status} {body}");
}

#[test]
fn a_host_that_goes_down_takes_along_what_was_detached_there() {
    let Some(hosts) = own_part("ssh") else { return };
    let ssh: Vec<&str> = hosts.var("MAPFOLD_SSH").split(' ').collect();
    let on = |host: &str, command: &str| {
        let done = Command::new(ssh[0]).args(&ssh[1..]).args([host, command]).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (_, said) = on("mapfold1", "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!");
    let orphan: u32 = said.trim().parse().unwrap();
    assert!(lives(orphan));
    hosts.kill9("mapfold1");
    wait_until("the detached process is gone", || !lives(orphan));
    assert!(!on("mapfold1", "true").0 && on("mapfold2", "true").0, "one host is down, the other is not");
}

#[test]
fn two_runs_are_side_by_side() {
    let (Some(one), Some(two)) = (own_part("gcs"), own_part("gcs")) else { return };
    assert_ne!(one.var("GOOGLE_BASE_URL"), two.var("GOOGLE_BASE_URL"));
    one.stop("double");
    assert!(one.pid("double").is_none() && two.pid("double").is_some_and(lives));
    assert_eq!(curl(&[&format!("{}/_health", two.var("GOOGLE_BASE_URL"))]).0, 200);
    let account = Path::new(two.var("GOOGLE_APPLICATION_CREDENTIALS"));
    assert_eq!(std::fs::metadata(account).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read(account).unwrap().is_empty());
}

#[test]
fn servers_go_when_their_owner_is_killed() {
    let desk = Desk::new();
    let script = |words: &str, owner: Option<u32>| {
        let mut command = Command::new(checkout().join("cluster/part.sh"));
        command.args(words.split(' ')).env("MAPFOLD_PARTS_RUN", desk.path("run")).env_remove("MAPFOLD_PARTS_OWNER");
        command.envs(owner.map(|pid| ("MAPFOLD_PARTS_OWNER", pid.to_string())));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    if part("gcs").is_none() {
        return; // said already
    }
    let mut owner = Command::new("sleep").arg("600").spawn().unwrap();
    script("gcs up", Some(owner.id()));
    let server: u32 = script("gcs pid double", None).trim().parse().unwrap();
    assert!(lives(server));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the server is gone", || !lives(server));
    wait_until("and so is its folder", || !desk.path("run").exists());
    script("gcs up", Some(owner.id())); // as when it was fetching for minutes meanwhile
    let late = script("gcs status", None);
    assert_eq!(late, "gcs double down\n", "nothing is started for who is gone");
}

#[test]
fn the_fault_proxy_stands_before_a_part() {
    let Some(gcs) = part("gcs") else { return };
    let Some(proxy) = FaultProxy::start(gcs.var("GOOGLE_BASE_URL"), "--error-503 1 --in-a-row 1") else { return };
    let url = format!("{}/_health", proxy.address());
    assert_eq!([curl(&[&url]).0, curl(&[&url]).0], [503, 200]);
    assert_eq!(proxy.report()["faults"]["error_503"], 1);
}

#[test]
fn a_missing_program_is_named_with_how_to_get_it() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("bin")).unwrap();
    for tool in ["bash", "env", "cat", "dirname", "sed", "id", "flock", "setsid"] {
        let found =
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|p| p.join(tool)).find(|p| p.exists());
        std::os::unix::fs::symlink(found.unwrap(), desk.path("bin").join(tool)).unwrap();
    }
    let mut command = desk.command(checkout().join("cluster/part.sh"));
    command.args(["hdfs,azure", "check"]).env("PATH", desk.path("bin")).env_remove("JAVA_HOME");
    let done = command.env_remove("MAPFOLD_PARTS_INSTALL").output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(3), "{said}");
    for word in ["missing: java", "openjdk-17", "missing: curl", "missing: node", "to get it: "] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
