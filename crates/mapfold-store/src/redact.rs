//! Takes secrets out of URLs before anybody sees them.
//!
//! Signed URLs put the key into the query (`sig`, `X-Amz-Signature`, `token`, ...), older ones into
//! the user part (`user:password@host`). This module replaces the *values*, keeps the rest
//! readable, and works on any text that holds URLs, so that a foreign error message can be passed
//! through it. It errs on the side of hiding: a key that merely looks secret is hidden too.
//! It does not find secrets outside of URLs.

use std::borrow::Cow;

const HIDDEN: &str = "REDACTED";

/// Query keys that are secret or describe a signature, in lower case.
const SECRET_KEYS: &[&str] = &[
    "se",
    "sp",
    "st",
    "skt",
    "ske",
    "sks",
    "skv",
    "skoid",
    "sktid",
    "sas",
    "code",
    "policy",
    "jwt",
    "pwd",
    "pass",
    "expires",
    "googleaccessid",
    "sid",
    "session",
];

/// Pieces of query keys that make any key holding them secret, in lower case.
const SECRET_PIECES: &[&str] =
    &["sig", "token", "secret", "passw", "key", "credential", "auth", "x-amz-", "x-goog-", "accesskey"];

/// Hides the secrets of every URL inside `text`; a text without a URL comes back unchanged.
///
/// ```
/// use mapfold_store::redact;
/// let text = "GET https://me:pw@host/a.tif?sig=abc&v=2 failed";
/// assert_eq!(redact(text), "GET https://REDACTED@host/a.tif?sig=REDACTED&v=2 failed");
/// ```
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(ends_url).unwrap_or(tail.len());
        out.push_str(&redact_rest(head, &tail[..end]));
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// [`redact`] for a text known to be one single URL, whatever characters it holds.
pub(crate) fn redact_url(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", redact_rest(&format!("{scheme}://"), rest)),
        None => url.to_owned(),
    }
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// What follows the `scheme://` that ends `head`. In `abfss://container@account..` the part before the `@` is no user.
fn redact_rest(head: &str, rest: &str) -> String {
    const CONTAINERS: [&str; 4] = ["abfs://", "abfss://", "wasb://", "wasbs://"];
    let container = rest.split_once('@').filter(|(name, _)| !name.contains(['/', ':', '?']));
    match container {
        Some((name, host)) if CONTAINERS.iter().any(|scheme| head.ends_with(scheme)) => {
            format!("{name}@{}", redact_after_scheme(host))
        }
        _ => redact_after_scheme(rest),
    }
}

/// `user:password@host/path?query#fragment` with its secrets hidden.
fn redact_after_scheme(url: &str) -> String {
    let url = hide_user(url);
    let path_end = url.find(['?', '#']).unwrap_or(url.len());
    let (path, mut rest) = url.split_at(path_end);
    // A URL inside the path (`https://proxy/https://user:pw@host/`) is a URL too.
    let mut out = redact(path);
    while !rest.is_empty() {
        let mark = &rest[..1];
        let end = rest[1..].find(['?', '#']).map_or(rest.len(), |n| n + 1);
        out.push_str(mark);
        out.push_str(&hide_values(&rest[1..end]));
        rest = &rest[end..];
    }
    out
}

/// Replaces everything before the `@` of the authority.
fn hide_user(url: &str) -> Cow<'_, str> {
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let authority = &url[..end];
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    // "user:pa/ss@host": a '/' in an unescaped password; what follows the ':' is then no port.
    let odd = !port.ends_with(']') && !port.bytes().all(|b| b.is_ascii_digit());
    let search = if authority.contains('@') { authority } else { url };
    match search.rfind('@') {
        Some(at) if authority.contains('@') || odd => Cow::Owned(format!("{HIDDEN}@{}", &url[at + 1..])),
        _ => Cow::Borrowed(url),
    }
}

/// `a=1&sig=2;b` with the secret values hidden.
fn hide_values(query: &str) -> String {
    query
        .split_inclusive(['&', ';'])
        .map(|piece| {
            let (pair, end) = match piece.strip_suffix(['&', ';']) {
                Some(pair) => (pair, &piece[pair.len()..]),
                None => (piece, ""),
            };
            format!("{}{end}", hide_value(pair))
        })
        .collect()
}

fn hide_value(pair: &str) -> Cow<'_, str> {
    let Some((key, value)) = pair.split_once('=') else {
        // A long bare word is a token more often than a flag.
        return if pair.len() > 24 { HIDDEN.into() } else { pair.into() };
    };
    if value.is_empty() {
        return pair.into();
    }
    if is_secret(key) || hides_url(value) {
        return format!("{key}={HIDDEN}").into();
    }
    if value.contains("://") {
        return format!("{key}={}", redact(value)).into();
    }
    pair.into()
}

fn is_secret(key: &str) -> bool {
    let key = decoded(key).to_lowercase();
    let key = key.as_str();
    SECRET_KEYS.contains(&key) || SECRET_PIECES.iter().any(|piece| key.contains(piece))
}

/// True for a percent-encoded URL that holds a secret itself.
fn hides_url(value: &str) -> bool {
    if !value.contains('%') {
        return false;
    }
    let plain = decoded(value);
    plain.contains("://") && redact(&plain) != plain
}

fn decoded(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    match url::form_urlencoded::parse(text.as_bytes()).next() {
        Some((key, value)) if value.is_empty() => key.into_owned(),
        Some((key, value)) => format!("{key}={value}"),
        None => text.to_owned(),
    }
}
