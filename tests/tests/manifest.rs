//! `mapfold manifest`: what is printed is what those systems take. Neither runs here: shells read the scripts, a subset
//! of Kubernetes' own schemas reads the objects, and stand-ins for `srun` and `kubectl` show that the scripts do what they say.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, Ran, checkout, mapfold, skipped};
use serde_json::Value;
use std::fs;

const JOB: &str = "-- run wordcount in.txt --out counts --partitions 2 -q";

/// Has a shell read a script without running it.
fn is_script(desk: &Desk, shell: &str, text: &str) {
    fs::write(desk.path("script"), text).unwrap();
    let read = desk.command(shell).args(["-n", "script"]).output().unwrap();
    assert!(read.status.success(), "{}\n{text}", String::from_utf8_lossy(&read.stderr));
}

/// Where `value` is not what `schema` says: `type`, `required`, `properties`, `additionalProperties`, `items`,
/// `enum`; `$ref` names another schema of the same file.
fn faults(schemas: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return faults(schemas, &schemas[name], value, at);
    }
    let is = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        other => panic!("{at}: the schema says {other:?}"),
    };
    if !is {
        return vec![format!("{at}: {value} is no {}", schema["type"])];
    }
    let mut found = Vec::new();
    if let Some(allowed) = schema["enum"].as_array().filter(|all| !all.contains(value)) {
        found.push(format!("{at}: {value} is none of {allowed:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Null) => found.push(format!("{at}: there is no such field")),
            (Value::Null, of) => found.extend(faults(schemas, of, inner, &at)),
            (of, _) => found.extend(faults(schemas, of, inner, &at)),
        }
    }
    for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(schemas, &schema["items"], inner, &format!("{at}[{i}]")));
    }
    found
}

fn schemas() -> Value {
    let text = fs::read_to_string(checkout().join("tests/data/kubernetes.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn kubernetes_objects_fit_the_schemas() {
    let desk = Desk::new();
    let made = desk.run(&format!("manifest kubernetes --image i --namespace n --volume c:/data --workers 3 {JOB}"));
    let list = made.fine().json();
    let schemas = schemas();
    let kinds: Vec<&str> = list["items"].as_array().unwrap().iter().map(|o| o["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service", "Job"]);
    for object in list["items"].as_array().unwrap() {
        let kind = object["kind"].as_str().unwrap();
        assert_eq!(faults(&schemas, &schemas[kind], object, kind), Vec::<String>::new());
    }
    let job = &list["items"][5]["spec"];
    assert_eq!((&job["completions"], &job["completionMode"]), (&4.into(), &"Indexed".into()));
    is_script(&desk, "sh", list["items"][3]["data"]["run"].as_str().unwrap());
    is_script(&desk, "sh", list["items"][3]["data"]["kubectl-as-ssh"].as_str().unwrap());
    // The judge can say no.
    let mut wrong = list["items"][5].clone();
    wrong["spec"]["completionMode"] = "indexed".into();
    wrong["spec"]["paralelism"] = 4.into();
    wrong["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("name");
    let said = faults(&schemas, &schemas["Job"], &wrong, "Job").join("\n");
    assert!(["completionMode", "paralelism", "\"name\" is missing"].iter().all(|w| said.contains(w)), "{said}");
}

/// A program of this name in the folder `bin`.
fn stand_in(desk: &Desk, name: &str, script: &str) {
    fs::create_dir_all(desk.path("bin")).unwrap();
    desk.script(&format!("bin/{name}"), script);
}

/// Runs a script with the stand-ins before everything else.
fn run(desk: &Desk, shell: &str, variables: &[(&str, &str)]) -> Ran {
    let mut c = desk.command(shell);
    let path = format!("{}:{}", desk.arg("bin"), std::env::var("PATH").unwrap());
    c.arg("script").env("PATH", path).env("XDG_CACHE_HOME", desk.path("cache")).envs(variables.iter().copied());
    mapfold_tests::desk::Running::start(c, format!("{shell} script")).wait()
}

fn is_counted(desk: &Desk) {
    desk.run("run wordcount in.txt --out want --partitions 2 -q").fine();
    for part in ["part-r-00000", "part-r-00001"] {
        assert!(desk.bytes(&format!("counts/{part}")) == desk.bytes(&format!("want/{part}")), "{part}");
    }
}

fn prepared() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("in.txt"), "to be or not to be\n".repeat(2000)).unwrap();
    std::os::unix::fs::symlink(mapfold(), {
        fs::create_dir_all(desk.path("bin")).unwrap();
        desk.path("bin/mapfold")
    })
    .unwrap();
    desk
}

#[test]
fn the_slurm_script_runs_a_job_by_srun() {
    let desk = prepared();
    let script = desk.run(&format!("manifest slurm --workers 2 --cpus 1 --memory 512MiB {JOB}")).fine().out;
    is_script(&desk, "bash", &script);
    assert!(script.contains("#SBATCH --nodes=2") && script.contains("#SBATCH --mem=512M"), "{script}");
    stand_in(&desk, "scontrol", "#!/bin/sh\n[ \"$1 $2 $3\" = 'show hostnames a,b' ] && printf 'a\\nb\\n'\n");
    // The last word is the command, as Slurm starts it on the node that --nodelist names.
    stand_in(&desk, "srun", "#!/bin/bash\necho \"$*\" | cut -c1-80 >> srun.log\nexec \"${@: -3}\"\n");
    stand_in(&desk, "hostname", "#!/bin/sh\necho 127.0.0.1\n");
    run(&desk, "bash", &[("SLURM_JOB_NODELIST", "a,b")]).fine();
    is_counted(&desk);
    let log = String::from_utf8(desk.bytes("srun.log")).unwrap();
    assert!(log.contains("--nodelist=a") && log.contains("--nodelist=b"), "{log}");
}

#[test]
fn the_pods_run_a_job_by_kubectl_exec() {
    let desk = prepared();
    let list =
        desk.run(&format!("manifest kubernetes --image i --workers 2 --cpus 1 --memory 512MiB {JOB}")).fine().json();
    let data = &list["items"][3]["data"];
    // The paths of the pod are those of this desk, and so is its name.
    let here = |text: &Value| {
        text.as_str().unwrap().replace("/mapfold/", &desk.arg("")).replace("/tmp/hosts", &desk.arg("hosts"))
    };
    fs::write(desk.path("kubectl-as-ssh"), here(&data["kubectl-as-ssh"])).unwrap();
    fs::write(desk.path("script"), here(&data["run"]).replace("\"mapfold-0.mapfold\"", "127.0.0.1")).unwrap();
    let kubectl = "#!/bin/bash\ncase \"$1\" in\nget) [[ \"$*\" =~ index=([0-9]+) ]] && echo \"pod/mapfold-${BASH_REMATCH[1]}-x\";;\n\
                   exec) echo \"$3\" >> kubectl.log; exec \"${@:5}\";;\nesac\n";
    stand_in(&desk, "kubectl", kubectl);
    run(&desk, "sh", &[("JOB_COMPLETION_INDEX", "0")]).fine();
    is_counted(&desk);
    let log = String::from_utf8(desk.bytes("kubectl.log")).unwrap();
    assert!(log.contains("pod/mapfold-1-x") && log.contains("pod/mapfold-2-x"), "{log}");
}

#[test]
fn what_is_no_run_or_sets_hosts_itself_is_refused() {
    let desk = Desk::new();
    desk.run("manifest slurm -- list").refused(2, &["run"]);
    desk.run("manifest slurm -- run ndvi --target yarn").refused(2, &["--target"]);
    desk.run("manifest kubernetes -- run ndvi").refused(2, &["--image"]);
    desk.run("manifest slurm --name Bad_Name -- run ndvi").refused(2, &["Bad_Name"]);
    if desk.command("sbatch").arg("--version").output().is_err() {
        skipped("a real Slurm and a real Kubernetes: the manifests are not run there (docs/src/cluster.md)", false);
    }
}
