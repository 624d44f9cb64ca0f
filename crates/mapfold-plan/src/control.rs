//! The control of the fault loops: an engine that is wrong on purpose.
//!
//! A test that cannot fail proves nothing. `MAPFOLD_CONTROL=no-grants` lets every attempt emit and counts whatever is
//! registered, as an engine without emission grants would, and keeps reducers from noticing that records of two attempts
//! came together (the second net): two slow attempts at a split then count twice, and the loops of `tests/faults` must
//! see it. Members inherit the variable.
//!
//! A build without debug assertions, so a release too, has no controls: there the variable is refused, never ignored.

use crate::{Error, Result};

/// The variable that names a control.
pub const VARIABLE: &str = "MAPFOLD_CONTROL";

/// Whether emission is granted to one attempt only, as it must be.
///
/// # Errors
/// When the variable names no control, or this build has none.
pub fn grants() -> Result<bool> {
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => Ok(true),
        Ok("no-grants") if cfg!(debug_assertions) => Ok(false),
        Ok(other) => Err(Error::usage(format!("{VARIABLE}={other}: this program has no such control"))
            .with_remedy("controls are for the fault loops of a build with debug assertions; unset the variable")),
    }
}
