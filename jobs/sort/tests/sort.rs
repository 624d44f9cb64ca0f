//! Sorting in the Lab: the standard library as the oracle for lines, the checker of TeraSort for records.
#![allow(clippy::unwrap_used)]

use mapfold::records::tera;
use mapfold::testing::Lab;
use mapfold_job_sort::{Format, Sort, sort};

fn job(lab: &Lab, input: &str, format: Format, split_size: Option<u64>) -> Sort {
    Sort { input: vec![lab.loc(input)], out: lab.loc("out"), format, seed: 7, split_size }
}

#[test]
fn lines_are_in_the_order_of_their_bytes_and_none_is_lost() {
    let lab = Lab::new();
    let line = |i: u64| format!("{:x}{}\n", i.wrapping_mul(0x9e37_79b9) % 5000, "é".repeat((i % 7) as usize));
    let text: String = (0..3000).map(line).collect::<String>() + "\n\nlast without an end";
    lab.stores().put(&lab.loc("in.txt"), text.clone().into()).unwrap();
    let mut want: Vec<&str> = text.lines().collect();
    want.sort_unstable();
    for split_size in [None, Some(13), Some(4096)] {
        let job = job(&lab, "in.txt", Format::Text, split_size);
        lab.run(sort, &job).unwrap();
        let got = lab.text(&job.out).unwrap();
        assert!(got.lines().eq(want.iter().copied()), "{split_size:?}");
    }
}

#[test]
fn records_of_terasort_pass_its_checker() {
    let lab = Lab::new();
    let mut records = Vec::new();
    tera::generate(0, 5000, &mut records);
    lab.stores().put(&lab.loc("in"), records.clone().into()).unwrap();
    let before = tera::Summary::of(&records);
    for split_size in [None, Some(1), Some(30_001)] {
        let job = job(&lab, "in", Format::Tera, split_size);
        let job = if split_size == Some(1) { Sort { split_size: Some(100), ..job } } else { job };
        lab.run(sort, &job).unwrap();
        let parts = lab.stores().list(&job.out).unwrap();
        let sorted: Vec<u8> = parts[1..].iter().flat_map(|p| lab.stores().get(p).unwrap().to_vec()).collect();
        let after = tera::Summary::of(&sorted);
        assert_eq!((after.unsorted_at, after.rest), (None, 0));
        assert_eq!((before.count, before.checksum), (after.count, after.checksum));
        assert!(parts.len() > 3, "several parts: {parts:?}");
    }
}

#[test]
fn half_a_record_is_refused() {
    let lab = Lab::new();
    lab.stores().put(&lab.loc("in"), vec![0u8; 150].into()).unwrap();
    let error = lab.run(sort, &job(&lab, "in", Format::Tera, None)).unwrap_err().to_string();
    assert!(error.contains("150 bytes"), "{error}");
}
