//! A job as an application of a real, pseudo-distributed YARN cluster: the same bytes, and nothing left whatever dies.
//!
//! Why so: containers, exit statuses, queues and the kill of an application are YARN's; nothing here is imitated. Limits
//! of time are generous, for a NodeManager and six JVMs share a small machine; how fast it is, the benchmark says.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, lives, signal, wait_for, wait_until};
use mapfold_tests::parts::{Part, own_part, own_part_with, part};
use mapfold_tests::{Desk, Ran, checkout, mapfold, skipped};
use std::path::Path;
use std::process::Command;

/// What a member of these tests may use: small, for there are many.
const SMALL: &str = "--mode cluster --target yarn --threads 1 --memory-limit 256MiB --am-memory 256MiB";

/// Runs `mapfold ARGS…` for this cluster; the job's own files are in a folder that both nodes see.
fn start(desk: &Desk, cluster: &Part, args: &str) -> Running {
    let staged = if args.contains("yarn") { format!("{args} --staging {}", desk.arg("staging")) } else { args.into() };
    desk.start_program(mapfold(), &staged, &cluster.vars())
}

fn run(desk: &Desk, cluster: &Part, args: &str) -> Ran {
    start(desk, cluster, args).wait()
}

/// `--red FILE --nir FILE`, with whole paths: containers have a folder of their own.
fn scene(desk: &Desk, size: usize) -> String {
    let words = desk.scene(size);
    let whole = |w: &str| if w.starts_with("--") { w.to_string() } else { desk.arg(w) };
    words.split(' ').map(whole).collect::<Vec<_>>().join(" ")
}

/// An NDVI that takes some seconds, to `out.tif` in this desk.
fn slow_ndvi(desk: &Desk) -> String {
    slow_ndvi_of(desk, 2048)
}

fn slow_ndvi_of(desk: &Desk, size: usize) -> String {
    let slow = "--format gtiff --compress deflate --level 12 --tile 256 --blocksize 256";
    format!("run ndvi {} --out {} {slow}", scene(desk, size), desk.arg("out.tif"))
}

/// The application that a run said it submitted.
fn application(err: &str) -> String {
    let at = err.find("application_").unwrap_or_else(|| panic!("no application is named: {err}"));
    err[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_string()
}

/// Processes of a run, by what their working folders and command lines say.
fn processes(application: &str, with: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        folder.to_string_lossy().contains(application) && line.contains(with) && lives(*pid)
    };
    numbers.filter(is_one).collect()
}

fn members(application: &str) -> Vec<u32> {
    // `exec` leaves no shell: the program is the process.
    processes(application, "./mapfold --mapfold-member").into_iter().filter(|pid| name(*pid) == "mapfold").collect()
}

fn coordinator(application: &str) -> Option<u32> {
    let all = processes(application, "mapfold run ").into_iter();
    all.filter(|pid| name(*pid) == "mapfold").max()
}

fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_string()
}

/// The application that stands in the state folder of a desk, once it has been submitted.
fn submitted(desk: &Desk) -> String {
    wait_for("an application", || {
        let text = desk.events();
        text.contains("application_").then(|| application(&text))
    })
}

#[test]
fn the_same_bytes_as_on_this_machine_from_both_nodes() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let line = format!("run ndvi {} --tile 256 --blocksize 256", scene(&desk, 1024));
    desk.run(&format!("{line} --out {}", desk.arg("one.tif"))).fine();
    // Each node has 4 GiB: members of 1.5 GiB do not all fit on one.
    let size = "--mode cluster --target yarn --threads 1 --memory-limit 1536MiB --am-memory 256MiB";
    let done = run(&desk, &cluster, &format!("{line} --out {} {size} --workers 3", desk.arg("many.tif"))).fine();
    assert!(desk.bytes("one.tif") == desk.bytes("many.tif"), "bytes differ");
    assert!(done.err.contains("3 workers"), "the coordinator's report is shown: {done}");
    let application = application(&done.err);
    // What containers wrote is found through YARN's own tool, by the line that the report's page names.
    let logs = wait_for("aggregated logs", || {
        let logs = cluster.hadoop("yarn", &["logs", "-applicationId", &application]);
        logs.contains("master.out").then_some(logs)
    });
    for node in ["127.0.0.2", "127.0.0.3"] {
        assert!(logs.contains(&format!("\t{node}\tcontainer_")), "no member on {node}: {logs}");
    }
    assert!(logs.contains("coordinator.err") && !logs.contains("memory limits"), "{logs}");
    assert!(processes(&application, "").is_empty(), "a process of the application is left");
    assert!(run(&desk, &cluster, "logs ndvi").fine().out.contains("yarn logs -applicationId"));
}

#[test]
fn a_job_takes_as_many_members_as_the_cluster_has_room_for() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi(&desk);
    // Of nine such containers two or three fit, beside what other tests have there: the others never come.
    let size = "--mode cluster --target yarn --threads 1 --memory-limit 1536MiB --am-memory 256MiB --workers 1..9";
    let done = run(&desk, &cluster, &format!("{line} {size} --json")).fine().json();
    let members = done["run"]["members"].as_array().unwrap().len();
    assert!((1..=4).contains(&members), "{done}");
    desk.run(&line.replace("out.tif", "here.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("here.tif"), "bytes differ");
}

/// `mapfold jobs` shows the job of this desk in this state.
fn is_listed(desk: &Desk, cluster: &Part, state: &str) {
    let listed = run(desk, cluster, "jobs").fine().out;
    assert!(listed.contains("ndvi") && listed.contains(state), "{state}: {listed}");
}

/// What the ResourceManager says of an application.
fn told_of(cluster: &Part, application: &str) -> serde_json::Value {
    let page = page(&format!("{}/ws/v1/cluster/apps/{application}", cluster.var("MAPFOLD_PART_YARN"))).unwrap();
    serde_json::from_str::<serde_json::Value>(&page).unwrap()["app"].take()
}

/// What is there, as a browser gets it: redirects are followed.
fn page(url: &str) -> Option<String> {
    let got = Command::new("curl").args(["-sfL", "--max-time", "20", url]).output().unwrap();
    got.status.success().then(|| String::from_utf8_lossy(&got.stdout).into_owned())
}

#[test]
fn the_page_of_the_application_is_the_jobs_own() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let mut running = start(&desk, &cluster, &format!("{} {SMALL} --workers 1", slow_ndvi_of(&desk, 3072)));
    let application = submitted(&desk);
    // Before the coordinator is there, the same address leads to a page of YARN's.
    let job = wait_for("the job's page, through the cluster's proxy", || {
        assert!(!running.ended(), "over before its page was seen");
        let url = told_of(&cluster, &application)["trackingUrl"].as_str()?.to_owned();
        let job = page(&format!("{url}api/v1/job")).filter(|_| url.contains("/proxy/"))?;
        serde_json::from_str::<serde_json::Value>(&job).ok()
    });
    assert_eq!(job["name"], "ndvi", "{job}");
    // And what its page tells is told here, of the process that can be asked here.
    let status = seen(&desk, &cluster, |status| status["stages"][0]["done"].as_u64() >= Some(3));
    assert_eq!((&status["state"], &status["id"]), (&"running".into(), &job["id"]), "{status}");
    assert_eq!(status["pid"], running.pid(), "{status}");
    assert!(status["url"].as_str().unwrap().ends_with(&format!("/proxy/{application}/")), "{status}");
    assert_eq!(status["stages"][0]["splits"], 144, "{status}");
    let watching = start(&desk, &cluster, "status ndvi --watch --json");
    running.wait().fine();
    let watched = watching.wait().fine();
    let last: serde_json::Value = serde_json::from_str(watched.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["state"], &last["stages"][0]["done"]), (&"done".into(), &144.into()), "{watched}");
}

/// The status of this desk's job once it is so, while the job runs.
fn seen(desk: &Desk, cluster: &Part, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    wait_for("what the job has done, seen from here", || {
        let status = run(desk, cluster, "status ndvi --json").fine().json();
        assert_eq!(status["state"], "running", "over before it was seen: {status}");
        is_so(&status).then_some(status)
    })
}

#[test]
fn a_job_on_the_cluster_is_scaled_from_here() {
    // Of its own: others ask for all that there is.
    let Some(cluster) = own_part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi_of(&desk, 4096);
    let size = "--mode cluster --target yarn --threads 1 --memory-limit 256MiB --am-memory 256MiB --workers 1..2";
    // What it is asked goes through the cluster's own file system.
    let running = desk.start_program(mapfold(), &format!("{line} {size}"), &cluster.vars());
    let application = submitted(&desk);
    seen(&desk, &cluster, |status| status["crew"]["here"] == 2 && status["stages"][0]["done"].as_u64() >= Some(3));
    run(&desk, &cluster, "scale ndvi 3").refused(2, &["1..2"]);
    let told = run(&desk, &cluster, "scale ndvi 1").fine().out;
    assert!(told.contains("1 members are wanted (before: 2"), "{told}");
    wait_until("one member", || members(&application).len() == 1);
    assert_eq!(seen(&desk, &cluster, |status| status["crew"]["here"] == 1)["crew"]["wanted"], 1);
    running.wait().fine();
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
}

#[test]
fn the_coordinator_is_where_the_label_of_steady_nodes_is() {
    let Some(cluster) = own_part_with("yarn", &[("MAPFOLD_PARTS_LABEL", "ON_DEMAND")]) else { return };
    let admin = |words: &[&str]| cluster.hadoop("yarn", &[&["rmadmin"], words].concat());
    admin(&["-addToClusterNodeLabels", "ON_DEMAND(exclusive=false)"]);
    let desk = Desk::new();
    let scene = scene(&desk, 256);
    for (n, node) in ["127.0.0.3", "127.0.0.2"].into_iter().enumerate() {
        admin(&["-replaceLabelsOnNode", &format!("{node}=ON_DEMAND")]);
        let out = desk.arg(&format!("{n}.tif"));
        let done = run(&desk, &cluster, &format!("run ndvi {scene} --out {out} {SMALL} --workers 1")).fine();
        let told = told_of(&cluster, &application(&done.err));
        assert_eq!(told["amNodeLabelExpression"], "ON_DEMAND", "{told}");
        assert!(told["amHostHttpAddress"].as_str().unwrap().starts_with(node), "{told}");
        admin(&["-replaceLabelsOnNode", &format!("{node}=")]);
    }
}

#[test]
fn words_are_counted_as_on_this_machine() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let words: String = (0..200_000).map(|i| format!("w{} é{}\n", i % 977, i % 31)).collect();
    std::fs::write(desk.path("text é.txt"), words).unwrap();
    let line = |out: &str| ["run", "wordcount", "IN", "--out", out].join(" ");
    let go = |out: &str, more: &str, vars: &[(&str, &str)]| {
        let mut command = desk.command(mapfold());
        let words = line(out).replace("IN", "@IN@");
        command.args(words.split(' ').map(|w| if w == "@IN@" { desk.arg("text é.txt") } else { w.to_string() }));
        command.args(more.split_whitespace()).envs(vars.iter().copied());
        Running::start(command, format!("wordcount {out} {more}")).wait().fine()
    };
    go(&desk.arg("one"), "--partitions 3", &[]);
    let staged = format!("--staging {}", desk.arg("staging"));
    go(&desk.arg("many"), &format!("--partitions 3 {SMALL} --workers 2 {staged}"), &cluster.vars());
    for part in ["part-r-00000", "part-r-00001", "part-r-00002"] {
        let (one, many) = (format!("one/{part}"), format!("many/{part}"));
        assert!(desk.bytes(&one) == desk.bytes(&many), "{part} differs");
    }
}

#[test]
fn a_member_that_is_killed_is_replaced() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi(&desk);
    let running = start(&desk, &cluster, &format!("{line} {SMALL} --workers 2 --json"));
    let application = submitted(&desk);
    wait_until("two members", || members(&application).len() == 2);
    wait_until("a split", || desk.logged() >= 1);
    let victim = members(&application)[0];
    signal("KILL", victim);
    wait_until("another member", || members(&application).iter().filter(|pid| **pid != victim).count() == 2);
    let done = running.wait().fine().json();
    assert_eq!(done["run"]["replaced"], 1, "{done}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
}

#[test]
fn a_second_attempt_goes_on_where_the_first_was_killed() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi_of(&desk, 3072);
    let running = start(&desk, &cluster, &format!("{line} {SMALL} --workers 2 --json"));
    let application = submitted(&desk);
    wait_until("splits", || desk.logged() >= 3);
    let (first, orphans) = (coordinator(&application).unwrap(), members(&application));
    signal("KILL", first);
    wait_until("another coordinator", || coordinator(&application).is_some_and(|pid| pid != first));
    wait_until("the end of the first members", || orphans.iter().all(|pid| !lives(*pid)));
    // The log here is that of this attempt.
    let status = seen(&desk, &cluster, |status| status["stages"][0]["earlier"].as_u64() >= Some(1));
    assert!(status["url"].as_str().unwrap().contains("/proxy/"), "{status}");
    let done = running.wait().fine().json();
    assert!(done["run"]["stages"][0]["earlier"].as_u64() >= Some(1), "nothing was taken over: {done}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
}

#[test]
fn a_killed_application_leaves_no_process_and_no_output_and_can_be_resumed() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    // Hadoop's own command takes seconds to start: the job must still run then.
    let line = slow_ndvi_of(&desk, 4096);
    let running = start(&desk, &cluster, &format!("{line} {SMALL} --workers 2"));
    let application = submitted(&desk);
    wait_until("splits", || desk.logged() >= 2);
    cluster.hadoop("yarn", &["application", "-kill", &application]);
    wait_until("the end of all its processes", || processes(&application, "").is_empty());
    let done = running.wait();
    assert_eq!(done.code, 143, "{done}");
    done.says(&[&application, "was killed", "--resume"]);
    is_listed(&desk, &cluster, "stopped");
    let why = run(&desk, &cluster, "why ndvi").out;
    assert!(["was killed", "--resume", application.as_str()].iter().all(|word| why.contains(word)), "{why}");
    assert!(!desk.path("out.tif").exists(), "a part of the output is visible");
    let resumed = run(&desk, &cluster, &format!("{line} {SMALL} --workers 2 --resume --json")).fine().json();
    assert!(resumed["run"]["stages"][0]["earlier"].as_u64() >= Some(1), "{resumed}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
}

#[test]
fn ctrl_c_ends_the_application() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi(&desk);
    let running = start(&desk, &cluster, &format!("{line} {SMALL} --workers 2"));
    let application = submitted(&desk);
    wait_until("a split", || desk.logged() >= 1);
    running.signal("INT");
    let done = running.wait();
    assert_eq!(done.code, 130, "{done}");
    // YARN ends containers in its own time.
    wait_until("no process is left", || processes(&application, "").is_empty());
    assert!(!desk.path("out.tif").exists(), "{done}");
    is_listed(&desk, &cluster, "stopped");
}

#[test]
fn a_job_in_the_background_is_known_and_killed_from_here() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let id = run(&desk, &cluster, &format!("{} {SMALL} --workers 1 --detach", slow_ndvi_of(&desk, 4096))).fine().out;
    let application = submitted(&desk);
    wait_until("a split", || desk.logged() >= 1);
    is_listed(&desk, &cluster, "running");
    assert!(run(&desk, &cluster, "jobs").fine().out.contains(&id[..8]));
    assert!(run(&desk, &cluster, "logs ndvi").fine().out.contains(&application));
    run(&desk, &cluster, "kill ndvi").fine();
    wait_until("no process is left", || processes(&application, "").is_empty());
    is_listed(&desk, &cluster, "stopped");
    assert_eq!(told_of(&cluster, &application)["state"], "KILLED");
}

#[test]
fn members_of_a_killed_node_manager_end_by_themselves() {
    let Some(cluster) = own_part("yarn") else { return };
    let desk = Desk::new();
    let line = slow_ndvi(&desk).replace("--level 12", "--level 12 --overwrite");
    let running = start(&desk, &cluster, &format!("{line} {SMALL} --workers 4"));
    let application = submitted(&desk);
    wait_until("a split", || desk.logged() >= 1);
    cluster.kill9("nm2");
    let done = running.wait().fine();
    wait_until("the end of all its processes", || processes(&application, "").is_empty());
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "{done}");
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let scene = scene(&desk, 256);
    let line = format!("run ndvi {scene} --out {} --mode cluster --target yarn", desk.arg("out.tif"));
    let refused = |more: &str, code, words: &[&str]| {
        run(&desk, &cluster, &format!("{line} {more}")).refused(code, words).with_remedy();
    };
    refused("--queue defalt", 2, &["no queue \"defalt\"", "default"]);
    refused("--memory-limit 64GiB", 2, &["a member needs a container of", "MiB", "--memory-limit"]);
    refused("--threads 64", 2, &["64 cores"]);
    let relative = line.replace(&desk.arg("out.tif"), "out.tif");
    run(&desk, &cluster, &relative).refused(2, &["out.tif", "relative"]).with_remedy();
    desk.run(&line).refused(3, &["HADOOP_CONF_DIR"]).with_remedy();
    let nowhere = desk.path("conf");
    std::fs::create_dir(&nowhere).unwrap();
    let site = "<configuration><property><name>yarn.resourcemanager.webapp.address</name>\
                <value>127.0.0.1:9</value></property></configuration>";
    std::fs::write(nowhere.join("yarn-site.xml"), site).unwrap();
    let gone = desk.start_program(mapfold(), &line, &[("HADOOP_CONF_DIR", nowhere.to_str().unwrap())]).wait();
    gone.refused(3, &["ResourceManager", "127.0.0.1:9"]).with_remedy();
    desk.run(&format!("run ndvi {scene} --out x.tif --queue default")).refused(2, &["--queue"]);
    let left: Vec<String> = desk.names().into_iter().filter(|n| n != "conf").collect();
    assert!(left.is_empty(), "a refused run leaves {left:?}");
}

#[test]
fn an_error_of_the_job_comes_home_with_its_exit_code() {
    let Some(cluster) = part("yarn") else { return };
    let desk = Desk::new();
    let gone = desk.arg("gone.tif");
    let line = format!("run ndvi --red {gone} --nir {gone} --out {} {SMALL}", desk.arg("out.tif"));
    let done = run(&desk, &cluster, &line);
    assert_eq!(done.code, 3, "{done}");
    done.says(&["error: ", "gone.tif", "not found"]);
    is_listed(&desk, &cluster, "failed");
    let why = run(&desk, &cluster, "why ndvi").fine().out;
    assert!(why.contains("gone.tif") && why.contains("not found"), "{why}");
}

/// Classes of a jar: names and bytes.
fn classes(jar: &Path, into: &Path) -> Vec<(String, Vec<u8>)> {
    std::fs::create_dir_all(into).unwrap();
    let done = Command::new("jar").args(["--extract", "--file"]).arg(jar).current_dir(into).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let folder = into.join("mapfold/yarn");
    let mut all: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn the_committed_jar_is_what_the_source_gives() {
    let here = checkout().join("cluster/yarn-am");
    let javac = Command::new("javac").arg("-version").output();
    let version = javac.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_string()).unwrap_or_default();
    if !version.starts_with("javac 17.") {
        return skipped(&format!("the classes of the application master (made by javac 17; here: {version:?})"), true);
    }
    // The jars of the part, where it was fetched; else Maven fetches what pom.xml names.
    let Some(cluster) = part("yarn") else { return };
    let tool = std::fs::read_to_string(cluster.var("MAPFOLD_PART_YARN_COMMAND")).unwrap();
    let jars = tool.split([':', ' ', '\'']).find_map(|p| p.strip_suffix("/\\*").or(p.strip_suffix("/*")));
    let jars = jars.unwrap_or_else(|| panic!("no folder of jars in {tool}"));
    let desk = Desk::new();
    let built = desk.path("built.jar");
    let done = Command::new(here.join("build.sh")).arg(&built).arg(jars).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (ours, fresh) = (classes(&here.join("mapfold-am.jar"), &desk.path("a")), classes(&built, &desk.path("b")));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&fresh));
    let differ: Vec<String> = ours.iter().zip(&fresh).filter(|(a, b)| a.1 != b.1).map(|(a, _)| a.0.clone()).collect();
    assert!(differ.is_empty(), "{differ:?} differ: run cluster/yarn-am/build.sh cluster/yarn-am/mapfold-am.jar");
}
