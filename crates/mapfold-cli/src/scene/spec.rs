//! Which scene: seed, size, date, and the bands there are.

use mapfold::grid::{Affine, Crs, DType, GeoBox, Shape};
use mapfold::store::closest;

/// One band of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Band {
    /// Blue, reflectance x 10000.
    B02,
    /// Green.
    B03,
    /// Red.
    B04,
    /// Near infrared.
    B08,
    /// Scene classes of Level-2A: 3 shadow, 4 vegetation, 5 bare soil, 6 water, 8 and 9 cloud, 10 cirrus, 0 nodata.
    Scl,
}

/// A scene that cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// A band that does not exist.
    #[error("unknown band {band:?}; {hint}")]
    Band {
        /// As typed.
        band: String,
        /// Nearest name, or the list.
        hint: String,
    },
    /// A size that makes no scene.
    #[error("--size {0} is out of range; give 1 to 200000 pixels")]
    Size(usize),
    /// No date, or too many for a year.
    #[error("--dates {0} is out of range; give 1 to 365")]
    Dates(usize),
}

impl Band {
    /// All bands.
    pub const ALL: [Band; 5] = [Band::B02, Band::B03, Band::B04, Band::B08, Band::Scl];

    /// `B02`, ..., `SCL`.
    pub fn name(self) -> &'static str {
        match self {
            Band::B02 => "B02",
            Band::B03 => "B03",
            Band::B04 => "B04",
            Band::B08 => "B08",
            Band::Scl => "SCL",
        }
    }

    /// Type of the file's values: uint8 for classes, uint16 for reflectance.
    pub fn dtype(self) -> DType {
        if self == Band::Scl { DType::U8 } else { DType::U16 }
    }

    /// The bands of a list such as `B02,B04,SCL`, in its order, in any case.
    ///
    /// # Errors
    /// [`SceneError::Band`] with the nearest name.
    pub fn list(text: &str) -> Result<Vec<Band>, SceneError> {
        text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(Band::named).collect()
    }

    fn named(name: &str) -> Result<Band, SceneError> {
        let wanted = name.to_ascii_uppercase();
        if let Some(band) = Band::ALL.into_iter().find(|b| b.name() == wanted) {
            return Ok(band);
        }
        let all = Band::ALL.map(Band::name);
        let hint = match closest(name, all) {
            Some(near) => format!("did you mean {near:?}? There are {}", all.join(", ")),
            None => format!("there are {}", all.join(", ")),
        };
        Err(SceneError::Band { band: name.to_owned(), hint })
    }
}

/// One date of a synthetic scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneSpec {
    /// Rows and columns.
    pub size: usize,
    /// The landscape.
    pub seed: u64,
    /// Which date, from 0: season, clouds and noise.
    pub date: usize,
    /// How many dates the year is divided into.
    pub dates: usize,
    /// An empty wedge (value 0) at the left edge, as at the border of a swath.
    pub nodata_wedge: bool,
}

impl SceneSpec {
    /// The scenes of all dates.
    ///
    /// # Errors
    /// For a size or a number of dates out of range.
    pub fn all(size: usize, seed: u64, dates: usize, nodata_wedge: bool) -> Result<Vec<SceneSpec>, SceneError> {
        if !(1..=200_000).contains(&size) {
            return Err(SceneError::Size(size));
        }
        if !(1..=365).contains(&dates) {
            return Err(SceneError::Dates(dates));
        }
        Ok((0..dates).map(|date| SceneSpec { size, seed, date, dates, nodata_wedge }).collect())
    }

    /// The ground: 10 m pixels in UTM zone 33 north.
    pub fn geobox(&self) -> GeoBox {
        let shape = Shape { rows: self.size, cols: self.size };
        GeoBox { shape, affine: Affine::north_up(600_000.0, 5_100_000.0, 10.0, 10.0), crs: Crs::from_epsg(32633) }
    }

    /// Day of the year, from 1: dates are spread evenly from 8 January on.
    pub fn day_of_year(&self) -> usize {
        8 + self.date * 365 / self.dates - if self.date * 365 / self.dates > 357 { 365 } else { 0 }
    }

    /// Folder of the date: `S2_20230108`.
    pub fn name(&self) -> String {
        const MONTHS: [usize; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let year = if self.date * 365 / self.dates > 357 { 2024 } else { 2023 };
        let mut day = self.day_of_year();
        let mut month = 0;
        while day > MONTHS[month] {
            day -= MONTHS[month];
            month += 1;
        }
        format!("S2_{year}{:02}{day:02}", month + 1)
    }

    /// -1 in deep winter, 1 in high summer: a parabola instead of a sine, the same on every machine.
    pub(super) fn season(&self) -> f32 {
        // Days since 10 April as a part of the year, -0.5 to 0.5.
        let turn = (self.day_of_year() as f32 + 265.0) / 365.0;
        let part = turn - (turn + 0.5).floor();
        16.0 * part * (0.5 - part.abs())
    }
}
