//! From a file in memory to a picture: the smallest TIFF there is, uint8, one strip.
#![allow(clippy::unwrap_used)]
use super::*;
use mapfold::raster::{RasterSource, tiff};
use mapfold::store::{Loc, Stores};

/// An uncompressed grey TIFF of `rows` x `cols` bytes with nodata 9.
fn grey_tiff(rows: u16, cols: u16, pixels: &[u8]) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries = [
        entry(256, 3, 1, u32::from(cols)),
        entry(257, 3, 1, u32::from(rows)),
        entry(258, 3, 1, 8),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, 1),
        entry(273, 4, 1, 8 + 2 + 11 * 12 + 4),
        entry(277, 3, 1, 1),
        entry(278, 3, 1, u32::from(rows)),
        entry(279, 4, 1, pixels.len() as u32),
        entry(339, 3, 1, 1),
        entry(42113, 2, 2, u32::from(b'9')),
    ];
    let count = (entries.len() as u16).to_le_bytes();
    [b"II*\0\x08\0\0\0", &count[..], &entries.concat(), &[0; 4], pixels].concat()
}

#[test]
fn a_file_becomes_a_picture_and_nodata_is_transparent() {
    let stores = Stores::new();
    let loc: Loc = "memory://preview/grey.tif".parse().unwrap();
    stores.put(&loc, grey_tiff(2, 3, &[0, 100, 200, 255, 9, 50]).into()).unwrap();
    let source = tiff::open(&stores, &loc).unwrap();
    let bands = choose_bands(source.meta(), &loc).unwrap();
    assert_eq!(bands, [0]);
    let planes = read(&stores, &source, &bands, 16, false).unwrap();
    assert_eq!((planes.rows, planes.cols), (2, 3));
    assert_eq!(planes.bands[0][..4], [0.0, 100.0, 200.0, 255.0]);
    assert_eq!(planes.valid, [255, 255, 255, 255, 0, 255]);
}

#[test]
fn a_picture_is_not_replaced_unasked() {
    let stores = Stores::new();
    let input: Loc = "memory://preview/in.tif".parse().unwrap();
    stores.put(&input, grey_tiff(1, 2, &[1, 2]).into()).unwrap();
    let output: Loc = "memory://preview/out.png".parse().unwrap();
    let mut args = PreviewArgs {
        input,
        output: output.clone(),
        size: 100,
        bands: None,
        stretch: None,
        ramp: None,
        legend: false,
        no_legend: false,
        overwrite: false,
        stores: mapfold::StoreArgs::default(),
    };
    let length = args.run(&stores).unwrap();
    let png = stores.get(&output).unwrap();
    assert_eq!((png.len() as u64, &png[1..4]), (length, &b"PNG"[..]));
    assert!(matches!(args.run(&stores), Err(PreviewError::Store(_))));
    args.overwrite = true;
    args.run(&stores).unwrap();
    args.bands = Some("7".to_owned());
    assert!(matches!(args.run(&stores), Err(PreviewError::Raster(_))));
}
