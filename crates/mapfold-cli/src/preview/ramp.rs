//! Colour ramps: a handful of colours each, mixed linearly between.
//!
//! Sources: `viridis` and `magma` are ten samples of the tables of matplotlib (Smith, van der Walt, Firing; CC0).
//! `scl` has the class colours of ESA's Sentinel-2 Level-2A product specification. `grey`, `ndvi`, `terrain` and
//! `blues` were made for this program.

use super::PreviewError;
use mapfold::store::closest;

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A named way from numbers to colours.
#[derive(Debug, PartialEq)]
pub struct Ramp {
    /// As typed after `--ramp`.
    pub name: &'static str,
    /// For `--help`.
    pub about: &'static str,
    /// Positions (ascending) and their colours; positions are values when `range` is set, else 0 to 1.
    stops: &'static [(f32, Rgb)],
    /// Values that the ends stand for, for ramps that mean something at certain values.
    pub range: Option<(f32, f32)>,
    /// Classes: no mixing between stops, no averaging of pixels.
    pub classes: bool,
}

const fn hex(c: u32) -> Rgb {
    [(c >> 16) as u8, (c >> 8) as u8, c as u8]
}

/// Ten evenly spaced stops.
const fn even(colours: [u32; 10]) -> [(f32, Rgb); 10] {
    let mut stops = [(0.0, [0; 3]); 10];
    let mut i = 0;
    while i < 10 {
        stops[i] = (i as f32 / 9.0, hex(colours[i]));
        i += 1;
    }
    stops
}

const VIRIDIS: [(f32, Rgb); 10] =
    even([0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725]);
const MAGMA: [(f32, Rgb); 10] =
    even([0x000004, 0x180f3d, 0x440f76, 0x721f81, 0x9e2f7f, 0xcd4071, 0xf1605d, 0xfd9668, 0xfeca8d, 0xfcfdbf]);
const GREY: [(f32, Rgb); 2] = [(0.0, [0; 3]), (1.0, [255; 3])];
const BLUES: [(f32, Rgb); 4] =
    [(0.0, hex(0xf4f8fc)), (0.35, hex(0xa5cbe5)), (0.7, hex(0x3c86be)), (1.0, hex(0x08305f))];
/// Water, bare ground, then ever denser vegetation; positions are values of the index.
const NDVI: [(f32, Rgb); 9] = [
    (-0.2, hex(0x1f4e79)),
    (-0.05, hex(0x8fb0c4)),
    (0.0, hex(0xcdbfa4)),
    (0.15, hex(0xe3d3a0)),
    (0.3, hex(0xcfd97f)),
    (0.45, hex(0x92bf4b)),
    (0.6, hex(0x4f9a33)),
    (0.75, hex(0x1f6f2a)),
    (0.9, hex(0x0b4220)),
];
const TERRAIN: [(f32, Rgb); 7] = [
    (0.0, hex(0x2f6b4f)),
    (0.2, hex(0x7fa860)),
    (0.4, hex(0xd9cf8b)),
    (0.6, hex(0xb98b5a)),
    (0.8, hex(0x8a6a5c)),
    (0.92, hex(0xd5d0cc)),
    (1.0, hex(0xffffff)),
];
/// Classes 0 to 11: no data, defective, dark, shadow, vegetation, bare, water, unclassified, cloud (medium, high),
/// cirrus, snow.
const SCL: [(f32, Rgb); 12] = [
    (0.0, hex(0x000000)),
    (1.0, hex(0xff0000)),
    (2.0, hex(0x2f2f2f)),
    (3.0, hex(0x643200)),
    (4.0, hex(0x00a000)),
    (5.0, hex(0xffe65a)),
    (6.0, hex(0x0000ff)),
    (7.0, hex(0x808080)),
    (8.0, hex(0xc0c0c0)),
    (9.0, hex(0xffffff)),
    (10.0, hex(0x64c8ff)),
    (11.0, hex(0xff96ff)),
];

/// Every ramp, the default first.
const RAMPS: [Ramp; 8] = [
    Ramp { name: "grey", about: "black to white", stops: &GREY, range: None, classes: false },
    Ramp { name: "viridis", about: "even to the eye, colour-blind safe", stops: &VIRIDIS, range: None, classes: false },
    Ramp { name: "magma", about: "black over red to pale yellow", stops: &MAGMA, range: None, classes: false },
    Ramp {
        name: "ndvi",
        about: "water, soil, vegetation; -0.2 to 0.9",
        stops: &NDVI,
        range: Some((-0.2, 0.9)),
        classes: false,
    },
    Ramp { name: "terrain", about: "heights, green to white", stops: &TERRAIN, range: None, classes: false },
    Ramp { name: "blues", about: "pale to dark blue", stops: &BLUES, range: None, classes: false },
    Ramp { name: "scl", about: "Sentinel-2 scene classes", stops: &SCL, range: Some((0.0, 11.0)), classes: true },
    Ramp { name: "gray", about: "the same as grey", stops: &GREY, range: None, classes: false },
];

impl Ramp {
    /// The default: black to white.
    pub const GREY: &'static Ramp = &RAMPS[0];

    /// Every ramp, the default first; the last is another spelling of it.
    pub fn all() -> &'static [Ramp] {
        &RAMPS
    }

    /// All names, the default first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RAMPS.iter().map(|r| r.name).filter(|n| *n != "gray")
    }

    /// The ramp of this name, in any case.
    ///
    /// # Errors
    /// [`PreviewError::Ramp`] with the nearest name, or all names when none is near.
    pub fn named(name: &str) -> Result<&'static Ramp, PreviewError> {
        let wanted = name.to_ascii_lowercase();
        if let Some(ramp) = RAMPS.iter().find(|r| r.name == wanted) {
            return Ok(ramp);
        }
        let hint = match closest(name, Ramp::names()) {
            Some(n) => format!("did you mean {n:?}?"),
            None => format!("there are {}", Ramp::names().collect::<Vec<_>>().join(", ")),
        };
        Err(PreviewError::Ramp { name: name.to_owned(), hint })
    }

    /// The colour at `t` of the way from the low to the high end of the values drawn, `lo` to `hi`.
    pub fn at(&self, t: f32, (lo, hi): (f32, f32)) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        // A ramp with meaning keeps its colours at its values, whatever range is drawn.
        let x = if self.range.is_some() { lo + t * (hi - lo) } else { t };
        let above = self.stops.iter().position(|s| s.0 > x).unwrap_or(self.stops.len());
        if self.classes {
            let nearest = |s: &&(f32, Rgb)| ((s.0 - x).abs() * 1024.0) as u32;
            return self.stops.iter().min_by_key(nearest).map_or([0; 3], |s| s.1);
        }
        match (above.checked_sub(1).map(|i| self.stops[i]), self.stops.get(above)) {
            (Some(a), Some(b)) => mix(a.1, b.1, (x - a.0) / (b.0 - a.0)),
            (Some(a), None) => a.1,
            (None, b) => b.map_or([0; 3], |b| b.1),
        }
    }
}

fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * t).round() as u8)
}
