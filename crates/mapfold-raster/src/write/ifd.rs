//! TIFF and BigTIFF headers: directories first, then the values that do not fit into them.
//!
//! The header's size is known before the first pixel: every array has its final length, and texts that come last
//! are given their longest form. Only the content waits for the end.

use super::BigTiff;
use super::assemble::STEP;
use super::layout::Layout;
use super::metadata::{GeoTags, Placement, geo_tags, number, photometric, placement, xml};
use super::stats::BandStatistics;

/// GDAL's promise about the file, right behind the TIFF header. ROW_MAJOR order and interleaved masks are not promised.
const GHOST: &str = "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";

/// Where the pieces of one level lie in the file: per plane, tile by tile. (0, 0) = left out.
pub(crate) type Offsets = Vec<Vec<(u64, u32)>>;

/// What is known only at the end.
pub(crate) struct Ending<'a> {
    /// Per level.
    pub offsets: &'a [Offsets],
    pub statistics: Option<&'a [BandStatistics]>,
    pub big: bool,
}

/// Room to keep for the header: enough for whichever of the two kinds it may become.
pub(crate) fn reserved_size(layout: &Layout) -> u64 {
    let none = |k: usize| vec![vec![(0, 0); layout.tile_count(k)]; layout.planes()];
    let offsets: Vec<Offsets> = (0..layout.levels().len()).map(none).collect();
    let size = |big| render(layout, &Ending { offsets: &offsets, statistics: None, big }).len() as u64;
    let classic = size(false);
    match layout.bigtiff {
        BigTiff::No => classic,
        BigTiff::Auto if classic + STEP + layout.max_data_bytes() <= u64::from(u32::MAX) => classic,
        _ => size(true),
    }
}

/// One tag: number, TIFF type, count and little-endian values.
struct Tag {
    id: u16,
    kind: u16,
    count: u64,
    bytes: Vec<u8>,
}

fn short(id: u16, v: &[u16]) -> Tag {
    Tag { id, kind: 3, count: v.len() as u64, bytes: v.iter().flat_map(|x| x.to_le_bytes()).collect() }
}

fn long(id: u16, v: impl ExactSizeIterator<Item = u32>) -> Tag {
    Tag { id, kind: 4, count: v.len() as u64, bytes: v.flat_map(u32::to_le_bytes).collect() }
}

fn long8(id: u16, v: impl ExactSizeIterator<Item = u64>) -> Tag {
    Tag { id, kind: 16, count: v.len() as u64, bytes: v.flat_map(u64::to_le_bytes).collect() }
}

fn double(id: u16, v: &[f64]) -> Tag {
    Tag { id, kind: 12, count: v.len() as u64, bytes: v.iter().flat_map(|x| x.to_le_bytes()).collect() }
}

fn ascii(id: u16, text: &str) -> Tag {
    let bytes: Vec<u8> = text.bytes().filter(|b| *b != 0).chain([0]).collect();
    Tag { id, kind: 2, count: bytes.len() as u64, bytes }
}

/// The header of the file.
pub(crate) fn render(layout: &Layout, ending: &Ending<'_>) -> Vec<u8> {
    let mut file = Directories::start(ending.big, layout.framed());
    for (k, planes) in ending.offsets.iter().enumerate() {
        let (image, mask) = planes.split_at(layout.spec.bands);
        file.add(image_tags(layout, k, image, ending));
        if let Some(mask) = mask.first() {
            file.add(mask_tags(layout, k, mask, ending.big));
        }
    }
    file.bytes
}

fn image_tags(layout: &Layout, k: usize, planes: &[Vec<(u64, u32)>], ending: &Ending<'_>) -> Vec<Tag> {
    let (spec, bands) = (&layout.spec, layout.spec.bands);
    let (colour, extra) = photometric(layout);
    let format = match spec.dtype {
        d if d.is_float() => 3,
        d if d.range().0 < 0.0 => 2,
        _ => 1,
    };
    let mut tags = common_tags(layout, k, if k > 0 { 1 } else { 0 });
    tags.push(short(258, &vec![8 * spec.dtype.size() as u16; bands]));
    tags.push(short(262, &[colour]));
    tags.push(short(277, &[bands as u16]));
    tags.push(short(284, &[if bands > 1 { 2 } else { 1 }]));
    tags.push(short(339, &vec![format; bands]));
    if layout.predictor > 1 {
        tags.push(short(317, &[layout.predictor]));
    }
    if !extra.is_empty() {
        tags.push(short(338, &extra));
    }
    if let Some(v) = layout.nodata() {
        tags.push(ascii(42113, &number(v)));
    }
    if k == 0 {
        tags.push(ascii(42112, &xml(layout, ending.statistics)));
        tags.extend(ground_tags(layout));
    }
    tags.extend(place_tags(&planes.concat(), ending.big));
    tags
}

fn mask_tags(layout: &Layout, k: usize, plane: &[(u64, u32)], big: bool) -> Vec<Tag> {
    let mut tags = common_tags(layout, k, if k > 0 { 5 } else { 4 });
    tags.extend([(258, 1), (262, 4), (277, 1), (284, 1), (339, 1)].map(|(id, v)| short(id, &[v])));
    tags.extend(place_tags(plane, big));
    tags
}

/// Tags that image and mask share. `kind`: 1 = overview, 4 = mask, added up.
fn common_tags(layout: &Layout, k: usize, kind: u32) -> Vec<Tag> {
    let shape = layout.levels()[k].shape;
    let mut tags = vec![
        long(256, [shape.cols as u32].into_iter()),
        long(257, [shape.rows as u32].into_iter()),
        short(259, &[layout.compress.code()]),
        short(322, &[layout.tile as u16]),
        short(323, &[layout.tile as u16]),
    ];
    if kind > 0 {
        tags.push(long(254, [kind].into_iter()));
    }
    tags
}

fn place_tags(places: &[(u64, u32)], big: bool) -> [Tag; 2] {
    let offsets = places.iter().map(|p| p.0);
    let offsets = if big { long8(324, offsets) } else { long(324, offsets.map(|o| o as u32)) };
    [offsets, long(325, places.iter().map(|p| p.1))]
}

fn ground_tags(layout: &Layout) -> Vec<Tag> {
    let geobox = &layout.spec.geobox;
    let placement = placement(&geobox.affine, &geobox.crs);
    let GeoTags { directory, doubles, text } = geo_tags(&geobox.crs, !matches!(placement, Placement::Nowhere));
    let mut tags = match placement {
        Placement::Nowhere => vec![],
        Placement::NorthUp(scale, tie) => vec![double(33550, &scale), double(33922, &tie)],
        Placement::Matrix(m) => vec![double(34264, &m)],
    };
    if !directory.is_empty() {
        tags.push(short(34735, &directory));
    }
    if !doubles.is_empty() {
        tags.push(double(34736, &doubles));
    }
    if !text.is_empty() {
        tags.push(ascii(34737, &text));
    }
    tags
}

/// A header in the making: each directory is followed by its own values and linked from the one before.
struct Directories {
    bytes: Vec<u8>,
    big: bool,
    /// Where the offset of the next directory goes.
    link: usize,
}

impl Directories {
    fn start(big: bool, ghost: bool) -> Directories {
        let mut bytes = if big { b"II\x2b\0\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec() } else { b"II\x2a\0\0\0\0\0".to_vec() };
        if ghost {
            bytes.extend(format!("GDAL_STRUCTURAL_METADATA_SIZE={:06} bytes\n{GHOST}", GHOST.len()).bytes());
        }
        // The first directory begins right behind the ghost area, at an even place: GDAL's validation insists.
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        Directories { bytes, big, link: if big { 8 } else { 4 } }
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// An offset or a count, in the width of this kind of file.
    fn put(&mut self, at: usize, v: u64) {
        let width = if self.big { 8 } else { 4 };
        self.bytes[at..at + width].copy_from_slice(&v.to_le_bytes()[..width]);
    }

    fn add(&mut self, mut tags: Vec<Tag>) {
        tags.sort_by_key(|t| t.id);
        let (entry, inline, start) = if self.big { (20, 8, 8) } else { (12, 4, 2) };
        let at = self.bytes.len();
        self.put(self.link, at as u64);
        self.bytes.extend_from_slice(&(tags.len() as u64).to_le_bytes()[..start]);
        self.link = at + start + entry * tags.len();
        self.bytes.resize(self.link + inline, 0);
        for (i, tag) in tags.iter().enumerate() {
            self.write_tag(at + start + entry * i, tag, inline);
        }
        self.align();
    }

    fn write_tag(&mut self, at: usize, tag: &Tag, inline: usize) {
        self.bytes[at..at + 2].copy_from_slice(&tag.id.to_le_bytes());
        self.bytes[at + 2..at + 4].copy_from_slice(&tag.kind.to_le_bytes());
        self.put(at + 4, tag.count);
        let value = at + 4 + inline;
        if tag.bytes.len() <= inline {
            self.bytes[value..value + tag.bytes.len()].copy_from_slice(&tag.bytes);
            return;
        }
        self.align();
        let place = self.bytes.len() as u64;
        self.put(value, place);
        self.bytes.extend_from_slice(&tag.bytes);
    }
}
