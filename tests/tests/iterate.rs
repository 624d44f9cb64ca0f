//! Rounds to a fixed point: the components that a union-find gives, however it ran, whatever died.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, children, names, signal, until_event};
use mapfold_tests::{Desk, Ran, components};
use std::collections::BTreeMap;

/// Chains and clumps: some components need many rounds, most need few.
fn edges(nodes: u64) -> Vec<(u64, u64)> {
    let mixed = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let chain = (0..12).map(|i| (i * 7 + 3, i * 7 + 10));
    let clumps = (0..nodes).map(|i| {
        let clump = i / 50 * 50;
        (1000 + i, 1000 + clump + mixed(i) % 50)
    });
    chain.chain(clumps).collect()
}

/// The smallest number of each node's component, by union-find.
fn oracle(edges: &[(u64, u64)]) -> BTreeMap<u64, u64> {
    let mut above: BTreeMap<u64, u64> = edges.iter().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    fn root(above: &BTreeMap<u64, u64>, mut n: u64) -> u64 {
        while above[&n] != n {
            n = above[&n];
        }
        n
    }
    for (a, b) in edges {
        let (a, b) = (root(&above, *a), root(&above, *b));
        above.insert(a.max(b), a.min(b));
    }
    above.keys().map(|n| (*n, root(&above, *n))).collect()
}

fn write_edges(desk: &Desk, edges: &[(u64, u64)]) {
    let lines: String = edges.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    std::fs::write(desk.path("edges.txt"), lines).unwrap();
}

fn labels(desk: &Desk) -> BTreeMap<u64, u64> {
    let pair = |line: &str| {
        let (node, label) = line.split_once('\t').unwrap();
        (node.parse().unwrap(), label.parse().unwrap())
    };
    parts(desk).iter().flat_map(|part| part.lines().map(pair).collect::<Vec<_>>()).collect()
}

/// The texts of the part files.
fn parts(desk: &Desk) -> Vec<String> {
    let names = names(&desk.path("labels")).into_iter().filter(|n| n.starts_with("part"));
    names.map(|n| std::fs::read_to_string(desk.path("labels").join(n)).unwrap()).collect()
}

const LINE: &str = "--edges edges.txt --out labels --overwrite";

fn start(desk: &Desk, line: &str) -> Running {
    desk.start_program(components(), line, &[])
}

/// Messages of each round, as the report has them.
fn said(ran: &Ran) -> Vec<u64> {
    let json = ran.json();
    let counters = json["run"]["counters"].as_object().unwrap();
    counters.iter().filter(|(n, _)| n.starts_with("messages in round")).map(|(_, n)| n.as_u64().unwrap()).collect()
}

#[test]
fn the_components_are_those_of_a_union_find_for_any_members_threads_and_exchange() {
    let (desk, edges) = (Desk::new(), edges(2000));
    write_edges(&desk, &edges);
    let one = start(&desk, &format!("{LINE} --threads 1 --json")).wait().fine();
    let first = parts(&desk);
    assert_eq!(labels(&desk), oracle(&edges));
    let rounds = said(&one);
    assert!(rounds.len() > 10 && *rounds.last().unwrap() == 0, "a chain of 13 needs many: {rounds:?}");
    let counted = one.json()["run"]["stages"].as_array().unwrap().len();
    assert_eq!(counted, rounds.len() + 3, "rounds that were not needed are not told: {one}");
    let here = ["--threads 3", "--threads 2 --shuffle durable", "--memory-limit 64MiB --scratch ."];
    let many = (1..=3).flat_map(|w| {
        ["durable", "pipelined"].map(|s| format!("--mode pseudo --threads 1 --workers {w} --shuffle {s}"))
    });
    for how in here.map(str::to_owned).into_iter().chain(many) {
        let ran = start(&desk, &format!("{LINE} {how} --json")).wait().fine();
        assert!(parts(&desk) == first, "{how}");
        assert_eq!(said(&ran), rounds, "{how}");
    }
}

#[test]
fn a_fixed_point_with_a_mebibyte_of_credit_comes_to_its_end() {
    let (desk, edges) = (Desk::new(), edges(60_000));
    write_edges(&desk, &edges);
    // 64 MiB less the base, 20 % of it for records that wait, an eighth of that for each other member: 1 MiB.
    let tight =
        "--mode pseudo --threads 1 --workers 2 --shuffle pipelined --memory-limit 64MiB --scratch . --partitions 8";
    let ran = start(&desk, &format!("{LINE} {tight} --json")).wait().fine();
    assert_eq!(labels(&desk), oracle(&edges));
    assert!(said(&ran)[0] > 100_000, "{:?}", said(&ran));
}

#[test]
fn too_few_rounds_are_an_error_or_what_there_is() {
    let (desk, edges) = (Desk::new(), edges(100));
    write_edges(&desk, &edges);
    let ran = start(&desk, &format!("{LINE} --limit 3")).wait();
    ran.refused(1, &["no fixed point after 3 rounds", "messages are on their way"]).with_remedy().with_stage();
    assert!(!desk.path("labels").exists());
    start(&desk, &format!("{LINE} --limit 3 --early -q")).wait().fine();
    let (got, full) = (labels(&desk), oracle(&edges));
    assert_eq!(got.keys().collect::<Vec<_>>(), full.keys().collect::<Vec<_>>());
    assert_eq!(got[&87], 73, "two hops down the chain: in the first round nothing is heard");
    assert!(got.iter().all(|(n, label)| full[n] <= *label && *label <= *n));
}

#[test]
fn explain_tells_the_rounds_once() {
    let desk = Desk::new();
    write_edges(&desk, &edges(10));
    let told = start(&desk, &format!("{LINE} --limit 40 --explain")).wait().fine();
    assert!(told.out.contains("round 1 of at most 40, until nothing is said"), "{told}");
    assert!(told.out.contains("  rounds  at most 40, each an exchange of all states"), "{told}");
    assert!(!told.out.contains("round 2"), "{told}");
}

#[test]
fn a_member_that_is_killed_in_a_round_changes_nothing() {
    let graph = edges(200);
    let whole = Desk::new();
    write_edges(&whole, &graph);
    start(&whole, &format!("{LINE} -q")).wait().fine();
    for shuffle in ["durable", "pipelined"] {
        let desk = Desk::new();
        write_edges(&desk, &graph);
        let how = format!("--mode pseudo --threads 1 --workers 2 --shuffle {shuffle} --millis 2 --json");
        let mut run = start(&desk, &format!("{LINE} {how}"));
        // Stage 0 sends edges, 1 makes states, 2 is the first round.
        until_event(&desk, &mut run, r#""event":"split_done","stage":4"#);
        signal("KILL", children(run.pid())[0]);
        let ran = run.wait().fine();
        assert_eq!(ran.json()["run"]["replaced"], 1, "{ran}");
        assert!(parts(&desk) == parts(&whole), "{shuffle}");
    }
}

#[test]
fn an_interrupted_iteration_goes_on_in_its_round() {
    let graph = edges(200);
    let whole = Desk::new();
    write_edges(&whole, &graph);
    start(&whole, &format!("{LINE} -q")).wait().fine();
    let line = LINE.replace("--overwrite", "--mode pseudo --threads 1 --workers 2 --json");
    let mut taken_up = 0;
    for record in [2, 5, 9, 14] {
        let desk = Desk::new();
        write_edges(&desk, &graph);
        let slow = format!("{line} --millis 1");
        let ran = desk.start_failing(components(), &slow, &format!("logged:{record}=abort")).wait();
        if ran.code == 0 {
            continue; // Its log had fewer records.
        }
        let resumed = start(&desk, &format!("{slow} --resume")).wait().fine();
        assert!(parts(&desk) == parts(&whole), "record {record}");
        let stages = resumed.json()["run"]["stages"].as_array().unwrap().clone();
        taken_up += stages.iter().map(|s| s["earlier"].as_u64().unwrap()).sum::<u64>();
    }
    assert!(taken_up > 0, "nothing was taken up");
}
