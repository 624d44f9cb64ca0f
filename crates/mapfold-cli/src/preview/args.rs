//! The command line of `mapfold preview`.

use super::{PreviewError, Ramp, RenderOptions, Stretch, choose_bands, read, render};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use mapfold::grid::DType;
use mapfold::raster::{RasterSource, tiff};
use mapfold::store::{Loc, StoreError, Stores};

/// Draw a raster as a PNG
#[derive(clap::Args, Clone, Debug)]
pub struct PreviewArgs {
    /// The raster; bands may be named behind it: scene.tif#4,3,2
    pub input: Loc,
    /// The picture, a PNG
    #[arg(short, long, value_name = "FILE.png")]
    pub output: Loc,
    /// Longer side of the picture in pixels; small rasters are enlarged by a whole number
    #[arg(long, default_value_t = 1000, value_name = "PIXELS")]
    pub size: usize,
    /// Bands to draw, by number or name: one, or red,green,blue
    #[arg(long, value_name = "LIST")]
    pub bands: Option<String>,
    /// Darkest and brightest at these percentiles of what is drawn (2,98 when none are given) instead of the smallest
    /// and largest value
    #[arg(long, value_name = "LOW,HIGH", num_args = 0..=1, require_equals = true, default_missing_value = "2,98",
          value_parser = Stretch::percentiles)]
    pub stretch: Option<Stretch>,
    /// Colours of a single band
    #[arg(long, value_name = "NAME", value_parser = ramps())]
    pub ramp: Option<&'static Ramp>,
    /// Draw a colour bar (the default with --ramp)
    #[arg(long, overrides_with = "no_legend")]
    pub legend: bool,
    /// Draw no colour bar
    #[arg(long, overrides_with = "legend")]
    pub no_legend: bool,
    /// Replace an existing picture
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: mapfold::StoreArgs,
}

/// The ramps by name, for clap to list, complete and find the nearest of.
fn ramps() -> impl TypedValueParser<Value = &'static Ramp> {
    let value = |r: &'static Ramp| PossibleValue::new(r.name).help(r.about).hide(r.name == "gray");
    PossibleValuesParser::new(Ramp::all().iter().map(value)).try_map(|name| Ramp::named(&name))
}

impl PreviewArgs {
    /// Reads, draws, writes; gives the number of bytes written.
    ///
    /// # Errors
    /// [`PreviewError`]: what cannot be read, drawn or written.
    pub fn run(&self, stores: &Stores) -> Result<u64, PreviewError> {
        self.check_output(stores)?;
        let png = self.png(stores)?;
        let length = png.len() as u64;
        match self.overwrite {
            true => stores.put(&self.output, png.into())?,
            false => stores.create(&self.output, png.into())?,
        }
        Ok(length)
    }

    /// A picture is a new file with the ending of one.
    fn check_output(&self, stores: &Stores) -> Result<(), PreviewError> {
        if !self.output.name().to_lowercase().ends_with(".png") {
            return Err(PreviewError::Ending(self.output.clone()));
        }
        if stores.same_object(&self.input, &self.output) {
            return Err(PreviewError::Itself(self.output.clone()));
        }
        stores.check_writable(&self.output)?;
        match !self.overwrite && stores.exists(&self.output)? {
            true => Err(StoreError::AlreadyExists { loc: self.output.to_string() }.into()),
            false => Ok(()),
        }
    }

    fn png(&self, stores: &Stores) -> Result<Vec<u8>, PreviewError> {
        let input = self.bands.as_deref().map_or(self.input.clone(), |b| self.input.with_fragment(b));
        let source = tiff::open(stores, &input.without_fragment())?;
        let bands = choose_bands(source.meta(), &input)?;
        let options = RenderOptions {
            size: self.size,
            stretch: self.stretch.unwrap_or_default(),
            ramp: self.ramp,
            legend: (self.legend || self.no_legend).then_some(self.legend),
            bytes: bands.iter().all(|b| source.meta().bands[*b].dtype == DType::U8),
        };
        let planes = read(stores, &source, &bands, self.size, self.ramp.is_some_and(|r| r.classes))?;
        render(&planes, &options)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::{Args, Command, FromArgMatches};

    fn parse(more: &[&str]) -> Result<PreviewArgs, String> {
        let command = PreviewArgs::augment_args(Command::new("preview"));
        command.clone().debug_assert();
        let words = ["preview", "in.tif", "-o", "out.png"].iter().chain(more);
        let matches = command.try_get_matches_from(words).map_err(|e| e.to_string())?;
        PreviewArgs::from_arg_matches(&matches).map_err(|e| e.to_string())
    }

    #[test]
    fn a_bare_stretch_is_2_to_98_and_the_last_word_about_the_legend_counts() {
        assert_eq!(parse(&[]).unwrap().stretch, None);
        let args = parse(&["--stretch", "--no-legend", "--legend"]).unwrap();
        assert_eq!(args.stretch, Some(Stretch::Percentile(0.02, 0.98)));
        assert!(args.legend && !args.no_legend);
        let args = parse(&["--stretch=5,95", "--ramp", "ndvi", "--legend", "--no-legend"]).unwrap();
        assert_eq!(args.stretch, Some(Stretch::Percentile(0.05, 0.95)));
        assert!(!args.legend && args.no_legend);
    }

    #[test]
    fn wrong_values_name_what_would_be_right() {
        assert!(parse(&["--ramp", "virdis"]).unwrap_err().contains("'viridis'"));
        assert!(parse(&["--stretch=9"]).unwrap_err().contains("--stretch=2,98"));
    }
}
