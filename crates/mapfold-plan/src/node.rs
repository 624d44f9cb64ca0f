//! Typed links of a chain, from sources to the end of a stage.

use crate::{Cx, Domain, Place, Result};
use std::ops::Range;

/// A file of the plan, by number (see [`crate::Plan::file`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct FileId(pub u32);

/// Bytes of a file that a place needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which file.
    pub file: FileId,
    /// Which bytes.
    pub range: Range<u64>,
}

/// One step of a chain, for `--explain` and the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// `read`, `map`, `halo 1`, ...
    pub what: String,
    /// `jobs/ndvi/src/lib.rs:19`, where the user wrote it.
    pub at: String,
}

/// A link that gives values of type `T` for places of its domain.
///
/// Nodes are pure: the same place gives the same values, whenever and wherever it is asked for. That is what allows
/// recomputing a halo, running an attempt twice, and cutting a split differently.
pub trait Node<T>: Send + Sync {
    /// Where the values live.
    fn domain(&self) -> &Domain;

    /// Computes the values of `at` and hands each to `emit`.
    ///
    /// # Errors
    /// What went wrong with the data; `emit`'s errors are passed on.
    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(T) -> Result<()>) -> Result<()>;

    /// Appends the bytes that [`Node::eval`] will read for `at`.
    ///
    /// # Errors
    /// When the place cannot be had.
    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()>;

    /// Bytes of the value that is handed over for `at`; known once the template has run.
    fn held(&self, at: &Place) -> u64;

    /// Most bytes alive at once while `at` is computed, the value handed over included.
    fn memory(&self, at: &Place) -> u64;

    /// Whether the value of a place is the same when the place is computed in pieces: false where a user's closure
    /// wants the whole place in hand.
    fn cuttable(&self) -> bool {
        true
    }

    /// Source pixels read per pixel of output at an inner place: 1 without halos.
    fn recompute(&self, at: &Place) -> f64;

    /// Appends the steps, sources first.
    fn steps(&self, out: &mut Vec<Step>);

    /// Bytes of input behind this node in total, for partition counts and reports.
    fn input_bytes(&self) -> u64;
}
