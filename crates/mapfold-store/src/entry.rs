//! What a listing tells about one name in a folder.

use crate::{Loc, ObjectInfo};

/// One name in a folder, as [`Stores::entries`](crate::Stores::entries) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub loc: Loc,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it is a link (local disk only); then `folder` does not tell what it leads to.
    pub link: bool,
    /// Size and identity of a file, where the listing tells them; `None` for a folder.
    pub info: Option<ObjectInfo>,
}

impl Entry {
    pub(crate) fn folder(loc: Loc) -> Entry {
        Entry { loc, folder: true, link: false, info: None }
    }

    pub(crate) fn file(loc: Loc, info: ObjectInfo) -> Entry {
        Entry { loc, folder: false, link: false, info: Some(info) }
    }
}
