//! Files of every store by the verbs, and settings as users have them.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, signal, wait_until};
use mapfold_tests::identity::Identities;
use mapfold_tests::parts::{own_part_with, part};
use mapfold_tests::{Desk, Ran, data, mapfold};
use std::fs;

fn with(desk: &Desk, args: &str, variables: &[(&str, &str)]) -> Ran {
    desk.start_program(mapfold(), args, variables).wait()
}

/// A folder with names that are odd, and one file of several parts of an upload.
fn tree(desk: &Desk) {
    fs::create_dir_all(desk.path("tree/deep/er")).unwrap();
    fs::write(desk.path("tree/one.txt"), "1\n2\n3\n").unwrap();
    fs::write(desk.path("tree/deep/a#b%20c d.txt"), "odd").unwrap();
    fs::write(desk.path("tree/deep/er/empty"), "").unwrap();
    let big: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(desk.path("tree/big.bin"), big).unwrap();
}

fn same_trees(desk: &Desk, a: &str, b: &str) {
    let ran = Running::start(
        {
            let mut diff = desk.command("diff");
            diff.args(["-r", a, b]);
            diff
        },
        format!("diff -r {a} {b}"),
    );
    ran.wait().fine();
}

#[test]
fn a_tree_goes_to_every_store_and_comes_back() {
    for name in ["s3", "azure", "gcs", "hdfs"] {
        let Some(part) = part(name) else { continue };
        let desk = Desk::new();
        tree(&desk);
        let (there, vars) = (part.folder(), part.vars());
        with(&desk, &format!("cp -r tree {there}"), &vars).fine();
        let again = format!("cp tree/one.txt {there}/one.txt");
        with(&desk, &again, &vars).refused(3, &["already there", "--overwrite"]);
        let told = with(&desk, &format!("cp -r tree {there}/ --resume --json"), &vars).fine().json();
        assert_eq!((told["files"].as_u64(), told["left_out"].as_u64()), (Some(4), Some(0)), "into it: {told}");
        let told = with(&desk, &format!("cp -r tree {there}/ --resume --json"), &vars).fine().json();
        assert_eq!((told["files"].as_u64(), told["left_out"].as_u64()), (Some(0), Some(4)), "{told}");
        with(&desk, &format!("rm -r {there}/tree -q"), &vars).fine();
        with(&desk, &format!("cp -r {there} back"), &vars).fine();
        same_trees(&desk, "tree", "back");

        let listed = with(&desk, &format!("ls -r {there} --json"), &vars).fine().json();
        let sizes: Vec<_> = listed.as_array().unwrap().iter().map(|e| (e["name"].clone(), e["size"].clone())).collect();
        let expected = [("big.bin", 20_000_000), ("a#b%20c d.txt", 3), ("empty", 0), ("one.txt", 6)];
        assert_eq!(sizes, expected.map(|(name, size)| (name.into(), size.into())), "{name}");
        let names = with(&desk, &format!("ls {there}"), &vars).fine().out;
        assert_eq!(names, format!("{there}/big.bin\n{there}/deep/\n{there}/one.txt\n"));
        assert_eq!(with(&desk, &format!("head -n 2 {there}/*.txt"), &vars).fine().out, "1\n2\n");
        assert_eq!(with(&desk, &format!("head -c 1 {there}/one.txt"), &vars).fine().out, "1");
        assert_eq!(
            with(&desk, &format!("cat {there}/one.txt {there}/one.txt"), &vars).fine().out,
            "1\n2\n3\n1\n2\n3\n"
        );

        with(&desk, &format!("ls {there}/onne.txt"), &vars).refused(3, &["not found", "did you mean", "one.txt"]);
        with(&desk, &format!("rm {there}/deep"), &vars).refused(3, &["is a folder", "-r"]);
        with(&desk, &format!("rm {there}/*.txt {there}/missing"), &vars).refused(3, &["missing"]);
        assert_eq!(with(&desk, &format!("head {there}/one.txt -n 1"), &vars).fine().out, "1\n", "nothing was removed");
        with(&desk, &format!("rm {there}/*.txt"), &vars).fine();
        with(&desk, &format!("rm -r {there} -q"), &vars).fine();
        with(&desk, &format!("rm {there}/one.txt -f"), &vars).fine();
        with(&desk, &format!("ls {there}"), &vars).refused(3, &["not found"]);
    }
}

#[test]
fn a_folder_or_a_bucket_that_is_missing_is_named_with_what_to_do() {
    let desk = Desk::new();
    fs::write(desk.path("one"), "1").unwrap();
    let scene = desk.scene(64);
    let ndvi = |out: &str| format!("run ndvi {scene} --out {out}");
    with(&desk, "cp one missing/one", &[]).refused(3, &["missing: there is no such folder", "--parents"]);
    if let Some(hdfs) = part("hdfs") {
        let (there, vars) = (hdfs.folder(), hdfs.vars());
        let folder = format!("{there}/missing");
        with(&desk, &format!("cp one {folder}/one"), &vars)
            .refused(3, &[&format!("{folder}: there is no such folder"), "--parents"]);
        let scene = data("s2/S2_20150830.tif");
        with(&desk, &format!("preview {scene}#B04 -o {folder}/red.png"), &vars)
            .refused(3, &[&format!("{folder}: there is no such folder"), "hdfs dfs -mkdir -p"]);
        with(&desk, &format!("cp one {folder}/deep/er/one --parents"), &vars).fine();
        assert_eq!(with(&desk, &format!("cat {folder}/deep/er/one"), &vars).fine().out, "1");
    }
    for (name, bucket) in [("s3", "s3://no-such"), ("azure", "az://no-such"), ("gcs", "gs://no-such")] {
        let Some(part) = part(name) else { continue };
        let verbs = ["ls", "cat", "info", "run stats", "cp -r", "rm"].map(|verb| format!("{verb} {bucket}/x"));
        let mut lines = verbs.to_vec();
        lines[4] += " here";
        lines.extend([format!("ls {bucket}"), format!("cp one {bucket}/one"), ndvi(&format!("{bucket}/out.tif"))]);
        for line in lines {
            let ran = with(&desk, &line, &part.vars());
            ran.refused(3, &[&format!("{bucket}: there is no such bucket"), "mapfold config show"]).with_remedy();
        }
    }
}

#[test]
fn a_profile_with_a_role_is_enough_for_a_job_and_its_members() {
    let Some(s3) = part("s3") else { return };
    let desk = Desk::new();
    let (there, scene) = (s3.folder(), desk.scene(300));
    with(&desk, &format!("cp -r scene300 {there}/in"), &s3.vars()).fine();
    let (id, secret) = (s3.var("AWS_ACCESS_KEY_ID"), s3.var("AWS_SECRET_ACCESS_KEY"));
    let keys = format!("[base]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(desk.path("credentials"), keys).unwrap();
    let role = "role_arn = arn:aws:iam::123456789012:role/analyst\nrole_session_name = night";
    let config = format!(
        "[profile analyst]\n{role}\nsource_profile = base\n[profile odd]\n{role}\nmfa_serial = 7\nsource_profile = base\n"
    );
    fs::write(desk.path("config"), config).unwrap();
    let (credentials, config) = (desk.arg("credentials"), desk.arg("config"));
    let mut vars = s3.vars();
    vars.retain(|(name, _)| !["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(name));
    vars.extend([("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()), ("AWS_CONFIG_FILE", config.as_str())]);
    let as_who = |profile| [vars.as_slice(), &[("AWS_PROFILE", profile)]].concat();

    let far = scene.replace("scene300", &format!("{there}/in"));
    desk.run(&format!("run ndvi {scene} --out one.tif")).fine();
    let line = format!("run ndvi {far} --out {there}/ndvi.tif --mode pseudo --workers 2");
    with(&desk, &line, &as_who("analyst")).fine();
    with(&desk, &format!("cp {there}/ndvi.tif ndvi.tif"), &as_who("analyst")).fine();
    assert!(desk.bytes("one.tif") == desk.bytes("ndvi.tif"), "other bytes");

    let told = with(&desk, "config show --origin", &as_who("analyst")).fine().out;
    assert!(told.contains("role/analyst") && told.contains("profile analyst") && !told.contains(secret), "{told}");
    with(&desk, &format!("ls {there}"), &as_who("odd")).refused(3, &["mfa_serial", "aws configure export-credentials"]);
    with(&desk, &format!("ls {there}"), &as_who("base")).fine();
}

/// The server asks the identity provider for its key, as STS does: nobody here has keys of the bucket.
#[test]
fn a_web_identity_may_do_what_its_role_may() {
    let (desk, folder) = (Desk::new(), tempfile::tempdir().unwrap());
    let identities = Identities::start(folder.path());
    let Some(s3) = own_part_with("s3", &[("MAPFOLD_PARTS_OPENID", &identities.url)]) else { return };
    let there = s3.folder();
    let scene = desk.scene(300);
    with(&desk, &format!("cp -r scene300 {there}/in"), &s3.vars()).fine();
    let as_who = |token: &str, args: &str| {
        let file = folder.path().join(token).display().to_string();
        let mut vars = s3.vars();
        vars.retain(|(name, _)| !["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(name));
        vars.extend([("AWS_ROLE_ARN", identities.role.as_str()), ("AWS_WEB_IDENTITY_TOKEN_FILE", &file)]);
        vars.push(("AWS_ENDPOINT_URL_STS", s3.var("AWS_ENDPOINT_URL")));
        with(&desk, args, &vars)
    };
    let line = |scene: &str, out: &str| format!("run ndvi {scene} --out {out}");
    desk.run(&line(&scene, "one.tif")).fine();
    let far = scene.replace("scene300", &format!("{there}/in"));
    as_who("token", &(line(&far, "far.tif") + " --mode pseudo --workers 2")).fine();
    assert!(desk.bytes("one.tif") == desk.bytes("far.tif"), "other bytes");

    as_who("token", &format!("cp one.tif {there}/one.tif")).refused(3, &["AccessDenied"]);
    let band = far.split(' ').nth(1).unwrap();
    let told = as_who("forged", &format!("info {band}")).refused(3, &["the role cannot be taken", &identities.role]);
    let secret = fs::read_to_string(folder.path().join("forged")).unwrap();
    assert!(secret.len() > 100 && !told.err.contains(&secret), "{told}");
    as_who("none", &format!("info {band}")).refused(3, &["aws_web_identity_token_file", "No such file"]);
}

/// The server's own key management: parts of uploads that are encrypted so have names that say nothing of their bytes.
#[test]
fn what_is_written_is_encrypted_by_the_key_that_is_named() {
    let Some(s3) = part("s3") else { return };
    let desk = Desk::new();
    tree(&desk);
    let (there, scene) = (s3.folder(), desk.scene(2500));
    let key = [("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms"), ("AWS_SSE_KMS_KEY_ID", "mapfold")];
    let vars = [s3.vars(), key.to_vec()].concat();
    let ndvi = |out: &str| format!("run ndvi {scene} --out {out} --tile 1024 --blocksize 256 --compress none");
    with(&desk, &format!("cp -r tree {there}/tree"), &vars).fine();
    with(&desk, &(ndvi(&format!("{there}/ndvi.tif")) + " --mode pseudo --workers 2"), &vars).fine();
    desk.run(&ndvi("one.tif")).fine();
    with(&desk, &format!("cp {there}/ndvi.tif ndvi.tif"), &s3.vars()).fine();
    assert!(desk.bytes("one.tif") == desk.bytes("ndvi.tif"), "other bytes");
    with(&desk, &format!("cp -r {there}/tree back"), &s3.vars()).fine();
    same_trees(&desk, "tree", "back");
    for name in ["tree/one.txt", "tree/big.bin", "ndvi.tif"] {
        let path = there.replacen("s3:/", s3.var("AWS_ENDPOINT_URL"), 1);
        let user = format!("{}:{}", s3.var("AWS_ACCESS_KEY_ID"), s3.var("AWS_SECRET_ACCESS_KEY"));
        let asked = ["-sI", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, &format!("{path}/{name}")];
        let head = desk.command("curl").args(asked).output().unwrap().stdout;
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.contains("x-amz-server-side-encryption: aws:kms"), "{name}: {head}");
    }
    with(&desk, &format!("cp tree/one.txt {there}/x -D aws_sse_kms_key_id=nobodys"), &vars).refused(3, &[]);
}

#[test]
fn copies_of_local_files_keep_their_rules() {
    let desk = Desk::new();
    tree(&desk);
    desk.run("cp tree copy").refused(3, &["is a folder", "-r"]);
    desk.run("cp tree/one.txt tree/big.bin nowhere").refused(2, &["nowhere/"]);
    desk.run("cp tree/one.txt missing/one.txt").refused(3, &["missing"]);
    desk.run("cp -r tree tree/deep/tree").refused(2, &["into itself"]);
    desk.run("cp tree/one.txt tree/deep/er/one.txt").fine();
    desk.run("cp tree/one.txt tree/deep/er/one.txt both/").refused(3, &["two files would become", "one.txt"]);
    desk.run("cp tree/one.txt made/for/it.txt --parents").fine();
    assert_eq!(desk.bytes("made/for/it.txt"), b"1\n2\n3\n");
    desk.run("cp tree/big.bin made/for/it.txt").refused(3, &["already there"]);
    desk.run("cp tree/big.bin made/for/it.txt --overwrite -q").fine();
    assert!(desk.bytes("made/for/it.txt") == desk.bytes("tree/big.bin"));
    let told = desk.run("cp -r tree other --dry-run").fine().out;
    assert!(told.contains("tree/one.txt -> other/one.txt") && !desk.path("other").exists(), "{told}");
    desk.run("rm -r tree --dry-run").fine();
    desk.run("rm -r tree").fine();
    assert!(!desk.path("tree").exists());
    desk.run("rm -r /").refused(3, &["root"]);
}

#[test]
fn a_stopped_copy_leaves_whole_files_only() {
    let desk = Desk::new();
    fs::create_dir(desk.path("many")).unwrap();
    for n in 0..200 {
        fs::write(desk.path(&format!("many/{n}")), vec![n as u8; 500_000]).unwrap();
    }
    let mut run = desk.start("cp -r many copy --parallel 1");
    wait_until("a file", || desk.path("copy/100").exists() || run.ended());
    signal("INT", run.pid());
    let ran = run.wait();
    assert!(ran.code == 130 || ran.code == 0, "{ran}");
    assert!(ran.code == 0 || ran.err.contains("--resume"), "{ran}");
    let copied = mapfold_tests::desk::names(&desk.path("copy"));
    assert!(copied.iter().all(|name| !name.contains("tmp")), "{copied:?}");
    assert!(copied.iter().all(|name| desk.bytes(&format!("copy/{name}")) == desk.bytes(&format!("many/{name}"))));
    desk.run("cp many/* copy/ --resume").fine();
    same_trees(&desk, "many", "copy");
}

const HADOOP: &str = "<configuration>
<property><name>fs.defaultFS</name><value>hdfs://${my.name}</value></property>
<property><name>my.name</name><value>prod</value></property>
<property><name>fs.s3a.access.key</name><value>FROMHADOOP</value></property>
<property><name>fs.s3a.secret.key</name><value>canary-hadoop</value></property>
<property><name>fs.s3a.endpoint</name><value>s3.example.test</value></property>
<property><name>dfs.ha.namenodes.prod</name><value>a,b</value></property>
</configuration>";

/// The settings in force, as `name = value [origin]` by name.
fn shown(desk: &Desk, args: &str, variables: &[(&str, &str)]) -> serde_json::Map<String, serde_json::Value> {
    let told = with(desk, &format!("config show --json {args}"), variables).fine();
    assert!(!told.out.contains("canary"), "a secret is shown: {told}");
    let all = told.json();
    all.as_array().unwrap().iter().map(|s| (s["name"].as_str().unwrap().to_owned(), s.clone())).collect()
}

#[test]
fn each_setting_comes_from_the_strongest_layer() {
    let desk = Desk::new();
    let home = desk.path("home");
    fs::create_dir_all(home.join(".aws")).unwrap();
    fs::create_dir_all(home.join(".config/mapfold")).unwrap();
    fs::create_dir(desk.path("hadoop")).unwrap();
    fs::write(desk.path("hadoop/core-site.xml"), HADOOP).unwrap();
    let base =
        [("HOME", home.to_str().unwrap()), ("XDG_CONFIG_HOME", ""), ("AWS_REGION", ""), ("HADOOP_CONF_DIR", "hadoop")];
    let at = |all: &serde_json::Map<String, serde_json::Value>, name: &str| {
        let of =
            |what: &str| all.get(name).map(|s| s[what].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        (of("value"), of("origin"))
    };

    let all = shown(&desk, "", &base);
    assert_eq!(at(&all, "fs.defaultFS").0, "hdfs://prod", "Hadoop's variables are replaced");
    assert!(at(&all, "aws_secret_access_key").1.ends_with("core-site.xml"), "{all:?}");
    assert_eq!(at(&all, "aws_endpoint").0, "s3.example.test");

    let credentials = "[default]\naws_access_key_id = D\naws_secret_access_key = canary-default\n[work]\naws_access_key_id=W\naws_secret_access_key=canary-work\naws_session_token=canary-token\n";
    fs::write(home.join(".aws/credentials"), credentials).unwrap();
    fs::write(home.join(".aws/config"), "[profile work]\nregion = eu-west-1\ns3 =\n  region = wrong\n").unwrap();
    let all = shown(&desk, "", &base);
    assert!(at(&all, "aws_secret_access_key").1.contains("profile default"), "{all:?}");
    assert!(!all.contains_key("aws_session_token"), "keys of one layer are never mixed with another's");

    fs::write(home.join(".config/mapfold/config.toml"), "[store]\naws_region = \"us-west-2\"\ndfs.replication = 3\n")
        .unwrap();
    let all = shown(&desk, "", &base);
    assert_eq!(at(&all, "aws_region").0, "us-west-2");
    assert_eq!(at(&all, "dfs.replication").0, "3", "tables are names with dots");
    fs::write(desk.path("mapfold.toml"), "[store]\naws_region = \"ap-south-1\"\n").unwrap();
    assert_eq!(at(&shown(&desk, "", &base), "aws_region").0, "ap-south-1");

    let env = [
        base[0],
        base[1],
        base[3],
        ("AWS_REGION", "eu-north-1"),
        ("AWS_PROFILE", "work"),
        ("AWS_ENDPOINT_URL", "http://general"),
        ("AWS_ENDPOINT_URL_S3", "http://special"),
    ];
    let all = shown(&desk, "", &env);
    assert_eq!(at(&all, "aws_region"), ("eu-north-1".into(), "environment AWS_REGION".into()));
    assert!(at(&all, "aws_session_token").1.contains("profile work"), "{all:?}");
    assert_eq!(at(&all, "aws_endpoint").0, "http://special");
    let keys = [
        base[0],
        base[1],
        ("AWS_ACCESS_KEY_ID", "E"),
        ("AWS_SECRET_ACCESS_KEY", "canary-env"),
        ("AWS_PROFILE", "work"),
    ];
    let all = shown(&desk, "", &keys);
    assert!(
        at(&all, "aws_secret_access_key").1.contains("environment") && !all.contains_key("aws_session_token"),
        "{all:?}"
    );
    let all = shown(&desk, "-D aws_profile=work -D AWS_DEFAULT_REGION=sa-east-1", &keys);
    assert!(
        at(&all, "aws_secret_access_key").1.contains("profile work"),
        "a named profile goes before the environment"
    );
    assert_eq!(at(&all, "aws_region"), ("sa-east-1".into(), "-D".into()));
    let told =
        with(&desk, "config show --origin -D aws_secret_access_key=canary-flag -D aws_access_key_id=x", &keys).fine();
    assert!(
        told.out.contains("aws_secret_access_key = (set, not shown)  [-D]") && !told.out.contains("canary"),
        "{told}"
    );
}

#[test]
fn what_is_misspelt_is_refused() {
    let desk = Desk::new();
    desk.run("ls -D aws_regoin=x .").refused(2, &["aws_regoin", "did you mean", "aws_region"]);
    desk.run("ls -D aws_region .").refused(2, &["name=value"]);
    fs::write(desk.path("mapfold.toml"), "[store]\naws_regoin = \"x\"\n").unwrap();
    desk.run("config show").refused(3, &["mapfold.toml", "aws_regoin", "aws_region"]);
    fs::write(desk.path("mapfold.toml"), "[store]\naws_region = \n").unwrap();
    desk.run("config show").refused(3, &["mapfold.toml", "line 2"]);
    desk.run("ls .").fine();
    fs::remove_file(desk.path("mapfold.toml")).unwrap();
    with(&desk, "ls s3://bucket/x", &[("AWS_PROFILE", "no-such-profile")]).refused(3, &["no-such-profile"]);
    desk.run("ls az://container/x").refused(3, &["AZURE_STORAGE_ACCOUNT"]);
    desk.run("ls hdfs:///x").refused(3, &["fs.defaultFS"]);
}
