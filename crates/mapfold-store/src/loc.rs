//! Where something is: a path or a URL, with an optional `#fragment` that names a part of it.
//!
//! Where inputs are named, one text may stand for several files: `@FILE` (a list) or a pattern (`tiles/*.tif`). Both
//! are values of [`Loc`] too; [`Stores::expand`](crate::Stores::expand) looks them up.
//!
//! A [`Loc`] is a value: cheap to clone, ordered, hashable, sent between machines as its text. It
//! touches no store; only a text with a `#` asks the local disk whether a file of that very name
//! exists. It shows itself redacted, always; the one door to the full text is [`Loc::as_text`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::redact::{redact, redact_url};
use crate::{StoreError, closest, remote_loc};

const SCHEMES: [&str; 11] = ["file", "memory", "http", "https", "s3", "s3a", "gs", "az", "abfs", "abfss", "hdfs"];

/// Which store a [`Loc`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scheme {
    /// A path on a mounted file system.
    Local,
    /// The in-memory store of one [`Stores`](crate::Stores).
    Memory,
    /// `http://` or `https://`, read only.
    Http,
    /// `@FILE`: a file that lists locations. There are no bytes under it: it is only looked up.
    List,
    /// `s3://bucket/key` (also written `s3a://`, `s3n://`, `/vsis3/`): Amazon S3 and servers that speak it.
    S3,
    /// `gs://bucket/key` (also written `gcs://`, `/vsigs/`): Google Cloud Storage.
    Gcs,
    /// `az://container/key`, `abfss://container@account.dfs.core.windows.net/key` (also `abfs://`, `wasbs://`,
    /// `/vsiaz/`, `/vsiadls/`): Azure Blob Storage.
    Azure,
    /// `hdfs://host:port/path`, `hdfs://nameservice/path`, `hdfs:///path` (then `fs.defaultFS`), `viewfs://..`.
    Hdfs,
}

impl Scheme {
    /// A bucket of objects: S3, Google Cloud Storage or Azure.
    pub fn is_objects(self) -> bool {
        matches!(self, Scheme::S3 | Scheme::Gcs | Scheme::Azure)
    }

    /// A store that is asked over the network and has settings: an object store or HDFS.
    pub fn is_remote(self) -> bool {
        self.is_objects() || self == Scheme::Hdfs
    }
}

/// A location: local path, `file://`, `memory://name/..`, `http(s)://..`, `s3://..`, `gs://..`, `az://..`,
/// `hdfs://..`, and a fragment. GDAL's `/vsis3/..` spellings mean the same.
///
/// Names in object stores and HDFS are taken as they stand: a space is a space, `%20` is `%20`. Two escapes exist,
/// because `#` begins the fragment: `%23` is `#`, and `%25` is `%`.
///
/// ```
/// use mapfold_store::Loc;
/// let band = Loc::parse("https://host/s2/scene.tif?sig=abc#B04")?;
/// assert_eq!(band.name(), "scene.tif");
/// assert_eq!(band.fragment(), Some("B04"));
/// assert_eq!(band.to_string(), "https://host/s2/scene.tif?sig=REDACTED#B04");
/// # Ok::<(), mapfold_store::StoreError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loc {
    scheme: Scheme,
    /// The text without the fragment.
    base: Arc<str>,
    fragment: Option<Arc<str>>,
    /// Base and fragment, as they travel.
    text: Arc<str>,
    /// The path of a local location.
    path: Option<Arc<Path>>,
}

impl Loc {
    /// Reads a path or a URL. A `#fragment` at the end is kept apart, unless a local file with that
    /// whole name exists. An `@` at the beginning makes it a list; a file of such a name is `./@name`.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] for an unknown scheme (with the nearest known one) or a broken URL.
    pub fn parse(text: &str) -> Result<Loc, StoreError> {
        if let Some(file) = text.strip_prefix('@') {
            return parse_list(file);
        }
        if let Some(plain) = remote_loc::from_gdal(text) {
            return Loc::parse(&plain);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return parse_path(text);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => parse_file_url(text),
            "memory" => parse_memory(text, rest),
            "http" | "https" => parse_http(text),
            other if remote_loc::scheme(other).is_some() => parse_remote(text, other, rest),
            other if is_scheme(other) => Err(unknown_scheme(text, other)),
            _ => parse_path(text),
        }
    }

    /// The local file at exactly `path`; a `#` in it is part of the name.
    pub fn local(path: impl AsRef<Path>) -> Loc {
        let path = tidy(path.as_ref());
        let plain = path.to_str().filter(|text| is_plain(text));
        let base = plain.map_or_else(|| file_url(&path), str::to_owned);
        Loc::assemble(Scheme::Local, &base, None, Some(&path))
    }

    fn assemble(scheme: Scheme, base: &str, fragment: Option<&str>, path: Option<&Path>) -> Loc {
        let text = match fragment {
            Some(fragment) => format!("{base}#{fragment}").into(),
            None => base.into(),
        };
        Loc { scheme, base: base.into(), fragment: fragment.map(Into::into), text, path: path.map(Into::into) }
    }

    /// The part after `#`: a band, a page, an array; what it means is the format's business.
    pub fn fragment(&self) -> Option<&str> {
        self.fragment.as_deref()
    }

    /// The same object with this fragment instead.
    pub fn with_fragment(&self, fragment: &str) -> Loc {
        Loc::assemble(self.scheme, &self.base, Some(fragment), self.path.as_deref())
    }

    /// The object as a whole.
    pub fn without_fragment(&self) -> Loc {
        Loc::assemble(self.scheme, &self.base, None, self.path.as_deref())
    }

    /// The store this location belongs to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path, for a local location.
    pub fn local_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether this may stand for several files: a list, or a path with `*`, `?` or `[` in it (in a URL `?`
    /// begins the query).
    pub fn is_pattern(&self) -> bool {
        match self.scheme {
            Scheme::List => true,
            Scheme::Local => self.path.as_ref().is_some_and(|p| p.to_string_lossy().contains(['*', '?', '['])),
            Scheme::Memory => self.memory_key().contains(['*', '?', '[']),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => self.remote().1.contains(['*', '?', '[']),
            Scheme::Http => {
                let (path, _) = split_query(&self.base);
                path.splitn(4, '/').nth(3).is_some_and(|path| path.contains(['*', '[']))
            }
        }
    }

    /// The file that lists locations, for `@FILE`.
    pub(crate) fn listed(&self) -> Option<Result<Loc, StoreError>> {
        (self.scheme == Scheme::List).then(|| Loc::parse(self.base.trim_start_matches('@')))
    }

    /// The last path component, without query and fragment; empty for a root.
    pub fn name(&self) -> &str {
        if let Some(path) = &self.path {
            return path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        }
        if self.scheme.is_remote() {
            let key = self.remote().1;
            return key.rsplit('/').next().unwrap_or(key);
        }
        let (path, _) = split_query(&self.base);
        let after = path.find("://").map_or(0, |at| at + 3);
        let path = path[after..].trim_end_matches('/');
        match self.scheme {
            Scheme::List => path.rsplit(['/', '@']).next().unwrap_or(path),
            _ => path.rsplit_once('/').map_or("", |(_, name)| name),
        }
    }

    /// The last component as the store knows it: [`Loc::name`] without the escapes of this text. What
    /// [`Loc::join`] wants.
    pub fn file_name(&self) -> String {
        match self.scheme.is_remote() {
            true => remote_loc::plain(self.name()),
            false => self.name().to_owned(),
        }
    }

    /// The location called `name` beside this one. A query (a signature) is kept: it often covers
    /// the whole folder.
    pub fn sibling(&self, name: &str) -> Loc {
        if let Some(path) = &self.path {
            return Loc::local(path.with_file_name(name));
        }
        self.parent().unwrap_or_else(|| self.without_fragment()).join(name)
    }

    /// The location called `name` (which may hold `/`) inside this folder. A query is kept.
    pub fn join(&self, name: &str) -> Loc {
        if let Some(path) = &self.path {
            return Loc::local(path.join(name));
        }
        if self.scheme.is_remote() {
            let name = remote_loc::escaped(name.trim_matches('/'));
            let slash = if name.is_empty() { "" } else { "/" };
            return Loc::assemble(self.scheme, &format!("{}{slash}{name}", self.base), None, None);
        }
        let (path, query) = split_query(&self.base);
        let name = self.escaped(name.trim_start_matches('/'));
        let base = format!("{}/{name}{query}", path.trim_end_matches('/'));
        Loc::assemble(self.scheme, &base, None, None)
    }

    /// The command that makes a folder here, for messages.
    pub fn mkdir(&self) -> String {
        match self.scheme {
            Scheme::Hdfs => format!("hdfs dfs -mkdir -p {self}"),
            _ => format!("mkdir -p {self}"),
        }
    }

    /// The folder this location lies in; `None` for a root. A query is kept.
    pub fn parent(&self) -> Option<Loc> {
        if let Some(path) = &self.path {
            let parent = path.parent()?;
            let here = parent.as_os_str().is_empty();
            return Some(Loc::local(if here { Path::new(".") } else { parent }));
        }
        if self.scheme.is_remote() {
            let (root, key) = self.remote();
            if key.is_empty() {
                return None;
            }
            let folder = key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("/{folder}"));
            return Some(Loc::assemble(self.scheme, &format!("{root}{folder}"), None, None));
        }
        let (path, query) = split_query(&self.base);
        let path = path.trim_end_matches('/');
        let start = path.find("://")? + 3;
        let (folder, _) = path[start..].rsplit_once('/')?;
        let base = format!("{}{folder}{query}", &path[..start]);
        Some(Loc::assemble(self.scheme, &base, None, None))
    }

    /// The full text, secrets included, for parameters that travel to another process.
    /// **Never print or log it**; `Display` is for that.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// Base text without fragment, the identity of the object.
    pub(crate) fn base(&self) -> &Arc<str> {
        &self.base
    }

    /// Name and path of a `memory://` location.
    pub(crate) fn memory_key(&self) -> &str {
        self.base.strip_prefix("memory://").unwrap_or(&self.base)
    }

    /// Bucket, container or name node of a remote location, such as `s3://bucket`, and the key below it as it is
    /// written (no slash at either end).
    pub(crate) fn remote(&self) -> (&str, &str) {
        let start = self.base.find("://").map_or(0, |at| at + 3);
        match self.base[start..].find('/') {
            Some(at) => (&self.base[..start + at], &self.base[start + at + 1..]),
            None => (&self.base, ""),
        }
    }

    /// Whether both lie in one bucket or on one name node.
    pub(crate) fn same_store(&self, other: &Loc) -> bool {
        self.scheme.is_remote() && self.scheme == other.scheme && self.remote().0 == other.remote().0
    }

    /// The place of a remote location that has nothing above it.
    pub(crate) fn root(&self) -> Loc {
        Loc::assemble(self.scheme, self.remote().0, None, None)
    }

    /// The real key of a remote location: escapes are undone, there is no slash at either end.
    pub(crate) fn key(&self) -> String {
        remote_loc::plain(self.remote().1)
    }

    /// A plain name made safe for the text of this location.
    fn escaped(&self, name: &str) -> String {
        let name = name.replace('#', "%23");
        match self.scheme {
            Scheme::Http => name.replace('?', "%3F").replace(' ', "%20"),
            _ => name,
        }
    }
}

fn parse_path(text: &str) -> Result<Loc, StoreError> {
    if text.is_empty() {
        return Err(bad(text, "an empty location"));
    }
    if let Some(scheme) = one_slash_scheme(text) {
        return Err(bad(text, &format!("did you mean {scheme}://...?")));
    }
    match split_fragment(text) {
        Some((path, fragment)) if !Path::new(text).exists() => Ok(Loc::local(path).with_fragment(fragment)),
        _ => Ok(Loc::local(text)),
    }
}

fn parse_list(file: &str) -> Result<Loc, StoreError> {
    if file.is_empty() || file.starts_with('@') {
        return Err(bad(&format!("@{file}"), "a list is @FILE: a text file with one location a line"));
    }
    let file = Loc::parse(file)?;
    Ok(Loc::assemble(Scheme::List, &format!("@{}", file.base), file.fragment(), None))
}

fn parse_file_url(text: &str) -> Result<Loc, StoreError> {
    let mut url = Url::parse(text).map_err(|error| bad(text, &error.to_string()))?;
    let fragment = url.fragment().filter(|f| !f.is_empty()).map(str::to_owned);
    url.set_fragment(None);
    if url.query().is_some() {
        return Err(bad(text, "a file URL has no query; a question mark in a path is written %3F"));
    }
    let path = url.to_file_path().map_err(|()| bad(text, "a file URL names a path on this machine: file:///path"))?;
    let loc = Loc::local(path);
    Ok(match fragment {
        Some(fragment) => loc.with_fragment(&fragment),
        None => loc,
    })
}

fn parse_memory(text: &str, rest: &str) -> Result<Loc, StoreError> {
    let (path, fragment) = match split_fragment(rest) {
        Some((path, fragment)) => (path, Some(fragment)),
        None => (rest, None),
    };
    let pieces: Vec<&str> = path.split('/').filter(|piece| !piece.is_empty()).collect();
    if pieces.is_empty() {
        return Err(bad(text, "a memory location needs a name: memory://name/path"));
    }
    let base = format!("memory://{}", pieces.join("/").replace('#', "%23"));
    Ok(Loc::assemble(Scheme::Memory, &base, fragment, None))
}

fn parse_http(text: &str) -> Result<Loc, StoreError> {
    // The text is kept as it is: re-encoding a signed query would break the signature.
    Url::parse(text).map_err(|error| bad(text, &error.to_string()))?;
    let (base, fragment) = match text.split_once('#') {
        Some((base, fragment)) => (base, Some(fragment).filter(|f| !f.is_empty())),
        None => (text, None),
    };
    Ok(Loc::assemble(Scheme::Http, base, fragment, None))
}

fn parse_remote(text: &str, scheme: &str, rest: &str) -> Result<Loc, StoreError> {
    let (rest, fragment) = match split_fragment(rest) {
        Some((path, fragment)) => (path, Some(fragment)),
        None => (rest, None),
    };
    let (scheme, base) = remote_loc::tidy(scheme, rest).map_err(|why| bad(text, &why))?;
    Ok(Loc::assemble(scheme, &base, fragment, None))
}

/// Splits `scene.tif#B04` at its last `#`; a fragment holds no `/` and is not empty.
fn split_fragment(text: &str) -> Option<(&str, &str)> {
    let (base, fragment) = text.rsplit_once('#')?;
    let good = !base.is_empty() && !base.ends_with('/') && !fragment.is_empty();
    (good && !fragment.contains('/')).then_some((base, fragment))
}

fn split_query(base: &str) -> (&str, &str) {
    base.split_at(base.find('?').unwrap_or(base.len()))
}

/// True when `text`, parsed on any machine, is this very path without a fragment.
fn is_plain(text: &str) -> bool {
    split_fragment(text).is_none()
        && !text.starts_with('@')
        && !text.contains("://")
        && remote_loc::from_gdal(text).is_none()
        && one_slash_scheme(text).is_none()
}

/// `http:/host/x`: a URL that lost a slash, as shells and path joins do.
fn one_slash_scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(":/")?;
    SCHEMES.contains(&scheme).then_some(scheme)
}

/// Drops slashes at the end and doubled ones; keeps a relative path relative.
fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().collect();
    if tidy.as_os_str().is_empty() { PathBuf::from(".") } else { tidy }
}

fn file_url(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match Url::from_file_path(&absolute) {
        Ok(url) => url.into(),
        Err(()) => absolute.to_string_lossy().into_owned(),
    }
}

fn is_scheme(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !text.is_empty()
}

fn unknown_scheme(text: &str, scheme: &str) -> StoreError {
    // Schemes that other tools of the field know: clearer than a list.
    const OTHERS: [&str; 6] = ["adl", "webhdfs", "swebhdfs", "ftp", "ssh", "sftp"];
    let why = match closest(scheme, SCHEMES) {
        _ if OTHERS.contains(&scheme) => {
            format!(
                "{scheme}:// is not read by this version; copy the file to a store that is: s3, gs, abfss, hdfs, file"
            )
        }
        Some(near) => format!("unknown scheme {scheme}://; did you mean {near}://?"),
        None => format!("unknown scheme {scheme}://; known are file, http(s), s3, gs, az, abfss and hdfs"),
    };
    bad(text, &why)
}

fn bad(text: &str, why: &str) -> StoreError {
    StoreError::BadUrl { loc: if text.is_empty() { "\"\"".into() } else { redact_url(text) }, why: why.into() }
}

impl fmt::Display for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(path) = &self.path else {
            return f.write_str(&redact_url(&self.text));
        };
        f.write_str(&redact(&path.to_string_lossy()))?;
        match &self.fragment {
            Some(fragment) => write!(f, "#{fragment}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loc({self})")
    }
}

impl FromStr for Loc {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Loc, StoreError> {
        Loc::parse(text)
    }
}

impl Serialize for Loc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Loc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loc, D::Error> {
        let text = String::deserialize(deserializer)?;
        Loc::parse(&text).map_err(serde::de::Error::custom)
    }
}
