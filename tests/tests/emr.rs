//! Clusters of Amazon EMR: made, listed, cloned, given jobs, taken down, against a double with moto in it that checks our
//! signatures; and the command of a step, run for real against a pseudo-distributed YARN.
//!
//! What the double does not prove is in `cluster/emr/server.py`. The test plays the primary node: it runs the step's own
//! command, with Amazon's `aws` on its path, and then says how it ended.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, wait_for, wait_until};
use mapfold_tests::parts::{Part, part};
use mapfold_tests::{Desk, Ran, mapfold};
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

/// No service of this machine gives credentials, and no file.
const NOBODY: [(&str, &str); 4] = [
    ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9"),
    ("AWS_CONFIG_FILE", "/nonexistent"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
    ("MAPFOLD_HTTP_RETRIES", "0"),
];
/// What members of these tests may use.
const SMALL: &str = "--workers 2 --threads 1 --memory-limit 256MiB --am-memory 256MiB";

/// EMR and S3.
struct Amazon {
    emr: Part,
    s3: Part,
}

fn amazon() -> Option<Amazon> {
    Some(Amazon { emr: part("emr")?, s3: part("s3")? })
}

impl Amazon {
    /// What a user has in the environment.
    fn vars(&self) -> Vec<(&str, &str)> {
        let endpoint = ("AWS_ENDPOINT_URL_EMR", self.emr.uri());
        self.s3.vars().into_iter().chain([endpoint]).collect()
    }

    fn start(&self, desk: &Desk, args: &str) -> Running {
        desk.start_program(mapfold(), args, &self.vars())
    }

    fn run(&self, desk: &Desk, args: &str) -> Ran {
        self.start(desk, args).wait()
    }

    /// The same with other variables.
    fn run_as(&self, desk: &Desk, args: &str, other: &[(&str, &str)]) -> Ran {
        let vars: Vec<_> = self.vars().into_iter().chain(other.iter().copied()).collect();
        desk.start_program(mapfold(), args, &vars).wait()
    }

    /// A cluster of this test; its id.
    fn cluster(&self, desk: &Desk, more: &str) -> String {
        self.run(desk, &format!("cluster create emr {more}")).fine().out.trim().to_owned()
    }

    /// The double's door for tests.
    fn door(&self, name: &str, asked: &Value) -> Value {
        let url = format!("{}/_test/{name}", self.emr.uri());
        let done = Command::new("curl").args(["-sf", "--data", &asked.to_string(), &url]).output().unwrap();
        assert!(done.status.success(), "{name}: {done:?}");
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Bodies of all calls of a name that hold a text.
    fn calls(&self, action: &str, text: &str) -> Vec<Value> {
        let all = self.door("calls", &json!({}));
        let fits = |call: &&Value| call["action"] == action && call["body"].to_string().contains(text);
        all.as_array().unwrap().iter().filter(fits).map(|call| call["body"].clone()).collect()
    }

    /// From now on calls of a name that hold a text are refused.
    fn refuse(&self, action: &str, text: &str, kind: &str, message: &str) {
        self.door("refuse", &json!({ "action": action, "text": text, "type": kind, "message": message }));
    }

    fn step_is(&self, step: &str, state: &str) {
        self.door("step", &json!({ "step": step, "state": state }));
    }

    /// Words and number of the step that a running command has added.
    fn step(&self, cluster: &str) -> Vec<String> {
        let step = wait_for("a step", || self.calls("AddJobFlowSteps", cluster).pop());
        let step = &step["Steps"][0];
        assert_eq!(
            (&step["ActionOnFailure"], &step["HadoopJarStep"]["Jar"]),
            (&json!("CONTINUE"), &json!("command-runner.jar"))
        );
        step["HadoopJarStep"]["Args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()).collect()
    }

    /// The number of the newest step, as Amazon's own tool tells it.
    fn number(&self, desk: &Desk, cluster: &str) -> String {
        let mut aws = desk.command(format!("{}/aws", self.emr.var("MAPFOLD_PART_EMR_BIN")));
        aws.args(["emr", "list-steps", "--cluster-id", cluster, "--query", "Steps[0].Id", "--output", "text"]);
        aws.args(["--region", self.s3.var("AWS_REGION")]);
        let done = aws.envs(self.vars()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Runs the words of a step as EMR does: on the primary node, with Hadoop's configuration, in an empty folder.
    fn on_primary(&self, yarn: &Part, words: &[String]) -> std::process::Output {
        let node = Desk::new();
        let bin = self.emr.var("MAPFOLD_PART_EMR_BIN");
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let mut step = node.command(&words[0]);
        step.args(&words[1..]).envs(yarn.vars()).envs(self.s3.vars()); // Its role stands in the environment here.
        step.env("HOME", node.path("")).env("PATH", path).env("AWS_CONFIG_FILE", "/nonexistent");
        step.output().unwrap()
    }
}

/// `--red FILE --nir FILE`, with whole paths.
fn scene(desk: &Desk, size: usize) -> String {
    let words = desk.scene(size);
    let whole = |w: &str| if w.starts_with("--") { w.to_string() } else { desk.arg(w) };
    words.split(' ').map(whole).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_dry_run_shows_the_whole_request_and_asks_nothing() {
    let desk = Desk::new();
    let nowhere = [("AWS_ENDPOINT_URL_EMR", "http://127.0.0.1:9")];
    let line = "cluster create emr --instances 4 --auto-terminate --logs s3://bucket/logs/ --dry-run";
    let asked = desk.start_program(mapfold(), line, &nowhere).wait().fine().json();
    let groups = &asked["RunJobFlow"]["Instances"]["InstanceGroups"];
    assert_eq!((&groups[0]["InstanceCount"], &groups[1]["InstanceCount"]), (&json!(1), &json!(4)), "{asked}");
    for policy in [&asked["RunJobFlow"], &asked["PutAutoTerminationPolicy"]] {
        assert_eq!(policy["AutoTerminationPolicy"]["IdleTimeout"], 3600, "{asked}");
    }
    let kept = desk.run("cluster create emr --keep --dry-run").fine().json();
    assert!(kept["RunJobFlow"].get("AutoTerminationPolicy").is_none() && kept["PutAutoTerminationPolicy"].is_null());
    let spot = desk.run("cluster create emr --spot 8 --idle-timeout 90m --dry-run").fine().json();
    assert_eq!(spot["RunJobFlow"]["Instances"]["InstanceGroups"][2]["Market"], "SPOT");
    assert_eq!(spot["PutAutoTerminationPolicy"]["AutoTerminationPolicy"]["IdleTimeout"], 5400);
    for (words, said) in [
        ("--idle-timeout 30s", "from 1m to 7d"),
        ("--keep --idle-timeout 1h", "cannot be used with"),
        ("--instances 0", "--instances"),
        ("--logs hdfs:///logs", "S3 only"),
    ] {
        let refused = desk.run(&format!("cluster create emr {words} --dry-run"));
        assert_eq!(refused.code, 2, "{refused}");
        refused.says(&[said]);
    }
}

#[test]
fn a_cluster_from_its_making_to_its_end() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let name = format!("first{}", std::process::id());
    let line = "--instances 3 --spot 2 --key me --idle-timeout 30m --logs s3://mapfold/logs --name";
    let id = amazon.cluster(&desk, &format!("{line} {name}"));
    let policies = amazon.calls("PutAutoTerminationPolicy", &id);
    assert_eq!(policies[0]["AutoTerminationPolicy"]["IdleTimeout"], 1800, "{policies:?}");
    let listed = amazon.run(&desk, "cluster list").fine().out;
    assert!(listed.lines().any(|l| l.starts_with(&id) && l.contains("waiting") && l.ends_with(&name)), "{listed}");

    let copy = amazon.run(&desk, &format!("cluster clone {id} --json")).fine().json();
    let copy = copy["id"].as_str().unwrap().to_owned();
    let made = amazon.calls("RunJobFlow", &format!("\"{name}\""));
    assert_eq!(made.len(), 2);
    let but_name = |mut made: Value| {
        made["AutoTerminationPolicy"] = Value::Null;
        made
    };
    assert_eq!(but_name(made[0].clone()), but_name(made[1].clone()), "a clone is asked for in the same words");
    assert_eq!(made[1]["AutoTerminationPolicy"]["IdleTimeout"], 3600, "its teardown is its own");

    let ssh = amazon.run(&desk, &format!("cluster ssh {id} -i me.pem --dry-run -- yarn top")).fine().out;
    assert!(ssh.starts_with("ssh -i me.pem -- hadoop@ec2-") && ssh.ends_with(" yarn top\n"), "{ssh}");

    let gone = amazon.run(&desk, &format!("cluster destroy {id} {copy}")).fine().out;
    assert_eq!(gone, format!("{id}\n{copy}\n"));
    let listed = amazon.run(&desk, "cluster list").fine().out;
    assert!(!listed.contains(&id) && !listed.contains(&copy), "{listed}");
    let all = amazon.run(&desk, "cluster list --all --json").fine().json();
    let state = |id: &str| all.as_array().unwrap().iter().find(|c| c["id"] == id).map(|c| c["state"].clone());
    assert_eq!(state(&id), Some(json!("TERMINATED")), "{all}");
    let elsewhere = amazon.run(&desk, "cluster list --all --region eu-north-1").fine();
    assert_eq!((elsewhere.out.as_str(), elsewhere.err.contains("no clusters")), ("", true), "a region of its own");
}

#[test]
fn a_cluster_without_teardown_is_not_left_standing() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let id = amazon.cluster(&desk, "--name kept --keep");
    assert!(amazon.calls("PutAutoTerminationPolicy", &id).is_empty());
    amazon.run(&desk, &format!("cluster destroy {id} --no-wait")).fine();
    // A timeout that no other test has.
    let denied = "User: me is not authorized to perform: elasticmapreduce:PutAutoTerminationPolicy";
    amazon.refuse("PutAutoTerminationPolicy", "4260", "AccessDeniedException", denied);
    let refused = amazon.run(&desk, "cluster create emr --name unguarded --idle-timeout 71m");
    refused.refused(3, &["its teardown could not be set", "being taken down"]).with_remedy();
    let all = amazon.run(&desk, "cluster list --all --json").fine().json();
    let made = all.as_array().unwrap().iter().find(|c| c["name"] == "unguarded").unwrap();
    assert_eq!(made["state"], "TERMINATED", "{made}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let none = |line: &str, more: &[(&str, &str)]| {
        let vars: Vec<_> = NOBODY.iter().chain(more).copied().collect();
        desk.start_program(mapfold(), line, &vars).wait()
    };
    none("cluster list", &[]).refused(3, &["no region", "AWS_REGION="]).with_remedy();
    none("cluster list --region eu/x", &[]).refused(3, &["no region of AWS", "eu-central-1"]).with_remedy();
    none("cluster list --region eu-central-1", &[]).refused(3, &["credentials for AWS", "AWS_PROFILE"]).with_remedy();
    let gone = [("AWS_ENDPOINT_URL_EMR", "http://127.0.0.1:9"), ("MAPFOLD_HTTP_RETRIES", "0")];
    amazon.run_as(&desk, "cluster create emr", &gone).refused(3, &["no usable answer", "127.0.0.1:9"]).with_remedy();

    let wrong = |name: &str, value: &str, words: &[&str]| {
        let done = amazon.run_as(&desk, "cluster list", &[(name, value)]);
        assert!(!done.err.contains(amazon.s3.var("AWS_SECRET_ACCESS_KEY")), "{done}");
        assert!(!done.err.contains("a-token-of-somebody"), "{done}");
        done.refused(3, words).with_remedy();
    };
    wrong("AWS_ACCESS_KEY_ID", "AKIANOBODY", &["security token", "config show --origin"]);
    wrong("AWS_SECRET_ACCESS_KEY", "not-the-secret", &["signature", "config show --origin"]);

    amazon.run(&desk, "cluster destroy j-NOTHERE").refused(3, &["j-NOTHERE", "cluster list"]).with_remedy();
    amazon.run(&desk, "cluster clone j-NOTHERE").refused(3, &["j-NOTHERE", "cluster list"]).with_remedy();
    amazon.run(&desk, "cluster ssh nonsense").refused(2, &["no id of an EMR cluster"]).with_remedy();
    amazon.refuse("RunJobFlow", "\"forbidden\"", "AccessDeniedException", "User: me is not authorized to perform this");
    let forbidden = amazon.run(&desk, "cluster create emr --name forbidden");
    forbidden.refused(3, &["not authorized", "elasticmapreduce:RunJobFlow", "iam:PassRole"]).with_remedy();
}

#[test]
fn a_call_whose_answer_is_lost_is_not_made_again() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let deaf = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        drop(stream);
        listener.set_nonblocking(true).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(2));
        listener.accept().is_err()
    });
    let lost = amazon.run_as(&desk, "cluster create emr", &[("AWS_ENDPOINT_URL_EMR", &url)]);
    lost.refused(3, &["may have been done all the same", "cluster list"]).with_remedy();
    assert!(deaf.join().unwrap(), "RunJobFlow was sent a second time");
}

#[test]
fn a_job_is_a_step_with_the_same_words_and_no_secret() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let id = amazon.cluster(&desk, "--name steps --logs s3://mapfold/logs");
    let line =
        format!("run wordcount s3://mapfold/text --out s3://mapfold/out --target emr://{id} {SMALL} --queue night");
    let running = amazon.start(&desk, &format!("{line} --name words"));
    let words = amazon.step(&id);
    assert_eq!(words[..2], ["bash", "-c"]);
    let script = &words[2];
    let wanted = "run wordcount s3://mapfold/text --out s3://mapfold/out --target=yarn --job-id=";
    for part in
        [wanted, "--define=aws_region=us-east-1", SMALL, "--queue night", "aws s3 cp", "s3://mapfold/logs/mapfold/bin/"]
    {
        assert!(script.contains(part), "{part}: {script}");
    }
    assert_eq!(amazon.calls("AddJobFlowSteps", &id)[0]["Steps"][0]["Name"], "words");
    let all = amazon.door("calls", &json!({})).to_string();
    assert!(!all.contains(amazon.s3.var("AWS_SECRET_ACCESS_KEY")) && !script.contains("AWS_SECRET"), "a secret");

    let number = amazon.number(&desk, &id);
    amazon.step_is(&number, "FAILED");
    let done = running.wait();
    assert_eq!(done.code, 1, "{done}");
    let logs = format!("s3://mapfold/logs/{id}/steps/{number}/stderr.gz");
    assert!(done.says(&[&number, "failed", &logs]).has("try"));

    let detached = amazon.run(&desk, &format!("{line} --detach --json")).fine().json();
    assert_eq!(detached["cluster"], json!(id));
    let script = amazon.step(&id)[2].clone();
    assert!(!script.contains("--detach") && !script.contains("--job-id") && !script.contains("MAPFOLD_EMR_HOME"));
    let refused =
        |more: &str, words: &[&str]| amazon.run(&desk, &format!("{line} {more}")).refused(2, words).with_remedy();
    refused("-D aws_secret_access_key=hunter2", &["is a secret", "steps"]);
    let signed = line.replace("s3://mapfold/text", "https://host/text?sig=hunter2");
    let done = amazon.run(&desk, &signed).refused(2, &["holds a secret", "mapfold cp"]);
    assert!(!done.err.contains("hunter2"), "{done}");
    refused("--staging hdfs:///x", &["S3 only"]);
    assert_eq!(amazon.calls("AddJobFlowSteps", &id).len(), 2, "what is refused adds no step");

    amazon.run(&desk, &format!("cluster destroy {id}")).fine();
    let late = amazon.run(&desk, &line);
    late.refused(3, &[&id, "is terminated", &format!("cluster clone {id}")]).with_remedy();
    let nowhere = amazon.cluster(&desk, "--name nologs");
    amazon
        .run(&desk, &line.replace(&id, &nowhere))
        .refused(2, &["no folder for logs", "--staging s3://"])
        .with_remedy();
    amazon.run(&desk, &format!("cluster destroy {nowhere}")).fine();
}

#[test]
fn ctrl_c_cancels_the_step() {
    let Some(amazon) = amazon() else { return };
    let desk = Desk::new();
    let id = amazon.cluster(&desk, "--name cancelled --logs s3://mapfold/logs");
    let line = format!("run wordcount s3://mapfold/text --out s3://mapfold/out --target emr://{id}");
    let running = amazon.start(&desk, &line);
    amazon.step(&id);
    running.signal("INT");
    let done = running.wait();
    assert_eq!(done.code, 130, "{done}");
    assert_eq!(amazon.calls("CancelSteps", &id).len(), 1);
    done.says(&["was ended", "--resume"]);
    let listed = amazon.run(&desk, "jobs").fine().out;
    assert!(listed.contains("wordcount") && listed.contains("stopped"), "{listed}");
    amazon.run(&desk, &format!("cluster destroy {id}")).fine();
}

#[test]
fn the_command_of_a_step_runs_the_job_on_yarn_and_its_words_come_home() {
    let (Some(amazon), Some(yarn)) = (amazon(), part("yarn")) else { return };
    let desk = Desk::new();
    let id = amazon.cluster(&desk, "--name real --logs s3://mapfold/logs");
    let job = format!("run ndvi {} --tile 256 --blocksize 256", scene(&desk, 1024));
    desk.run(&format!("{job} --out {}", desk.arg("one.tif"))).fine();
    let line = format!("{job} --out {} --target emr://{id} {SMALL} --json", desk.arg("many.tif"));
    let running = amazon.start(&desk, &line);
    let words = amazon.step(&id);
    let (script, number) = (words[2].clone(), amazon.number(&desk, &id));
    let said = amazon.on_primary(&yarn, &words);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(desk.bytes("one.tif") == desk.bytes("many.tif"), "bytes differ");
    amazon.step_is(&number, "COMPLETED");
    let done = running.wait().fine();
    assert_eq!(done.json()["run"]["workers"], 2, "the report is that of the job: {done}");
    let jobs = amazon.run(&desk, "jobs").fine().out;
    assert!(jobs.contains("ndvi") && jobs.contains("done"), "its log came home: {jobs}");
    let home = script.split("MAPFOLD_EMR_HOME=").nth(1).unwrap().lines().next().unwrap();
    assert_ne!(amazon.run(&desk, &format!("ls {home}")).code, 0, "its folder is gone");

    // A job that fails says on this machine what it said there, with its exit code.
    let failing = format!(
        "run ndvi --red {0} --nir {0} --out {1} --target emr://{id} {SMALL}",
        desk.arg("no.tif"),
        desk.arg("x.tif")
    );
    let running = amazon.start(&desk, &failing);
    wait_until("another step", || amazon.calls("AddJobFlowSteps", &id).len() == 2);
    let number = amazon.number(&desk, &id);
    assert!(!amazon.on_primary(&yarn, &amazon.step(&id)).status.success());
    amazon.step_is(&number, "FAILED");
    let done = running.wait();
    assert_eq!(done.code, 3, "{done}");
    done.says(&["no.tif", "not found"]);

    // One that never becomes an application too.
    let running = amazon.start(&desk, &format!("{line} --overwrite --queue nowhere"));
    wait_until("a third step", || amazon.calls("AddJobFlowSteps", &id).len() == 3);
    let number = amazon.number(&desk, &id);
    assert!(!amazon.on_primary(&yarn, &amazon.step(&id)).status.success());
    amazon.step_is(&number, "FAILED");
    let done = running.wait();
    assert_eq!(done.code, 2, "{done}");
    done.says(&["no queue \"nowhere\""]);
    amazon.run(&desk, &format!("cluster destroy {id}")).fine();
}
