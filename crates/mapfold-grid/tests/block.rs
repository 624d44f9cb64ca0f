//! Validity laws of blocks: a band's invalid pixel never takes another band's valid one along.
#![allow(clippy::unwrap_used)]

use mapfold_grid::{Block, GeoBox, Padded, Shape, Window};
use std::sync::Arc;

fn two_bands() -> Block<u16> {
    let grid = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 2 }));
    let block = Block::new(grid.clone(), grid.shape.window(), 2, vec![0, 5, 7, 0]).unwrap();
    block.with_nodata(vec![Some(0), Some(0)])
}

fn valid<T: mapfold_grid::Pixel>(b: &Block<T>) -> Vec<Option<T>> {
    (0..b.band_count()).flat_map(|band| (0..b.pixel_count()).map(move |i| b.value(band, 0, i))).collect()
}

#[test]
fn values_keep_the_validity_of_each_band() {
    let bytes = two_bands().values(|v| v as u8);
    assert_eq!(valid(&bytes), [None, Some(5), Some(7), None]);
}

#[test]
fn a_mask_over_bands_of_their_own_validity_drops_what_it_sees_only() {
    // Only pixels valid in both bands are seen: here none.
    let masked = two_bands().values(|v| v as u8).mask(|[_, _]| true);
    assert_eq!(valid(&masked), [None, Some(5), Some(7), None]);
    let one = two_bands().values(|v| v as u8).bands(1..2);
    assert_eq!(valid(&one), [Some(7), None]);
    let dropped = one.mask(|[v]| v == 7);
    assert_eq!(valid(&dropped), [None, None]);
}

#[test]
fn crop_and_trim_carry_masks_of_bands() {
    let bytes = two_bands().values(|v| v as u8);
    let right = bytes.crop(Window { row: 0, col: 1, rows: 1, cols: 1 });
    assert_eq!(valid(&right), [Some(5), None]);
    assert_eq!(valid(&Padded::new(bytes.clone(), 0).trim()), valid(&bytes));
}

#[test]
fn stacking_equal_masks_keeps_one() {
    let bytes = two_bands().values(|v| v as u8).bands(0..1);
    let twice = Block::stack(vec![bytes.clone(), bytes]);
    assert_eq!(twice.band_mask(0), twice.band_mask(1));
    assert_eq!(twice.bytes(), 4 + 2);
}
