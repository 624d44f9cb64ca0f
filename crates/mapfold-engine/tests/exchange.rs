//! The exchange gives the same result for any workers, threads and order.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold_engine::{RunOptions, RunOutcome, run};
use mapfold_plan::{Plan, PlanOptions, Sum};
use mapfold_store::Stores;

fn opts(workers: usize, threads: usize, shuffle: Option<u64>) -> RunOptions {
    RunOptions { workers, threads, shuffle, ..RunOptions::default() }
}

fn sums(n: u64, o: &RunOptions) -> RunOutcome {
    let plan = Plan::new(Stores::new(), PlanOptions::default());
    plan.range(n).map(|i| (format!("key {}", i % 7), i)).combine::<Sum<u64>>().report("sums").unwrap();
    run(&plan, o).unwrap()
}

#[test]
fn sums_by_key_are_right_and_equal_however_they_run() {
    let first = sums(1000, &opts(1, 1, None)).reports;
    let total: u64 = first[0].values.iter().map(|v| v[1].as_u64().unwrap()).sum();
    assert_eq!((first[0].values.len(), total), (7, 999 * 1000 / 2));
    for (workers, threads, shuffle) in [(1, 4, None), (2, 2, Some(1)), (3, 2, Some(2)), (2, 1, Some(3))] {
        assert_eq!(sums(1000, &opts(workers, threads, shuffle)).reports, first, "{workers} workers, {threads} threads");
    }
}

#[test]
fn reducers_see_values_in_the_order_of_splits() {
    let run_with = |o: &RunOptions| {
        let plan = Plan::new(Stores::new(), PlanOptions::default());
        plan.range(50)
            .key_by(|i| i % 2 == 0)
            .reduce(|k, values| (*k, values.collect::<Vec<u64>>()))
            .report("lists")
            .unwrap();
        run(&plan, o).unwrap().reports
    };
    let lists = run_with(&opts(3, 3, Some(9)));
    let even = lists[0].values.iter().find(|v| v[0] == true).unwrap();
    assert_eq!(even[1], serde_json::json!((0..25).map(|i| i * 2).collect::<Vec<u64>>()));
    assert_eq!(lists, run_with(&opts(1, 1, None)));
}

#[test]
fn a_panic_is_an_error_that_names_its_line_and_nothing_hangs() {
    for (workers, threads) in [(1, 1), (1, 4), (3, 2)] {
        let plan = Plan::new(Stores::new(), PlanOptions::default());
        plan.range(100).map(|i| if i == 57 { panic!("unlucky {i}") } else { i }).report("never").unwrap();
        let e = run(&plan, &opts(workers, threads, None)).unwrap_err();
        assert!(e.to_string().contains("unlucky 57"), "{e}");
        assert!(e.to_string().contains("tests/exchange.rs"), "{e}");
        assert_eq!(e.place(), Some("unit 57"));
    }
}

#[test]
fn an_error_names_stage_and_place() {
    let plan = Plan::new(Stores::new(), PlanOptions::default());
    let fail = |i: u64| if i == 3 { Err(mapfold_plan::Error::job("three is bad")) } else { Ok(i) };
    plan.range(5).try_map(fail).report("never").unwrap();
    let e = run(&plan, &opts(1, 2, None)).unwrap_err();
    assert_eq!((e.what(), e.place()), ("three is bad", Some("unit 3")));
    assert!(e.stage().unwrap().contains("exchange.rs"), "{:?}", e.stage());
}
