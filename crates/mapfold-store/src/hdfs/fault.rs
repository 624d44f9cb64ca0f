//! What HDFS's refusals mean: which are final, which pass when one waits.
//!
//! The client passes on the Java class and message of a refusal; the stack trace below the first line is dropped. What
//! may pass: a name node that starts or is in safe mode, a name service of which no node is active, a data node that died
//! and is not yet noticed, a connection that broke, a KDC that cannot be reached. A missing or expired ticket does not: it
//! is said at once, with the remedy.

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

/// What the Kerberos library says when no KDC answers (`KRB5_KDC_UNREACH`).
const NO_KDC: u32 = 2_529_639_068;
/// Beginning of the client library's message when there is no Kerberos library on this machine.
const NO_LIBRARY: &str = "Failed to load libgssapi";
/// What stands before the words that count.
const NO_WORDS: &str = "Unspecified GSS failure.  Minor code may provide more information: ";

/// Final or passing.
pub(super) fn fault(loc: &Loc, error: HdfsError) -> Fault {
    match may_pass(&error) {
        true => Fault::Passing { why: words(&error), after: None },
        false => Fault::Final(refusal(loc, error)),
    }
}

pub(super) fn may_pass(error: &HdfsError) -> bool {
    match error {
        HdfsError::OperationFailed(text) if text.starts_with(NO_LIBRARY) => false,
        HdfsError::GSSAPIError(_, minor, _) => *minor == NO_KDC,
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

/// Whether this is no word of a name node.
pub(super) fn unheard(error: &HdfsError) -> bool {
    matches!(error, HdfsError::IOError(_) | HdfsError::GSSAPIError(..))
}

/// Whether the name node has closed the connection.
pub(super) fn closed(error: &HdfsError) -> bool {
    matches!(error, HdfsError::IOError(why) if why.kind() == io::ErrorKind::ConnectionAborted)
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
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => no_ticket(loc, &why),
        HdfsError::OperationFailed(said) if said.starts_with(NO_LIBRARY) => StoreError::Settings {
            loc: text,
            why: "this cluster wants Kerberos, and libgssapi_krb5.so.2 is not here (apt-get install libgssapi-krb5-2, \
                  dnf install krb5-libs)"
                .into(),
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

fn no_ticket(loc: &Loc, why: &str) -> StoreError {
    let why = format!("{why}; this cluster wants Kerberos: `kinit` gets a ticket, `klist` shows it");
    StoreError::Denied { loc: loc.to_string(), why }
}

fn of_class(loc: &Loc, class: &str, message: &str, why: String) -> StoreError {
    let text = loc.to_string();
    match class.rsplit(['.', '$']).next().unwrap_or(class) {
        "FileNotFoundException" if message.starts_with("Parent directory doesn't exist") => {
            StoreError::NotFound { loc: loc.parent().map_or(text, |folder| folder.to_string()) }
        }
        "FileNotFoundException" => StoreError::NotFound { loc: text },
        "FileAlreadyExistsException" | "PathIsNotEmptyDirectoryException" => StoreError::AlreadyExists { loc: text },
        "SaslException" | "GSSException" | "InvalidToken" => no_ticket(loc, &why),
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
            let active = if name == "StandbyException" { "no name node is active; " } else { "" };
            format!("{active}{name}: {}", message.lines().next().unwrap_or_default())
        }
        HdfsError::GSSAPIError(_, _, text) => text.replace(NO_WORDS, "").replace(": Success", ""),
        other => other.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    redact(line.split(" (os error").next().unwrap_or(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hdfs_native::HdfsError;

    use super::{may_pass, refusal, words};
    use crate::{Loc, StoreError};

    #[test]
    fn of_kerberos() {
        let loc = Loc::parse("hdfs://nn:8020/x").unwrap();
        let class = "javax.security.sasl.SaslException";
        let refused = HdfsError::FatalRPCError(class.into(), "GSS initiate failed\n at java".into());
        assert!(!may_pass(&refused));
        let said = refusal(&loc, refused);
        assert!(matches!(said, StoreError::Denied { .. }), "{said:?}");
        let text = said.to_string();
        assert!(text.contains("hdfs://nn:8020/x") && text.contains("GSS initiate failed;"), "{text}");
        assert!(text.contains("kinit"), "{text}");
        let without = HdfsError::OperationFailed("Failed to load libgssapi_krb".into());
        assert!(!may_pass(&without));
        let text = refusal(&loc, without).to_string();
        assert!(text.contains("libgssapi_krb5.so.2") && text.contains("apt-get"), "{text}");
    }

    #[test]
    fn of_a_name_service_without_an_active_node() {
        let standby = HdfsError::RPCError("org.apache.hadoop.ipc.StandbyException".into(), "READ in standby".into());
        assert!(may_pass(&standby));
        assert_eq!(words(&standby), "no name node is active; StandbyException: READ in standby");
    }
}
