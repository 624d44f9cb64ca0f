//! What HDFS's refusals mean: which are final, which pass when one waits.
//!
//! The client passes on the Java class and message of a refusal; the stack trace below the first line is dropped. What
//! may pass: a name node that starts or is in safe mode, a data node that died and is not yet noticed, a connection
//! that broke.

use std::io;

use hdfs_native::HdfsError;

use crate::retry::Fault;
use crate::{Loc, StoreError, redact};

/// Classes of refusals that pass.
const PASSING: [&str; 7] = [
    "SafeModeException",
    "RetriableException",
    "StandbyException",
    "NotReplicatedYetException",
    "ServerTooBusyException",
    "RpcNoSuchMethodException.transient",
    "ObserverRetryOnActiveException",
];
/// Beginnings of messages of plain `IOException`s that pass.
const PASSING_WORDS: [&str; 4] = [
    "could only be written to",
    "could only be replicated to",
    "Unable to close file",
    "not been minimally replicated",
];

/// Final or passing.
pub(super) fn fault(loc: &Loc, error: HdfsError) -> Fault {
    match may_pass(&error) {
        true => Fault::Passing { why: words(&error), after: None },
        false => Fault::Final(refusal(loc, error)),
    }
}

pub(super) fn may_pass(error: &HdfsError) -> bool {
    match error {
        HdfsError::IOError(_)
        | HdfsError::DataTransferError(_)
        | HdfsError::ChecksumError
        | HdfsError::BlocksNotFound(_)
        | HdfsError::OperationFailed(_)
        | HdfsError::InvalidRPCResponse(_) => true,
        HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => {
            PASSING.iter().any(|name| class.ends_with(name)) || PASSING_WORDS.iter().any(|words| text.contains(words))
        }
        _ => false,
    }
}

/// Whether the name node may have done what was asked although this is the answer.
pub(super) fn lost(error: &HdfsError) -> bool {
    matches!(error, HdfsError::IOError(_) | HdfsError::InvalidRPCResponse(_) | HdfsError::OperationFailed(_))
}

/// The final error.
pub(super) fn refusal(loc: &Loc, error: HdfsError) -> StoreError {
    let text = loc.to_string();
    let why = words(&error);
    match error {
        HdfsError::FileNotFound(_) => StoreError::NotFound { loc: text },
        HdfsError::AlreadyExists(_) => StoreError::AlreadyExists { loc: text },
        HdfsError::IsADirectoryError(_) => StoreError::IsDirectory { loc: text },
        HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message) => {
            of_class(loc, &class, &message, why)
        }
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => StoreError::Denied {
            loc: text,
            why: format!("{why}; on a cluster with Kerberos: is there a ticket (`klist`, `kinit`)?"),
        },
        HdfsError::InvalidArgument(_) | HdfsError::UrlParseError(_) | HdfsError::XmlParseError(_) => {
            StoreError::Settings { loc: text, why }
        }
        HdfsError::UnsupportedFeature(_) | HdfsError::UnsupportedErasureCodingPolicy(_) => {
            StoreError::Unsupported { loc: text, what: why }
        }
        _ => StoreError::Network { loc: text, attempts: 1, why },
    }
}

fn of_class(loc: &Loc, class: &str, message: &str, why: String) -> StoreError {
    let text = loc.to_string();
    match class.rsplit(['.', '$']).next().unwrap_or(class) {
        "FileNotFoundException" => StoreError::NotFound { loc: text },
        "FileAlreadyExistsException" | "PathIsNotEmptyDirectoryException" => StoreError::AlreadyExists { loc: text },
        "AccessControlException" | "AuthorizationException" => StoreError::Denied { loc: text, why },
        "ParentNotDirectoryException" => StoreError::Io { loc: text, source: io::ErrorKind::NotADirectory.into() },
        "DSQuotaExceededException" | "NSQuotaExceededException" | "QuotaByStorageTypeExceededException" => {
            StoreError::NoSpace { loc: text, source: io::Error::new(io::ErrorKind::QuotaExceeded, why) }
        }
        "IOException" if message.contains("not empty") => StoreError::AlreadyExists { loc: text },
        _ => StoreError::Io { loc: text, source: io::Error::other(why) },
    }
}

/// One line: the class's last word and the first line of its message.
pub(super) fn words(error: &HdfsError) -> String {
    let text = match error {
        HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message) => {
            let name = class.rsplit('.').next().unwrap_or(class);
            format!("{name}: {}", message.lines().next().unwrap_or_default())
        }
        other => other.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    redact(line.split(" (os error").next().unwrap_or(line))
}
