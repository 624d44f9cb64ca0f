//! Opening: requests, bands by fragment, sidecars, replayed plans, and the texts of errors.
#![allow(clippy::unwrap_used)]

mod read_support;

use bytes::Bytes;
use mapfold_raster::tiff::{TiffSource, open, open_bytes, select_bands};
use mapfold_raster::{RasterError, RasterSource};
use mapfold_store::{Loc, Stores};
use read_support::{data, read, whole};

fn memory(stores: &Stores, file: &str) -> Loc {
    let loc = Loc::parse(&format!("memory://data/{file}")).unwrap();
    stores.put(&loc, Bytes::from(std::fs::read(data(&format!("tiff/{file}"))).unwrap())).unwrap();
    loc
}

#[test]
fn a_cog_opens_with_its_size_and_one_read() {
    let stores = Stores::new();
    for (file, most) in [("cog.tif", 2), ("one_strip.tif", 2), ("overviews_average.tif", 2)] {
        let loc = memory(&stores, file);
        let before = stores.counters();
        open(&stores, &loc).unwrap();
        let after = stores.counters();
        assert!(after.requests - before.requests <= most, "{file}: {} requests", after.requests - before.requests);
        assert!(after.bytes_read - before.bytes_read <= 64 << 10, "{file}");
    }
}

#[test]
fn a_directory_at_the_end_costs_one_read_more() {
    let stores = Stores::new();
    let small = std::fs::read(data("tiff/two_pages.tif")).unwrap();
    // The same file with its first directory moved behind a megabyte of nothing; values stay where they are.
    let at = u32::from_le_bytes(small[4..8].try_into().unwrap()) as usize;
    let len = 2 + 12 * usize::from(u16::from_le_bytes(small[at..at + 2].try_into().unwrap()));
    let mut file = small.clone();
    file.resize(1 << 20, 0);
    file.extend_from_slice(&small[at..at + len]);
    file.extend_from_slice(&[0; 4]);
    file[4..8].copy_from_slice(&(1u32 << 20).to_le_bytes());
    let loc = Loc::parse("memory://data/end.tif").unwrap();
    stores.put(&loc, Bytes::from(file)).unwrap();
    let before = stores.counters().requests;
    let source = open(&stores, &loc).unwrap();
    assert_eq!(stores.counters().requests - before, 3, "size, start, end");
    assert_eq!(source.meta().geobox.crs.epsg, Some(32633));
}

#[test]
fn bands_by_number_name_and_list() {
    let stores = Stores::new();
    let loc = memory(&stores, "scaled.tif");
    let source = open(&stores, &loc).unwrap();
    let select = |fragment: &str| select_bands(source.meta(), &loc.with_fragment(fragment));
    assert_eq!(select_bands(source.meta(), &loc).unwrap(), [0, 1]);
    assert_eq!(select("2").unwrap(), [1]);
    assert_eq!(select("t2m").unwrap(), [0]);
    assert_eq!(select("2,t2m").unwrap(), [1, 0]);
    let near = select("t2n").unwrap_err().to_string();
    assert!(near.contains("has no band \"t2n\"; did you mean \"t2m\"?"), "{near}");
    let list = select("3").unwrap_err().to_string();
    assert!(list.contains("it has bands #1 to #2: t2m, wind & <rain>"), "{list}");
    assert!(select("T2M").unwrap_err().to_string().contains("did you mean \"t2m\"?"), "case counts");
}

#[test]
fn a_source_that_was_written_down_reads_the_same() {
    for file in ["tiff/cog.tif", "tiff/nodata_nan_f32.tif", "tiff/internal_mask.tif", "tiff/user_crs.tif"] {
        let (source, bytes) = read_support::open(file).unwrap();
        let text = postcard::to_stdvec(&source).unwrap();
        let back: TiffSource = postcard::from_bytes(&text).unwrap();
        assert_eq!(format!("{back:?}"), format!("{source:?}"), "{file}");
        let want = whole(&source, 0);
        let (a, b) = (read::<u16>(&source, &bytes, &want).unwrap(), read::<u16>(&back, &bytes, &want).unwrap());
        assert!(a == b, "{file}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    let stores = Stores::new();
    let open = |file: &str| open(&stores, &Loc::local(data(&format!("tiff/{file}"))));
    let said = |file: &str| open(file).unwrap().meta().warnings.join("; ");
    assert!(said("sidecar.tif").contains("sidecar.tif.aux.xml beside it is not read"), "{}", said("sidecar.tif"));
    assert!(said("two_pages.tif").contains("1 further pages"), "{}", said("two_pages.tif"));
    assert_eq!((said("cog.tif"), said("alpha.tif")), (String::new(), String::new()));
}

#[test]
fn alpha_bands_are_named() {
    let mut file = std::fs::read(data("tiff/alpha.tif")).unwrap();
    let entry = file.windows(4).position(|w| w == [0x52, 1, 3, 0]).unwrap();
    file[entry + 8] = 2; // ExtraSamples: unassociated alpha instead of unspecified
    let source = open_bytes(file.into(), &Loc::parse("memory://data/alpha.tif").unwrap()).unwrap();
    assert_eq!(source.meta().warnings, ["band 4 is an alpha band; it is read as a normal band"]);
}

#[test]
fn errors_say_what_and_where() {
    let stores = Stores::new();
    let text = |file: &str| match open(&stores, &Loc::local(data(&format!("tiff/{file}")))) {
        Err(why) => why.to_string(),
        Ok(source) => {
            let file = Bytes::from(std::fs::read(data(&format!("tiff/{file}"))).unwrap());
            read::<f32>(&source, &file, &whole(&source, 0)).unwrap_err().to_string()
        }
    };
    for (file, said) in [
        ("corrupt_text.tif", "is not a TIFF file (it looks like an HTML or XML page)"),
        ("refuse_lzw.tif", "uses LZW compression (5), which is not supported"),
        ("corrupt_width_0.tif", "damaged header: its width is 0"),
        ("corrupt_deflate.tif", "tile (0, 0) of level 0 is corrupt: its DEFLATE data is damaged or cut off"),
        ("corrupt_offset.tif", "tile (0, 0) of level 0 is truncated: it lies at bytes 4294967040.."),
    ] {
        assert!(text(file).contains(said), "{file}: {}", text(file));
    }
    let missing = open(&stores, &Loc::local(data("tiff/no_such.tif"))).unwrap_err();
    assert!(matches!(missing, RasterError::Store(_)) && missing.to_string().contains("not found"), "{missing}");
}
