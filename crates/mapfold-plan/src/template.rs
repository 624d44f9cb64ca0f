//! The template: a chain run once on one invalid pixel, while planning.
//!
//! It fixes what only the user's closures know: how many bands, which type, how many bytes per pixel each step hands
//! over. A pixel that is invalid is never shown to a closure over pixels, so nothing is computed on invented values;
//! a closure that takes the wrong number of bands panics here, before the run, under a guard.

use crate::{Cx, Domain, Error, Kind, Node, Place, Result, Stack};
use mapfold_grid::{Block, Padded, Window};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the chain on its template and gives the values that came out (none for flows that are not on the ground).
///
/// # Errors
/// Those of the closures; a panic becomes an error that repeats its message.
pub fn run<T>(node: &dyn Node<T>) -> Result<Vec<T>> {
    let rooms = std::cell::RefCell::default();
    let cx = Cx::template(&rooms);
    let place = match node.domain() {
        Domain::Raster(_) => Place::Window { scene: 0, window: Window { row: 0, col: 0, rows: 1, cols: 1 } },
        other => other.place(0),
    };
    let mut out = Vec::new();
    let walk = AssertUnwindSafe(|| {
        node.eval(&place, &cx, &mut |v| {
            out.push(v);
            Ok(())
        })
    });
    match catch_unwind(walk) {
        Ok(done) => done.map(|()| out),
        Err(panic) => Err(refused(panic_text(panic.as_ref()))),
    }
}

fn refused(text: String) -> Error {
    let bands = text.contains("bands, but the block has");
    let e = Error::new(Kind::Usage, text).at_place("the plan's template (one pixel, while planning)");
    // Nearly always a file with several bands where one was meant.
    if bands { e.with_remedy("name the bands wanted of each input: scene.tif#B04 or scene.tif#4") } else { e }
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_string()
}

/// Bytes per pixel of a value of the template: blocks and what is made of blocks; 0 for anything else.
pub fn heft<T: 'static>(value: &T) -> u64 {
    let value = value as &dyn Any;
    macro_rules! try_types {
        ($($t:ty),*) => {$(
            if let Some(b) = value.downcast_ref::<Block<$t>>() { return per_pixel(b.bytes(), b.pixel_count()); }
            if let Some(p) = value.downcast_ref::<Padded<$t>>() { return per_pixel(p.block().bytes(), p.block().pixel_count()); }
            if let Some(s) = value.downcast_ref::<Stack<$t>>() { return s.blocks().iter().map(|b| per_pixel(b.bytes(), b.pixel_count())).sum(); }
        )*};
    }
    try_types!(u8, i8, u16, i16, u32, i32, f32, f64);
    0
}

fn per_pixel(bytes: usize, pixels: usize) -> u64 {
    (bytes as u64).div_ceil(pixels.max(1) as u64)
}
