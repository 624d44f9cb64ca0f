//! What the scripts print, in words for people, and as JSON.
//!
//! Lines of `status`: `PART NAME pid N` or `PART NAME down`. Lines of `facts`: `NAME=VALUE`, and `NAME<FILE` where the
//! file holds a secret; a secret itself never comes here.

use mapfold::Error;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What `up` tells beside what the scripts print.
pub struct Started<'a> {
    pub seconds: f64,
    pub run: &'a Path,
    pub has_ls: bool,
}

/// A process of a part.
struct Process<'a> {
    part: &'a str,
    name: &'a str,
    /// `None`: it does not run.
    pid: Option<u32>,
}

fn processes(status: &str) -> Vec<Process<'_>> {
    status.lines().filter_map(process_of).collect()
}

fn process_of(line: &str) -> Option<Process<'_>> {
    let mut words = line.split(' ');
    let (part, name) = (words.next()?, words.next()?);
    Some(Process { part, name, pid: words.nth(1).and_then(|pid| pid.parse().ok()) })
}

/// The parts that lines of `status` are about, in their order.
fn part_names<'a>(processes: &[Process<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = processes.iter().map(|p| p.part).collect();
    names.dedup();
    names
}

/// Where a part is: its URI, or for YARN the address of the ResourceManager.
fn place<'a>(facts: &'a str, part: &str) -> &'a str {
    let name = format!("MAPFOLD_PART_{}=", part.to_uppercase().replace('-', "_"));
    facts.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("-")
}

/// After a start: what runs, how to use it, a first command; with `ls`, where this program has that verb.
pub fn up(status: &str, facts: &str, exports: &str, started: &Started<'_>) -> String {
    let Started { seconds, run, has_ls } = started;
    let mut text = self::status(status, facts);
    text += &format!("\nUp after {seconds:.1} s; data and logs are below {}\n", run.display());
    text += "\nIn a shell that is to use them: eval \"$(mapfold dev env)\", or\n";
    let hidden = |line: &&str| !line.starts_with("export MAPFOLD_PART_");
    text.extend(exports.lines().filter(hidden).map(|line| format!("  {line}\n")));
    let names = part_names(&processes(status));
    let first = names.into_iter().filter_map(|part| first_command(part, place(facts, part), facts, *has_ls));
    let first: String = first.map(|line| format!("  {line}\n")).collect();
    if !first.is_empty() {
        text += &format!("\nThen, for example:\n{first}");
    }
    text + "\nStop them: mapfold dev down\n"
}

/// Something to type that works at once.
fn first_command(part: &str, place: &str, facts: &str, has_ls: bool) -> Option<String> {
    let tool = |name: &str| facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match part {
        "hdfs" if !has_ls => Some(format!("{} dfs -ls /", tool("MAPFOLD_PART_HDFS_COMMAND")?)),
        "yarn" => Some(format!("{} node -list", tool("MAPFOLD_PART_YARN_COMMAND")?)),
        "ssh" => Some("$MAPFOLD_SSH mapfold1 hostname".into()),
        _ => has_ls.then(|| format!("mapfold ls {place}/")),
    }
}

/// A line for each part: where it is, which of its processes run.
pub fn status(status: &str, facts: &str) -> String {
    let all = processes(status);
    let names = part_names(&all);
    let wide = names.iter().map(|name| place(facts, name).len()).max().unwrap_or(0);
    let first = names.iter().map(|name| name.len()).max().unwrap_or(0).max(6);
    let line = |part: &&str| {
        let mine = all.iter().filter(|p| p.part == *part);
        let words: Vec<String> =
            mine.map(|p| p.pid.map_or(format!("{} down", p.name), |pid| format!("{} {pid}", p.name))).collect();
        format!("{part:<first$} {:<wide$}  {}\n", place(facts, part), words.join(", "))
    };
    names.iter().map(line).collect()
}

/// `{"parts": {"hdfs": {"at": …, "processes": {"nn": 12, "dn1": null}}}, "env": …, "secret_files": …}`
pub fn json(status: &str, facts: &str) -> Value {
    let all = processes(status);
    let part = |name: &&str| {
        let mine = all.iter().filter(|p| p.part == *name);
        let pids: Map<String, Value> = mine.map(|p| (p.name.to_owned(), json!(p.pid))).collect();
        ((*name).to_owned(), json!({ "at": place(facts, name), "processes": pids }))
    };
    let mut value = environment(facts);
    value["parts"] = Value::Object(part_names(&all).iter().map(part).collect());
    value
}

/// `{"env": {NAME: VALUE}, "secret_files": {NAME: FILE}}`
pub fn environment(facts: &str) -> Value {
    let (mut env, mut secret) = (Map::new(), Map::new());
    for line in facts.lines() {
        // a name has neither sign in it, so the first one decides
        let Some(at) = line.find(['=', '<']) else { continue };
        let chosen = if line[at..].starts_with('<') { &mut secret } else { &mut env };
        chosen.insert(line[..at].to_owned(), json!(line[at + 1..]));
    }
    json!({ "env": env, "secret_files": secret })
}

/// The programs that the scripts say are missing, as one error.
pub fn missing(said: &str) -> Error {
    let lines = |prefix: &'static str| {
        let mut once: Vec<&str> = Vec::new();
        let found = said.lines().filter_map(|line| line.trim().strip_prefix(prefix));
        found.for_each(|line| {
            if !once.contains(&line) {
                once.push(line);
            }
        });
        once
    };
    let what = lines("missing: ").join(", ");
    Error::input(format!("not found: {what}")).with_remedy(lines("to get it: ").join("; "))
}

#[cfg(test)]
mod tests {
    use super::{Started, environment, json, missing, status, up};
    use std::path::Path;

    const STATUS: &str = "hdfs nn pid 12\nhdfs dn1 down\ns3 minio pid 7\n";
    const FACTS: &str = "MAPFOLD_PART_HDFS=hdfs://h:1\nHADOOP_CONF_DIR=/a=b\nMAPFOLD_PART_S3=s3://b\nAWS_KEY</secret/f";

    #[test]
    fn a_part_is_a_line() {
        let words = "hdfs   hdfs://h:1  nn 12, dn1 down\ns3     s3://b      minio 7\n";
        assert_eq!(status(STATUS, FACTS), words);
        let exports = "export MAPFOLD_PART_S3='s3://b'
export A='1'
";
        let started = Started { seconds: 1.26, run: Path::new("/run"), has_ls: true };
        let text = up(STATUS, FACTS, exports, &started);
        assert!(
            text.starts_with(words) && text.contains("Up after 1.3 s") && text.contains("\n  export A='1'\n"),
            "{text}"
        );
        assert!(text.contains("\n  mapfold ls hdfs://h:1/\n  mapfold ls s3://b/\n"), "{text}");
        let without = up(STATUS, FACTS, exports, &Started { has_ls: false, ..started });
        assert!(!without.contains("mapfold ls"), "no verb that this program does not have: {without}");
        assert!(!text.contains("export MAPFOLD_PART"), "names for tests are of no use to people: {text}");
    }

    #[test]
    fn a_name_with_a_dash_has_a_place() {
        let said = status("hdfs-krb kdc pid 3\n", "MAPFOLD_PART_HDFS_KRB=hdfs://localhost:1");
        assert_eq!(said, "hdfs-krb hdfs://localhost:1  kdc 3\n");
    }

    #[test]
    fn json_tells_secrets_as_files() {
        let value = json(STATUS, FACTS);
        assert_eq!(value["parts"]["hdfs"]["processes"]["nn"], 12);
        assert!(value["parts"]["hdfs"]["processes"]["dn1"].is_null());
        assert_eq!(value["parts"]["s3"]["at"], "s3://b");
        let env = environment(FACTS);
        assert_eq!(
            (&env["env"]["HADOOP_CONF_DIR"], &env["secret_files"]["AWS_KEY"]),
            (&"/a=b".into(), &"/secret/f".into())
        );
        assert!(env["env"].get("AWS_KEY").is_none());
    }

    #[test]
    fn what_is_missing_is_said_once() {
        let said = "missing: java (runs Hadoop)\n  to get it: apt-get install jdk\nmissing: java (runs Hadoop)\n  to get it: apt-get install jdk\nmissing: go (builds MinIO)\n  to get it: go.dev\n";
        let error = missing(said);
        assert_eq!(error.to_string(), "not found: java (runs Hadoop), go (builds MinIO)");
        assert_eq!(error.remedy(), Some("apt-get install jdk; go.dev"));
    }
}
