//! The laws that every writable store keeps, as one suite that each store's tests call.
//!
//! Written against [`Stores`] and an empty folder [`Loc`], so that a store added later is held to
//! the same laws by one line. What a store says that it cannot do ([`Abilities`]) is not asked of it, but that it refuses
//! it by name is. It panics where a law is broken; it is for tests only.

#![allow(clippy::unwrap_used)]

mod making;

use std::sync::Barrier;
use std::thread;

use bytes::Bytes;

use crate::{Abilities, Loc, Replace, Scheme, StoreError, Stores};

/// How many try at once.
const RACERS: u8 = 16;

/// Runs every law inside `root`, an existing empty folder.
pub fn all(stores: &Stores, root: &Loc) {
    let can = stores.abilities(root);
    for (name, asks, law) in LAWS {
        if !asks(&can) {
            continue;
        }
        let folder = root.join(name);
        stores.create_dir(&folder).unwrap();
        law(stores, &folder);
        stores.remove_dir(&folder).unwrap();
        assert!(!stores.exists(&folder).unwrap(), "{name}: the folder is gone");
    }
}

type Law = fn(&Stores, &Loc);
type Asks = fn(&Abilities) -> bool;

const LAWS: &[(&str, Asks, Law)] = &[
    ("put-get", |_| true, what_is_put_is_read),
    ("ranges", |_| true, ranges_come_in_input_order),
    ("truncated", |_| true, a_read_is_exact_or_truncated),
    ("missing", |_| true, what_is_missing_is_named),
    ("create", |can| can.conditional_create, exactly_one_creator_wins),
    ("rename", |can| can.rename, rename_keeps_its_promise),
    ("rename-race", |can| can.rename, exactly_one_renamer_wins),
    ("rename-folder", |can| can.rename, a_folder_moves_whole),
    ("swap", |can| can.rename, two_folders_change_places),
    ("no-rename", |can| !can.rename, renaming_is_refused_by_name),
    ("list", |_| true, list_is_sorted_and_flat),
    ("below", |_| true, what_lies_below_is_found),
    ("patterns", |_| true, patterns_are_looked_up),
    ("delete", |_| true, delete_is_idempotent),
    ("odd-names", |_| true, odd_names_are_names),
    ("big", |_| true, a_big_object_is_whole),
    ("work-file", |can| can.random_writes, a_working_file_is_random_access),
    ("pieces", |can| !can.random_writes, making::a_working_file_of_pieces_has_many_writers),
    ("making", |_| true, making::a_file_in_the_making_is_seen_when_it_is_published),
    ("making-again", |can| !can.rename, making::publishing_may_be_repeated),
    ("copy", |can| can.random_writes, copies_are_exact),
    ("front", |can| can.random_writes, room_at_the_front_moves_the_content),
    ("changed", |can| can.random_writes, a_change_after_head_is_noticed),
    ("changed-elsewhere", |_| true, a_change_by_others_is_noticed),
    ("writable", |_| true, writability_is_known_before),
];

fn pattern(len: usize) -> Bytes {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

fn what_is_put_is_read(stores: &Stores, dir: &Loc) {
    let loc = dir.join("a.bin");
    stores.put(&loc, pattern(1000)).unwrap();
    assert_eq!(stores.get(&loc).unwrap(), pattern(1000));
    assert_eq!(stores.block_on(stores.head(&loc)).unwrap().size, 1000);
    stores.put(&loc, pattern(10)).unwrap();
    assert_eq!(stores.get(&loc).unwrap(), pattern(10));
    let read = stores.block_on(stores.read(&loc.with_fragment("4"), 0..10)).unwrap();
    assert_eq!(read, pattern(10), "the fragment is not part of the object");
}

fn ranges_come_in_input_order(stores: &Stores, dir: &Loc) {
    let loc = dir.join("a.bin");
    let object = pattern(300_000);
    stores.put(&loc, object.clone()).unwrap();
    let ranges = [299_000..300_000, 0..10, 5..5, 4..200, 100_000..170_000, 12..13];
    let found = stores.block_on(stores.read_ranges(&loc, &ranges)).unwrap();
    for (range, bytes) in ranges.iter().zip(found) {
        assert_eq!(bytes, object.slice(range.start as usize..range.end as usize));
    }
    let (one, two) = (stores.clone(), loc.clone());
    let elsewhere = stores.spawn(async move { one.read_ranges(&two, &[1..2, 2..3]).await });
    assert_eq!(stores.block_on(elsewhere).unwrap().unwrap()[0], object.slice(1..2));
}

fn a_read_is_exact_or_truncated(stores: &Stores, dir: &Loc) {
    let loc = dir.join("a.bin");
    stores.put(&loc, pattern(100)).unwrap();
    for (range, there) in [(90..101, 10), (100..101, 0), (500..600, 0), (0..1 << 60, 100)] {
        match stores.block_on(stores.read(&loc, range.clone())) {
            Err(StoreError::Truncated { got, wanted, .. }) => {
                assert_eq!((got, wanted), (there, range.end - range.start));
            }
            other => panic!("{range:?}: {other:?}"),
        }
    }
    let backwards = std::ops::Range { start: 5, end: 4 };
    assert!(stores.block_on(stores.read(&loc, backwards)).is_err());
    assert!(stores.block_on(stores.read(&loc, 100..100)).unwrap().is_empty());
}

fn what_is_missing_is_named(stores: &Stores, dir: &Loc) {
    let loc = dir.join("none.tif");
    let can = stores.abilities(dir);
    let mut errors = vec![
        stores.get(&loc).unwrap_err(),
        stores.block_on(stores.head(&loc)).unwrap_err(),
        stores.block_on(stores.read(&loc, 0..1)).unwrap_err(),
    ];
    errors.extend(can.random_writes.then(|| stores.open_file(&loc).err().unwrap()));
    errors.extend(can.folders.then(|| stores.list(&loc).unwrap_err()));
    errors.extend(can.rename.then(|| stores.rename(&loc, &dir.join("b"), Replace::Never).unwrap_err()));
    assert!(can.folders || stores.list(&loc).unwrap().is_empty());
    assert!(!stores.exists(&loc).unwrap());
    for error in errors {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
        assert_eq!(error.loc(), loc.to_string());
        assert!(error.remedy().is_some());
    }
    stores.put(&dir.join("x"), "x".into()).unwrap();
    let folder = stores.block_on(stores.head(dir)).unwrap_err();
    assert!(matches!(folder, StoreError::IsDirectory { .. }), "{folder:?}");
}

fn exactly_one_creator_wins(stores: &Stores, dir: &Loc) {
    for round in 0..10 {
        let loc = dir.join(&format!("decision-{round}"));
        let winners = race(|me| stores.create(&loc, vec![me; 5000].into()));
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(stores.get(&loc).unwrap(), vec![winners[0]; 5000]);
    }
    assert_eq!(stores.list(dir).unwrap().len(), 10, "losers leave nothing behind");
}

fn exactly_one_renamer_wins(stores: &Stores, dir: &Loc) {
    let to = dir.join("target");
    for me in 0..RACERS {
        stores.put(&dir.join(&format!("from-{me}")), vec![me; 10].into()).unwrap();
    }
    let winners = race(|me| stores.rename(&dir.join(&format!("from-{me}")), &to, Replace::Never));
    assert_eq!(winners.len(), 1);
    assert_eq!(stores.get(&to).unwrap(), vec![winners[0]; 10]);
    assert_eq!(stores.list(dir).unwrap().len(), usize::from(RACERS), "the losers' files stay");
}

/// Many threads at once; who got `Ok`. Everybody else must get `AlreadyExists`.
fn race(attempt: impl Fn(u8) -> Result<(), StoreError> + Sync) -> Vec<u8> {
    let (start, attempt) = (Barrier::new(usize::from(RACERS)), &attempt);
    let run = |me: u8| {
        start.wait();
        match attempt(me) {
            Ok(()) => Some(me),
            Err(StoreError::AlreadyExists { .. }) => None,
            Err(other) => panic!("{other:?}"),
        }
    };
    thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..RACERS).map(|me| scope.spawn(move || run(me))).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

fn rename_keeps_its_promise(stores: &Stores, dir: &Loc) {
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    stores.put(&a, "a".into()).unwrap();
    stores.put(&b, "b".into()).unwrap();
    let refused = stores.rename(&a, &b, Replace::Never).unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused:?}");
    assert_eq!((&stores.get(&a).unwrap()[..], &stores.get(&b).unwrap()[..]), (&b"a"[..], &b"b"[..]));
    assert_eq!(stores.block_on(stores.read(&b, 0..1)).unwrap(), "b");
    stores.rename(&a, &b, Replace::Allowed).unwrap();
    assert_eq!(stores.block_on(stores.read(&b, 0..1)).unwrap(), "a", "no stale handle");
    assert!(!stores.exists(&a).unwrap());
    stores.rename(&b, &c, Replace::Never).unwrap();
    assert_eq!(stores.get(&c).unwrap(), "a");
}

fn a_folder_moves_whole(stores: &Stores, dir: &Loc) {
    let (old, new) = (dir.join("old"), dir.join("new"));
    stores.create_dir(&old).unwrap();
    stores.create_dir(&old).unwrap();
    stores.put(&old.join("x"), "x".into()).unwrap();
    assert_eq!(stores.block_on(stores.read(&old.join("x"), 0..1)).unwrap(), "x");
    stores.rename(&old, &new, Replace::Never).unwrap();
    assert!(stores.block_on(stores.read(&old.join("x"), 0..1)).is_err());
    assert_eq!(stores.get(&new.join("x")).unwrap(), "x");
    stores.create_dir(&old).unwrap();
    let refused = stores.rename(&old, &new, Replace::Never).unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused:?}");
}

fn list_is_sorted_and_flat(stores: &Stores, dir: &Loc) {
    assert!(stores.list(dir).unwrap().is_empty());
    for name in ["b", "a", "c d"] {
        stores.put(&dir.join(name), name.into()).unwrap();
    }
    stores.create_dir(&dir.join("folder")).unwrap();
    stores.put(&dir.join("folder/inside"), "xy".into()).unwrap();
    let found = stores.list(dir).unwrap();
    let names: Vec<_> = found.iter().map(Loc::name).collect();
    assert_eq!(names, ["a", "b", "c d", "folder"]);
    assert_eq!(found[1], dir.join("b"));
    let entries = stores.entries(dir).unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.loc.clone(), e.folder, e.info.as_ref().map(|i| i.size))).collect();
    let expected = [("a", false, Some(1)), ("b", false, Some(1)), ("c d", false, Some(3)), ("folder", true, None)];
    assert_eq!(told, expected.map(|(name, folder, size)| (dir.join(name), folder, size)));
    assert!(stores.is_folder(&dir.join("folder"), true) && !stores.is_folder(&dir.join("a"), true));
}

fn what_lies_below_is_found(stores: &Stores, dir: &Loc) {
    for name in ["one", "one/two", "onely"] {
        stores.create_dir(&dir.join(name)).unwrap();
    }
    for name in ["one/a", "one/two/b", "onely/c", "z"] {
        stores.put(&dir.join(name), name.into()).unwrap();
    }
    let names = |dir: &Loc| stores.below(dir).unwrap().into_iter().map(|e| e.loc).collect::<Vec<_>>();
    assert_eq!(names(dir), ["one/a", "one/two/b", "onely/c", "z"].map(|name| dir.join(name)));
    assert_eq!(names(&dir.join("one")), ["one/a", "one/two/b"].map(|name| dir.join(name)), "not what begins alike");
    stores.remove_dir(&dir.join("one")).unwrap();
    assert_eq!(names(dir), ["onely/c", "z"].map(|name| dir.join(name)));
}

fn patterns_are_looked_up(stores: &Stores, dir: &Loc) {
    for name in ["t", "t/deep"] {
        stores.create_dir(&dir.join(name)).unwrap();
    }
    for name in ["t/B04.tif", "t/B08.tif", "t/B08.txt", "t/deep/B04.tif", "t/.hidden.tif"] {
        stores.put(&dir.join(name), "x".into()).unwrap();
    }
    let found = |pattern: &str| stores.expand(&dir.join(pattern)).unwrap();
    let at = |names: &[&str]| names.iter().map(|name| dir.join(name)).collect::<Vec<_>>();
    assert_eq!(found("t/*.tif"), at(&["t/B04.tif", "t/B08.tif"]));
    assert_eq!(found("*/B0[48].t*"), at(&["t/B04.tif", "t/B08.tif", "t/B08.txt"]));
    assert_eq!(found("**/B04.tif"), at(&["t/B04.tif", "t/deep/B04.tif"]));
    let none = stores.expand(&dir.join("t/*.jp2")).unwrap_err();
    assert!(matches!(none, StoreError::NoMatch { .. }), "{none:?}");
}

/// Names as people give them, and as programs that hate people do.
fn odd_names_are_names(stores: &Stores, dir: &Loc) {
    let mut names =
        vec!["a b", "ü–日本", "a+b", "a&b=c", "(x){z}", "it's", "~a", "a%20b", "a#b", "a,b;c", "\"q\"", "%"];
    if dir.scheme() != Scheme::Memory {
        // A location in memory writes `#` as `%23` and knows no query.
        names.extend(["a%23b", "a%2523b", "a?b"]);
    }
    for name in &names {
        let loc = dir.join(name);
        stores.create(&loc, Bytes::copy_from_slice(name.as_bytes())).unwrap();
        assert_eq!(stores.get(&Loc::parse(loc.as_text()).unwrap()).unwrap(), name.as_bytes(), "{name}");
    }
    let found = stores.list(dir).unwrap();
    assert_eq!(found.len(), names.len());
    for name in &names {
        assert!(found.contains(&dir.join(name)), "{name} is listed");
        stores.delete(&dir.join(name)).unwrap();
    }
    assert!(stores.list(dir).unwrap().is_empty());
}

/// More than one part of an upload, more than one block, and nothing at all.
fn a_big_object_is_whole(stores: &Stores, dir: &Loc) {
    let (loc, empty) = (dir.join("big"), dir.join("empty"));
    let object = pattern(40_000_001);
    stores.put(&loc, object.clone()).unwrap();
    assert_eq!(stores.block_on(stores.head(&loc)).unwrap().size, object.len() as u64);
    assert!(stores.get(&loc).unwrap() == object, "the same bytes");
    let ranges = [(16 << 20) - 3..(16 << 20) + 5, 40_000_000..40_000_001, 0..20_000_000];
    for (range, bytes) in ranges.iter().zip(stores.block_on(stores.read_ranges(&loc, &ranges)).unwrap()) {
        assert!(bytes == object.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    stores.put(&empty, Bytes::new()).unwrap();
    assert_eq!(stores.block_on(stores.head(&empty)).unwrap().size, 0);
    assert!(stores.get(&empty).unwrap().is_empty());
}

fn renaming_is_refused_by_name(stores: &Stores, dir: &Loc) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    stores.put(&a, "a".into()).unwrap();
    for refused in [stores.rename(&a, &b, Replace::Allowed), stores.swap(&a, &b)] {
        assert!(matches!(refused, Err(StoreError::Unsupported { .. })), "{refused:?}");
    }
    assert!(stores.exists(&a).unwrap() && !stores.exists(&b).unwrap());
}

fn two_folders_change_places(stores: &Stores, dir: &Loc) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    stores.create_dir(&a).unwrap();
    stores.create_dir(&b).unwrap();
    stores.put(&a.join("one"), "1".into()).unwrap();
    stores.put(&b.join("two"), "2".into()).unwrap();
    stores.swap(&a, &b).unwrap();
    assert!(stores.exists(&b.join("one")).unwrap() && stores.exists(&a.join("two")).unwrap());
    assert_eq!(stores.list(dir).unwrap(), [a, b]);
}

fn delete_is_idempotent(stores: &Stores, dir: &Loc) {
    let loc = dir.join("a");
    stores.put(&loc, "a".into()).unwrap();
    stores.delete(&loc).unwrap();
    stores.delete(&loc).unwrap();
    assert!(!stores.exists(&loc).unwrap());
    if stores.abilities(dir).folders {
        assert!(stores.delete(dir).is_err(), "a folder is not deleted like a file");
    }
}

fn a_working_file_is_random_access(stores: &Stores, dir: &Loc) {
    let loc = dir.join("work");
    stores.put(&loc, pattern(50)).unwrap();
    let file = stores.create_file(&loc).unwrap();
    assert!(file.is_empty().unwrap(), "an existing file is emptied");
    file.write_at(10, b"later").unwrap();
    file.write_at(0, b"first").unwrap();
    assert_eq!(file.read_at(0, 15).unwrap(), &b"first\0\0\0\0\0later"[..]);
    assert!(matches!(file.read_at(10, 6), Err(StoreError::Truncated { got: 5, wanted: 6, .. })));
    file.set_len(5).unwrap();
    file.sync().unwrap();
    assert_eq!(stores.get(&loc).unwrap(), "first");
    let again = stores.open_file(&loc).unwrap();
    again.write_at(0, b"F").unwrap();
    assert_eq!(file.read_at(0, 5).unwrap(), "First");
    assert_eq!(file.loc(), &loc);
}

fn copies_are_exact(stores: &Stores, dir: &Loc) {
    let elsewhere = Stores::new();
    let here = stores.create_file(&dir.join("to")).unwrap();
    let memory = elsewhere.create_file(&Loc::parse("memory://copy/from").unwrap()).unwrap();
    let same = stores.create_file(&dir.join("from")).unwrap();
    let object = pattern(2_500_000);
    for source in [memory, same] {
        source.write_at(0, &object).unwrap();
        here.set_len(0).unwrap();
        here.copy_from(&*source, 100, 7, 2_000_000).unwrap();
        assert_eq!(here.len().unwrap(), 2_000_007);
        assert_eq!(here.read_at(7, 2_000_000).unwrap(), object.slice(100..2_000_100));
        let short = here.copy_from(&*source, 2_499_999, 0, 2).unwrap_err();
        assert!(matches!(short, StoreError::Truncated { .. }), "{short:?}");
    }
}

/// Law: room at the front leaves every byte of the content behind it, or nothing has changed.
fn room_at_the_front_moves_the_content(stores: &Stores, dir: &Loc) {
    let file = stores.create_file(&dir.join("front")).unwrap();
    let content = pattern(100_001);
    file.write_at(0, &content).unwrap();
    assert!(!file.insert_front(1000).unwrap(), "1000 bytes are no whole block of any file system");
    assert_eq!(file.read_at(0, content.len()).unwrap(), content);
    let room = if file.insert_front(1 << 16).unwrap() { 1 << 16 } else { 0 };
    assert_eq!(file.len().unwrap(), room + content.len() as u64);
    assert_eq!(file.read_at(room, content.len()).unwrap(), content);
    assert!(file.read_at(0, room as usize).unwrap().iter().all(|b| *b == 0));
}

fn a_change_after_head_is_noticed(stores: &Stores, dir: &Loc) {
    let loc = dir.join("a");
    stores.put(&loc, pattern(100)).unwrap();
    stores.block_on(stores.head(&loc)).unwrap();
    stores.put(&loc, pattern(50)).unwrap();
    assert!(stores.block_on(stores.read(&loc, 0..50)).is_ok(), "our own writing is known");
    let file = stores.open_file(&loc).unwrap();
    let before = stores.block_on(stores.head(&loc)).unwrap();
    file.set_len(60).unwrap();
    let changed = stores.block_on(stores.read(&loc, 0..50)).unwrap_err();
    assert!(matches!(changed, StoreError::Changed { .. }), "{changed:?}");
    assert_ne!(stores.block_on(stores.head(&loc)).unwrap().etag, before.etag);
    assert!(stores.block_on(stores.read(&loc, 0..60)).is_ok(), "a new head is a new agreement");
}

fn a_change_by_others_is_noticed(stores: &Stores, dir: &Loc) {
    if dir.scheme() == Scheme::Memory {
        return; // Nobody else sees it.
    }
    let (loc, others) = (dir.join("a"), stores.apart());
    stores.put(&loc, pattern(100)).unwrap();
    stores.block_on(stores.head(&loc)).unwrap();
    assert!(stores.block_on(stores.read(&loc, 0..50)).is_ok());
    others.put(&loc, vec![9; 70].into()).unwrap();
    let seen = stores.block_on(stores.read(&loc, 0..60));
    // An open file goes on as it was; what must not happen is a mixture.
    assert!(
        seen.as_ref().is_ok_and(|bytes| *bytes == pattern(60)) || matches!(seen, Err(StoreError::Changed { .. })),
        "{seen:?}"
    );
    stores.block_on(stores.head(&loc)).unwrap();
    assert_eq!(stores.block_on(stores.read(&loc, 0..70)).unwrap(), vec![9; 70], "a new head is a new agreement");
}

fn writability_is_known_before(stores: &Stores, dir: &Loc) {
    stores.check_writable(&dir.join("new")).unwrap();
    assert!(!stores.exists(&dir.join("new")).unwrap() && stores.list(dir).unwrap().is_empty(), "asking leaves nothing");
    if !stores.abilities(dir).folders {
        return;
    }
    stores.create_dir(&dir.join("folder")).unwrap();
    for refused in [stores.check_writable(&dir.join("folder")), stores.put(&dir.join("folder"), "x".into())] {
        assert!(matches!(refused, Err(StoreError::IsDirectory { .. })), "{refused:?}");
    }
}
