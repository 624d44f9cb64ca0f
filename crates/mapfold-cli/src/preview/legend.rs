//! The colour bar under a picture: the ramp from low to high, with round numbers under it.

use super::font;
use super::ramp::Ramp;
use super::render::Canvas;

/// A colour bar.
pub(super) struct Legend {
    /// Its colours.
    pub ramp: &'static Ramp,
    /// What its ends stand for.
    pub range: (f32, f32),
}

const PAPER: [u8; 4] = [255; 4];
const INK: [u8; 4] = [34, 34, 34, 255];
const EDGE: usize = 12;

impl Legend {
    /// The picture with the bar under it, on white paper. Letters grow with the picture; a narrow picture is put on
    /// transparent ground as wide as the bar needs.
    pub fn under(&self, picture: Canvas) -> Canvas {
        let dot = (picture.cols / 400).clamp(1, 6);
        let (bar, gap) = (10 * dot, 3 * dot);
        let cols = picture.cols.max(180);
        let strip = EDGE + bar + gap + font::HEIGHT * dot + EDGE;
        let mut canvas = widen(picture, cols);
        let top = canvas.rows;
        canvas.rows += strip;
        canvas.rgba.resize(canvas.rows * cols, PAPER);
        let width = cols - 2 * EDGE;
        for x in 0..width {
            let [r, g, b] = self.ramp.at(x as f32 / (width - 1) as f32, self.bar_range());
            fill(&mut canvas, EDGE + x, top + EDGE, 1, bar, [r, g, b, 255]);
        }
        for (t, text) in self.ticks(width) {
            let x = EDGE + (t * (width - 1) as f32) as usize;
            fill(&mut canvas, x, top + EDGE + bar, 1, gap - 1, INK);
            let long = (text.chars().count() * font::ADVANCE - 1) * dot;
            let start = x.saturating_sub(long / 2).clamp(EDGE / 2, cols - EDGE / 2 - long.min(cols - EDGE));
            write(&mut canvas, &text, start, top + EDGE + bar + gap, dot);
        }
        canvas
    }

    /// What the ends of the bar stand for: classes reach half a number to each side.
    fn bar_range(&self) -> (f32, f32) {
        let (lo, hi) = self.range;
        if self.ramp.classes { (lo - 0.5, hi + 0.5) } else { (lo, hi) }
    }

    /// Places (0 to 1) and their numbers: every class, or round numbers (fewer on a short bar).
    fn ticks(&self, width: usize) -> Vec<(f32, String)> {
        let (lo, hi) = self.range;
        if self.ramp.classes && hi - lo < 20.0 {
            let place = |class: i32| ((class as f32 - lo + 0.5) / (hi - lo + 1.0), class.to_string());
            return (lo.ceil() as i32..=hi as i32).map(place).collect();
        }
        round_places(lo, hi, if width >= 300 { 6 } else { 3 })
    }
}

/// Places (0 to 1) of round numbers from `lo` to `hi`, at most about `most`: steps of 1, 2 or 5 times a power of ten.
pub(super) fn round_places(lo: f32, hi: f32, most: usize) -> Vec<(f32, String)> {
    // In f64, so that the span of two f32 cannot overflow.
    let (low, high) = (f64::from(lo), f64::from(hi));
    let rough = (high - low) / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|s| *s >= rough * 0.999).unwrap_or(rough);
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    let place = |i: i64| {
        let value = i as f64 * step;
        (((value - low) / (high - low)).clamp(0.0, 1.0) as f32, number(value as f32, step as f32))
    };
    (first..=last).map(place).collect()
}

/// As many decimals as steps of this size need: `0.35`, `1200`, `-3.5e7`.
pub(super) fn number(value: f32, step: f32) -> String {
    if value.abs() >= 1e6 || (value != 0.0 && step < 1e-4) {
        return format!("{value:.1e}");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 5.0) as usize;
    let text = format!("{value:.decimals$}");
    // No minus before a zero that is only rounding.
    if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) { text.replace('-', "") } else { text }
}

/// The picture in the middle of transparent ground of at least `cols` columns.
fn widen(picture: Canvas, cols: usize) -> Canvas {
    if picture.cols >= cols {
        return picture;
    }
    let left = (cols - picture.cols) / 2;
    let mut wide = Canvas { rows: picture.rows, cols, rgba: vec![[0; 4]; picture.rows * cols] };
    for (to, from) in wide.rgba.chunks_exact_mut(cols).zip(picture.rgba.chunks_exact(picture.cols)) {
        to[left..left + picture.cols].copy_from_slice(from);
    }
    wide
}

/// A rectangle, cut at the edges of the canvas.
fn fill(canvas: &mut Canvas, x: usize, y: usize, width: usize, height: usize, colour: [u8; 4]) {
    for row in y..(y + height).min(canvas.rows) {
        let (from, to) = (x.min(canvas.cols), (x + width).min(canvas.cols));
        canvas.rgba[row * canvas.cols + from..row * canvas.cols + to].fill(colour);
    }
}

fn write(canvas: &mut Canvas, text: &str, x: usize, y: usize, dot: usize) {
    for (i, c) in text.chars().enumerate() {
        let left = x + i * font::ADVANCE * dot;
        for (row, bits) in font::glyph(c).into_iter().enumerate() {
            for col in (0..5).filter(|col| bits >> (4 - col) & 1 == 1) {
                fill(canvas, left + col * dot, y + row * dot, dot, dot, INK);
            }
        }
    }
}
