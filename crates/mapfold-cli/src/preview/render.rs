//! From planes to a PNG: stretch, colour, enlarge, legend, encode.

use super::legend::Legend;
use super::{Planes, PreviewError, Ramp, Shrink, Stretch};

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions {
    /// Longer side of the picture in pixels, about: small rasters are enlarged by a whole number.
    pub size: usize,
    /// Which values are darkest and brightest.
    pub stretch: Stretch,
    /// Colours of a single band; `None` = grey.
    pub ramp: Option<&'static Ramp>,
    /// A colour bar with numbers; `None` = when a ramp was asked for.
    pub legend: Option<bool>,
    /// The values are uint8: drawn as they are unless stretched, and a fourth band is the opacity.
    pub bytes: bool,
}

impl Default for RenderOptions {
    fn default() -> RenderOptions {
        RenderOptions { size: 1000, stretch: Stretch::default(), ramp: None, legend: None, bytes: false }
    }
}

/// RGBA pixels, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Canvas {
    pub rows: usize,
    pub cols: usize,
    pub rgba: Vec<[u8; 4]>,
}

/// The picture as the bytes of a PNG file.
///
/// # Errors
/// For a number of bands that makes no picture, arrays that do not fit together, or a size out of range.
pub fn render(image: &Planes, options: &RenderOptions) -> Result<Vec<u8>, PreviewError> {
    encode(&draw(image, options)?)
}

/// The picture as pixels.
pub(super) fn draw(image: &Planes, options: &RenderOptions) -> Result<Canvas, PreviewError> {
    if !matches!((image.bands.len(), options.bytes), (1 | 3, _) | (4, true)) {
        return Err(PreviewError::Bands(image.bands.len()));
    }
    let classes = options.ramp.is_some_and(|r| r.classes);
    let mut shrink = Shrink::new(image.rows, image.cols, image.bands.len(), options.size, classes)?;
    let bands: Vec<&[f32]> = image.bands.iter().map(Vec::as_slice).collect();
    let n = image.rows * image.cols;
    if image.valid.len() != n {
        return Err(PreviewError::Length { band: 0, got: image.valid.len(), want: n });
    }
    shrink.push(0, &bands, &image.valid)?;
    let mut small = shrink.finish();
    if (small.rows, small.cols) == (image.rows, image.cols) {
        // Already shrunk: keep the shares of valid pixels.
        small.valid.iter_mut().zip(&image.valid).for_each(|(new, old)| *new = if *new == 0 { 0 } else { *old });
    }
    let (canvas, range) = colour(&small, options);
    let factor = (options.size / canvas.rows.max(canvas.cols)).max(1);
    let canvas = enlarge(&canvas, factor);
    let ramp = options.ramp.unwrap_or(Ramp::GREY);
    match small.bands.len() == 1 && options.legend.unwrap_or(options.ramp.is_some()) {
        true => Ok(Legend { ramp, range }.under(canvas)),
        false => Ok(canvas),
    }
}

/// Values to colours, and the range drawn (of the first band).
fn colour(image: &Planes, options: &RenderOptions) -> (Canvas, (f32, f32)) {
    let ramp = options.ramp.unwrap_or(Ramp::GREY);
    let natural =
        if image.bands.len() == 1 && ramp.range.is_some() { ramp.range } else { options.bytes.then_some((0.0, 255.0)) };
    let ranges: Vec<(f32, f32)> =
        image.bands.iter().take(3).map(|b| options.stretch.range(&mut valid(b, &image.valid), natural)).collect();
    let level = |band: usize, at: usize| {
        let (lo, hi) = ranges[band];
        // Halves, so that the span of two f32 cannot overflow.
        ((image.bands[band][at] / 2.0 - lo / 2.0) / (hi / 2.0 - lo / 2.0)).clamp(0.0, 1.0)
    };
    let grey = |t: f32| (t * 255.0).round() as u8;
    let pixel = |at: usize| {
        let alpha = image.valid[at];
        match (alpha, image.bands.len()) {
            (0, _) => [0; 4],
            (_, 1) => with_alpha(ramp.at(level(0, at), ranges[0]), alpha),
            (_, 3) => with_alpha([0, 1, 2].map(|b| grey(level(b, at))), alpha),
            _ => with_alpha([0, 1, 2].map(|b| grey(level(b, at))), image.bands[3][at].clamp(0.0, 255.0).round() as u8),
        }
    };
    let rgba = (0..image.rows * image.cols).map(pixel).collect();
    (Canvas { rows: image.rows, cols: image.cols, rgba }, ranges[0])
}

fn valid(band: &[f32], valid: &[u8]) -> Vec<f32> {
    band.iter().zip(valid).filter(|(_, v)| **v != 0).map(|(x, _)| *x).collect()
}

fn with_alpha([r, g, b]: [u8; 3], alpha: u8) -> [u8; 4] {
    [r, g, b, alpha]
}

/// Every pixel becomes a square of `factor` x `factor`.
fn enlarge(canvas: &Canvas, factor: usize) -> Canvas {
    let (rows, cols) = (canvas.rows * factor, canvas.cols * factor);
    let at = |i: usize| canvas.rgba[i / cols / factor * canvas.cols + i % cols / factor];
    Canvas { rows, cols, rgba: (0..rows * cols).map(at).collect() }
}

fn encode(canvas: &Canvas) -> Result<Vec<u8>, PreviewError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, canvas.cols as u32, canvas.rows as u32);
    encoder.set_depth(png::BitDepth::Eight);
    let opaque = canvas.rgba.iter().all(|p| p[3] == 255);
    encoder.set_color(if opaque { png::ColorType::Rgb } else { png::ColorType::Rgba });
    let mut writer = encoder.write_header()?;
    if opaque {
        writer.write_image_data(&canvas.rgba.iter().flat_map(|p| [p[0], p[1], p[2]]).collect::<Vec<u8>>())?;
    } else {
        writer.write_image_data(canvas.rgba.as_flattened())?;
    }
    writer.finish()?;
    Ok(out)
}
