//! Laws of jobs of several passes: sides and stored blocks, in the Lab.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold::plan::exact::Moments;
use mapfold::plan::{Plan as ThePlan, PlanOptions, Side};
use mapfold::prelude::*;
use mapfold::testing::Lab;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whole numbers and holes, as a literal.
fn literal(rows: usize, cols: usize, bands: usize) -> String {
    let value = |b: usize, r: usize, c: usize| match (r * 31 + c * 17 + b * 5) % 23 {
        n if n % 5 == 3 => ".".to_string(),
        n => n.to_string(),
    };
    let row = |b, r| (0..cols).map(|c| value(b, r, c)).collect::<Vec<_>>().join(" ");
    let band = |b| (0..rows).map(|r| row(b, r)).collect::<Vec<_>>().join(" | ");
    (0..bands).map(band).collect::<Vec<_>>().join(" / ")
}

fn mean3(n: Neighbours<'_, f32>) -> Option<f32> {
    let (sum, count) = n.iter().fold((0.0, 0), |(s, k), v| (s + v, k + 1));
    (count > 0).then(|| sum / count as f32)
}

/// Runs the job with and without `materialise`; gives the two outputs.
fn with_and_without(lab: &Lab, job: impl Fn(bool, &Loc, &Plan) -> Result<()>) -> [bytes::Bytes; 2] {
    [false, true].map(|keep| {
        let out = lab.loc(if keep { "kept.tif" } else { "computed.tif" });
        lab.run(|(): (), p: &Plan| job(keep, &out, p), &()).unwrap();
        lab.stores().get(&out).unwrap()
    })
}

fn kept<T: Pixel>(flow: Flow<Block<T>>, keep: bool) -> Result<Flow<Block<T>>> {
    if keep { flow.materialise() } else { Ok(flow) }
}

#[test]
fn a_halo_chain_is_the_same_with_its_middle_kept() {
    for (rows, cols) in [(1, 1), (7, 5), (3, 1100), (600, 4)] {
        let lab = Lab::new();
        let from = lab.raster(&literal(rows, cols, 1)).unwrap();
        let [computed, stored] = with_and_without(&lab, |keep, out, p| {
            let once = p.raster::<f32>([&from])?.halo(1, Edge::Nodata).stencil(mean3);
            kept(once, keep)?.halo(2, Edge::Nearest).stencil(mean3).write(out, GTiff::default())
        });
        assert!(computed == stored, "{rows} x {cols}");
    }
}

#[test]
fn integers_with_masks_and_several_bands_are_kept_as_they_are() {
    let lab = Lab::new();
    let from = lab.raster(&literal(9, 300, 3)).unwrap();
    let [computed, stored] = with_and_without(&lab, |keep, out, p| {
        let whole = p.raster::<u8>([&from])?.map(|b| b.mask(|[a, _, _]| a > 19));
        let own_masks = kept(whole, keep)?.map(|b| b.values(|v| u16::from(v) * 3));
        kept(own_masks, keep)?.write(out, GTiff::default())
    });
    assert!(computed == stored);
}

#[test]
fn blocks_that_are_dropped_stay_dropped() {
    let lab = Lab::new();
    let from = lab.raster(&literal(2, 1700, 1)).unwrap();
    let count = |keep: bool| {
        let job = |(): (), p: &Plan| {
            let some = p.raster::<f32>([&from])?.filter(|b| b.window().col % 1024 == 0);
            kept(some, keep)?.filter(|_| true).map(|b| b.window().col).report("columns")
        };
        lab.run(job, &()).unwrap().reports
    };
    assert_eq!(count(true), count(false));
    assert!(count(true)[0].values.len() < 4, "some are dropped: {:?}", count(true));
}

#[test]
fn what_is_kept_is_computed_once() {
    let lab = Lab::new();
    let from = lab.raster(&literal(40, 1100, 1)).unwrap();
    let pixels = |keep: bool| {
        let seen = Arc::new(AtomicU64::new(0));
        let p = ThePlan::new(lab.stores().clone(), PlanOptions::default());
        let counted = seen.clone();
        let costly = p.raster::<f32>([&from]).unwrap().map(move |b| {
            counted.fetch_add(b.pixel_count() as u64, Relaxed);
            b
        });
        let costly = kept(costly, keep).unwrap();
        for out in ["a.tif", "b.tif"] {
            let smooth = costly.clone().halo(3, Edge::Nearest).stencil(mean3);
            smooth.write(&lab.loc(out), GTiff::default()).unwrap();
        }
        seen.store(0, Relaxed); // The template's.
        let opts = mapfold::engine::RunOptions { overwrite: true, ..Default::default() };
        mapfold::engine::run(&p, &opts).unwrap();
        seen.load(Relaxed)
    };
    assert_eq!(pixels(true), 40 * 1100);
    assert!(pixels(false) > 2 * 40 * 1100);
}

#[test]
fn what_cannot_be_kept_is_refused_while_planning() {
    let lab = Lab::new();
    let (a, b) = (lab.raster("1 2").unwrap(), lab.raster("1 | 2").unwrap());
    let job = |(): (), p: &Plan| {
        let both = p.union(vec![p.raster::<f32>([&a])?, p.raster::<f32>([&b])?])?;
        both.map(|(_, block)| block).materialise()?.map(|b| b.pixel_count()).report("pixels")
    };
    let e = lab.run(job, &()).unwrap_err();
    assert!(e.to_string().contains("one grid") && e.remedy().is_some(), "{e}");
}

#[test]
fn one_side_serves_several_flows_and_sides_may_be_chained() {
    let lab = Lab::new();
    let job = |(): (), p: &Plan| {
        let total: Side<i128> = p.range(10).fold_all::<Sum<u64>>().side()?;
        let shares = p.range(10).map_with(&total, |n, total| (n, *total)).fold_all::<Count>().side()?;
        p.range(2).map_with(&shares, |_, n| *n).report("count")?;
        p.range(2).map_with(&total, |n, total| i128::from(n) + total).report("totals")?;
        p.range(3).flat_map_with(&total, |n, total| vec![*total; n as usize]).report("many")
    };
    let done = lab.run(job, &()).unwrap();
    let texts = |i: usize| done.reports[i].values.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (texts(0), texts(1), texts(2)),
        (vec!["10".into(); 2], vec!["45".into(), "46".into()], vec!["45".into(); 3])
    );
}

#[test]
fn two_inputs_of_records_meet_in_one_exchange() {
    let lab = Lab::new();
    let (names, depths) = (lab.loc("names.txt"), lab.loc("depths.txt"));
    lab.stores().put(&names, "7 north\n9 south\n".into()).unwrap();
    lab.stores().put(&depths, "7 12\n9 3\n7 15\n".into()).unwrap();
    let job = |(): (), p: &Plan| {
        let pairs = |loc: &Loc| {
            Ok::<_, mapfold::Error>(p.text([loc], &TextOptions::default())?.flat_map(|lines| {
                let pair = |(_, line): (u64, &[u8])| {
                    let line = String::from_utf8_lossy(line).into_owned();
                    line.split_once(' ').map(|(k, v)| (k.to_string(), v.to_string())).unwrap()
                };
                lines.iter().map(pair).collect::<Vec<_>>()
            }))
        };
        let both = p.union(vec![pairs(&names)?, pairs(&depths)?])?.map(|(input, (k, v))| (k, (input, v)));
        both.sort_values_by(|(input, _)| *input)
            .reduce(|_, values| {
                let name = values.next().map(|(_, name)| name);
                (name, values.map(|(_, depth)| depth.parse::<u64>().unwrap()).max())
            })
            .report("deepest")
    };
    let done = lab.run(job, &()).unwrap();
    let told: Vec<String> = done.reports[0].values.iter().map(ToString::to_string).collect();
    assert_eq!(told, [r#"["north",15]"#, r#"["south",3]"#]);
    let e = lab.run(
        |(): (), p: &Plan| {
            let grouped = p.range(3).map(|n| (n, n)).reduce(|k, _| *k);
            p.union(vec![grouped, p.range(2)])?.report("none")
        },
        &(),
    );
    assert!(e.unwrap_err().to_string().contains("before an exchange"));
}

#[test]
fn a_side_of_nothing_is_the_empty_fold_and_one_of_several_is_refused() {
    let lab = Lab::new();
    let empty = |(): (), p: &Plan| {
        let none = p.range(0).map(|n| n as f64).fold_all::<(Count, Mean)>().side()?;
        p.range(1).map_with(&none, |_, (n, mean)| (*n, mean.is_nan())).report("none")
    };
    assert_eq!(lab.run(empty, &()).unwrap().reports[0].values[0].to_string(), "[0,true]");
    let several = |(): (), p: &Plan| p.range(3).side().map(drop);
    let e = lab.run(several, &()).unwrap_err();
    assert!(e.remedy().unwrap().contains("side_all"), "{e}");
}

#[test]
fn a_side_that_is_too_large_ends_the_run_and_says_what_to_do() {
    let lab = Lab::new();
    let job = |(): (), p: &Plan| {
        let large = p.range(64).map(|_| vec![7u8; 100 << 10]).side_all()?;
        p.range(1).map_with(&large, |_, l| l.len()).report("lists")
    };
    let e = lab.run(job, &()).unwrap_err();
    assert!(e.to_string().contains("at most 4.0 MiB") && e.remedy().is_some(), "{e}");
    assert!(e.stage().unwrap().starts_with("side at"), "{e:?}");
}

#[test]
fn statistics_of_a_raster_have_the_same_bits_in_any_cut_and_order() {
    let lab = Lab::new();
    let from = lab.raster(&literal(5, 1300, 2)).unwrap();
    let job = |(): (), p: &Plan| {
        // Values that floating point would add up otherwise in each order.
        let rough = p.raster::<f32>([&from])?.map(|b| b.values(|v| (f64::from(v) - 11.3).exp() * 1e5 / 3.0));
        let told = |m: &Moments| [m.mean(), m.std(0), Some(m.sum())].map(|v| v.unwrap_or(0.0).to_bits());
        rough.clone().combine::<Moments>().map(move |m| told(&m)).report("all")?;
        rough
            .combine_bands::<(Moments, Sum<f64>, Mean)>()
            .map(move |bands| {
                bands.iter().map(|(m, sum, mean)| (told(m), sum.to_bits(), mean.to_bits())).collect::<Vec<_>>()
            })
            .report("bands")
    };
    let done = lab.run(job, &()).unwrap(); // The Lab's ways must agree.
    assert_eq!(done.reports[1].values[0].as_array().unwrap().len(), 2);
}
