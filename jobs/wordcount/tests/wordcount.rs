//! Word counts in the Lab: a map of words as the oracle, any splits, any number of workers.
#![allow(clippy::unwrap_used)]

use mapfold::prelude::*;
use mapfold::testing::Lab;
use mapfold_job_wordcount::{WordCount, wordcount};
use std::collections::BTreeMap;

/// Words that repeat, lines and words that any cut goes through.
fn text(seed: u64, words: u64) -> String {
    let mut random = seed;
    let word = |i: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(i);
        let blank = ["\n", " ", "\t", "\r\n", "  ", "\x0c"][(random >> 40) as usize % 6];
        format!("w{}{blank}", (random >> 33) % 97)
    };
    (0..words).map(word).collect()
}

fn counts(texts: &[String]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    texts.iter().flat_map(|t| t.split_ascii_whitespace()).for_each(|w| *all.entry(w.to_owned()).or_default() += 1);
    all
}

fn found(lab: &Lab, out: &Loc) -> BTreeMap<String, u64> {
    let text = lab.text(out).unwrap();
    let line = |l: &str| l.split_once('\t').map(|(w, n)| (w.to_owned(), n.parse().unwrap())).unwrap();
    let all: Vec<(String, u64)> = text.lines().map(line).collect();
    let map: BTreeMap<String, u64> = all.iter().cloned().collect();
    assert_eq!(map.len(), all.len(), "each word once");
    map
}

#[test]
fn counts_are_those_of_a_map_for_any_splits_and_workers() {
    let lab = Lab::new();
    let texts = [text(1, 4000), text(2, 1), String::new(), text(3, 500)];
    for (i, t) in texts.iter().enumerate() {
        lab.stores().put(&lab.loc(&format!("in/{i}.txt")), t.clone().into()).unwrap();
    }
    lab.stores().put(&lab.loc("in/_SUCCESS"), "not counted".into()).unwrap();
    for split_size in [Some(1), Some(7), Some(1000), None] {
        let job = WordCount { input: vec![lab.loc("in")], out: lab.loc("out"), split_size };
        let job = if split_size == Some(1) { WordCount { input: vec![lab.loc("in/1.txt")], ..job } } else { job };
        lab.run(wordcount, &job).unwrap();
        let want = if split_size == Some(1) { counts(&texts[1..2]) } else { counts(&texts) };
        assert_eq!(found(&lab, &job.out), want, "{split_size:?}");
    }
}

#[test]
fn parts_are_sorted_and_named_as_hadoop_names_them() {
    let lab = Lab::new();
    lab.stores().put(&lab.loc("a.txt"), text(5, 900).into()).unwrap();
    let job = WordCount { input: vec![lab.loc("a.txt")], out: lab.loc("out"), split_size: None };
    lab.run(wordcount, &job).unwrap();
    let files = lab.stores().list(&job.out).unwrap();
    let names: Vec<&str> = files.iter().map(Loc::name).collect();
    assert_eq!(names, ["_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002", "part-r-00003"]);
    for part in &files[1..] {
        let text = lab.text(part).unwrap();
        let words: Vec<&str> = text.lines().map(|l| l.split('\t').next().unwrap()).collect();
        assert!(words.is_sorted(), "{part}: {words:?}");
    }
}

#[test]
fn what_is_not_there_is_told_by_name() {
    let lab = Lab::new();
    let job = WordCount { input: vec![lab.loc("none.txt")], out: lab.loc("out"), split_size: None };
    let error = lab.run(wordcount, &job).unwrap_err().to_string();
    assert!(error.contains("none.txt"), "{error}");
    assert!(!lab.stores().exists(&job.out).unwrap());
}
