//! Smooth random fields: value noise, that is random numbers on a lattice, mixed linearly between its points.
//!
//! A row is made at a time. Between two lattice columns the field is a straight line, so a row costs one step of two
//! additions per pixel and octave; lattice rows are kept until the next one is needed. A pixel's value depends on its
//! place in its lattice cell only, never on where the window begins.

use super::hash;

/// One octave: spacing of the lattice in pixels, weight.
pub type Octave = (i64, f32);

/// A sum of octaves along a range of columns.
pub struct Field {
    first: i64,
    octaves: Vec<Lattice>,
}

/// The lattice rows around the current pixel row.
struct Lattice {
    key: u64,
    scale: i64,
    weight: f32,
    row: Option<i64>,
    top: Vec<f32>,
    bottom: Vec<f32>,
}

impl Field {
    /// A field of the stream `key` over `cols` columns from `first` on.
    pub fn new(key: u64, octaves: &[Octave], first: i64, cols: usize) -> Field {
        let make = |(i, (scale, weight)): (usize, &Octave)| {
            let points = (first + cols as i64 - 1).div_euclid(*scale) - first.div_euclid(*scale) + 2;
            let line = vec![0.0; points as usize];
            let key = hash::mix64(key.wrapping_add(0x1000 * (i as u64 + 1)));
            Lattice { key, scale: *scale, weight: *weight, row: None, top: line.clone(), bottom: line }
        };
        Field { first, octaves: octaves.iter().enumerate().map(make).collect() }
    }

    /// The values of one row.
    pub fn row(&mut self, row: i64, out: &mut [f32]) {
        out.fill(0.0);
        for octave in &mut self.octaves {
            octave.seek(row, self.first);
            octave.add(row, self.first, out);
        }
    }
}

impl Lattice {
    /// Makes `top` and `bottom` the lattice rows above and below the pixel row.
    fn seek(&mut self, row: i64, first: i64) {
        let cell = row.div_euclid(self.scale);
        match self.row {
            Some(r) if r == cell => return,
            Some(r) if r + 1 == cell => std::mem::swap(&mut self.top, &mut self.bottom),
            _ => self.fill(cell, first, true),
        }
        self.fill(cell + 1, first, false);
        self.row = Some(cell);
    }

    fn fill(&mut self, cell: i64, first: i64, top: bool) {
        let (key, start, weight) = (self.key, first.div_euclid(self.scale), self.weight);
        let line = if top { &mut self.top } else { &mut self.bottom };
        for (i, point) in line.iter_mut().enumerate() {
            *point = weight * hash::normal(hash::at(key, cell, start + i as i64));
        }
    }

    fn add(&self, row: i64, first: i64, out: &mut [f32]) {
        let down = row.rem_euclid(self.scale) as f32 / self.scale as f32;
        let step = 1.0 / self.scale as f32;
        let at = |i: usize| self.top[i] + (self.bottom[i] - self.top[i]) * down;
        let mut inside = first.rem_euclid(self.scale) as usize;
        let (mut rest, mut cell, mut left) = (out, 0, at(0));
        while !rest.is_empty() {
            let right = at(cell + 1);
            let length = (self.scale as usize - inside).min(rest.len());
            let (piece, after) = rest.split_at_mut(length);
            let slope = (right - left) * step;
            for (i, v) in piece.iter_mut().enumerate() {
                *v += left + slope * (inside + i) as i32 as f32;
            }
            (rest, cell, left, inside) = (after, cell + 1, right, 0);
        }
    }
}
