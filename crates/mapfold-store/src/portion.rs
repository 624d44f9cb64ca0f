//! Parts of an upload that other processes send.
//!
//! Whoever makes a large object knows of what it consists, but need not have the bytes: they lie in objects that many
//! processes have put beside it. A [`Portion`] says all that is needed to make one part of it: which part of which upload,
//! and its sections in their order. It is small, and travels as a message; whoever gets it reads the sections and sends
//! the part ([`Stores::gather`], [`Stores::send_portion`]). A [`Porter`] finds somebody who does that.
//!
//! A portion whose sending nobody confirms may arrive at any later time, and take the place of what was sent instead, under
//! another name where the store encrypts: the upload is begun anew then. After it is completed or ended a late part
//! changes nothing.
//!
//! Absent: what portions there are, and whether they arrived ([`WorkFile::add_portion`](crate::WorkFile::add_portion)).

use std::ops::Range;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{Loc, StoreError, Stores};

/// Sections that are read at once.
const READS_AT_ONCE: usize = 8;

/// Some bytes of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// These.
    Bytes(Vec<u8>),
    /// Those of an object.
    Object {
        /// Where it is.
        object: Loc,
        /// Which of its bytes.
        range: Range<u64>,
    },
}

impl Section {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Section::Bytes(bytes) => bytes.len() as u64,
            Section::Object { range, .. } => range.end - range.start,
        }
    }
}

/// One part of an upload, to be sent by whoever gets this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// Where the object will be.
    pub to: Loc,
    /// The upload, as the store calls it.
    pub upload: String,
    /// Which part, from 0.
    pub number: usize,
    /// What it consists of.
    pub sections: Vec<Section>,
}

impl Portion {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sections.iter().map(Section::bytes).sum()
    }

    /// How many of its bytes are in this message itself.
    #[must_use]
    pub fn enclosed(&self) -> u64 {
        let enclosed = |section: &&Section| matches!(section, Section::Bytes(_));
        self.sections.iter().filter(enclosed).map(Section::bytes).sum()
    }
}

/// The part as the store calls it, some time.
pub type Carried = Pin<Box<dyn Future<Output = Result<String, StoreError>> + Send>>;

/// Has portions carried.
pub trait Porter: Send + Sync {
    /// How many it can have on their way at once.
    fn at_once(&self) -> usize;

    /// Has it carried, by whomever.
    fn carry(&self, portion: Portion) -> Carried;
}

impl Stores {
    /// The bytes of a portion, read.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn gather(&self, portion: &Portion) -> Result<Bytes, StoreError> {
        let read = async |section: &Section| match section {
            Section::Bytes(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            Section::Object { object, range } => self.read(object, range.clone()).await,
        };
        let mut reads = Vec::with_capacity(portion.sections.len());
        portion.sections.iter().for_each(|section| reads.push(read(section)));
        let all = stream::iter(reads).buffered(READS_AT_ONCE).try_collect::<Vec<Bytes>>();
        let mut all = all.await?;
        if all.len() == 1 {
            return Ok(all.remove(0));
        }
        let mut whole = BytesMut::with_capacity(portion.bytes() as usize);
        all.into_iter().for_each(|bytes| whole.extend_from_slice(&bytes));
        Ok(whole.freeze())
    }

    /// Sends the bytes of a portion; gives the part as the store calls it.
    ///
    /// # Errors
    /// Those of writing; [`StoreError::Unsupported`] where objects are not made of parts.
    pub async fn send_portion(&self, portion: &Portion, bytes: Bytes) -> Result<String, StoreError> {
        let door = self.door(&portion.to, &portion.to.key())?;
        self.wrote(&portion.to, bytes.len());
        let part = door.store.put_part(&door.path, &portion.upload, portion.number, bytes.into()).await;
        Ok(part.map_err(|e| crate::objects::fault(&portion.to, &e))?.content_id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sections_are_read_in_their_order() {
        let stores = Stores::new();
        let at = |name: &str| Loc::parse("memory://portion").unwrap().join(name);
        stores.put(&at("a"), "abcdef".into()).unwrap();
        stores.put(&at("b"), "uvwxyz".into()).unwrap();
        let object = |name: &str, range: Range<u64>| Section::Object { object: at(name), range };
        let sections = vec![object("b", 1..3), Section::Bytes(b"--".to_vec()), object("a", 0..6), object("b", 5..6)];
        let portion = Portion { to: at("to"), upload: "7".into(), number: 0, sections };
        assert_eq!((portion.bytes(), portion.enclosed()), (11, 2));
        assert_eq!(stores.block_on(stores.gather(&portion)).unwrap(), "vw--abcdefz");
        let one = Portion { sections: vec![object("a", 2..4)], ..portion.clone() };
        assert_eq!(stores.block_on(stores.gather(&one)).unwrap(), "cd");
        let refused = stores.block_on(stores.send_portion(&one, Bytes::from("cd"))).unwrap_err();
        assert!(matches!(refused, StoreError::Unsupported { .. }), "{refused}");
    }
}
