//! What can be wrong with a header, before the file's name is known to the code that finds it.

use crate::RasterError;
use mapfold_store::Loc;

/// A finding of the pure header parser; [`Fault::at`] adds the file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No TIFF at all.
    NotTiff(String),
    /// Refused by name.
    Unsupported(String),
    /// Contradicts itself or is hostile.
    Damaged(String),
    /// The bytes could not be had.
    Bytes(RasterError),
}

impl Fault {
    pub(crate) fn damaged<T>(why: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Damaged(why.into()))
    }

    pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Unsupported(what.into()))
    }

    pub(crate) fn at(self, loc: &Loc) -> RasterError {
        let loc = loc.clone();
        match self {
            Fault::NotTiff(why) => RasterError::NotARaster { loc, why },
            Fault::Unsupported(what) => RasterError::Unsupported { loc, what },
            Fault::Damaged(why) => RasterError::Header { loc, why },
            Fault::Bytes(error) => error,
        }
    }
}
