//! What can go wrong between a [`Loc`] and its bytes, named for what the user can do about it.
//!
//! Every variant carries the redacted location; no text in here ever holds a signature or a
//! password, so an error may be printed, logged and sent on as it is.

use std::io;

use crate::Loc;

/// Locations of stores that ask for credentials.
const REMOTE: [&str; 6] = ["s3://", "gs://", "az://", "abfss://", "hdfs://", "viewfs://"];

/// A failed store operation. `loc` is always redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing at this location.
    #[error("{loc}: not found")]
    NotFound {
        /// Where.
        loc: String,
    },
    /// The location exists (or may exist) and refuses us.
    #[error("{loc}: access denied ({why})")]
    Denied {
        /// Where.
        loc: String,
        /// What refused, such as `HTTP 403` or `permission denied`.
        why: String,
    },
    /// Something is already there, and it was not to be replaced.
    #[error("{loc}: already exists")]
    AlreadyExists {
        /// Where.
        loc: String,
    },
    /// The file system or the quota is full.
    #[error("{loc}: no space left")]
    NoSpace {
        /// Where.
        loc: String,
        /// The refusal of the operating system.
        source: io::Error,
    },
    /// The file system is mounted read-only.
    #[error("{loc}: read-only file system")]
    ReadOnly {
        /// Where.
        loc: String,
        /// The refusal of the operating system.
        source: io::Error,
    },
    /// A file was needed and a folder is there.
    #[error("{loc}: is a folder, not a file")]
    IsDirectory {
        /// Where.
        loc: String,
    },
    /// The object ends before the bytes asked for.
    #[error("{loc}: truncated: {wanted} bytes wanted at offset {offset}, {got} there")]
    Truncated {
        /// Where.
        loc: String,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        wanted: u64,
        /// Bytes that were there.
        got: u64,
    },
    /// The object is not the one that an earlier [`head`](crate::Stores::head) described.
    #[error("{loc}: changed while it was being read (was {was}, is {now})")]
    Changed {
        /// Where.
        loc: String,
        /// The identity (etag) seen first.
        was: String,
        /// The identity seen now.
        now: String,
    },
    /// The bucket (Azure: the container) of an object store.
    #[error("{loc}: there is no such bucket")]
    NoBucket {
        /// The bucket.
        loc: String,
    },
    /// The server did not answer usefully, however often it was asked.
    #[error("{loc}: no usable answer after {attempts} attempt{}: {why}", if *attempts == 1 { "" } else { "s" })]
    Network {
        /// Where.
        loc: String,
        /// Requests made, the first included.
        attempts: u32,
        /// The last failure, redacted.
        why: String,
    },
    /// This store or server cannot do what was asked.
    #[error("{loc}: {what} is not supported")]
    Unsupported {
        /// Where.
        loc: String,
        /// What was asked, such as `writing over HTTP`.
        what: String,
    },
    /// The text is not a location.
    #[error("{loc}: {why}")]
    BadUrl {
        /// The text, redacted.
        loc: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting or credential of a store is missing or wrong.
    #[error("{loc}: {why}")]
    Settings {
        /// Where, or which setting.
        loc: String,
        /// What is missing or wrong, and what sets it. Never a value that is secret.
        why: String,
    },
    /// A list or a pattern that names no file.
    #[error("{loc} names no file: {why}")]
    NoMatch {
        /// The list or the pattern.
        loc: String,
        /// What there is instead.
        why: String,
    },
    /// A list of inputs that cannot be understood.
    #[error("{loc}: {why}")]
    BadList {
        /// The list.
        loc: String,
        /// Which line, and what is wrong with it.
        why: String,
    },
    /// A list of inputs where one file is meant.
    #[error("{loc} is a list of inputs; one file is wanted here")]
    IsList {
        /// The list.
        loc: String,
    },
    /// A pattern where nothing can tell what there is.
    #[error("{loc}: HTTP cannot list a folder, so a pattern cannot be looked up")]
    CannotList {
        /// The pattern.
        loc: String,
    },
    /// Any other refusal of the operating system.
    #[error("{loc}: {source}")]
    Io {
        /// Where.
        loc: String,
        /// The refusal of the operating system.
        source: io::Error,
    },
}

impl StoreError {
    /// The redacted location this error is about.
    pub fn loc(&self) -> &str {
        match self {
            StoreError::NotFound { loc }
            | StoreError::Denied { loc, .. }
            | StoreError::AlreadyExists { loc }
            | StoreError::NoSpace { loc, .. }
            | StoreError::ReadOnly { loc, .. }
            | StoreError::IsDirectory { loc }
            | StoreError::Truncated { loc, .. }
            | StoreError::Changed { loc, .. }
            | StoreError::NoBucket { loc }
            | StoreError::Network { loc, .. }
            | StoreError::Unsupported { loc, .. }
            | StoreError::BadUrl { loc, .. }
            | StoreError::Settings { loc, .. }
            | StoreError::NoMatch { loc, .. }
            | StoreError::BadList { loc, .. }
            | StoreError::IsList { loc }
            | StoreError::CannotList { loc }
            | StoreError::Io { loc, .. } => loc,
        }
    }

    /// One sentence on what to try, where there is something to try.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            StoreError::NotFound { .. } => "check the spelling, and that the file is there",
            StoreError::Denied { loc, .. } if REMOTE.iter().any(|scheme| loc.starts_with(scheme)) => {
                "check whose credentials are used (`mapfold config show --origin`), what they may do, and until when"
            }
            StoreError::Settings { .. } => "`mapfold config show --origin` lists each setting and where it comes from",
            StoreError::Denied { .. } => "check the permissions (for a signed URL: it may have expired)",
            StoreError::AlreadyExists { .. } => "--overwrite replaces it, or choose another name",
            StoreError::NoSpace { .. } => "free some space, or write to another file system",
            StoreError::ReadOnly { .. } => "write to a file system that is mounted read-write",
            StoreError::IsDirectory { .. } => "name a file inside the folder",
            StoreError::Truncated { .. } => "the file is incomplete: copy or download it again and compare the sizes",
            StoreError::Changed { .. } => "something writes to this file: wait until it is done and run again",
            StoreError::NoBucket { .. } => {
                "check its name, and which server is asked (`mapfold config show --origin`); mapfold makes no buckets"
            }
            StoreError::Network { .. } => {
                "check the network and the server; MAPFOLD_HTTP_RETRIES sets how often to try"
            }
            StoreError::Unsupported { .. } => "copy the file to a local disk and use that",
            StoreError::NoMatch { .. } => "check the spelling; signs of a pattern are * ? [..] and ** (any folders)",
            StoreError::BadList { .. } => {
                "a list is plain text: one location a line; blank lines and # comments are skipped"
            }
            StoreError::IsList { .. } => "name the file itself (a file whose name begins with @ is ./@name)",
            StoreError::CannotList { .. } => "write the locations into a text file, one a line, and give @FILE",
            StoreError::BadUrl { .. } => {
                "a location is a path, file://, s3://, gs://, az://, abfss://, hdfs:// or http(s)://"
            }
            StoreError::Io { .. } => return None,
        })
    }

    /// The error for an operating system's refusal at `loc`.
    pub(crate) fn from_io(loc: &Loc, source: io::Error) -> StoreError {
        use io::ErrorKind as Kind;
        let loc = loc.to_string();
        match source.kind() {
            Kind::NotFound => StoreError::NotFound { loc },
            Kind::PermissionDenied => StoreError::Denied { loc, why: source.to_string() },
            Kind::AlreadyExists | Kind::DirectoryNotEmpty => StoreError::AlreadyExists { loc },
            Kind::StorageFull | Kind::QuotaExceeded => StoreError::NoSpace { loc, source },
            Kind::ReadOnlyFilesystem => StoreError::ReadOnly { loc, source },
            Kind::IsADirectory => StoreError::IsDirectory { loc },
            _ => StoreError::Io { loc, source },
        }
    }

    pub(crate) fn is_list(loc: &Loc) -> StoreError {
        StoreError::IsList { loc: loc.to_string() }
    }

    pub(crate) fn no_match(loc: &Loc, why: impl Into<String>) -> StoreError {
        StoreError::NoMatch { loc: loc.to_string(), why: why.into() }
    }

    pub(crate) fn unsupported(loc: &Loc, what: &str) -> StoreError {
        StoreError::Unsupported { loc: loc.to_string(), what: what.into() }
    }

    pub(crate) fn truncated(loc: &Loc, range: &std::ops::Range<u64>, got: u64) -> StoreError {
        StoreError::Truncated {
            loc: loc.to_string(),
            offset: range.start,
            wanted: range.end.saturating_sub(range.start),
            got,
        }
    }
}
