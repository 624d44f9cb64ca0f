//! A value that must never be seen in a log, a message or a file.
//!
//! [`Secret`] has neither `Display` nor `Serialize`, and its `Debug` shows no content: a secret can
//! only travel where somebody wrote `expose` on purpose. It does not wipe memory.

use std::fmt;

/// A text that does not show itself.
///
/// ```
/// let token = mapfold_store::Secret::new("hunter2");
/// assert_eq!(format!("{token:?}"), "Secret");
/// assert_eq!(token.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
