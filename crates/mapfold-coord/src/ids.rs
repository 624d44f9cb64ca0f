//! The names of things: jobs, members, stages, splits, attempts, generations.
//!
//! Newtypes, so that a split number is never taken for an attempt number. A [`JobId`] is random
//! (128 bits), because a job has to be named before any shared place has been asked; all others
//! are small dense numbers given out by the coordinator or the planner.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::CoordError;

/// A split of one stage: `0..splits`. The unit that is leased, granted and registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SplitId(pub u64);

/// One try at a split. Numbers never repeat for a split, not even in a later generation, so a
/// late message is known by its attempt number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u32);

/// A member of the job: one process (or one compute pool in process). Never used a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u32);

/// A host, as the coordinator's shell numbers them. What makes two names one host is its business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostId(pub u32);

/// A stage of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageId(pub u32);

/// How often a pipelined stage pair has been started again, from 0. Lease-only stages stay at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// A member's place in a group whose members exchange records in memory: `index` of `of`. Whoever takes the place in the
/// next generation has the same seat and another [`MemberId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Which, from 0.
    pub index: u32,
    /// Seats of the group.
    pub of: u32,
}

impl Seat {
    /// Whether the records of this partition go to this seat.
    #[must_use]
    pub fn owns(self, partition: u64) -> bool {
        partition % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

macro_rules! display_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(SplitId, Attempt, MemberId, HostId, StageId, Generation);

/// The random name of a job, 32 hexadecimal digits when printed.
///
/// ```
/// # use mapfold_coord::JobId;
/// let id: JobId = "00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
/// assert_eq!(JobId::find("001122", &[id])?, id);
/// assert!(JobId::find("00112", &[id]).is_err(), "a prefix has 6 digits or more");
/// # Ok::<(), mapfold_coord::CoordError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

/// Fewest digits of a prefix that [`JobId::find`] accepts.
const MIN_PREFIX: usize = 6;

impl JobId {
    /// A new random name, from `/dev/urandom`.
    pub fn random() -> Result<JobId, CoordError> {
        use std::io::Read;
        let mut bytes = [0; 16];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|source| CoordError::NoRandomness { source })?;
        Ok(JobId(bytes))
    }

    /// The name as a number.
    #[must_use]
    pub fn number(&self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The job among `known` whose name is, or begins with, `text` (6 digits or more).
    pub fn find(text: &str, known: &[JobId]) -> Result<JobId, CoordError> {
        let bad = |why: &str| CoordError::BadJobId { text: text.to_owned(), why: why.to_owned() };
        let prefix = text.to_ascii_lowercase();
        if prefix.len() < MIN_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("expected 6 to 32 hexadecimal digits"));
        }
        let mut hits: Vec<JobId> = known.iter().copied().filter(|id| id.to_string().starts_with(&prefix)).collect();
        hits.sort_unstable();
        hits.dedup();
        match hits.as_slice() {
            [one] => Ok(*one),
            [] => Err(bad("no job of that name is known here")),
            many => Err(bad(&format!("{} jobs begin so; give more digits", many.len()))),
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = CoordError;

    fn from_str(text: &str) -> Result<JobId, CoordError> {
        let bad = || CoordError::BadJobId { text: text.to_owned(), why: "expected 32 hexadecimal digits".to_owned() };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| bad())?;
        Ok(JobId(number.to_be_bytes()))
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<JobId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_random_names_differ_and_survive_text_and_json() {
        let (a, b) = (JobId::random().unwrap(), JobId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.to_string().parse::<JobId>().unwrap(), a);
        let json = serde_json::to_string(&a).unwrap();
        assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), a);
    }

    #[test]
    fn a_prefix_must_be_unique() {
        let a: JobId = "aaaaaa00000000000000000000000000".parse().unwrap();
        let b: JobId = "aaaaaa00000000000000000000000001".parse().unwrap();
        let message = JobId::find("aaaaaa", &[a, b]).unwrap_err().to_string();
        assert!(message.contains("2 jobs begin so"), "{message}");
        assert_eq!(JobId::find(&b.to_string(), &[a, b, b]).unwrap(), b);
        assert!(JobId::find("zzzzzz", &[a]).is_err());
    }
}
