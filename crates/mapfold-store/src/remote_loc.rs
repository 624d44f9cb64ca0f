//! How locations in object stores and HDFS are written: the spellings that tools share, and one text for each place.
//!
//! Users' scripts already hold `s3a://` (Hadoop), `/vsis3/` (GDAL), `abfs://container/..` (fsspec) and the like; each
//! becomes the one text that identifies the place, so that two spellings are one object. Keys are taken as they
//! stand. What cannot be a key of every store (`a//b`, `..`, control characters) is refused, never changed.

use crate::Scheme;

/// The store that a URL scheme means.
pub(crate) fn scheme(text: &str) -> Option<Scheme> {
    Some(match text {
        "s3" | "s3a" | "s3n" => Scheme::S3,
        "gs" | "gcs" => Scheme::Gcs,
        "az" | "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => Scheme::Azure,
        "hdfs" | "viewfs" => Scheme::Hdfs,
        _ => return None,
    })
}

/// GDAL's virtual file systems as URLs; `None` for any other text.
pub(crate) fn from_gdal(text: &str) -> Option<String> {
    const BUCKETS: [(&str, &str); 5] =
        [("vsis3", "s3"), ("vsigs", "gs"), ("vsiaz", "az"), ("vsiadls", "az"), ("vsimem", "memory")];
    let (system, rest) = text.strip_prefix('/')?.split_once('/')?;
    let system = system.strip_suffix("_streaming").unwrap_or(system);
    if let Some((_, scheme)) = BUCKETS.iter().find(|(name, _)| *name == system) {
        return Some(format!("{scheme}://{rest}"));
    }
    match system {
        "vsicurl" | "vsihdfs" if rest.contains("://") => Some(rest.to_owned()),
        _ => None,
    }
}

/// Store and text of `scheme://rest`; `rest` has no fragment.
pub(crate) fn tidy(scheme_text: &str, rest: &str) -> Result<(Scheme, String), String> {
    let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(scheme) = scheme(scheme_text) else { return Err(format!("unknown scheme {scheme_text}://")) };
    if authority.contains('@') && scheme != Scheme::Azure {
        return Err("a user or a key in a URL; give them as settings (`mapfold config list`)".into());
    }
    let root = match scheme {
        Scheme::S3 => bucket("s3", authority)?,
        Scheme::Gcs => bucket("gs", authority)?,
        Scheme::Azure => container(scheme_text, authority)?,
        _ => name_node(scheme_text, authority)?,
    };
    let key = tidy_key(scheme, key)?;
    let slash = if key.is_empty() { "" } else { "/" };
    Ok((scheme, format!("{root}{slash}{key}")))
}

fn bucket(scheme: &str, name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        "" => Err(format!("a bucket is missing: {scheme}://bucket/key")),
        _ if name.chars().all(good) => Ok(format!("{scheme}://{name}")),
        // Not shown: somebody may have put a key there.
        _ => Err("a bucket's name has letters, digits, - _ and . only".into()),
    }
}

/// `container` (the account comes from the settings) or `container@account.dfs.core.windows.net`.
fn container(scheme: &str, authority: &str) -> Result<String, String> {
    let Some((name, host)) = authority.split_once('@') else {
        return bucket("az", authority);
    };
    if name.contains(':') {
        return Err("a URL with a password in it; give the key as AZURE_STORAGE_ACCOUNT_KEY".into());
    }
    let host = host.to_ascii_lowercase();
    let host = if scheme.starts_with("wasb") { host.replacen(".blob.", ".dfs.", 1) } else { host };
    let good = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        return Err(format!("{host:?} is no host: abfss://container@account.dfs.core.windows.net/key"));
    }
    bucket("az", name).map(|_| format!("abfss://{name}@{host}"))
}

/// `host:port`, a name service, or nothing (then `fs.defaultFS` says where).
fn name_node(scheme: &str, authority: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    if !authority.chars().all(good) {
        return Err(format!("no name node: {scheme}://host:port/path"));
    }
    Ok(format!("{scheme}://{authority}"))
}

fn tidy_key(scheme: Scheme, key: &str) -> Result<String, String> {
    if key.chars().any(char::is_control) {
        return Err("a control character in a name".into());
    }
    let pieces: Vec<&str> = match scheme {
        // As Hadoop does: two slashes are one.
        Scheme::Hdfs => key.split('/').filter(|piece| !piece.is_empty()).collect(),
        _ => key.trim_end_matches('/').split('/').collect(),
    };
    let empty = pieces.len() > 1 && pieces.iter().any(|piece| piece.is_empty());
    if empty {
        return Err("an empty name between two slashes".into());
    }
    if pieces.iter().any(|piece| matches!(*piece, "." | "..")) {
        return Err("`.` and `..` are no names in this store".into());
    }
    Ok(escaped_hash(&pieces.join("/")))
}

/// A `#` that is left in the key is no fragment.
fn escaped_hash(key: &str) -> String {
    key.replace('#', "%23")
}

/// A real name as it is written in a location: undone by [`plain`].
pub(crate) fn escaped(name: &str) -> String {
    escaped_hash(&name.replace("%25", "%2525").replace("%23", "%2523"))
}

/// The real key of a written one.
pub(crate) fn plain(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (sign, used) = match rest.get(at..at + 3) {
            Some("%23") => ('#', 3),
            _ if rest[at..].starts_with("%25") => ('%', 3),
            _ => ('%', 1),
        };
        out.push(sign);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{escaped, from_gdal, plain, tidy};
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_place() {
        let same = [
            ("s3a", "b/k", "s3://b/k"),
            ("s3n", "b/", "s3://b"),
            ("gcs", "b/k/", "gs://b/k"),
            ("abfs", "c/k", "az://c/k"),
            ("abfs", "c@Acc.dfs.core.windows.net/k", "abfss://c@acc.dfs.core.windows.net/k"),
            ("wasbs", "c@acc.blob.core.windows.net/k", "abfss://c@acc.dfs.core.windows.net/k"),
            ("hdfs", "nn:8020//a///b", "hdfs://nn:8020/a/b"),
            ("hdfs", "/a", "hdfs:///a"),
            ("s3", "b/a%20b c+d?e", "s3://b/a%20b c+d?e"),
        ];
        for (scheme, rest, text) in same {
            assert_eq!(tidy(scheme, rest).unwrap().1, text, "{scheme}://{rest}");
        }
        for (scheme, rest) in [("s3", "/k"), ("s3", "b/a//b"), ("gs", "b/../c"), ("az", "c:pw@h/k"), ("hdfs", "a@b/c")]
        {
            assert!(tidy(scheme, rest).is_err(), "{scheme}://{rest}");
        }
        assert_eq!(from_gdal("/vsis3_streaming/b/k").as_deref(), Some("s3://b/k"));
        assert_eq!(from_gdal("/vsicurl/https://h/x?a=1").as_deref(), Some("https://h/x?a=1"));
        assert_eq!((from_gdal("/vsis4/b/k"), from_gdal("/data/vsis3/b")), (None, None));
    }

    proptest! {
        /// Law: what is written for a name is read as that name.
        #[test]
        fn escapes_come_back(name in "[a%#235 ]{0,12}") {
            prop_assert_eq!(plain(&escaped(&name)), name);
        }
    }
}
