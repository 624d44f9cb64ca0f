//! Lists of inputs: `@FILE`, a text file with one location a line.
//!
//! Blank lines and lines that begin with `#` are skipped. The order is the list's own. A relative line begins at the
//! list's own folder, wherever the program runs; the query of a list's URL goes to relative lines without one, since
//! a signature often covers the whole folder. A line may be a pattern, not another list. A fragment behind the list
//! (`@FILE#B04`) holds for the lines that have none.

use url::Url;

use crate::{Loc, Scheme, StoreError, Stores};

/// What is larger is no list that anybody meant.
const MOST_BYTES: u64 = 256 << 20;

/// The locations that the `file` behind `list` names.
pub(crate) fn entries(stores: &Stores, list: &Loc, file: &Loc) -> Result<Vec<Loc>, StoreError> {
    let text = text(stores, list, file)?;
    let mut out = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |e: StoreError| bad(list, format!("line {}: {e}", number + 1));
        let entry = entry(file, line).map_err(at)?;
        if entry.scheme() == Scheme::List {
            return Err(bad(list, format!("line {}: {entry} is another list", number + 1)));
        }
        // Whoever serves a list must not choose what is read from this machine's disk.
        if file.scheme() != Scheme::Local && file.scheme() != Scheme::Memory && entry.scheme() == Scheme::Local {
            return Err(bad(
                list,
                format!("line {}: a list from a server may not name a file of this machine", number + 1),
            ));
        }
        out.extend(stores.expand(&with_part_of(list, entry)).map_err(at)?);
    }
    if out.is_empty() {
        return Err(StoreError::no_match(list, "the list is empty"));
    }
    Ok(out)
}

fn text(stores: &Stores, list: &Loc, file: &Loc) -> Result<String, StoreError> {
    match stores.block_on(stores.head(file)) {
        Ok(info) if info.size > MOST_BYTES => {
            return Err(bad(list, format!("{} bytes are too many for a list", info.size)));
        }
        // A server that does not tell the size may still send the text.
        Ok(_) | Err(StoreError::Unsupported { .. }) => {}
        Err(error) => return Err(error),
    }
    let bytes = stores.get(file)?;
    String::from_utf8(bytes.into()).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        bad(list, format!("byte {at} is no UTF-8 text; is it a raster? Then give it without @"))
    })
}

fn bad(list: &Loc, why: String) -> StoreError {
    StoreError::BadList { loc: list.to_string(), why }
}

fn with_part_of(list: &Loc, entry: Loc) -> Loc {
    match (entry.fragment(), list.fragment()) {
        (None, Some(part)) => entry.with_fragment(part),
        _ => entry,
    }
}

/// A line as a location.
fn entry(file: &Loc, line: &str) -> Result<Loc, StoreError> {
    if line.contains("://") || line.starts_with('@') {
        return Loc::parse(line);
    }
    match file.scheme() {
        Scheme::Http => Loc::parse(&beside_url(file, line)?),
        Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Hdfs => {
            let folder = file.parent().unwrap_or_else(|| file.clone());
            Loc::parse(&format!("{}/{line}", folder.as_text()))
        }
        Scheme::Local | Scheme::List => Loc::parse(&beside_path(file, line)),
    }
}

fn beside_path(file: &Loc, line: &str) -> String {
    let folder = file.local_path().and_then(|p| p.parent()).map(|p| p.to_string_lossy().into_owned());
    match folder.filter(|f| !f.is_empty() && !line.starts_with('/')) {
        Some(folder) => format!("{folder}/{line}"),
        None => line.to_owned(),
    }
}

/// As a link on a page: `x.tif`, `../x.tif`, `/x.tif`.
fn beside_url(file: &Loc, line: &str) -> Result<String, StoreError> {
    let no_url = |e: url::ParseError| StoreError::BadUrl { loc: file.to_string(), why: format!("{line:?}: {e}") };
    let base = Url::parse(file.base()).map_err(no_url)?;
    let url = base.join(line).map_err(no_url)?;
    if !matches!(url.scheme(), "http" | "https") {
        let why = format!("{line:?} is neither a URL nor a path beside the list");
        return Err(StoreError::BadUrl { loc: file.to_string(), why });
    }
    let query = file.base().split_once('?').map(|(_, query)| query);
    let Some(query) = query.filter(|_| url.query().is_none() && url.origin() == base.origin()) else {
        return Ok(url.into());
    };
    // The query is put back as it was: encoding it anew would break a signature.
    let text = url.as_str();
    Ok(match text.split_once('#') {
        Some((path, part)) => format!("{path}?{query}#{part}"),
        None => format!("{text}?{query}"),
    })
}
