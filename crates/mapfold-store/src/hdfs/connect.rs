//! From settings to the client of one name node or name service.

use std::collections::HashMap;

use hdfs_native::{Client, ClientBuilder};
use tokio::runtime::Handle;

use super::fault::refusal;
use crate::{Loc, Settings, StoreError};

/// Hadoop's own port of a name node.
const NAME_NODE_PORT: u16 = 8020;
/// A data node that is silent for so long is left for another (Hadoop waits 60 s).
const SILENCE_MS: &str = "10000";

/// Before the name of a name service: which name nodes it has.
const NODES: &str = "dfs.ha.namenodes.";

/// How files are written, from `dfs.replication` and `dfs.blocksize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writing {
    pub(crate) replication: Option<u32>,
    pub(crate) block_size: Option<u64>,
}

/// The URL of the name node that `loc` means, with its port where one is needed.
pub(super) fn address(loc: &Loc, settings: &Settings) -> Result<String, StoreError> {
    let root = loc.remote().0;
    let (scheme, authority) = root.split_once("://").unwrap_or(("hdfs", root));
    if authority.is_empty() {
        return default_address(loc, settings);
    }
    Ok(with_port(scheme, authority, settings))
}

fn default_address(loc: &Loc, settings: &Settings) -> Result<String, StoreError> {
    let missing = |why: String| StoreError::Settings { loc: loc.to_string(), why };
    let named = settings.get("fs.defaultFS").or_else(|| settings.get("fs.default.name"));
    let Some(named) = named else {
        let why =
            "no name node is named: write hdfs://host:port/path, or set HADOOP_CONF_DIR or -D fs.defaultFS=hdfs://..";
        return Err(missing(why.into()));
    };
    match named.trim_end_matches('/').split_once("://") {
        Some((scheme @ ("hdfs" | "viewfs"), authority)) => Ok(with_port(scheme, authority, settings)),
        _ => Err(missing(format!(
            "fs.defaultFS is {named}, which is not HDFS; name the name node: hdfs://host:port/path"
        ))),
    }
}

fn with_port(scheme: &str, authority: &str, settings: &Settings) -> String {
    let service = nodes(authority, settings).is_some();
    match authority.rsplit_once(':') {
        None if scheme == "hdfs" && !service => format!("{scheme}://{authority}:{NAME_NODE_PORT}"),
        _ => format!("{scheme}://{authority}"),
    }
}

/// The ids of the name nodes of a name service, as they are listed; `None` for a host.
fn nodes<'a>(authority: &str, settings: &'a Settings) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    let listed = settings.get(&format!("{NODES}{authority}"))?;
    Some(listed.split(',').map(str::trim).filter(|id| !id.is_empty()))
}

/// Whether `loc` is on a name service, which may be between two active name nodes.
pub(super) fn is_service(loc: &Loc, settings: &Settings) -> bool {
    address(loc, settings).is_ok_and(|address| nodes(authority(&address), settings).is_some())
}

/// Whether this cluster asks for Kerberos.
pub(super) fn is_secure(settings: &Settings) -> bool {
    settings.get("hadoop.security.authentication").is_some_and(|method| method != "simple")
}

/// Who we say we are; nobody believes that where there is Kerberos, and the ticket says it.
pub(super) fn user(settings: &Settings) -> Option<&str> {
    settings.get("hadoop_user_name").filter(|_| !is_secure(settings))
}

fn authority(address: &str) -> &str {
    address.split_once("://").map_or("", |(_, authority)| authority)
}

/// A client; it connects at its first question.
pub(super) fn client(loc: &Loc, settings: &Settings, io: Handle) -> Result<Client, StoreError> {
    let address = address(loc, settings)?;
    let mut hadoop: HashMap<String, String> = HashMap::new();
    hadoop.insert("dfs.client.socket-timeout".into(), SILENCE_MS.into());
    // Each name node is asked twice; the patience beyond that is ours, which knows more.
    let nodes = nodes(authority(&address), settings).map_or(1, Iterator::count).max(1);
    hadoop.insert("dfs.client.failover.max.attempts".into(), (2 * nodes - 1).to_string());
    hadoop.extend(settings.of_hadoop().map(|(name, value)| (name.to_owned(), plain(name, value))));
    let mut builder = ClientBuilder::new().with_url(&address).with_config(hadoop).with_io_runtime(io);
    if let Some(user) = user(settings) {
        builder = builder.with_user(user);
    }
    builder.build().map_err(|error| refusal(loc, error))
}

/// The value as the client library reads it: to it `nn1, nn2` is a node that is called ` nn2`.
fn plain(name: &str, value: &str) -> String {
    match name.starts_with(NODES) {
        true => value.split_whitespace().collect(),
        false => value.to_owned(),
    }
}

/// Replication and block size of new files.
pub(super) fn writing(settings: &Settings) -> Result<Writing, StoreError> {
    let wrong = |name: &str, value: &str| StoreError::Settings {
        loc: name.to_owned(),
        why: format!("{value:?} is no number (of bytes: 134217728, 128m)"),
    };
    let read =
        |name: &'static str| settings.get(name).map(|value| size(value).ok_or_else(|| wrong(name, value))).transpose();
    let replication = read("dfs.replication")?.map(|n| n as u32);
    Ok(Writing { replication, block_size: read("dfs.blocksize")? })
}

/// `134217728`, `128m`, `1g`: powers of 1024, as Hadoop reads them.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, shift) = match text.strip_suffix(['k', 'm', 'g']) {
        Some(digits) => (digits, [("k", 10), ("m", 20), ("g", 30)].iter().find(|(s, _)| text.ends_with(s))?.1),
        None => (text.as_str(), 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// HTTP addresses of the name nodes behind `loc`, for questions that only HTTP answers.
pub(super) fn http_addresses(loc: &Loc, settings: &Settings) -> Vec<String> {
    let Ok(address) = address(loc, settings) else { return Vec::new() };
    let authority = authority(&address);
    let named: Vec<String> = match nodes(authority, settings) {
        Some(ids) => ids
            .filter_map(|id| settings.get(&format!("dfs.namenode.http-address.{authority}.{id}")))
            .map(str::to_owned)
            .collect(),
        None => settings.get("dfs.namenode.http-address").map(str::to_owned).into_iter().collect(),
    };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let usual = || vec![format!("{host}:9870")];
    let named = if named.is_empty() { usual() } else { named };
    // `0.0.0.0:9870` is where it listens, not where it is.
    named.into_iter().map(|address| address.replace("0.0.0.0", host)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{address, http_addresses, is_service, plain, size, user, writing};
    use crate::{Loc, Settings};

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().fold(Settings::none(), |all, (name, value)| all.with(name, value, "test").unwrap())
    }

    #[test]
    fn addresses_of_name_nodes() {
        let ha = settings(&[
            ("dfs.ha.namenodes.prod", "a, b"),
            ("dfs.namenode.http-address.prod.a", "one:9870"),
            ("dfs.namenode.http-address.prod.b", "two:9870"),
            ("fs.defaultFS", "hdfs://prod"),
        ]);
        let at = |text: &str, settings: &Settings| address(&Loc::parse(text).unwrap(), settings);
        assert_eq!(at("hdfs://prod/x", &ha).unwrap(), "hdfs://prod");
        assert_eq!(at("hdfs:///x", &ha).unwrap(), "hdfs://prod");
        assert_eq!(at("hdfs://other/x", &ha).unwrap(), "hdfs://other:8020");
        assert_eq!(at("hdfs://other:9000/x", &ha).unwrap(), "hdfs://other:9000");
        assert!(at("hdfs:///x", &Settings::none()).unwrap_err().to_string().contains("fs.defaultFS"));
        assert_eq!(http_addresses(&Loc::parse("hdfs:///x").unwrap(), &ha), ["one:9870", "two:9870"]);
        assert_eq!(http_addresses(&Loc::parse("hdfs://nn:8020/x").unwrap(), &Settings::none()), ["nn:9870"]);
    }

    #[test]
    fn ids_with_blanks_and_who_we_are() {
        assert_eq!(plain("dfs.ha.namenodes.prod", "a, b"), "a,b");
        assert_eq!(plain("dfs.other", "a, b"), "a, b");
        let there = Loc::parse("hdfs://prod/x").unwrap();
        assert!(is_service(&there, &settings(&[("dfs.ha.namenodes.prod", "a, b")])));
        assert!(!is_service(&there, &Settings::none()));
        let me = ("hadoop_user_name", "me");
        assert_eq!(user(&settings(&[me, ("hadoop.security.authentication", "simple")])), Some("me"));
        assert_eq!(user(&settings(&[me, ("hadoop.security.authentication", "kerberos")])), None);
    }

    #[test]
    fn sizes_as_hadoop_writes_them() {
        assert_eq!((size("128m"), size("1G"), size("77"), size("x")), (Some(128 << 20), Some(1 << 30), Some(77), None));
        assert!(writing(&settings(&[("dfs.replication", "two")])).is_err());
        let set = writing(&settings(&[("dfs.replication", "2"), ("dfs.blocksize", "64k")])).unwrap();
        assert_eq!((set.replication, set.block_size), (Some(2), Some(65536)));
    }
}
