//! Coordinate reference systems, carried and not interpreted.
//!
//! A CRS read from a file travels as the file said it: the EPSG code when there is one, and every GeoKey verbatim
//! (citations and user-defined parameters included), so that a copy loses nothing. Transforming coordinates is not
//! done here.

use serde::{Deserialize, Serialize};

/// Whether a pixel's georeference names its corner (`Area`) or its centre (`Point`); the affine here is always of
/// the corner, this only says what the file is to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RasterType {
    /// RasterPixelIsArea, the usual case.
    #[default]
    Area,
    /// RasterPixelIsPoint, common for elevation models.
    Point,
}

/// The value of one GeoKey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum GeoKeyValue {
    /// A code.
    Short(u16),
    /// Numbers such as projection parameters.
    Doubles(Vec<f64>),
    /// Text such as a citation (without the trailing `|`).
    Ascii(String),
}

/// One GeoKey of a GeoTIFF, verbatim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeoKey {
    /// Key number (1024 GTModelType, 3072 ProjectedCRS, ...).
    pub id: u16,
    /// Its value.
    pub value: GeoKeyValue,
}

/// A coordinate reference system as its file names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Crs {
    /// EPSG code, when the CRS is not user-defined.
    pub epsg: Option<u32>,
    /// GeoKeys verbatim, ascending by id (GTRasterType left out: see [`Crs::raster_type`]).
    pub geokeys: Vec<GeoKey>,
    /// What the file's georeference names.
    pub raster_type: RasterType,
}

impl Crs {
    /// A CRS by its EPSG code. Codes 4000..=4999 are taken as geographic, others as projected, as GeoKeys need it.
    ///
    /// ```
    /// # use mapfold_grid::Crs;
    /// assert_eq!(Crs::from_epsg(32633).to_string(), "EPSG:32633");
    /// ```
    pub fn from_epsg(code: u32) -> Crs {
        let geographic = (4000..5000).contains(&code);
        let (model, key) = if geographic { (2, 2048) } else { (1, 3072) };
        let short = |id, v| GeoKey { id, value: GeoKeyValue::Short(v) };
        let geokeys = vec![short(1024, model), short(key, code as u16)];
        Crs { epsg: Some(code), geokeys, raster_type: RasterType::Area }
    }

    /// The first citation of the GeoKeys, for people.
    pub fn citation(&self) -> Option<&str> {
        self.geokeys.iter().find_map(|k| match (&k.value, k.id) {
            (GeoKeyValue::Ascii(s), 1026 | 2049 | 3073) => Some(s.as_str()),
            _ => None,
        })
    }

    /// Whether there is any CRS at all.
    pub fn is_known(&self) -> bool {
        self.epsg.is_some() || !self.geokeys.is_empty()
    }

    /// Equal as a reference system: the same EPSG code, or the same GeoKeys when there is no code.
    pub fn same_as(&self, other: &Crs) -> bool {
        match (self.epsg, other.epsg) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.geokeys == other.geokeys,
            _ => false,
        }
    }
}

impl std::fmt::Display for Crs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.epsg, self.citation()) {
            (Some(code), _) => write!(f, "EPSG:{code}"),
            (None, Some(text)) => write!(f, "user-defined CRS {text:?}"),
            (None, None) if self.is_known() => write!(f, "user-defined CRS"),
            (None, None) => write!(f, "no CRS"),
        }
    }
}
