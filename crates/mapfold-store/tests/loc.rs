//! What a text means as a location, and what a location shows of itself.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use mapfold_store::{Loc, Scheme, StoreError};

#[test]
fn parsing_table() {
    use Scheme::{Azure, Gcs, Hdfs, Http, Local, Memory, S3};
    let table = [
        // text, scheme, name, fragment, parent
        ("scene.tif", Local, "scene.tif", None, Some(".")),
        ("a/b/scene.tif#4", Local, "scene.tif", Some("4"), Some("a/b")),
        ("/a//b/", Local, "b", None, Some("/a")),
        ("/", Local, "", None, None),
        ("./x y.tif#B04", Local, "x y.tif", Some("B04"), Some(".")),
        ("/a/#1/c.tif", Local, "c.tif", None, Some("/a/#1")),
        ("file:///a/b.tif#2", Local, "b.tif", Some("2"), Some("/a")),
        ("file:///a/b%20c.tif", Local, "b c.tif", None, Some("/a")),
        ("C:\\odd name", Local, "C:\\odd name", None, Some(".")),
        ("memory://lab/a/b.tif#3", Memory, "b.tif", Some("3"), Some("memory://lab/a")),
        ("memory://lab", Memory, "", None, None),
        ("http://h/a/b.tif", Http, "b.tif", None, Some("http://h/a")),
        ("https://h:8080/b.tif?x=1#B08", Http, "b.tif", Some("B08"), Some("https://h:8080?x=1")),
        ("https://h/", Http, "", None, None),
        ("s3a://bucket/a/b.tif#B04", S3, "b.tif", Some("B04"), Some("s3://bucket/a")),
        ("/vsis3/bucket/a?b.tif", S3, "a?b.tif", None, Some("s3://bucket")),
        ("s3://bucket/", S3, "", None, None),
        ("gs://bucket/a b/", Gcs, "a b", None, Some("gs://bucket")),
        ("az://box/a", Azure, "a", None, Some("az://box")),
        ("abfss://box@acc.dfs.core.windows.net/a/b", Azure, "b", None, Some("abfss://box@acc.dfs.core.windows.net/a")),
        ("hdfs://nn:8020/a/b", Hdfs, "b", None, Some("hdfs://nn:8020/a")),
        ("hdfs:///a", Hdfs, "a", None, Some("hdfs://")),
        ("https://h/a/?x=/1/2", Http, "a", None, Some("https://h?x=/1/2")),
    ];
    for (text, scheme, name, fragment, parent) in table {
        let loc: Loc = text.parse().unwrap();
        assert_eq!(loc.scheme(), scheme, "{text}");
        assert_eq!(loc.name(), name, "{text}");
        assert_eq!(loc.fragment(), fragment, "{text}");
        assert_eq!(loc.parent().map(|p| p.to_string()).as_deref(), parent, "{text}");
    }
}

#[test]
fn siblings_and_children() {
    let table = [
        ("scene.tif#4", "scene.ovr", "scene.tif/x"),
        ("/a/b", "/a/scene.ovr", "/a/b/x"),
        ("memory://lab/a", "memory://lab/scene.ovr", "memory://lab/a/x"),
        ("s3://b/a#4", "s3://b/scene.ovr", "s3://b/a/x"),
        ("hdfs:///a", "hdfs:///scene.ovr", "hdfs:///a/x"),
        ("https://h/a/b.tif?v=1", "https://h/a/scene.ovr?v=1", "https://h/a/b.tif/x?v=1"),
    ];
    for (text, sibling, child) in table {
        let loc = Loc::parse(text).unwrap();
        assert_eq!(loc.sibling("scene.ovr").as_text(), sibling);
        assert_eq!(loc.join("x").as_text(), child);
    }
}

#[test]
fn refusals_say_what_was_meant() {
    let table = [
        ("htps://host/a.tif?sig=topsecret", "did you mean https://?"),
        ("gopher://host/a", "known are file, http(s), s3, gs, az, abfss and hdfs"),
        ("https:/host/a.tif", "did you mean https://...?"),
        ("memory://", "memory://name/path"),
        ("", "empty"),
        ("s4://bucket/a", "did you mean s3://?"),
        ("s3:/bucket/a", "did you mean s3://...?"),
        ("s3://", "a bucket is missing"),
        ("s3://b/a/../c", "no names in this store"),
        ("gs://b/a//c", "two slashes"),
        ("az://c:topsecret@acc/k", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("ftp://host/a", "is not read by this version"),
        ("https://", "host"),
    ];
    for (text, says) in table {
        let error = Loc::parse(text).unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(!error.to_string().contains("topsecret"), "{error}");
    }
}

#[test]
fn a_file_with_a_hash_in_its_name_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.tif#4");
    assert_eq!(Loc::parse(path.to_str().unwrap()).unwrap().fragment(), Some("4"));
    std::fs::write(&path, "x").unwrap();
    let loc = Loc::parse(path.to_str().unwrap()).unwrap();
    assert_eq!((loc.fragment(), loc.local_path()), (None, Some(&*path)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Loc::parse(loc.as_text()).unwrap(), loc, "the text means the same everywhere");
    assert_eq!(loc.to_string(), path.display().to_string());
}

#[test]
fn locations_travel_as_text() {
    for text in [
        "s3://b/a%23b%2520 c#4",
        "hdfs:///a",
        "abfss://c@a.dfs.core.windows.net/k",
        "/a/b.tif#4",
        "https://h/a?sig=abc%2F+d#x",
        "memory://a/b",
        "rel/x",
    ] {
        let loc = Loc::parse(text).unwrap();
        let json = serde_json::to_string(&loc).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Loc>(&json).unwrap(), loc);
    }
    for odd in ["/a/b#4", "/x/http://y", "/a/%23"] {
        let loc = Loc::local(odd);
        assert_eq!(loc.local_path(), Some(&*Path::new(odd).components().collect::<std::path::PathBuf>()));
        assert_eq!(Loc::parse(loc.as_text()).unwrap(), loc, "{odd}");
    }
    assert_eq!(Loc::parse("file:///a/b").unwrap(), Loc::local("/a/b"));
}

#[test]
fn fragments_come_and_go() {
    let loc = Loc::parse("/a/b.tif#4").unwrap();
    assert_eq!(loc.without_fragment(), Loc::local("/a/b.tif"));
    assert_eq!(loc.without_fragment().with_fragment("4"), loc);
    assert_eq!(loc.with_fragment("B8A").to_string(), "/a/b.tif#B8A");
}

#[test]
fn names_in_stores_are_what_they_are() {
    let bucket = Loc::parse("s3://bucket/dir").unwrap();
    for name in ["a b", "a#b", "a%b", "a%20b", "a%23b", "a?b=c", "ü"] {
        let loc = bucket.join(name);
        assert_eq!(loc.file_name(), name);
        assert_eq!((loc.fragment(), Loc::parse(loc.as_text()).unwrap()), (None, loc.clone()), "{name}");
    }
}
