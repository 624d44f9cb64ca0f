//! Jobs of a real YARN cluster whose data is in real stores: on HDFS, whose data nodes have the names of the nodes that
//! give containers, and in a bucket of which only the launcher has the keys.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // The share of local splits is worth a line.

use mapfold_tests::desk::{Running, lives, wait_for, wait_until};
use mapfold_tests::parts::{Part, part};
use mapfold_tests::{Desk, Ran, mapfold};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One member on each node, which has 4 GiB: two of them do not fit.
const APART: &str =
    "--mode cluster --target yarn --workers 2 --threads 1 --memory-limit 2GiB --am-memory 256MiB --json";
const SMALL: &str = "--mode cluster --target yarn --workers 2 --threads 1 --memory-limit 256MiB --am-memory 256MiB";

/// Who measures where splits go has the cluster alone; all others share it.
static CLUSTER: RwLock<()> = RwLock::new(());

fn shared() -> RwLockReadGuard<'static, ()> {
    CLUSTER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no other test has a member on the cluster, nor the end of one.
fn alone(cluster: &Part) -> RwLockWriteGuard<'static, ()> {
    let alone = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    let metrics = format!("{}/ws/v1/cluster/metrics", cluster.var("MAPFOLD_PART_YARN"));
    wait_until("a cluster without containers", || {
        let answer = Command::new("curl").args(["-sS", &metrics]).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).contains("\"containersAllocated\":0,")
    });
    alone
}

/// Runs `mapfold ARGS…` with these variables; without `--staging`, so that the job's own files are on HDFS.
fn start(desk: &Desk, vars: &[(&str, &str)], args: &str) -> Running {
    desk.start_program(mapfold(), args, vars)
}

fn run(desk: &Desk, vars: &[(&str, &str)], args: &str) -> Ran {
    start(desk, vars, args).wait()
}

/// What the files of applications are on HDFS: permissions and names.
fn listed(cluster: &Part) -> Vec<(String, String)> {
    let all = cluster.hadoop("hdfs", &["dfs", "-ls", "-R", "/user"]);
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some(((*fields.first()?).to_owned(), (*fields.get(7)?).to_owned()))
    };
    all.lines().filter_map(fields).collect()
}

/// Those of jobs.
fn staged(cluster: &Part) -> Vec<(String, String)> {
    listed(cluster).into_iter().filter(|(_, name)| name.contains("/.mapfold/jobs/")).collect()
}

/// A command that passes lines on, slowly: a split lasts longer than its begin.
fn slow_mapper(desk: &Desk) -> String {
    desk.script("slow.sh", "#!/bin/sh\nsleep 0.06\nexec cat\n")
}

/// Lines in blocks of one copy each, on one node or the other; a split is a block.
#[test]
fn splits_are_worked_on_where_their_blocks_are() {
    let (Some(cluster), Some(hdfs)) = (part("yarn"), part("hdfs")) else { return };
    let _alone = alone(&cluster);
    let desk = Desk::new();
    let (block, splits) = (16384, 300);
    let text: String = (0..splits * block / 16).map(|n| format!("line {n:>10}\n")).collect();
    fs::write(desk.path("in.txt"), &text).unwrap();
    let (there, vars) = (hdfs.folder(), cluster.vars());
    let copies = format!("-D dfs.replication=1 -D dfs.blocksize={block}");
    run(&desk, &vars, &format!("cp in.txt {there}/in.txt --parents {copies}")).fine();
    let job = |input: &str, out: &str| {
        format!("run streaming {input} --out {out} --split-size {block} --mapper {}", slow_mapper(&desk))
    };
    let one = job("in.txt", "one").replace(&slow_mapper(&desk), "cat");
    desk.run(&one).fine();
    let many = job(&format!("{there}/in.txt"), &desk.arg("many"));
    let done = run(&desk, &vars, &format!("{many} {APART}")).fine().json();
    let placed = &done["run"]["splits_placed"];
    let count = |what: &str| placed[what].as_u64().unwrap_or_else(|| panic!("no {what}: {done}"));
    let (local, all) = (count("local"), count("local") + count("remote") + count("anywhere"));
    assert_eq!(all, splits as u64, "{placed}");
    assert!(10 * local >= 9 * all, "fewer than 90 % are local: {placed}");
    eprintln!("splits by place: {placed}");
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("many/part-m-00000"), "the bytes of one process");
    let status = run(&desk, &vars, "status streaming").fine().out;
    assert!(status.contains("on a host that holds what they read"), "{status}");
    // The control: members of this machine, which is neither node.
    let far = run(&desk, &vars, &format!("{many} --mode pseudo --workers 2 --overwrite --json")).fine().json();
    let placed = &far["run"]["splits_placed"];
    assert_eq!((&placed["local"], &placed["remote"]), (&0.into(), &splits.into()), "{far}");
}

#[test]
fn an_image_on_hdfs_and_the_jobs_own_files_there() {
    let (Some(cluster), Some(hdfs)) = (part("yarn"), part("hdfs")) else { return };
    let _shared = shared();
    let desk = Desk::new();
    let (there, vars) = (hdfs.folder(), cluster.vars());
    let words = desk.scene(2048);
    let files: Vec<&str> = words.split(' ').filter(|w| !w.starts_with("--")).collect();
    run(&desk, &vars, &format!("cp {} {there}/ --parents -D dfs.blocksize=1m", files.join(" "))).fine();
    let name = |file: &str| file.rsplit('/').next().unwrap().to_owned();
    let far = format!("--red {there}/{} --nir {there}/{}", name(files[0]), name(files[1]));
    let slow = "--format gtiff --compress deflate --level 12 --tile 256 --blocksize 256";
    desk.run(&format!("run ndvi {words} --out one.tif {slow}")).fine();
    let line = format!("run ndvi {far} --out {} {slow} {SMALL}", desk.arg("many.tif"));
    let running = start(&desk, &vars, &line);
    let during = wait_for("files of the job on HDFS", || Some(staged(&cluster)).filter(|all| all.len() > 4));
    for file in ["am.jar", "token", "settings", "arguments"] {
        assert!(during.iter().any(|(_, n)| n.ends_with(&format!("/{file}"))), "no {file}: {during:?}");
    }
    let entered = during.iter().filter(|(mode, _)| mode.starts_with('d') && mode != "drwx------");
    assert_eq!(entered.count(), 0, "nobody else enters: {during:?}");
    let done = running.wait().fine();
    assert!(done.err.contains("2 workers") || done.out.contains("2 workers"), "{done}");
    assert!(desk.bytes("one.tif") == desk.bytes("many.tif"), "bytes differ");
    let mine = &during[0].1;
    assert!(!staged(&cluster).iter().any(|(_, n)| n.starts_with(mine)), "{mine} is left");
    let programs = || listed(&cluster).iter().filter(|(_, n)| n.ends_with("/mapfold")).count();
    let before = programs();
    run(&desk, &vars, &line.replace("many.tif", "again.tif")).fine();
    assert_eq!(programs(), before, "the program is there once");
    assert!(desk.bytes("one.tif") == desk.bytes("again.tif"), "bytes differ");
}

/// Processes whose working folder or command line names an application.
fn processes(application: &str) -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").unwrap().flatten().map(|e| e.path());
    let mine = |p: &PathBuf| {
        let cwd = fs::read_link(p.join("cwd")).unwrap_or_default();
        let number = p.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok());
        number.is_some_and(lives) && cwd.to_string_lossy().contains(application)
    };
    all.filter(mine).collect()
}

/// Files below a folder that hold the secret.
fn holding(folder: &Path, secret: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(holding(&path, secret));
        } else if !path.is_symlink() && fs::metadata(&path).is_ok_and(|m| m.len() < 64 << 20) {
            let bytes = fs::read(&path).unwrap_or_default();
            found.extend(bytes.windows(secret.len()).any(|w| w == secret).then_some(path));
        }
    }
    found
}

/// A command that says that it runs, and passes lines on as soon as there is a file `go`.
fn waiting_mapper(desk: &Desk) -> String {
    let here = desk.arg(".");
    fs::create_dir(desk.path("runs")).unwrap();
    let text = format!("#!/bin/sh\n: > {here}/runs/$$\nwhile [ ! -e {here}/go ]; do sleep 0.05; done\nexec cat\n");
    desk.script("wait.sh", &text)
}

/// The launcher has the keys: id and endpoint in its environment, the secret behind `-D`. Nodes have nothing. Whatever is
/// looked at, is looked at while both members work.
#[test]
fn a_bucket_is_read_with_the_launchers_keys_which_nobody_sees() {
    let (Some(cluster), Some(s3)) = (part("yarn"), part("s3")) else { return };
    let _shared = shared();
    let desk = Desk::new();
    let text: String = (0..40_000).map(|n| format!("line {n:>10}\n")).collect();
    fs::write(desk.path("in.txt"), text).unwrap();
    let there = format!("{}/in.txt", s3.folder());
    run(&desk, &s3.vars(), &format!("cp in.txt {there}")).fine();
    let job = |input: &str, out: &str, mapper: &str| {
        format!("run streaming {input} --out {} --split-size 65536 --mapper {mapper}", desk.arg(out))
    };
    desk.run(&job("in.txt", "one", "cat")).fine();
    let secret = s3.var("AWS_SECRET_ACCESS_KEY").to_owned();
    let mut vars: Vec<(&str, &str)> = s3.vars().into_iter().filter(|(n, _)| *n != "AWS_SECRET_ACCESS_KEY").collect();
    vars.extend(cluster.vars());
    vars.push(("RUST_LOG", "trace"));
    let line = format!("{} {SMALL} -D aws_secret_access_key={secret}", job(&there, "out", &waiting_mapper(&desk)));
    let running = start(&desk, &vars, &line);
    wait_until("work in both members", || mapfold_tests::desk::names(&desk.path("runs")).len() >= 2);
    let application = application_in(&desk).unwrap();
    let nodes = Path::new(cluster.var("HADOOP_CONF_DIR")).ancestors().nth(2).unwrap().join("yarn");
    let kept = holding(&nodes, secret.as_bytes());
    assert!(!kept.is_empty(), "the coordinator has it in a file of its own");
    let all = processes(&application);
    assert!(all.len() >= 3, "coordinator and members were there to be looked at: {all:?}");
    for process in &all {
        for what in ["cmdline", "environ"] {
            let text = fs::read(process.join(what)).unwrap_or_default();
            assert!(!text.windows(secret.len()).any(|w| w == secret.as_bytes()), "{what} of {process:?}");
        }
    }
    for file in &kept {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert!(file.ends_with("settings") && mode & 0o077 == 0, "{file:?} has the secret, mode {mode:o}");
    }
    fs::write(desk.path("go"), "").unwrap();
    let done = running.wait().fine();
    assert!(!format!("{}{}", done.out, done.err).contains(&secret), "what is printed");
    wait_until("an empty folder of containers", || holding(&nodes, secret.as_bytes()).is_empty());
    assert!(holding(&desk.path("."), secret.as_bytes()).is_empty(), "logs and events of the launcher");
    let own = holding_on_hdfs(&cluster, &id_of(&desk));
    assert!(own.is_empty(), "files of the job are left: {own:?}");
    let logs = wait_for("aggregated logs", || {
        let logs = cluster.hadoop("yarn", &["logs", "-applicationId", &application]);
        logs.contains("coordinator.err").then_some(logs)
    });
    assert!(!logs.contains(&secret), "logs of the containers");
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("out/part-m-00000"), "lines differ");
}

/// The application that the launcher of this desk has submitted.
fn application_in(desk: &Desk) -> Option<String> {
    let text = desk.events();
    let at = &text[text.find("application_")?..];
    Some(at.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?.to_owned())
}

/// The id of the newest job of a desk.
fn id_of(desk: &Desk) -> String {
    let mut all = mapfold_tests::desk::names(&desk.path("state/mapfold/jobs"));
    all.pop().unwrap()
}

/// Files of a job on HDFS.
fn holding_on_hdfs(cluster: &Part, id: &str) -> Vec<String> {
    staged(cluster).into_iter().map(|(_, name)| name).filter(|name| name.contains(id)).collect()
}

/// What the nodes lack is said by name.
#[test]
fn without_keys_the_job_says_so() {
    let (Some(cluster), Some(s3)) = (part("yarn"), part("s3")) else { return };
    let _shared = shared();
    let desk = Desk::new();
    let keyless = s3.vars().into_iter().filter(|(n, _)| !n.contains("KEY"));
    let wrong = [("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "nothing-at-all")];
    let vars: Vec<(&str, &str)> = keyless.chain(wrong).chain(cluster.vars()).collect();
    let gone = format!("{}/gone.tif", s3.folder());
    let line = format!("run ndvi --red {gone} --nir {gone} --out {} {SMALL}", desk.arg("out.tif"));
    let ran = run(&desk, &vars, &line).says(&["error: ", "gone.tif", "access denied", "config show --origin"]);
    assert_eq!(ran.code, 3, "{ran}");
}
