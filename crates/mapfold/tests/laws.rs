//! Laws of the job API, against a naive oracle: the Lab runs each job in several ways that must agree.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold::plan::PlanOptions;
use mapfold::prelude::*;
use mapfold::testing::Lab;

/// Rows of pixels; `None` is invalid.
type Image = Vec<Vec<Option<f64>>>;

fn literal(image: &Image) -> String {
    let text = |v: &Option<f64>| v.map_or(".".to_string(), |v| v.to_string());
    let row = |r: &Vec<Option<f64>>| r.iter().map(text).collect::<Vec<_>>().join(" ");
    image.iter().map(row).collect::<Vec<_>>().join(" | ")
}

/// Small whole numbers, some invalid.
fn image(rows: usize, cols: usize, seed: usize) -> Image {
    let at = |r: usize, c: usize| (r * 31 + c * 17 + seed * 7) % 23;
    let value = |r, c| (at(r, c) % 5 != 3).then(|| at(r, c) as f64);
    (0..rows).map(|r| (0..cols).map(|c| value(r, c)).collect()).collect()
}

/// Mean of the valid pixels of the 3 x 3 neighbourhood, halves and all.
fn naive_mean(image: &Image, edge: Edge) -> Image {
    let (rows, cols) = (image.len() as i64, image[0].len() as i64);
    let look = |r: i64, c: i64| match edge {
        Edge::Nearest => image[r.clamp(0, rows - 1) as usize][c.clamp(0, cols - 1) as usize],
        Edge::Nodata if (0..rows).contains(&r) && (0..cols).contains(&c) => image[r as usize][c as usize],
        Edge::Nodata => None,
    };
    let mean = |r: i64, c: i64| {
        let near: Vec<f64> =
            (-1..=1).flat_map(|dr| (-1..=1).map(move |dc| (r + dr, c + dc))).filter_map(|(r, c)| look(r, c)).collect();
        // As float32, which the job computes in.
        (!near.is_empty()).then(|| f64::from(near.iter().sum::<f64>() as f32 / near.len() as f32))
    };
    (0..rows).map(|r| (0..cols).map(|c| mean(r, c)).collect()).collect()
}

fn mean3(n: Neighbours<'_, f32>) -> Option<f32> {
    let (sum, count) = n.iter().fold((0.0, 0), |(s, k), v| (s + v, k + 1));
    (count > 0).then(|| sum / count as f32)
}

/// As [`Lab::assert_raster`], but within float32's rounding of sums of floats.
fn assert_near(lab: &Lab, out: &Loc, want: &Image) {
    let got = lab.literal(out).unwrap();
    let got: Image = got.split('|').map(|r| r.split_whitespace().map(|w| w.parse().ok()).collect()).collect();
    assert_eq!((got.len(), got[0].len()), (want.len(), want[0].len()));
    for (g, w) in got.iter().flatten().zip(want.iter().flatten()) {
        let same = match (g, w) {
            (Some(g), Some(w)) => (g - w).abs() <= 1e-5 * w.abs().max(1.0),
            (g, w) => g.is_none() && w.is_none(),
        };
        assert!(same, "{got:?}\nis not\n{want:?}");
    }
}

#[test]
fn a_stencil_is_the_naive_one_on_odd_shapes_at_both_edges() {
    for (rows, cols) in [(1, 1), (1, 7), (5, 1), (7, 5), (9, 11)] {
        for edge in [Edge::Nodata, Edge::Nearest] {
            let (lab, input) = (Lab::new(), image(rows, cols, 1));
            let (from, out) = (lab.raster(&literal(&input)).unwrap(), lab.loc("out.tif"));
            let job =
                |(): (), p: &Plan| p.raster::<f32>([&from])?.halo(1, edge).stencil(mean3).write(&out, GTiff::default());
            lab.run(job, &()).unwrap();
            assert_near(&lab, &out, &naive_mean(&input, edge));
        }
    }
}

#[test]
fn a_stencil_does_not_see_the_borders_between_splits() {
    for (rows, cols, splits) in [(3, 1100, 3), (1100, 3, 3), (520, 514, 4)] {
        let (lab, input) = (Lab::new(), image(rows, cols, 5));
        let (from, out) = (lab.raster(&literal(&input)).unwrap(), lab.loc("out.tif"));
        let p = Plan::new(lab.stores().clone(), PlanOptions::default());
        let job = |(): (), p: &Plan| {
            p.raster::<f32>([&from])?.halo(1, Edge::Nodata).stencil(mean3).write(&out, GTiff::default())
        };
        let done = match splits {
            4 => (job((), &p), mapfold::engine::run(&p, &Default::default()).unwrap()).1, // the Lab's small cuts take long
            _ => lab.run(job, &()).unwrap(),
        };
        assert_eq!(done.stages[0].splits, splits, "{rows} x {cols}");
        assert_near(&lab, &out, &naive_mean(&input, Edge::Nodata));
    }
}

#[test]
fn a_fold_over_many_splits_is_the_naive_one() {
    let (lab, input) = (Lab::new(), image(2, 1700, 3));
    let from = lab.raster(&literal(&input)).unwrap();
    let job = |(): (), p: &Plan| {
        let ones = |b: Block<f32>| {
            let at = |i: usize| b.value(0, i / b.window().cols, i % b.window().cols);
            (0..b.pixel_count()).filter_map(at).map(|v| (v as u8, 1u64)).collect::<Vec<_>>()
        };
        p.raster::<f32>([&from])?.flat_map(ones).combine::<Sum<u64>>().report("counts")
    };
    let done = lab.run(job, &()).unwrap();
    assert!(done.stages[0].splits > 1);
    let mut got: Vec<(u64, u64)> =
        done.reports[0].values.iter().map(|v| (v[0].as_u64().unwrap(), v[1].as_u64().unwrap())).collect();
    got.sort_unstable();
    let mut want = std::collections::BTreeMap::<u64, u64>::new();
    input.iter().flatten().flatten().for_each(|v| *want.entry(*v as u64).or_default() += 1);
    assert_eq!(got, want.into_iter().collect::<Vec<_>>());
}

#[test]
fn sums_beyond_64_bits_are_reported_to_the_last_digit() {
    let lab = Lab::new();
    let job = |(): (), p: &Plan| {
        p.range(4).map(|n| (n / 3, if n < 3 { u64::MAX } else { 7 })).combine::<Sum<u64>>().report("sums")
    };
    let done = lab.run(job, &()).unwrap();
    let mut texts: Vec<String> = done.reports[0].values.iter().map(ToString::to_string).collect();
    texts.sort();
    assert_eq!(texts, [r#"[0,"55340232221128654845"]"#, "[1,7]"], "3 x (2^64 - 1) has 66 bits");
}

#[test]
fn halos_compose_as_if_each_stencil_had_run_alone() {
    for (first, second) in [(Edge::Nodata, Edge::Nearest), (Edge::Nearest, Edge::Nodata)] {
        let (lab, input) = (Lab::new(), image(7, 9, 2));
        let (from, out) = (lab.raster(&literal(&input)).unwrap(), lab.loc("out.tif"));
        let job = |(): (), p: &Plan| {
            let once = p.raster::<f32>([&from])?.halo(1, first).stencil(mean3);
            once.halo(2, second).map(|b| b.trim()).halo(1, second).stencil(mean3).write(&out, GTiff::default())
        };
        lab.run(job, &()).unwrap();
        assert_near(&lab, &out, &naive_mean(&naive_mean(&input, first), second));
    }
}

fn scenes(lab: &Lab, images: &[Image]) -> Vec<Scene> {
    let scene = |(i, image): (usize, &Image)| Scene {
        time: TimeKey(i as i64),
        bands: vec![lab.raster(&literal(image)).unwrap()],
    };
    images.iter().enumerate().map(scene).collect()
}

fn naive_median(images: &[Image]) -> Image {
    let median = |r: usize, c: usize| {
        let mut v: Vec<f64> = images.iter().filter_map(|i| i[r][c]).collect();
        v.sort_by(f64::total_cmp);
        (!v.is_empty()).then(|| (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.0)
    };
    (0..images[0].len()).map(|r| (0..images[0][0].len()).map(|c| median(r, c)).collect()).collect()
}

#[test]
fn the_median_over_time_is_the_naive_one_whole_or_in_strips() {
    let (lab, images) = (Lab::new(), [image(7, 5, 1), image(7, 5, 2), image(7, 5, 3)]);
    let (scenes, out) = (scenes(&lab, &images), lab.loc("out.tif"));
    let whole = |(): (), p: &Plan| {
        let series = p.series::<f32>(scenes.clone())?;
        series.group_by(Tile).reduce(|_, stack| stack.median(Time)).write(&out, GTiff::default())
    };
    lab.run(whole, &()).unwrap();
    lab.assert_raster(&out, &literal(&naive_median(&images))).unwrap();
    let strips = |(): (), p: &Plan| p.series::<f32>(scenes.clone())?.over(Time).median().write(&out, GTiff::default());
    lab.run(strips, &()).unwrap();
    lab.assert_raster(&out, &literal(&naive_median(&images))).unwrap();
}

#[test]
fn scenes_grouped_by_time_hold_every_pixel_once() {
    let (lab, images) = (Lab::new(), [image(3, 4, 1), image(3, 4, 2)]);
    let scenes = scenes(&lab, &images);
    let count = |tiles: Vec<(TileKey, Block<f32>)>| {
        let valid = |b: &Block<f32>| {
            let mut n = 0;
            b.for_each_valid(0, |_| n += 1);
            n
        };
        tiles.iter().map(|(_, b)| valid(b)).sum::<u32>()
    };
    let job = |(): (), p: &Plan| {
        p.series::<f32>(scenes.clone())?.group_by(Time).reduce(move |t, tiles| (t, count(tiles))).report("valid")
    };
    let got = lab.run(job, &()).unwrap();
    let want: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(i, im)| serde_json::json!([i, im.iter().flatten().flatten().count()]))
        .collect();
    assert_eq!(got.reports[0].values, want);
}

#[test]
fn a_block_that_is_filtered_away_is_nodata_whatever_the_cut() {
    let (lab, out) = (Lab::new(), Lab::new().loc("out.tif"));
    let input = lab.raster("1 2 | 3 4 | 5 6").unwrap();
    for (keep, want) in [(6.0, "1 2 | 3 4 | 5 6"), (7.0, ". . | . . | . .")] {
        let job = move |(input, out): (Loc, Loc), p: &Plan| {
            let has = move |b: &Block<f32>| b.band(0).iter().any(|v| *v >= keep);
            p.raster::<f32>([&input])?.filter(has).write(&out, GTiff::default())
        };
        lab.run(job, &(input.clone(), out.clone())).unwrap();
        lab.assert_raster(&out, want).unwrap();
    }
}

/// 150 x 130 pixels in nine splits, pixels with 3 as nodata.
fn many_splits(lab: &Lab) -> Plan {
    Plan::new(lab.stores().clone(), PlanOptions { tile: Some(64), ..PlanOptions::default() })
}

#[test]
fn an_exchange_by_tile_gives_what_the_pixels_say() {
    let lab = Lab::new();
    let mut seen = Vec::new();
    for (workers, threads, shuffle) in [(1, 1, None), (3, 2, Some(5)), (2, 4, Some(6))] {
        let p = many_splits(&lab);
        let grid = GeoBox::plain(Shape { rows: 150, cols: 130 });
        let pixel = |r: i64, c: i64| ((r * 3 + c) % 10) as u16;
        let fill = move |w: Window| {
            (w.row..w.row_end()).flat_map(|r| (w.col..w.col_end()).map(move |c| pixel(r, c))).collect()
        };
        let key = |b: &Block<u16>| TileKey { row: b.window().row as u32 / 100, col: b.window().col as u32 / 100 };
        p.generate::<u16>(grid, "digits", Some(3), fill)
            .flat_map(move |b| {
                let mut values = Vec::new();
                b.for_each_valid(0, |v| values.push((key(&b), u64::from(v))));
                values
            })
            .combine::<(Count, Sum<u64>)>()
            .map(|(k, (n, sum))| (k, n, sum as u64))
            .report("tiles")
            .unwrap();
        let opts = mapfold::engine::RunOptions { workers, threads, shuffle, ..Default::default() };
        seen.push(mapfold::engine::run(&p, &opts).unwrap().reports[0].values.clone());
        let valid = (0..150).flat_map(|r| (0..130).map(move |c| pixel(r, c))).filter(|v| *v != 3);
        let (count, sum) = valid.fold((0, 0), |(n, s), v| (n + 1, s + u64::from(v)));
        let of = |i: usize| seen[0].iter().map(|v| v[i].as_u64().unwrap()).sum::<u64>();
        assert_eq!((seen[0].len(), of(1), of(2)), (4, count, sum));
    }
    assert!(seen.iter().all(|s| *s == seen[0]));
}

#[test]
fn reported_numbers_are_exact_to_the_bit() {
    let lab = Lab::new();
    let p = many_splits(&lab);
    let number = |i: u64| f64::from_bits(0x3FF0_0000_0000_0000 + i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (1 << 52));
    p.range(2000).map(number).report("numbers").unwrap();
    let got = mapfold::engine::run(&p, &Default::default()).unwrap();
    for (i, v) in got.reports[0].values.iter().enumerate() {
        assert_eq!(v.as_f64().unwrap().to_bits(), number(i as u64).to_bits(), "{v}");
    }
}

#[test]
fn a_closure_with_the_wrong_number_of_bands_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    let (input, out) = (lab.raster("1 2 / 3 4").unwrap(), lab.loc("out.tif"));
    let job = |(): (), p: &Plan| {
        p.raster::<f32>([&input])?.map(|b| b.pixels(|[a, b, c]| a + b + c)).write(&out, GTiff::default())
    };
    let e = lab.run(job, &()).unwrap_err();
    assert!(e.to_string().contains("takes 3 bands, but the block has 2"), "{e}");
    assert_eq!(e.exit_code(), 2);
    assert!(!lab.stores().exists(&out).unwrap());
}

#[test]
fn an_output_is_a_whole_file_of_its_own() {
    let lab = Lab::new();
    let (input, out) = (lab.raster("1 2").unwrap(), lab.loc("out.tif"));
    let to = |out: Loc| {
        let input = input.clone();
        move |(): (), p: &Plan| {
            let flow = p.raster::<f32>([&input])?;
            flow.clone().write(&out, GTiff::default())?;
            flow.write(&out, GTiff::default())
        }
    };
    assert!(lab.run(to(out.clone()), &()).unwrap_err().what().contains("twice"));
    assert!(lab.run(to(out.with_fragment("B04")), &()).unwrap_err().what().contains("whole file"));
}

#[test]
fn integers_keep_their_nodata_when_a_block_is_missing() {
    let lab = Lab::new();
    let p = Plan::new(lab.stores().clone(), PlanOptions::default());
    let out = lab.loc("digits.tif");
    let grid = GeoBox::plain(Shape { rows: 2, cols: 3 });
    let digits = p.generate::<u16>(grid, "digits", Some(3), |w| (0..w.pixels() as u16).collect());
    digits.clone().write(&out, GTiff::default()).unwrap();
    let none = lab.loc("none.tif");
    digits.filter(|_| false).write(&none, GTiff::default()).unwrap();
    mapfold::engine::run(&p, &Default::default()).unwrap();
    assert_eq!(lab.literal(&out).unwrap(), "0 1 2 | . 4 5");
    assert_eq!(lab.literal(&none).unwrap(), ". . . | . . .");
}

#[test]
fn one_mask_for_bands_of_their_own_validity_is_refused_and_nodata_keeps_them() {
    let lab = Lab::new();
    let (input, out) = (lab.raster("0 1 / . 7").unwrap(), lab.loc("out.tif"));
    let bytes = |nodata: Option<f64>| {
        let (input, out) = (input.clone(), out.clone());
        move |_: (), p: &Plan| {
            let mut cog = Cog::default();
            cog.options.nodata = nodata;
            p.raster::<f32>([&input])?.map(|b| b.values(|v| v as u8)).write(&out, cog)
        }
    };
    let e = lab.run(bytes(None), &()).unwrap_err();
    assert!(e.remedy().is_some_and(|r| r.contains("--nodata")), "{e:?}");
    lab.run(bytes(Some(255.0)), &()).unwrap();
    lab.assert_raster(&out, "0 1 / . 7").unwrap();
}
