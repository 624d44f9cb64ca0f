//! What a store can do, for those who choose a way of working before they start.

use crate::{Loc, Scheme, Stores};

/// What the store of a location can do. What it cannot is refused by name when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Anything can be written at all.
    pub writes: bool,
    /// [`Stores::create`]: of many writers of one name exactly one wins.
    pub conditional_create: bool,
    /// [`Stores::rename`] and [`Stores::swap`].
    pub rename: bool,
    /// Working files ([`Stores::create_file`]) are cut, filled up and written over; else they are pieces that never change.
    pub random_writes: bool,
    /// Folders are things: they are made, and are there when nothing lies in them.
    pub folders: bool,
    /// Folders can be listed.
    pub lists: bool,
}

impl Stores {
    /// What the store of `loc` can do.
    ///
    /// ```
    /// use mapfold_store::{Loc, Stores};
    /// let stores = Stores::new();
    /// assert!(stores.abilities(&Loc::parse("hdfs://nn:8020/out")?).rename);
    /// assert!(!stores.abilities(&Loc::parse("s3://bucket/out")?).rename);
    /// # Ok::<(), mapfold_store::StoreError>(())
    /// ```
    pub fn abilities(&self, loc: &Loc) -> Abilities {
        let all = Abilities {
            writes: true,
            conditional_create: true,
            rename: true,
            random_writes: true,
            folders: true,
            lists: true,
        };
        match loc.scheme() {
            Scheme::Local | Scheme::Memory => all,
            Scheme::Hdfs => Abilities { random_writes: false, ..all },
            Scheme::S3 | Scheme::Gcs | Scheme::Azure => {
                Abilities { random_writes: false, rename: false, folders: false, ..all }
            }
            Scheme::Http | Scheme::List => Abilities {
                writes: false,
                conditional_create: false,
                rename: false,
                random_writes: false,
                folders: false,
                lists: false,
            },
        }
    }
}
