//! Commands as mappers and reducers: counting words with `tr` and `awk`, and what happens when a command fails.
#![allow(clippy::unwrap_used)]

use mapfold::testing::Lab;
use mapfold_job_streaming::{Streaming, streaming};
use std::collections::BTreeMap;

const WORDS: &str = "tr -s ' ' '\\n' | awk '{ print $1 \"\\t1\" }'";
const SUM: &str = "awk -F '\\t' '$1 != k { if (NR > 1) print k \"\\t\" n; k = $1; n = 0 } { n += $2 } END { if (NR) print k \"\\t\" n }'";

fn job(lab: &Lab, mapper: &str, reducer: Option<&str>, combiner: Option<&str>) -> Streaming {
    let own = |c: &str| c.to_string();
    Streaming {
        input: vec![lab.loc("in.txt")],
        out: lab.loc("out"),
        mapper: mapper.into(),
        reducer: reducer.map(own),
        combiner: combiner.map(own),
        split_size: Some(700),
    }
}

fn lab() -> (Lab, BTreeMap<String, u64>) {
    let lab = Lab::new();
    let text: String = (0..400).map(|i| format!("w{} w{}\n", i % 13, i % 7)).collect();
    lab.stores().put(&lab.loc("in.txt"), text.clone().into()).unwrap();
    let mut counts = BTreeMap::new();
    text.split_whitespace().for_each(|w| *counts.entry(w.to_owned()).or_default() += 1);
    (lab, counts)
}

#[test]
fn words_are_counted_by_tr_and_awk_with_and_without_a_combiner() {
    let (lab, want) = lab();
    for combiner in [None, Some(SUM)] {
        let job = job(&lab, WORDS, Some(SUM), combiner);
        lab.run(streaming, &job).unwrap();
        let text = lab.text(&job.out).unwrap();
        let pair = |l: &str| l.split_once('\t').map(|(w, n)| (w.to_owned(), n.parse().unwrap())).unwrap();
        assert_eq!(text.lines().map(pair).collect::<BTreeMap<String, u64>>(), want, "{combiner:?}");
    }
}

#[test]
fn without_a_reducer_the_mappers_lines_are_the_result_in_order() {
    let (lab, _) = lab();
    let job = job(&lab, "cat", None, None);
    lab.run(streaming, &job).unwrap();
    assert_eq!(lab.text(&job.out).unwrap(), lab.text(&lab.loc("in.txt")).unwrap());
    assert!(lab.stores().list(&job.out).unwrap().iter().any(|l| l.name() == "part-m-00001"));
}

#[test]
fn a_failing_command_is_told_with_its_code_and_its_last_words() {
    let (lab, _) = lab();
    let error = lab.run(streaming, &job(&lab, "echo no such column >&2; exit 3", None, None)).unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("no such column"), "{error}");
    let error = lab.run(streaming, &job(&lab, "cat", Some("cat > /dev/null; false"), None)).unwrap_err().to_string();
    assert!(error.contains("reducer") && error.contains("exit code 1"), "{error}");
    assert!(!lab.stores().exists(&lab.loc("out")).unwrap(), "nothing is visible");
}

#[test]
fn a_command_may_leave_its_input() {
    let (lab, _) = lab();
    let job = job(&lab, "head -n 1", None, None);
    lab.run(streaming, &job).unwrap();
    assert!(lab.text(&job.out).unwrap().starts_with("w0 w0\n"));
}
