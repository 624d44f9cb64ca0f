//! Faults of the records and of the store, told about the user's file and not about our working files.

use mapfold_coord::CoordError;
use mapfold_plan::{Error, Kind};
use mapfold_store::{Loc, StoreError};

/// A fault of the coordinator's records.
pub fn coord_error(e: CoordError) -> Error {
    match e {
        CoordError::Store(s) => Error::from(s),
        CoordError::BadFailPoint { .. } => Error::caused(Kind::Usage, e),
        other => Error::caused(Kind::Input, other),
    }
}

/// The same while the work of an output is put on record.
pub fn about_records(e: CoordError, output: &Loc) -> Error {
    match e {
        CoordError::Store(s) => about_output(s, output),
        other => coord_error(other),
    }
}

/// A fault of the store while the output is made.
pub fn about_output(e: StoreError, output: &Loc) -> Error {
    let StoreError::NoSpace { .. } = e else { return Error::from(e) };
    Error::input(format!("{output}: no space left on its disk")).with_remedy("free some space").resumable()
}

/// An output in a folder that is not there.
pub fn missing_folder(e: StoreError, output: &Loc) -> Error {
    let folder = output.parent().unwrap_or_else(|| output.clone());
    match e {
        StoreError::NotFound { .. } => Error::input(format!("{folder}: there is no such folder"))
            .with_remedy(format!("{}, or choose another output", folder.mkdir())),
        StoreError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => {
            Error::input(format!("{folder} is a file, not a folder")).with_remedy("choose another output")
        }
        other => Error::from(other),
    }
}
