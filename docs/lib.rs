//! The book of mapfold as doctests: every Rust listing of `docs/src` and of the README is compiled and run by
//! `cargo test`, so the book cannot rot. Nothing else lives here; mdBook builds the pages (`make book`).
//! A page that gains a listing gets its line below.

/// The README's listing.
#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("src/introduction.md")]
mod introduction {}

#[doc = include_str!("src/first-job.md")]
mod first_job {}

#[doc = include_str!("src/passes.md")]
mod passes {}

#[doc = include_str!("src/commands.md")]
mod commands {}

#[doc = include_str!("src/storage.md")]
mod storage {}

#[doc = include_str!("src/raster.md")]
mod raster {}

#[doc = include_str!("src/errors.md")]
mod errors {}

#[doc = include_str!("src/architecture.md")]
mod architecture {}
