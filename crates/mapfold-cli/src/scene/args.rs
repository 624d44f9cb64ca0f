//! The command line of `mapfold gen scene`, and the list of files that it asks for.

use super::{Band, SceneError, SceneSpec};
use mapfold::store::Loc;

/// Make synthetic Sentinel-2-like scenes: one folder per date, one COG per band
#[derive(clap::Args, Clone, Debug)]
pub struct SceneArgs {
    /// Where the scenes go; made when it is not there
    #[arg(value_name = "FOLDER")]
    pub out: Loc,
    /// Edge of the square scene, 10 m pixels
    #[arg(long, default_value_t = 2048, value_name = "PIXELS")]
    pub size: usize,
    /// Same seed, same pixels
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub seed: u64,
    /// Which bands
    #[arg(long, default_value = "B02,B03,B04,B08,SCL", value_name = "LIST")]
    pub bands: String,
    /// How many dates, spread over a year
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub dates: usize,
    /// Leave a wedge at the left edge empty (value 0), as at the border of a swath
    #[arg(long)]
    pub nodata_wedge: bool,
}

/// One file to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneFile {
    /// Where: `FOLDER/S2_20230108/B04.tif`.
    pub loc: Loc,
    /// Which scene.
    pub spec: SceneSpec,
    /// Which band of it.
    pub band: Band,
}

impl SceneArgs {
    /// The files, date after date.
    ///
    /// # Errors
    /// [`SceneError`] for a band, a size or a number of dates that cannot be.
    pub fn files(&self) -> Result<Vec<SceneFile>, SceneError> {
        let bands = Band::list(&self.bands)?;
        let specs = SceneSpec::all(self.size, self.seed, self.dates, self.nodata_wedge)?;
        let file = |spec: SceneSpec, band: Band| {
            let loc = self.out.join(&spec.name()).join(&format!("{}.tif", band.name()));
            SceneFile { loc, spec, band }
        };
        Ok(specs.into_iter().flat_map(|spec| bands.iter().map(move |band| file(spec, *band))).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::{Args, Command, FromArgMatches};

    #[test]
    fn one_file_per_date_and_band() {
        let words = ["scene", "out", "--dates", "2", "--bands", "B08,SCL", "--size", "64"];
        let matches = SceneArgs::augment_args(Command::new("scene")).get_matches_from(words);
        let args = SceneArgs::from_arg_matches(&matches).unwrap();
        let files = args.files().unwrap();
        let names: Vec<String> = files.iter().map(|f| f.loc.to_string()).collect();
        let want = ["S2_20230108/B08.tif", "S2_20230108/SCL.tif", "S2_20230709/B08.tif", "S2_20230709/SCL.tif"];
        assert!(names.iter().zip(want).all(|(name, end)| name.ends_with(end)), "{names:?}");
        assert_eq!((files[3].band, files[3].spec.date), (Band::Scl, 1));
    }
}
