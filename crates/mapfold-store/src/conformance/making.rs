//! What every store promises of files in the making, and of working files that are made of pieces.

use bytes::Bytes;

use super::pattern;
use crate::{Loc, Replace, StoreError, Stores};

pub(super) fn a_working_file_of_pieces_has_many_writers(stores: &Stores, dir: &Loc) {
    let (loc, other) = (dir.join("work"), stores.apart());
    let file = stores.create_file(&loc).unwrap();
    let late = other.open_file(&loc).unwrap();
    late.write_at(5, b"second").unwrap();
    file.write_at(0, b"first").unwrap();
    late.write_at(5, b"second").unwrap(); // As after a lost answer.
    assert_eq!(file.read_at(3, 6).unwrap(), "stseco");
    assert_eq!((file.len().unwrap(), late.len().unwrap()), (11, 11));
    assert!(matches!(file.read_at(10, 6), Err(StoreError::Truncated { got: 1, wanted: 6, .. })));
    assert!(file.write_at(5, b"SECOND").is_err(), "a piece never changes");
    assert!(matches!(file.set_len(5), Err(StoreError::Unsupported { .. })));
    assert!(stores.create_file(&loc).unwrap().is_empty().unwrap(), "an existing file is emptied");
}

/// A whole file in the making: its name in the folder `work`, and where it is to be.
fn made(stores: &Stores, dir: &Loc, bytes: &[u8]) -> (Loc, Loc) {
    let (work, to) = (dir.join("work"), dir.join("out"));
    stores.create_dir(&work).unwrap();
    let made = work.join(&crate::unique::unique());
    let file = stores.start_file(&made, &to).unwrap();
    let half = bytes.len() / 2;
    file.write_at(0, &bytes[..half]).unwrap();
    file.write_at(half as u64, &bytes[half..]).unwrap();
    file.sync().unwrap();
    (made, to)
}

pub(super) fn a_file_in_the_making_is_seen_when_it_is_published(stores: &Stores, dir: &Loc) {
    let never = || -> Result<bool, StoreError> { panic!("nothing is in its place") };
    for object in [pattern(20 << 20), Bytes::new()] {
        let (made, to) = made(stores, dir, &object);
        assert!(!stores.exists(&to).unwrap() && stores.list(dir).unwrap() == [dir.join("work")]);
        stores.publish(&made, &to, Replace::Never, &never).unwrap();
        assert!(stores.get(&to).unwrap() == object);
        stores.delete(&to).unwrap();
    }
    let (first, to) = made(stores, dir, b"first");
    stores.publish(&first, &to, Replace::Never, &never).unwrap();
    let (second, _) = made(stores, dir, b"second");
    let refused = stores.publish(&second, &to, Replace::Never, &|| Ok(false));
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })), "{refused:?}");
    stores.publish(&second, &to, Replace::Allowed, &|| Ok(false)).unwrap();
    assert_eq!(stores.get(&to).unwrap(), "second");
}

pub(super) fn publishing_may_be_repeated(stores: &Stores, dir: &Loc) {
    let (made_first, to) = made(stores, dir, b"first");
    let (lost, _) = made(stores, dir, b"other"); // Of another attempt at the same place.
    for replace in [Replace::Allowed, Replace::Allowed, Replace::Never] {
        stores.publish(&made_first, &to, replace, &|| Ok(true)).unwrap();
        assert_eq!(stores.get(&to).unwrap(), "first");
    }
    assert!(stores.publish(&made_first, &to, Replace::Allowed, &|| Ok(false)).is_err(), "it is gone, and is not there");
    assert_eq!(stores.uploaded_bytes(&lost).unwrap(), Some(5));
    stores.abandon_uploads(&dir.join("work")).unwrap();
    stores.abandon_uploads(&dir.join("work")).unwrap();
    assert_eq!(stores.get(&to).unwrap(), "first");
}
