//! The arrows of docs/src/architecture.md, kept by a test.
//!
//! What it is: rules over the output of `cargo metadata`, each a function from a JSON value to a list of faults, so
//! that the same rules are tried on a fabricated workspace with wrong arrows: a rule that never fails proves nothing.
//! Why so: an architecture that only a page describes is gone after ten changes.
//! What it does not do: look at development dependencies. A crate's tests may name any other crate (the Lab of
//! `mapfold`, a tool); nothing of that ships.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

/// Room -> rooms it may name. A room that is not here has no place yet: write its line in the page, then here.
/// `jobs/*` and the two test members are dealt with in [`allowed`].
const ARROWS: &[(&str, &[&str])] = &[
    ("mapfold-grid", &[]),
    ("mapfold-store", &[]),
    ("mapfold-wire", &[]), // decision 0009
    ("mapfold-plan", &["mapfold-grid", "mapfold-store"]),
    ("mapfold-coord", &["mapfold-store"]),
    ("mapfold-stac", &["mapfold-grid", "mapfold-store"]),
    ("mapfold-engine", &["mapfold-plan", "mapfold-store", "mapfold-coord", "mapfold-wire"]),
    ("mapfold-raster", &["mapfold-plan", "mapfold-grid", "mapfold-store", "mapfold-stac"]),
    ("mapfold-vector", &["mapfold-plan", "mapfold-grid", "mapfold-store"]),
    ("mapfold-records", &["mapfold-plan", "mapfold-store"]),
    ("mapfold-watch", &["mapfold-coord"]),
    ("mapfold-launch", &["mapfold-coord", "mapfold-store", "mapfold-wire"]),
    (
        "mapfold",
        &[
            "mapfold-plan",
            "mapfold-engine",
            "mapfold-coord",
            "mapfold-raster",
            "mapfold-vector",
            "mapfold-records",
            "mapfold-stac",
            "mapfold-launch",
            "mapfold-watch",
            "mapfold-wire",
            // decision 0005: the prelude re-exports GeoBox and Loc from where they are defined
            "mapfold-grid",
            "mapfold-store",
        ],
    ),
    ("mapfold-cli", &["mapfold"]), // and the jobs
];

/// Crates of others that only some rooms may name: each is a door that must not stand open everywhere.
const DOORS: &[(&str, &[&str])] = &[
    ("timely", &["mapfold-engine"]),
    ("differential-dataflow", &["mapfold-engine"]),
    ("object_store", &["mapfold-store"]),
    ("hdfs-native", &["mapfold-store"]),
    ("reqwest", &["mapfold-store"]),
    ("rustls", &["mapfold-store", "mapfold-wire"]),
    ("ring", &["mapfold-wire"]),
    ("gdal", &["mapfold-raster", "mapfold-vector"]),
    ("gdal-sys", &["mapfold-raster", "mapfold-vector"]),
];

/// What a job crate may name: what `mapfold new` writes.
const OF_A_JOB: &[&str] = &["mapfold", "clap", "serde"];

/// Crates of which the default tree must hold one version only: their types cross the rooms.
const SINGLE: &[&str] = &["object_store", "arrow-array", "arrow-buffer", "arrow-schema", "arrow-data", "timely"];

/// Members that see everything: the end-to-end tests and the book's listings.
const OBSERVERS: &[&str] = &["mapfold-tests", "mapfold-book"];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Packages of the workspace (all packages where the document names no members).
fn members(metadata: &Value) -> Vec<&Value> {
    let ids = metadata["workspace_members"].as_array();
    let is_member = |p: &&Value| ids.is_none_or(|ids| ids.contains(&p["id"]));
    metadata["packages"].as_array().unwrap().iter().filter(is_member).collect()
}

/// Names of the direct dependencies that ship (normal and build; renamed ones under their real name).
fn shipped(package: &Value) -> Vec<&str> {
    let dependencies = package["dependencies"].as_array().unwrap();
    dependencies.iter().filter(|d| text(d, "kind") != "dev").map(|d| text(d, "name")).collect()
}

fn is_job(name: &str) -> bool {
    name.starts_with("mapfold-job-") || name == "mapfold-trial" /* the job of the fault tests */
}

/// May `from` name `to`? `None` where the room `from` has no line.
fn allowed(from: &str, to: &str) -> Option<bool> {
    if OBSERVERS.contains(&from) {
        return Some(true);
    }
    if is_job(from) {
        return Some(to == "mapfold");
    }
    if from == "mapfold-cli" && is_job(to) {
        return Some(true);
    }
    let (_, rooms) = ARROWS.iter().find(|(room, _)| *room == from)?;
    Some(rooms.contains(&to))
}

/// Arrows between rooms that the page does not have.
fn wrong_arrows(metadata: &Value) -> Vec<String> {
    let members = members(metadata);
    let ours: BTreeSet<&str> = members.iter().map(|p| text(p, "name")).collect();
    let mut faults = Vec::new();
    for package in &members {
        let from = text(package, "name");
        if allowed(from, "").is_none() {
            faults.push(format!("{from} has no line in ARROWS: a new room is a decision"));
            continue;
        }
        for to in shipped(package).into_iter().filter(|to| ours.contains(to)) {
            if allowed(from, to) == Some(false) {
                faults.push(format!("{from} -> {to} is no arrow of docs/src/architecture.md"));
            }
        }
    }
    faults
}

/// Crates of others named where they may not be.
fn open_doors(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for package in members(metadata) {
        let from = text(package, "name");
        for to in shipped(package) {
            let door = DOORS.iter().find(|(name, _)| *name == to);
            if let Some((_, rooms)) = door
                && !rooms.contains(&from)
            {
                faults.push(format!("{from} names {to}; only {} may", rooms.join(", ")));
            }
            if is_job(from) && !OF_A_JOB.contains(&to) {
                faults.push(format!("{from} names {to}; a job names {} only", OF_A_JOB.join(", ")));
            }
        }
    }
    faults
}

/// Members of `crates/` and `jobs/` that the architecture page does not name.
fn unmapped(metadata: &Value, page: &str) -> Vec<String> {
    let names = members(metadata).into_iter().map(|p| text(p, "name"));
    let rooms = names.filter(|n| !OBSERVERS.contains(n) && !is_job(n));
    rooms
        .filter(|n| !page.lines().any(|line| line.starts_with(&format!("| `{n}` |"))))
        .map(|n| format!("{n} has no line in docs/src/architecture.md"))
        .collect()
}

/// Crates of [`SINGLE`] that occur in more than one version among what `root` ships.
fn doubles(metadata: &Value, root: &str) -> Vec<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|n| (text(n, "id"), n)).collect();
    let packages = metadata["packages"].as_array().unwrap();
    let packages: BTreeMap<&str, &Value> = packages.iter().map(|p| (text(p, "id"), p)).collect();
    let start = members(metadata).into_iter().find(|p| text(p, "name") == root).unwrap();
    let mut seen = BTreeSet::new();
    let mut open = vec![text(start, "id")];
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let deps = nodes[id]["deps"].as_array().unwrap();
        open.extend(deps.iter().filter(|d| ships(d)).map(|d| text(d, "pkg")));
    }
    let versions = |name: &str| -> BTreeSet<&str> {
        let found = seen.iter().map(|id| packages[id]).filter(|p| text(p, "name") == name);
        found.map(|p| text(p, "version")).collect()
    };
    let several = SINGLE.iter().map(|name| (name, versions(name))).filter(|(_, v)| v.len() > 1);
    several.map(|(name, v)| format!("{name} in several versions: {v:?}")).collect()
}

/// Is this edge of the resolved graph more than a development dependency?
fn ships(edge: &Value) -> bool {
    edge["dep_kinds"].as_array().is_none_or(|kinds| kinds.iter().any(|k| text(k, "kind") != "dev"))
}

/// `cargo metadata` of this workspace; offline, for the build has fetched all that is needed for this platform.
fn metadata(options: &[&str]) -> Value {
    let root = mapfold_tests::checkout();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["metadata", "--format-version", "1", "--offline"]).args(options);
    let output = command.output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The platform that is compiled for, as cargo names it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}

#[test]
fn rooms_name_only_the_rooms_of_the_page() {
    none(&wrong_arrows(&metadata(&["--no-deps"])));
}

#[test]
fn doors_to_the_outside_stay_in_their_rooms() {
    none(&open_doors(&metadata(&["--no-deps"])));
}

#[test]
fn every_room_has_a_line_on_the_page() {
    let page = include_str!("../../docs/src/architecture.md");
    none(&unmapped(&metadata(&["--no-deps"]), page));
}

#[test]
fn one_version_of_what_crosses_rooms() {
    none(&doubles(&metadata(&["--filter-platform", &host()]), "mapfold-cli"));
}

/// A workspace of these crates; each dependency is (name, kind), kind "" as in `[dependencies]`.
fn fabricated(crates: &[(&str, &[(&str, &str)])]) -> Value {
    let package = |(name, dependencies): &(&str, &[(&str, &str)])| {
        let kind = |k: &str| if k.is_empty() { Value::Null } else { json!(k) };
        let dependencies = dependencies.iter().map(|(n, k)| json!({"name": n, "kind": kind(k)}));
        json!({"name": name, "id": name, "dependencies": dependencies.collect::<Vec<_>>()})
    };
    let ids: Vec<&str> = crates.iter().map(|(name, _)| *name).collect();
    json!({"packages": crates.iter().map(package).collect::<Vec<_>>(), "workspace_members": ids})
}

#[test]
fn a_wrong_arrow_is_found() {
    let wrong = fabricated(&[
        ("mapfold-grid", &[("mapfold-store", "")]),
        ("mapfold-store", &[("mapfold-grid", "build")]),
        ("mapfold-watch", &[("mapfold-engine", "dev"), ("mapfold-coord", "")]),
        ("mapfold-engine", &[("mapfold-raster", "")]),
        ("mapfold-raster", &[]),
        ("mapfold-coord", &[]),
        ("mapfold-job-ndvi", &[("mapfold-raster", "")]),
        ("mapfold-attic", &[]),
    ]);
    let faults = wrong_arrows(&wrong).join("\n");
    let expected = [
        "mapfold-grid -> mapfold-store",
        "mapfold-store -> mapfold-grid",
        "mapfold-engine -> mapfold-raster",
        "mapfold-job-ndvi -> mapfold-raster",
        "mapfold-attic has no line",
    ];
    for arrow in expected {
        assert!(faults.contains(arrow), "{arrow} was not found in:\n{faults}");
    }
    assert_eq!(faults.lines().count(), expected.len(), "right arrows and test-only ones are let through:\n{faults}");
}

#[test]
fn an_open_door_is_found() {
    let wrong = fabricated(&[
        ("mapfold-engine", &[("timely", "")]),
        ("mapfold-plan", &[("timely", ""), ("reqwest", "dev")]),
        ("mapfold-raster", &[("object_store", ""), ("gdal", "")]),
        ("mapfold-job-ndvi", &[("mapfold", ""), ("clap", ""), ("serde", ""), ("rand", ""), ("tempfile", "dev")]),
    ]);
    let faults = open_doors(&wrong);
    let named = |a: &str, b: &str| faults.iter().any(|f| f.contains(a) && f.contains(b));
    assert!(named("mapfold-plan", "timely") && named("mapfold-raster", "object_store"), "{faults:?}");
    assert!(named("mapfold-job-ndvi", "rand"), "{faults:?}");
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn a_room_without_a_line_is_found() {
    let found = unmapped(&fabricated(&[("mapfold-grid", &[]), ("mapfold-attic", &[])]), "| `mapfold-grid` | values |");
    assert_eq!(found, ["mapfold-attic has no line in docs/src/architecture.md"]);
}

#[test]
fn a_second_version_is_found() {
    let package = |id: &str, name: &str| json!({"id": id, "name": name, "version": id});
    let edge = |to: &str, kind: Value| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
    let tree = json!({
        "packages": [package("cli", "mapfold-cli"), package("59", "arrow-array"), package("58", "arrow-array"),
                     package("57", "arrow-array")],
        "workspace_members": ["cli"],
        "resolve": {"nodes": [
            {"id": "cli", "deps": [edge("59", Value::Null), edge("57", json!("dev"))]},
            {"id": "59", "deps": [edge("58", json!("build"))]},
            {"id": "58", "deps": []}, {"id": "57", "deps": []},
        ]},
    });
    assert_eq!(doubles(&tree, "mapfold-cli"), [r#"arrow-array in several versions: {"58", "59"}"#]);
}
