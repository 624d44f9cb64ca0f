//! Local disk and memory keep the same laws; what only a disk can do is tested here too.
#![allow(clippy::unwrap_used)]

use std::fs;

use mapfold_store::{Loc, Replace, StoreError, Stores, conformance};

#[test]
fn local_disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::all(&Stores::new(), &Loc::local(folder.path()));
}

#[test]
fn memory_conforms() {
    let stores = Stores::new();
    let root = Loc::parse("memory://conformance").unwrap();
    stores.create_dir(&root).unwrap();
    conformance::all(&stores, &root);
}

#[test]
fn memory_is_private_to_its_stores() {
    let (one, two) = (Stores::new(), Stores::new());
    let loc = Loc::parse("memory://a/b").unwrap();
    one.put(&loc, "x".into()).unwrap();
    assert!(one.clone().exists(&loc).unwrap());
    assert!(!two.exists(&loc).unwrap());
}

#[test]
fn a_file_replaced_behind_our_back_is_seen_at_the_next_head() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, loc) = (Stores::new(), Loc::local(folder.path().join("a")));
    stores.put(&loc, "old".into()).unwrap();
    stores.block_on(stores.head(&loc)).unwrap();
    assert_eq!(stores.block_on(stores.read(&loc, 0..3)).unwrap(), "old");
    fs::write(folder.path().join("b"), "new").unwrap();
    fs::rename(folder.path().join("b"), folder.path().join("a")).unwrap();
    assert_eq!(stores.block_on(stores.read(&loc, 0..3)).unwrap(), "old", "one version to the end");
    stores.block_on(stores.head(&loc)).unwrap();
    assert_eq!(stores.block_on(stores.read(&loc, 0..3)).unwrap(), "new");
}

#[test]
fn a_full_disk_is_no_space() {
    let stores = Stores::new();
    let Ok(full) = stores.open_file(&Loc::local("/dev/full")) else {
        return; // no such device on this system
    };
    let error = full.write_at(0, b"x").unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert_eq!(error.to_string(), "/dev/full: no space left");
}

#[test]
fn the_disk_is_that_of_the_nearest_existing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new();
    let deep = Loc::local(folder.path().join("not/yet/there.tif"));
    let disk = stores.disk(&deep).unwrap().unwrap();
    assert!(disk.free > 0);
    assert_eq!(stores.disk(&Loc::local(folder.path())).unwrap().unwrap().id, disk.id, "one file system");
    assert_eq!(stores.disk(&Loc::parse("memory://a").unwrap()).unwrap(), None);
    let error = stores.check_writable(&deep).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    assert!(error.loc().ends_with("not/yet"), "the folder at fault is named: {error}");
}

#[test]
fn stores_do_not_mix_and_a_root_stays() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new();
    let (here, there) = (Loc::local(folder.path().join("a")), Loc::parse("memory://a").unwrap());
    stores.put(&here, "x".into()).unwrap();
    let error = stores.rename(&here, &there, Replace::Never).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
    assert!(matches!(stores.remove_dir(&Loc::local("/")), Err(StoreError::Unsupported { .. })));
}

#[test]
fn more_files_than_handles_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new();
    let locs: Vec<_> = (0..300).map(|n| Loc::local(folder.path().join(n.to_string()))).collect();
    for (n, loc) in locs.iter().enumerate() {
        fs::write(loc.local_path().unwrap(), n.to_string()).unwrap();
    }
    for _ in 0..2 {
        for (n, loc) in locs.iter().enumerate() {
            let text = n.to_string();
            assert_eq!(stores.block_on(stores.read(loc, 0..text.len() as u64)).unwrap(), text);
        }
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(open < 220, "{open} files are open");
}

#[test]
fn counters_count() {
    let stores = Stores::new();
    let loc = Loc::parse("memory://a/b").unwrap();
    stores.put(&loc, "12345".into()).unwrap();
    stores.block_on(stores.read(&loc, 1..4)).unwrap();
    let counted = stores.counters();
    assert_eq!((counted.bytes_written, counted.bytes_read, counted.requests, counted.retries), (5, 3, 1, 0));
}

#[test]
fn the_last_handle_may_be_dropped_on_the_runtime_itself() {
    let stores = Stores::new();
    let last = stores.clone();
    let task = stores.spawn(async move { drop(last) });
    stores.block_on(task).unwrap();
}
