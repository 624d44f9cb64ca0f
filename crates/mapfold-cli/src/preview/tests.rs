//! Small pictures, looked at pixel by pixel.
#![allow(clippy::unwrap_used)]
use super::render::{Canvas, draw};
use super::*;

fn planes(rows: usize, cols: usize, bands: &[&[f32]]) -> Planes {
    let finite = |i: usize| {
        if bands.iter().all(|b| b[i].is_finite()) { 255 } else { 0 }
    };
    Planes {
        rows,
        cols,
        bands: bands.iter().map(|b| b.to_vec()).collect(),
        valid: (0..rows * cols).map(finite).collect(),
    }
}

fn at(canvas: &Canvas, row: usize, col: usize) -> [u8; 4] {
    canvas.rgba[row * canvas.cols + col]
}

fn decode(bytes: &[u8]) -> (u32, u32, png::ColorType, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut out = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut out).unwrap();
    out.truncate(info.buffer_size());
    (info.width, info.height, info.color_type, out)
}

#[test]
fn grey_goes_from_smallest_to_largest_and_invalid_is_transparent() {
    let image = planes(2, 2, &[&[10.0, 20.0, 30.0, f32::NAN]]);
    let bytes = render(&image, &RenderOptions { size: 16, ..RenderOptions::default() }).unwrap();
    let (width, height, kind, pixels) = decode(&bytes);
    assert_eq!((width, height, kind), (16, 16, png::ColorType::Rgba));
    let at = |row: usize, col: usize| &pixels[(row * 16 + col) * 4..][..4];
    assert_eq!(at(0, 0), [0, 0, 0, 255]);
    assert_eq!(at(7, 15), [128, 128, 128, 255]);
    assert_eq!(at(8, 7), [255, 255, 255, 255]);
    assert_eq!(at(15, 15), [0, 0, 0, 0]);
}

#[test]
fn a_picture_without_holes_is_rgb_and_small_rasters_grow_by_a_whole_number() {
    let values: Vec<f32> = (0..101 * 100).map(|i| i as f32).collect();
    let image = planes(101, 100, &[&values, &values, &values]);
    let (width, height, kind, pixels) = decode(&render(&image, &RenderOptions::default()).unwrap());
    assert_eq!((width, height, kind), (900, 909, png::ColorType::Rgb));
    assert_eq!(pixels[..27], [0; 27], "nine equal pixels");
}

#[test]
fn bytes_are_drawn_as_they_are_and_a_fourth_band_is_opacity() {
    let image = planes(1, 2, &[&[10.0, 20.0], &[30.0, 40.0], &[50.0, 60.0], &[255.0, 7.0]]);
    let options = RenderOptions { size: 16, bytes: true, ..RenderOptions::default() };
    let canvas = draw(&image, &options).unwrap();
    assert_eq!((at(&canvas, 0, 0), at(&canvas, 0, 15)), ([10, 30, 50, 255], [20, 40, 60, 7]));
    let not_bytes = RenderOptions { bytes: false, ..options };
    assert!(draw(&image, &not_bytes).unwrap_err().to_string().contains("4 given"));
}

#[test]
fn the_percentile_stretch_is_numpys() {
    // numpy.percentile(arange(101) ** 2, [2, 98]) = 4, 9604
    let mut squares: Vec<f32> = (0..101).rev().map(|i| (i * i) as f32).collect();
    assert_eq!(Stretch::Percentile(0.02, 0.98).range(&mut squares, Some((0.0, 1.0))), (4.0, 9604.0));
    // numpy.percentile([1, 2, 4], [10, 90]) = 1.2, 3.6
    let (lo, hi) = Stretch::percentiles("10, 90").unwrap().range(&mut [4.0, 1.0, 2.0], None);
    assert!((lo - 1.2).abs() < 1e-6 && (hi - 3.6).abs() < 1e-6, "{lo} {hi}");
    for wrong in ["2", "98,2", "2,101", "a,b", "NaN,3"] {
        assert!(Stretch::percentiles(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
    }
    assert_eq!(Stretch::Natural.range(&mut [7.0; 3], None), (6.5, 7.5), "one value is drawn in the middle");
    assert_eq!(Stretch::Natural.range(&mut [], None), (0.0, 1.0));
}

#[test]
fn ramps_hit_their_ends_and_mix_between() {
    let unit = (0.0, 1.0);
    let viridis = Ramp::named("Viridis").unwrap();
    assert_eq!((viridis.at(0.0, unit), viridis.at(1.0, unit)), ([0x44, 0x01, 0x54], [0xfd, 0xe7, 0x25]));
    assert_eq!(Ramp::GREY.at(0.5, (7.0, 9.0)), [128; 3]);
    let ndvi = Ramp::named("ndvi").unwrap();
    assert_eq!(ndvi.at(0.5, (-0.6, 0.6)), ndvi.at(0.0, (0.0, 0.9)), "colours stay at their values");
    let scl = Ramp::named("scl").unwrap();
    assert_eq!(scl.at(6.0 / 11.0, (0.0, 11.0)), [0, 0, 255], "water");
}

#[test]
fn a_misspelt_ramp_gets_the_nearest_name() {
    let hint = |name: &str| Ramp::named(name).unwrap_err().to_string();
    assert_eq!(hint("virdis"), r#"unknown colour ramp "virdis"; did you mean "viridis"?"#);
    let all = hint("rainbow");
    assert!(Ramp::names().all(|n| all.contains(n)), "{all}");
}

#[test]
fn shrinking_averages_valid_pixels_and_fades_by_their_share() {
    let mut shrink = Shrink::new(32, 32, 1, 16, false).unwrap();
    let row = |values: [f32; 2]| values.repeat(16);
    for r in 0..16 {
        let band = [row([1.0, 2.0]), row([4.0, f32::NAN])].concat();
        shrink.push(2 * r, &[&band], &[1; 64]).unwrap();
    }
    let small = shrink.finish();
    assert_eq!((small.rows, small.cols), (16, 16));
    assert!(small.bands[0].iter().all(|v| (v - 7.0 / 3.0).abs() < 1e-6));
    assert!(small.valid.iter().all(|v| *v == 192));
}

#[test]
fn shrinking_does_not_depend_on_the_cut_and_every_pixel_counts_once() {
    let (rows, cols) = (101, 67);
    let values: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919) % 1009) as f32).collect();
    let valid = vec![1; rows * cols];
    let shrunk = |step: usize| {
        let mut shrink = Shrink::new(rows, cols, 1, 40, false).unwrap();
        for row in (0..rows).step_by(step) {
            let end = (row + step).min(rows);
            shrink.push(row, &[&values[row * cols..end * cols]], &valid[row * cols..end * cols]).unwrap();
        }
        shrink
    };
    let whole = shrunk(rows);
    assert_eq!(shrunk(1).finish(), shrunk(7).finish());
    let planes = whole.finish();
    assert_eq!((planes.rows, planes.cols), (40, 27));
    assert!(planes.valid.iter().all(|v| *v == 255));
}

#[test]
fn classes_are_never_averaged() {
    let image = planes(32, 32, &[&[4.0, 6.0].repeat(512)]);
    let scl = Ramp::named("scl").unwrap();
    let options = RenderOptions { size: 16, ramp: Some(scl), legend: Some(false), ..RenderOptions::default() };
    let canvas = draw(&image, &options).unwrap();
    assert!(canvas.rgba.iter().all(|p| *p == [0, 0xa0, 0, 255]), "vegetation, not the bare soil between 4 and 6");
}

#[test]
fn the_legend_stands_under_the_picture_with_ends_of_the_ramp_and_ink() {
    let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
    let image = planes(10, 10, &[&values]);
    let viridis = Ramp::named("viridis").unwrap();
    let options = RenderOptions { ramp: Some(viridis), ..RenderOptions::default() };
    let canvas = draw(&image, &options).unwrap();
    assert_eq!((canvas.cols, canvas.rows), (1000, 1000 + 12 + 20 + 6 + 14 + 12));
    assert_eq!(at(&canvas, 1000 + 15, 12), [0x44, 0x01, 0x54, 255]);
    assert_eq!(at(&canvas, 1000 + 15, 987), [0xfd, 0xe7, 0x25, 255]);
    let ink = (1038..1052).flat_map(|r| (0..1000).map(move |c| (r, c))).filter(|(r, c)| at(&canvas, *r, *c)[0] == 34);
    assert!(ink.count() > 200, "numbers are written");
    let bare = draw(&image, &RenderOptions { legend: Some(false), ..options }).unwrap();
    assert_eq!(bare.rows, 1000);
}

#[test]
fn legend_numbers_have_the_decimals_that_their_steps_need() {
    use super::legend::number;
    let shown = [(0.35, 0.05), (-0.001, 0.2), (1200.0, 200.0), (3.5, 0.5), (2.5e7, 1e7)];
    assert_eq!(shown.map(|(v, step)| number(v, step)), ["0.35", "0.0", "1200", "3.5", "2.5e7"]);
}

#[test]
fn legend_places_are_round_numbers_inside_the_range() {
    use super::legend::round_places;
    let texts = |lo, hi, most| round_places(lo, hi, most).into_iter().map(|p| p.1).collect::<Vec<_>>().join(" ");
    assert_eq!(texts(-0.2, 0.9, 6), "-0.2 0.0 0.2 0.4 0.6 0.8");
    assert_eq!(texts(0.53, 0.78, 6), "0.55 0.60 0.65 0.70 0.75");
    assert_eq!(texts(0.0, 255.0, 6), "0 50 100 150 200 250");
    assert_eq!(texts(0.0, 10_000.0, 3), "0 5000 10000");
    assert!(round_places(f32::MIN, f32::MAX, 6).iter().all(|p| (0.0..=1.0).contains(&p.0)));
    let zero = &round_places(-0.2, 0.9, 6)[1];
    assert!((zero.0 - 0.2 / 1.1).abs() < 1e-6);
}

#[test]
fn the_coarsest_level_that_is_large_enough_is_read() {
    let levels = [(10980, 10980), (5490, 5490), (2745, 2745), (1373, 1373), (687, 687)];
    assert_eq!([16384, 6000, 1000, 687, 100].map(|size| choose_level(&levels, size)), [0, 0, 3, 4, 4]);
    assert_eq!(choose_level(&[(100, 101)], 1000), 0);
}

#[test]
fn what_makes_no_picture_says_so() {
    let two = planes(1, 1, &[&[1.0], &[2.0]]);
    let options = RenderOptions::default();
    assert!(render(&two, &options).unwrap_err().to_string().contains("--bands 4,3,2"));
    assert!(matches!(render(&planes(0, 5, &[&[]]), &options), Err(PreviewError::Empty(0, 5))));
    let one = planes(1, 1, &[&[1.0]]);
    assert!(matches!(render(&one, &RenderOptions { size: 3, ..options }), Err(PreviewError::Size(3))));
    let short = Planes { valid: vec![], ..one };
    assert!(matches!(render(&short, &options), Err(PreviewError::Length { band: 0, got: 0, want: 1 })));
}
