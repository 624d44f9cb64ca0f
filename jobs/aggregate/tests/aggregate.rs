//! Aggregates in the Lab: sums that can be checked by hand, and the same for any splits.
#![allow(clippy::unwrap_used)]

use mapfold::testing::Lab;
use mapfold_job_aggregate::{Aggregate, Format, aggregate};
use serde_json::{Value, json};

fn job(lab: &Lab, agg: &[&str], out: Option<&str>) -> Aggregate {
    Aggregate {
        input: vec![lab.loc("t.csv")],
        by: vec!["k".into()],
        agg: agg.iter().map(|a| (*a).to_string()).collect(),
        out: out.map(|name| lab.loc(name)),
        part_format: Format::Csv,
        schema: None,
        split_size: None,
    }
}

fn lab(csv: &str) -> Lab {
    let lab = Lab::new();
    lab.stores().put(&lab.loc("t.csv"), csv.to_owned().into()).unwrap();
    lab
}

const SMALL: &str = "k,v,w\nb,1,x\na,2.5,y\nb,,x\na,0.5,z\n,7,x\n";

#[test]
fn groups_are_sorted_null_last_and_empty_fields_are_no_values() {
    let lab = lab(SMALL);
    let done = lab.run(aggregate, &job(&lab, &["v:mean,min,max,count,std", "w:nunique"], None)).unwrap();
    let want: Vec<Value> = vec![
        json!({ "k": "a", "v_mean": 1.5, "v_min": 0.5, "v_max": 2.5, "v_count": 2, "v_std": 2f64.sqrt(), "w_nunique": 2 }),
        json!({ "k": "b", "v_mean": 1.0, "v_min": 1.0, "v_max": 1.0, "v_count": 1, "v_std": null, "w_nunique": 1 }),
        json!({ "k": null, "v_mean": 7.0, "v_min": 7.0, "v_max": 7.0, "v_count": 1, "v_std": null, "w_nunique": 1 }),
    ];
    assert_eq!(done.reports[0].values, want);
}

#[test]
fn a_file_a_folder_and_the_report_say_the_same() {
    let lab = lab(SMALL);
    lab.run(aggregate, &job(&lab, &["v:count,sum"], Some("out.csv"))).unwrap();
    assert_eq!(lab.text(&lab.loc("out.csv")).unwrap(), "k,v_count,v_sum\na,2,3.0\nb,1,1.0\n,1,7.0\n");
    lab.run(aggregate, &job(&lab, &["v:count,sum"], Some("out"))).unwrap();
    let text = lab.text(&lab.loc("out")).unwrap();
    let mut rows: Vec<&str> = text.lines().filter(|l| !l.starts_with('k')).collect();
    rows.sort_unstable();
    assert_eq!(rows, [",1,7.0", "a,2,3.0", "b,1,1.0"]);
    assert_eq!(text.matches("k,v_count,v_sum").count(), 4, "every part has the columns");
}

#[test]
fn means_have_the_same_bits_for_any_splits() {
    let row = |i: u64| format!("{},{}\n", i % 11, (i as f64).sin() * 10f64.powi((i % 30) as i32 - 15));
    let lab = lab(&("k,v\n".to_string() + &(0..4000).map(row).collect::<String>()));
    let run = |split_size| {
        let job = Aggregate { split_size, ..job(&lab, &["v:mean,std,sum"], Some("out.csv")) };
        lab.run(aggregate, &job).unwrap();
        lab.text(&lab.loc("out.csv")).unwrap()
    };
    let first = run(None);
    assert_eq!(first.lines().count(), 12);
    assert!(run(Some(500)) == first && run(Some(20_000)) == first);
}

#[test]
fn an_unknown_column_is_told_with_those_there_are() {
    let lab = lab(SMALL);
    let error = format!("{:?}", lab.run(aggregate, &job(&lab, &["depth:mean"], None)).unwrap_err());
    assert!(error.contains("depth"), "{error}");
}
