//! What an object store's refusal means, in the words of [`StoreError`].
//!
//! Bodies of refusals hold more than people may see (the text that was signed, ids of keys): only the code and the
//! message of the server are passed on, redacted.

use object_store::Error;

use super::role::REFUSED;
use crate::{Loc, StoreError, redact};

/// The error for a refusal at `loc`.
pub(crate) fn fault(loc: &Loc, error: &Error) -> StoreError {
    let why = words(error);
    let text = loc.to_string();
    match error {
        _ if names_bucket(&why) => StoreError::NoBucket { loc: loc.root().to_string() },
        Error::NotFound { .. } => StoreError::NotFound { loc: text },
        Error::AlreadyExists { .. } | Error::Precondition { .. } => StoreError::AlreadyExists { loc: text },
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreError::Denied { loc: text, why },
        Error::NotSupported { .. } | Error::NotImplemented { .. } => StoreError::Unsupported { loc: text, what: why },
        Error::InvalidPath { .. } => StoreError::BadUrl { loc: text, why },
        _ if is_refused(&why) || why.contains(REFUSED) => StoreError::Denied { loc: text, why },
        _ if is_elsewhere(&why) => StoreError::Settings {
            loc: loc.root().to_string(),
            why: "the bucket is in another region than aws_region says; set AWS_REGION to that of the bucket".into(),
        },
        _ if without_credentials(&why) => {
            StoreError::Settings { loc: loc.root().to_string(), why: NO_CREDENTIALS.into() }
        }
        _ => StoreError::Network { loc: text, attempts: attempts(&why), why },
    }
}

const NO_CREDENTIALS: &str = "no credentials were found in the settings, and no service of this machine gives any; \
    AWS_NO_SIGN_REQUEST=YES (S3), GS_NO_SIGN_REQUEST=YES (GCS) or AZURE_NO_SIGN_REQUEST=YES read public data without";

/// Why credentials cannot be had.
pub(crate) fn no_credentials(error: &Error) -> String {
    let why = words(error);
    // The metadata service under another address, where the settings name one.
    match without_credentials(&why) || why.contains("/latest/api/token") {
        true => "no service of this machine gives any".into(),
        false => why,
    }
}

/// Whether asking again may help: anything but a refusal that names its reason.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. })
}

/// Whether asking again may help, and the client has not done so as often as it may: nothing came that the server meant
/// as an answer. Where no credentials are to be had, none will be a moment later.
pub(super) fn is_open(error: &Error) -> bool {
    let text = chain(error);
    let may = number_after(&text, "max_retries: ").unwrap_or(u32::MAX);
    let hopeless = without_credentials(&text) || text.contains(REFUSED);
    may_pass(error) && of_server(&text).is_none() && retries(&text) < may && !hopeless
}

fn names_bucket(why: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"].iter().any(|sign| why.contains(sign))
}

fn is_refused(why: &str) -> bool {
    [
        "ExpiredToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "AuthenticationFailed",
        "AuthorizationFailure",
        "InvalidToken",
    ]
    .iter()
    .any(|sign| why.contains(sign))
}

fn is_elsewhere(why: &str) -> bool {
    ["incorrectly configured region", "PermanentRedirect", "AuthorizationHeaderMalformed"]
        .iter()
        .any(|s| why.contains(s))
}

/// The services that give credentials to machines of a cloud; elsewhere nobody answers there.
fn without_credentials(why: &str) -> bool {
    ["169.254.169.254", "169.254.170.2", "metadata.google.internal"].iter().any(|host| why.contains(host))
}

/// How often the client asked, as its message tells.
fn attempts(why: &str) -> u32 {
    retries(why).saturating_add(1)
}

fn retries(why: &str) -> u32 {
    number_after(why, "after ").unwrap_or(0)
}

fn number_after(text: &str, word: &str) -> Option<u32> {
    let rest = text.split(word).nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The chain of causes.
fn chain(error: &Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.join(": ")
}

/// The same as one line, as people may see it.
fn words(error: &Error) -> String {
    let all = chain(error);
    let told = match of_server(&all) {
        Some(said) => said,
        None => all.split(" (os error").next().unwrap_or(&all).to_owned(),
    };
    redact(&told.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// `Code: Message` of an error document in XML.
fn of_server(text: &str) -> Option<String> {
    let code = between(text, "<Code>", "</Code>")?;
    let message = between(text, "<Message>", "</Message>").unwrap_or_default();
    // Azure puts time and request below the first line.
    Some(format!("{code}: {}", message.lines().next().unwrap_or_default()).trim_end_matches([':', ' ']).to_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.split_once(start)?.1;
    rest.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn what_is_asked_again() {
        assert!(is_open(&generic("connection closed before message completed")));
        let none = "Error performing PUT http://169.254.169.254/latest/api/token: error sending request";
        assert!(!is_open(&generic(none)), "no credentials are to be had");
        assert!(!is_open(&generic("<Code>SlowDown</Code><Message>later</Message>")), "the server has answered");
        assert!(!is_open(&generic("after 3 retries, max_retries: 3")), "asked as often as it may be");
    }

    #[test]
    fn a_bucket_that_is_missing() {
        let loc = Loc::parse("s3://bucket/a/b").expect("a location");
        let text = "<Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message>";
        let missing = Error::NotFound { path: "a/b".into(), source: text.into() };
        for error in [generic(text), missing] {
            assert_eq!(fault(&loc, &error).to_string(), "s3://bucket: there is no such bucket");
        }
        let other = Error::NotFound { path: "a/b".into(), source: "404".into() };
        assert!(matches!(fault(&loc, &other), StoreError::NotFound { loc } if loc == "s3://bucket/a/b"));
    }
}
