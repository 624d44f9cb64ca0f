//! The member's end of the pipe that [`crate::Local`] puts on its standard input.

use mapfold_wire::{Token, WireError};
use std::fs::File;
use std::io::{ErrorKind, Read};

/// What a launcher hands to a member.
pub struct Inherited {
    /// The job's secret.
    pub token: Token,
    /// Ends with the launcher.
    pub lifeline: Lifeline,
}

/// A pipe into which nothing is written any more; it closes when the launcher dies, whatever kills it.
pub struct Lifeline(File);

/// Takes the token from standard input. To be called once, before anything else reads there.
///
/// # Errors
/// [`WireError::BadToken`] if standard input is no launcher's pipe: a person typed the hidden option.
pub fn inherit() -> Result<Inherited, WireError> {
    let gone = |e: std::io::Error| WireError::BadToken { place: "standard input".to_owned(), why: e.to_string() };
    // Not `std::io::stdin`, which reads ahead.
    let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().map_err(gone)?;
    let mut pipe = File::from(stdin);
    let token = Token::read_from(&mut pipe)?;
    Ok(Inherited { token, lifeline: Lifeline(pipe) })
}

impl Lifeline {
    /// Waits until the launcher is gone. A member does so on a thread of its own, and then ends itself: without a
    /// launcher nobody would stop it, and its work counts for nothing.
    pub fn wait(mut self) {
        let mut ignored = [0; 64];
        loop {
            match self.0.read(&mut ignored) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
