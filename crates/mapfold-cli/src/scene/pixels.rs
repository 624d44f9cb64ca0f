//! From fields to reflectance and classes, a row at a time.

use super::field::{Field, Octave};
use super::hash;
use super::spec::{Band, SceneSpec};
use mapfold::grid::Window;

const VEGETATION: [Octave; 3] = [(512, 0.5), (128, 0.6), (32, 0.5)];
const TEXTURE: [Octave; 2] = [(16, 0.5), (4, 0.5)];
const WATER: [Octave; 2] = [(256, 1.0), (64, 0.3)];
const CLOUDS: [Octave; 3] = [(384, 0.8), (96, 0.5), (24, 0.25)];
/// Standard deviation of `CLOUDS`: linear mixing leaves 4/9 of a lattice's variance.
const CLOUD_SPREAD: f32 = 0.65;
/// Above this (about 7 % of the land) there is water.
const WATER_LEVEL: f32 = 1.05;
/// Side of a parcel in pixels.
const PARCEL: i64 = 24;
/// How far a shadow lies from its cloud: rows down, columns left.
const SHADOW: (i64, i64) = (40, 30);
/// Noise in units of reflectance x 10000 on dark ground.
const NOISE: f32 = 9.0;

/// What a band measures: bare soil, change towards full vegetation, contrast of texture, water.
struct Response {
    soil: f32,
    green: f32,
    texture: f32,
    water: f32,
}

fn response(band: Band) -> Response {
    let (soil, green, texture, water) = match band {
        Band::B02 => (900.0, -500.0, 120.0, 600.0),
        Band::B03 => (1000.0, -350.0, 150.0, 480.0),
        Band::B04 => (1300.0, -950.0, 220.0, 300.0),
        Band::B08 | Band::Scl => (1700.0, 2300.0, 350.0, 150.0),
    };
    Response { soil, green, texture, water }
}

/// The pixels of a window, row by row: reflectance x 10000 (1 to 16000) or classes; 0 = nodata.
///
/// `w` may be any window; the scene goes on beyond its size.
pub fn window(spec: &SceneSpec, band: Band, w: Window) -> Vec<u16> {
    let mut out = vec![0; w.pixels()];
    if w.is_empty() {
        return out;
    }
    let mut painter = Painter::new(spec, band, w.col, w.cols);
    for (i, line) in out.chunks_exact_mut(w.cols).enumerate() {
        let row = w.row + i as i64;
        painter.row(row, line);
        if spec.nodata_wedge {
            let edge = row.max(0) / 50 + 8;
            line[..(edge - w.col).clamp(0, w.cols as i64) as usize].fill(0);
        }
    }
    out
}

/// The fields of one band over a range of columns, and room for one row of each.
struct Painter {
    band: Band,
    first: i64,
    season: f32,
    cloud_level: f32,
    noise_key: u64,
    parcel_key: u64,
    vegetation: Field,
    texture: Field,
    water: Field,
    clouds: Field,
    shadows: Field,
    line: Line,
}

/// One row of every field.
#[derive(Default)]
struct Line {
    vegetation: Vec<f32>,
    texture: Vec<f32>,
    water: Vec<f32>,
    cloud: Vec<f32>,
    shadow: Vec<f32>,
    parcel: Vec<f32>,
}

impl Painter {
    fn new(spec: &SceneSpec, band: Band, first: i64, cols: usize) -> Painter {
        let ground = hash::mix64(spec.seed ^ 0x6d61_7066_6f6c_6431);
        let sky = hash::mix64(ground ^ (spec.date as u64 + 1));
        let room = || vec![0.0; cols];
        Painter {
            band,
            first,
            season: spec.season(),
            // Between 5 % and 55 % of the sky: normal quantiles 1.645 and -0.126.
            cloud_level: CLOUD_SPREAD * (-0.126 + 1.771 * hash::unit(hash::mix64(sky ^ 7))),
            noise_key: hash::mix64(sky ^ (band as u64 + 100)),
            parcel_key: hash::mix64(ground ^ 4),
            vegetation: Field::new(hash::mix64(ground ^ 1), &VEGETATION, first, cols),
            texture: Field::new(hash::mix64(ground ^ 2), &TEXTURE, first, cols),
            water: Field::new(hash::mix64(ground ^ 3), &WATER, first, cols),
            clouds: Field::new(sky, &CLOUDS, first, cols),
            shadows: Field::new(sky, &CLOUDS, first + SHADOW.1, cols),
            line: Line {
                vegetation: room(),
                texture: room(),
                water: room(),
                cloud: room(),
                shadow: room(),
                parcel: room(),
            },
        }
    }

    fn row(&mut self, row: i64, out: &mut [u16]) {
        let line = &mut self.line;
        self.vegetation.row(row, &mut line.vegetation);
        self.water.row(row, &mut line.water);
        self.clouds.row(row, &mut line.cloud);
        self.shadows.row(row - SHADOW.0, &mut line.shadow);
        parcels(self.parcel_key, row, self.first, &mut line.parcel);
        if self.band == Band::Scl {
            return self.classes(out);
        }
        self.texture.row(row, &mut line.texture);
        self.reflectance(row, out);
    }

    /// How green it is, 0 to 1: a logistic curve made of square roots.
    #[inline(always)]
    fn green(vegetation: f32, parcel: f32, season: f32) -> f32 {
        let t = (vegetation + 0.6 * parcel + 0.8 * season) * 0.5;
        0.5 + 0.5 * t / (1.0 + t * t).sqrt()
    }

    fn reflectance(&self, row: i64, out: &mut [u16]) {
        let Response { soil, green, texture, water } = response(self.band);
        let (line, n) = (&self.line, out.len());
        let (vegetation, tex, lake) = (&line.vegetation[..n], &line.texture[..n], &line.water[..n]);
        let (cloud, shadow, parcel) = (&line.cloud[..n], &line.shadow[..n], &line.parcel[..n]);
        let row_key = hash::mix64(self.noise_key ^ row as u64) as u32;
        let first = self.first as u32;
        for i in 0..n {
            let v = Painter::green(vegetation[i], parcel[i], self.season);
            let land = soil + green * v + texture * tex[i];
            let ground = if lake[i] > WATER_LEVEL { water } else { land };
            let depth = cloud[i] - self.cloud_level;
            let dark = (shadow[i] > self.cloud_level) & (depth <= 0.0);
            let lit = if dark { ground * 0.55 } else { ground };
            let opacity = (depth * 3.0).clamp(0.0, 1.0);
            let r = lit * (1.0 - opacity) + opacity * (6500.0 + 900.0 * depth);
            let noise = hash::normal32(hash::mix32(row_key.wrapping_add(first.wrapping_add(i as u32))));
            let value = r + noise * (NOISE * (1.0 + r * (1.0 / 3000.0)));
            out[i] = value.clamp(1.0, 16000.0) as i32 as u16;
        }
    }

    fn classes(&self, out: &mut [u16]) {
        let line = &self.line;
        for (i, class) in out.iter_mut().enumerate() {
            let depth = line.cloud[i] - self.cloud_level;
            *class = match depth {
                d if d > 0.25 => 9,
                d if d > 0.0 => 8,
                d if d > -0.05 => 10,
                _ if line.shadow[i] > self.cloud_level => 3,
                _ if line.water[i] > WATER_LEVEL => 6,
                _ if Painter::green(line.vegetation[i], line.parcel[i], self.season) < 0.45 => 5,
                _ => 4,
            };
        }
    }
}

/// Fields of a farm: squares with a constant each, shifted along zigzags so that borders are not straight.
fn parcels(key: u64, row: i64, first: i64, out: &mut [f32]) {
    let sideways = zigzag(row, 174, 5);
    let mut known = None;
    for (i, v) in out.iter_mut().enumerate() {
        let col = first + i as i64;
        let place = ((row + zigzag(col, 232, 6)).div_euclid(PARCEL), (col + sideways).div_euclid(PARCEL));
        *v = match known {
            Some((p, value)) if p == place => value,
            _ => hash::normal(hash::at(key, place.0, place.1)),
        };
        known = Some((place, *v));
    }
}

/// A triangle wave of this period and height around 0.
#[inline(always)]
fn zigzag(x: i64, period: i64, height: i64) -> i64 {
    (x.rem_euclid(period) - period / 2).abs() * height * 2 / period - height / 2
}
