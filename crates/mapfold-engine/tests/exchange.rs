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

fn reports(plan: &Plan, o: &RunOptions) -> Vec<serde_json::Value> {
    run(plan, o).unwrap().reports.remove(0).values
}

/// Every way to run that must not show in a result; the last two have little memory.
fn ways() -> Vec<RunOptions> {
    let tight = |o: RunOptions| RunOptions { memory_limit: 40 << 20, ..o };
    vec![
        opts(1, 1, None),
        opts(3, 2, Some(1)),
        opts(2, 4, Some(2)),
        tight(opts(1, 2, Some(3))),
        tight(opts(2, 2, Some(4))),
    ]
}

fn plan() -> Plan {
    Plan::new(Stores::new(), PlanOptions::default())
}

#[test]
fn a_second_exchange_takes_what_the_first_one_gives() {
    let first = |o: &RunOptions| {
        let p = plan();
        p.range(1000)
            .map(|i| (i % 100, 1u64))
            .combine::<Sum<u64>>()
            .key_by(|(k, _)| k % 10)
            .reduce(|k, values| (*k, values.map(|(_, n)| n as u64).sum::<u64>()))
            .report("tens")
            .unwrap();
        assert_eq!(p.stages().len(), 3);
        reports(&p, o)
    };
    let all: Vec<_> = ways().iter().map(first).collect();
    assert_eq!(all[0], (0..10).map(|k| serde_json::json!([k, 100])).collect::<Vec<_>>());
    assert!(all.iter().all(|one| *one == all[0]));
}

#[test]
fn two_stages_may_read_one_exchange() {
    let p = plan();
    let sums = p.range(100).map(|i| (i % 3, i)).combine::<Sum<u64>>();
    sums.clone().report("once").unwrap();
    sums.report("twice").unwrap();
    let done = run(&p, &opts(2, 2, None)).unwrap().reports;
    assert_eq!((done[0].values.len(), &done[0].values), (3, &done[1].values));
}

#[test]
fn values_come_in_the_order_of_a_second_key() {
    let lists = |o: &RunOptions| {
        let p = plan();
        let pairs = p.range(300).map(|i| (format!("key {}", i % 3), (i * 7919 % 300, i)));
        let sorted = pairs.sort_values_by(|v: &(u64, u64)| (-(v.0 as i64) / 10, v.1.is_multiple_of(2)));
        sorted.reduce(|k, values| (k.clone(), values.collect::<Vec<_>>())).report("lists").unwrap();
        reports(&p, o)
    };
    let mut expected: Vec<(String, Vec<(u64, u64)>)> = Vec::new();
    for k in 0..3u64 {
        let mut values: Vec<(u64, u64)> = (0..300).filter(|i| i % 3 == k).map(|i| (i * 7919 % 300, i)).collect();
        values.sort_by_key(|v| (-(v.0 as i64) / 10, v.1.is_multiple_of(2))); // Stable: else the order of splits.
        expected.push((format!("key {k}"), values));
    }
    for o in ways() {
        assert_eq!(serde_json::json!(lists(&o)), serde_json::json!(expected));
    }
}

#[test]
fn a_rule_of_the_job_spreads_keys_and_a_wrong_one_is_told() {
    let p = plan();
    let pairs = p.range(60).map(|i| (i % 6, i)).partition_by(|k, n| (*k as u32).min(n - 1)).partitions(3);
    pairs.reduce(|k, values| (*k, values.count())).report("counts").unwrap();
    assert_eq!(p.exchanges(), [3]);
    assert_eq!(reports(&p, &opts(2, 2, None)), (0..6).map(|k| serde_json::json!([k, 10])).collect::<Vec<_>>());
    let p = plan();
    p.range(6).map(|i| (i, i)).partition_by(|_, n| n).reduce(|k, _| *k).report("none").unwrap();
    let e = run(&p, &opts(1, 1, None)).unwrap_err();
    assert!(e.to_string().contains("gave 4; there are 4 partitions") && e.remedy().is_some(), "{e:?}");
}

#[test]
fn ranges_put_partitions_in_the_order_of_keys() {
    let p = plan();
    let sample: Vec<u64> = mapfold_plan::exchange::seeded_picks(1, 50, 1000);
    let ranges = mapfold_plan::RangePartitioner::from_keys(&sample, 8).unwrap();
    let key = |i: u64| (i * 7919 % 1000).to_be_bytes();
    p.range(10)
        .shuffle("sort", move |s, emit| (s * 100..s * 100 + 100).for_each(|i| emit.put(&mapfold_key(key(i)), &[])))
        .partition_by(ranges)
        .reduce_raw(|groups, out| {
            while let Some(group) = groups.next() {
                out(group.key.to_vec())?;
            }
            Ok(())
        })
        .report("sorted")
        .unwrap();
    // Nobody ranks these values, so they come partition by partition.
    let sorted = reports(&p, &opts(2, 2, Some(1)));
    let expected: Vec<_> = (0..1000u64).map(|i| serde_json::json!(mapfold_key(i.to_be_bytes()))).collect();
    assert_eq!((p.exchanges(), sorted), (vec![8], expected));
}

/// A `u64` as mapfold writes it in keys.
fn mapfold_key(bytes: [u8; 8]) -> Vec<u8> {
    [&[1], &bytes[..]].concat()
}

#[test]
fn the_rest_of_a_key_orders_the_values_of_its_first_bytes() {
    for o in ways() {
        let plan = plan();
        plan.range(60)
            // Group, then a number that falls while the splits rise.
            .shuffle("pairs", |i, emit| emit.put(&[b'a' + (i % 3) as u8, 200 - i as u8], &i.to_le_bytes()))
            .partitions(4)
            .group_by_first(|_| 1)
            .reduce_raw(|groups, out| {
                while let Some(mut group) = groups.next() {
                    let name = group.key[0];
                    let mut values = Vec::new();
                    while let Some(value) = group.values.next() {
                        values.push(u64::from_le_bytes(value.try_into().unwrap()));
                    }
                    out((name, values))?;
                }
                Ok(())
            })
            .report("lists")
            .unwrap();
        let mut lists = reports(&plan, &o);
        lists.sort_by_key(|l| l[0].as_u64());
        let falling = |first: u64| (0..20).rev().map(|i| first + 3 * i).collect::<Vec<u64>>();
        let expected: Vec<_> = (0..3).map(|g| serde_json::json!([u64::from(b'a') + g, falling(g)])).collect();
        assert_eq!(lists, expected);
    }
}

#[test]
fn words_are_counted_over_bytes() {
    const TEXT: &str = "to be or not to be that is the question";
    let count = |o: &RunOptions| {
        let p = plan();
        let one = 1u64.to_le_bytes();
        let number = |v: &[u8]| u64::from_le_bytes(v.try_into().unwrap());
        p.range(2000)
            .shuffle("words", move |i, emit| {
                TEXT.split(' ').for_each(|w| emit.put(w.as_bytes(), &one));
                emit.put(format!("only {i}").as_bytes(), &one);
            })
            .combine_raw(move |_, values, sum| {
                let mut total = 0;
                while let Some(v) = values.next() {
                    total += number(v);
                }
                sum.extend_from_slice(&total.to_le_bytes());
                Ok(())
            })
            .reduce_raw(move |groups, out| {
                while let Some(mut group) = groups.next() {
                    let mut total = 0;
                    while let Some(v) = group.values.next() {
                        total += number(v);
                    }
                    out((String::from_utf8_lossy(group.key).into_owned(), total))?;
                }
                Ok(())
            })
            .report("words")
            .unwrap();
        reports(&p, o)
    };
    let all: Vec<_> = ways().iter().map(count).collect();
    let of = |word: &str| all[0].iter().find(|v| v[0] == word).unwrap()[1].as_u64();
    assert_eq!((all[0].len(), of("be"), of("question"), of("only 7")), (2008, Some(4000), Some(2000), Some(1)));
    assert!(all.iter().all(|one| *one == all[0]));
}

#[test]
fn spilled_records_are_gone_when_a_run_ends_well_or_not() {
    let scratch = std::env::temp_dir().join(format!("mapfold-exchange-test-{}", std::process::id()));
    std::fs::create_dir(&scratch).unwrap();
    let o = RunOptions { memory_limit: 40 << 20, scratch: Some(scratch.clone()), ..opts(2, 2, None) };
    let job = |unlucky: u64| {
        let p = plan();
        let pairs = p.range(200).flat_map(|s| (0..1000).map(move |i| (i % 10, [s, i, i, i, i, i])));
        let check = move |k: &u64| if *k == unlucky { panic!("unlucky {k}") } else { *k };
        pairs.reduce(move |k, values| (check(k), values.map(|v| v[0]).sum::<u64>())).report("sums").unwrap();
        run(&p, &o)
    };
    let done = job(10).unwrap();
    let sum = 199 * 200 / 2 * 100;
    assert_eq!(done.reports[0].values, (0..10).map(|k| serde_json::json!([k, sum])).collect::<Vec<_>>());
    assert!(done.bytes_spilled > 0, "this test is about files");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    assert!(job(7).unwrap_err().to_string().contains("unlucky 7"));
    std::fs::remove_dir(&scratch).expect("nothing is left in it");
}
