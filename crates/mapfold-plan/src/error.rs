//! Errors as data: what happened, where, why, and what to try.
//!
//! One type crosses all rooms above the store. It is built like a sentence with parts, so that the command line can
//! print it in a few lines and tools can read it as JSON. Any `std::error::Error` becomes one by `?`, as in
//! `anyhow`; store errors bring their remedy along.

use mapfold_store::StoreError;
use serde::{Deserialize, Serialize};
use std::error::Error as StdError;

/// Result with mapfold's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The command or the job's own parameters are wrong: exit code 2.
    Usage,
    /// An input, an output location or credentials: exit code 3.
    Input,
    /// The job failed while running: exit code 1.
    Job,
    /// User code panicked: exit code 1.
    Panic,
    /// Ctrl-C: exit code 130.
    Interrupted,
    /// TERM: exit code 143.
    Terminated,
}

/// What happened, where, why, and what to try.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Error(Box<Parts>);

#[derive(Serialize, Deserialize)]
struct Parts {
    kind: Kind,
    what: String,
    stage: Option<String>,
    place: Option<String>,
    remedy: Option<String>,
    resumable: bool,
    #[serde(with = "cause_in_words")]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind, told in one sentence.
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error(Box::new(Parts {
            kind,
            what: what.into(),
            stage: None,
            place: None,
            remedy: None,
            resumable: false,
            source: None,
        }))
    }

    /// Wrong command or parameters.
    pub fn usage(what: impl Into<String>) -> Error {
        Error::new(Kind::Usage, what)
    }

    /// Something is wrong with an input or an output location.
    pub fn input(what: impl Into<String>) -> Error {
        Error::new(Kind::Input, what)
    }

    /// The job cannot go on.
    pub fn job(what: impl Into<String>) -> Error {
        Error::new(Kind::Job, what)
    }

    /// From another error, as a kind of one's choice.
    pub fn caused(kind: Kind, source: impl StdError + Send + Sync + 'static) -> Error {
        let mut e = Error::new(kind, source.to_string());
        e.0.source = source.source().map(|s| s.to_string().into());
        e
    }

    /// Adds what to try.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Error {
        self.0.remedy.get_or_insert_with(|| remedy.into());
        self
    }

    /// Adds a second thing to try behind the first.
    #[must_use]
    pub fn with_more_remedy(mut self, more: &str) -> Error {
        self.0.remedy = Some(self.0.remedy.map_or_else(|| more.to_string(), |first| format!("{first}; then {more}")));
        self
    }

    /// Marks an error that may be gone the next time: a store that did not answer, a full disk.
    #[must_use]
    pub fn resumable(mut self) -> Error {
        self.0.resumable = true;
        self
    }

    /// Whether going on later makes sense: stopped by the user, or a fault that may pass.
    pub fn is_resumable(&self) -> bool {
        self.0.resumable || self.is_stop()
    }

    /// Whether the user or a signal stopped the job.
    pub fn is_stop(&self) -> bool {
        matches!(self.0.kind, Kind::Interrupted | Kind::Terminated)
    }

    /// The same without its stage, for verbs that have none to show.
    #[must_use]
    pub fn without_stage(mut self) -> Error {
        self.0.stage = None;
        self
    }

    /// Adds the stage, unless an inner one is known already.
    #[must_use]
    pub fn at_stage(mut self, stage: impl Into<String>) -> Error {
        self.0.stage.get_or_insert_with(|| stage.into());
        self
    }

    /// Adds the block, split or row, unless an inner one is known already.
    #[must_use]
    pub fn at_place(mut self, place: impl Into<String>) -> Error {
        self.0.place.get_or_insert_with(|| place.into());
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence, without place and remedy.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The stage, when known.
    pub fn stage(&self) -> Option<&str> {
        self.0.stage.as_deref()
    }

    /// The block, split or row, when known.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What to try, when known.
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The cause below, when there is one that `what` does not tell.
    pub fn cause(&self) -> Option<String> {
        self.0.source.as_ref().map(ToString::to_string)
    }

    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::Job | Kind::Panic => 1,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }
}

/// The cause as it travels between processes: its words.
mod cause_in_words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Cause = Option<Box<dyn std::error::Error + Send + Sync>>;

    pub fn serialize<S: Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
        cause.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Into::into))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.what)?;
        match self.cause() {
            Some(cause) if !self.0.what.contains(&cause) => write!(f, ": {cause}"),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")?;
        let lines = [("stage", self.stage()), ("at", self.place()), ("try", self.remedy())];
        lines.iter().filter_map(|(n, v)| v.map(|v| (n, v))).try_for_each(|(n, v)| write!(f, "\n  {n}: {v}"))
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(e: E) -> Error {
        let store = (&e as &dyn std::any::Any).downcast_ref::<StoreError>();
        let remedy = store.and_then(|s| s.remedy().map(ToString::to_string));
        let kind = if store.is_some() { Kind::Input } else { Kind::Job };
        let resumable = store.is_some();
        let mut made = Error::caused(kind, e);
        made.0.resumable = resumable;
        match remedy {
            Some(r) => made.with_remedy(r),
            None => made,
        }
    }
}
