//! Laws of a synthetic scene: the cut does not matter, the machine does not matter, it looks like the real thing.
#![allow(clippy::unwrap_used)]
use super::*;
use mapfold::grid::{DType, Shape, Window};

fn scene(size: usize) -> SceneSpec {
    SceneSpec { size, seed: 7, date: 0, dates: 1, nodata_wedge: false }
}

fn whole(spec: &SceneSpec, band: Band) -> Vec<u16> {
    window(spec, band, Shape { rows: spec.size, cols: spec.size }.window())
}

#[test]
fn pixels_do_not_depend_on_the_cut() {
    let spec = SceneSpec { nodata_wedge: true, ..scene(203) };
    for band in Band::ALL {
        let all = whole(&spec, band);
        for block in [Shape { rows: 1, cols: 203 }, Shape { rows: 64, cols: 48 }, Shape { rows: 37, cols: 101 }] {
            for w in spec.geobox().shape.window().tiles(block) {
                let part = window(&spec, band, w);
                for (i, line) in part.chunks_exact(w.cols).enumerate() {
                    let at = (w.row as usize + i) * 203 + w.col as usize;
                    assert_eq!(line, &all[at..at + w.cols], "{band:?} {w}");
                }
            }
        }
    }
}

#[test]
fn a_small_scene_is_the_corner_of_a_large_one() {
    let corner = Shape { rows: 40, cols: 40 }.window();
    assert_eq!(window(&scene(40), Band::B08, corner), window(&scene(10980), Band::B08, corner));
}

#[test]
fn the_same_everywhere_and_always() {
    // Pinned on purpose: committed results of the demo and of benchmarks are made from these pixels.
    let w = Window { row: 1000, col: 5000, rows: 1, cols: 6 };
    let pixels = Band::ALL.map(|band| window(&scene(10980), band, w));
    assert_eq!(pixels, PINNED);
}

#[test]
fn seeds_dates_and_bands_differ() {
    let base = whole(&scene(64), Band::B04);
    let others = [
        whole(&SceneSpec { seed: 8, ..scene(64) }, Band::B04),
        whole(&SceneSpec { date: 1, dates: 2, ..scene(64) }, Band::B04),
        whole(&scene(64), Band::B03),
    ];
    for other in others {
        let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(equal < base.len() / 20, "{equal} of {} pixels are equal", base.len());
    }
}

#[test]
fn it_has_land_water_clouds_and_shadows_that_the_classes_name() {
    let spec = SceneSpec { date: 1, dates: 4, ..scene(1500) };
    let (red, nir, scl) = (whole(&spec, Band::B04), whole(&spec, Band::B08), whole(&spec, Band::Scl));
    let share = |class: u16| scl.iter().filter(|c| **c == class).count() as f64 / scl.len() as f64;
    for (class, least, most) in
        [(4, 0.1, 0.9), (5, 0.005, 0.6), (6, 0.002, 0.3), (3, 0.005, 0.4), (8, 0.005, 0.3), (0, 0.0, 0.0)]
    {
        assert!((least..=most).contains(&share(class)), "class {class}: {}", share(class));
    }
    let mean = |band: &[u16], class: u16| {
        let of: Vec<f64> = band.iter().zip(&scl).filter(|(_, c)| **c == class).map(|(v, _)| f64::from(*v)).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean(&nir, 4) > 3.0 * mean(&red, 4), "vegetation is bright in the near infrared");
    assert!(mean(&nir, 6) < 200.0, "water is dark in the near infrared");
    assert!(mean(&red, 9) > 4000.0, "clouds are bright");
    assert!(mean(&nir, 3) < 0.7 * mean(&nir, 4), "shadows are dark");
    assert!(red.iter().all(|v| (1..=16000).contains(v)), "no nodata without a wedge");
}

#[test]
fn it_compresses_like_real_scenes() {
    let size = 512;
    let pixels = whole(&scene(size), Band::B04);
    // DEFLATE 6 with the horizontal predictor, as GDAL writes it.
    let mut bytes = Vec::with_capacity(pixels.len() * 2);
    for line in pixels.chunks_exact(size) {
        let before = std::iter::once(0).chain(line.iter().copied());
        bytes.extend(line.iter().zip(before).flat_map(|(v, b)| v.wrapping_sub(b).to_le_bytes()));
    }
    let ratio = deflated(&bytes) as f64 / bytes.len() as f64;
    assert!((0.5..0.72).contains(&ratio), "{ratio}");
}

/// Size of `bytes` as DEFLATE: of a grey PNG without filters, its frame (under 100 bytes and 12 per IDAT) included.
fn deflated(bytes: &[u8]) -> usize {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 1024, bytes.len() as u32 / 1024);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_deflate_compression(png::DeflateCompression::Level(6));
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    out.len()
}

#[test]
fn the_wedge_is_empty_and_grows_downwards() {
    let spec = SceneSpec { nodata_wedge: true, ..scene(400) };
    let pixels = whole(&spec, Band::B02);
    let empty = |row: usize| pixels[row * 400..(row + 1) * 400].iter().take_while(|v| **v == 0).count();
    assert_eq!([empty(0), empty(49), empty(50), empty(399)], [8, 8, 9, 15]);
    assert_eq!(pixels.iter().filter(|v| **v == 0).count(), (0..400).map(empty).sum::<usize>());
}

#[test]
fn dates_are_spread_over_a_year() {
    let names: Vec<String> = SceneSpec::all(8, 7, 12, false).unwrap().iter().map(SceneSpec::name).collect();
    assert_eq!(
        (names[0].as_str(), names[1].as_str(), names[11].as_str()),
        ("S2_20230108", "S2_20230207", "S2_20231208")
    );
    let all = SceneSpec::all(8, 7, 365, false).unwrap();
    let mut names: Vec<String> = all.iter().map(SceneSpec::name).collect();
    assert_eq!(
        (names[357].as_str(), names[358].as_str(), names[364].as_str()),
        ("S2_20231231", "S2_20240101", "S2_20240107")
    );
    names.dedup();
    assert_eq!(names.len(), 365);
    let season = |i: usize| all[i].season();
    assert!(season(185) > 0.95 && season(0) < -0.9 && all.iter().all(|s| s.season().abs() <= 1.0));
}

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    assert_eq!(Band::list("b04, SCL").unwrap(), [Band::B04, Band::Scl]);
    assert_eq!(Band::Scl.dtype(), DType::U8);
    let text = Band::list("B04,B07").unwrap_err().to_string();
    assert!(text.starts_with(r#"unknown band "B07"; did you mean "B0"#), "{text}");
    assert!(Band::list("red").unwrap_err().to_string().ends_with("there are B02, B03, B04, B08, SCL"));
    assert_eq!(SceneSpec::all(0, 7, 1, false), Err(SceneError::Size(0)));
    assert_eq!(SceneSpec::all(8, 7, 0, false), Err(SceneError::Dates(0)));
}

const PINNED: [[u16; 6]; 5] = [
    [3405, 3337, 3224, 3113, 3039, 2910],
    [3554, 3401, 3337, 3223, 3101, 3038],
    [3489, 3414, 3278, 3183, 3071, 2982],
    [4608, 4524, 4418, 4355, 4273, 4238],
    [8, 8, 8, 8, 8, 8],
];
