//! What a new member is told, the same by every carrier: who it is, and whom to ask for the rest.
//!
//! It is one argument of text, so that it passes through any shell, queue or script of a cluster. It holds no secret.

use crate::error::LaunchError;
use mapfold_coord::{Generation, JobId};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The hidden option before a [`Membership`].
pub const MEMBER_OPTION: &str = "--mapfold-member";

const FOLDER: &str = "folder=";

/// A member's place in a job.
///
/// ```
/// # use mapfold_launch::Membership;
/// let text = "job=00112233445566778899aabbccddeeff,index=2,members=4,generation=0,meet=127.0.0.1:4711,tls=no";
/// let place: Membership = text.parse()?;
/// assert_eq!((place.index, place.members, place.meet.as_str()), (2, 4, "127.0.0.1:4711"));
/// assert_eq!(place.to_string(), text);
/// # Ok::<(), mapfold_launch::LaunchError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The job.
    pub job: JobId,
    /// This member's index, from 0.
    pub index: u32,
    /// How many members there are; 0 where that may change.
    pub members: u32,
    /// The generation that it is started for.
    pub generation: Generation,
    /// Where the coordinator listens, "host:port".
    pub meet: String,
    /// Whether connections are under TLS.
    pub tls: bool,
    /// A hash of the program, where the carrier copied it to another host.
    pub binary: Option<String>,
    /// A folder of the member's host that whoever starts it removes. The last field of the text, for it may hold commas.
    pub folder: Option<PathBuf>,
}

impl Membership {
    /// Where the member notes what it works on, for whoever looks when it has died.
    pub fn notes(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("flight-{}", self.index)))
    }

    /// A folder for records that no other process reads.
    pub fn scratch(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("scratch"))
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "yes" } else { "no" };
        write!(f, "job={},index={},members={}", self.job, self.index, self.members)?;
        write!(f, ",generation={},meet={},tls={tls}", self.generation, self.meet)?;
        self.binary.iter().try_for_each(|hash| write!(f, ",binary={hash}"))?;
        self.folder.iter().try_for_each(|folder| write!(f, ",{FOLDER}{}", folder.display()))
    }
}

impl FromStr for Membership {
    type Err = LaunchError;

    fn from_str(text: &str) -> Result<Membership, LaunchError> {
        let bad = |why: String| LaunchError::BadMembership { text: text.to_owned(), why };
        let (fields, folder) = match text.split_once(&format!(",{FOLDER}")) {
            Some((fields, folder)) => (fields, Some(PathBuf::from(folder))),
            None => (text, None),
        };
        let mut fields = Fields::of(fields).map_err(bad)?;
        let place = Membership {
            job: fields.parsed("job").map_err(bad)?,
            index: fields.parsed("index").map_err(bad)?,
            members: fields.parsed("members").map_err(bad)?,
            generation: Generation(fields.parsed("generation").map_err(bad)?),
            meet: fields.take("meet").map_err(bad)?.to_owned(),
            tls: match fields.take("tls").map_err(bad)? {
                "yes" => true,
                "no" => false,
                other => return Err(bad(format!("tls is yes or no, not {other}"))),
            },
            binary: fields.take("binary").ok().map(str::to_owned),
            folder,
        };
        match fields.0.first() {
            None => Ok(place),
            Some((key, _)) => Err(bad(format!("there is no \"{key}\""))),
        }
    }
}

/// `key=value` pairs that were not asked for yet.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Fields<'a>, String> {
        let pair = |part: &'a str| part.split_once('=').ok_or_else(|| format!("\"{part}\" is no key=value"));
        text.split(',').map(pair).collect::<Result<_, _>>().map(Fields)
    }

    fn take(&mut self, key: &str) -> Result<&'a str, String> {
        let at = self.0.iter().position(|(k, _)| *k == key).ok_or_else(|| format!("{key} is missing"))?;
        Ok(self.0.remove(at).1)
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<T, String> {
        self.take(key)?.parse().map_err(|e| format!("{key}: {e}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let job = "00112233445566778899aabbccddeeff".parse().unwrap();
        let meet = "[::1]:4711".to_owned();
        let binary = Some("abc123".to_owned());
        let folder = Some(PathBuf::from("/tmp/a,b=c d"));
        let place =
            Membership { job, index: 3, members: 0, generation: Generation(7), meet, tls: true, binary, folder };
        assert_eq!(place.to_string().parse::<Membership>().unwrap(), place);
        assert_eq!(place.notes().unwrap(), PathBuf::from("/tmp/a,b=c d/flight-3"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = "job=00112233445566778899aabbccddeeff,index=2,members=4,generation=0,meet=h:1,tls=no";
        let cases = [
            ("index=2", "index=two", "index: invalid digit"),
            (",members=4", "", "members is missing"),
            ("tls=no", "tls=maybe", "tls is yes or no, not maybe"),
            ("tls=no", "tls=no,token=x", "there is no \"token\""),
            ("index=2", "index=2,index=3", "there is no \"index\""),
            ("index=2", "index", "\"index\" is no key=value"),
            ("job=00", "job=zz", "job: "),
        ];
        for (from, to, message) in cases {
            let error = good.replace(from, to).parse::<Membership>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
