//! Who died first, as far as this member can see.
//!
//! Timely has two threads per peer, named `timely:recv-2` and `timely:send-2`. When the peer's socket breaks they panic
//! with a text that timely promises to keep. The panic hook asks here whether a panic is such a one, or follows from
//! one, and prints nothing for it but a single line.
//!
//! The death of one member makes the others end too, and then whoever is slow could take one of those for the cause. So
//! a member that has noticed waits for a moment before its threads go down and its sockets close: within that moment
//! every member sees the first death by itself, for each has a socket to the dead one. (Without that moment
//! `tests/mesh.rs` fails in two runs of three.) On a machine so busy that a thread waits longer, the coordinator still
//! knows better: its control connection to the dead member broke first.

use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What timely's socket threads begin their panics with.
const BROKEN: &str = "timely communication error:";
/// How long a member that has noticed a death keeps its own sockets open.
const LINGER: Duration = Duration::from_millis(400);

/// A death, by whose socket broke.
#[derive(Clone, Copy)]
pub(crate) struct Lost {
    pub(super) member: u32,
    pub(super) since: Instant,
}

static FIRST: Mutex<Option<Lost>> = Mutex::new(None);

thread_local! {
    static JOINING: Cell<bool> = const { Cell::new(false) };
}

/// The first death that was noticed. It stays: a process whose mesh broke is not used for another.
pub(super) fn first() -> Option<Lost> {
    *FIRST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the others have had their moment to notice.
pub(super) fn linger(lost: Lost) {
    thread::sleep(LINGER.saturating_sub(lost.since.elapsed()));
}

/// Says that this thread waits for timely's threads, and so inherits their panics.
pub(super) fn joining() {
    JOINING.set(true);
}

/// Is this panic a peer's death, or a consequence of one? Then it is noted, and no more is to be said. For the hook.
pub(crate) fn explains(info: &PanicHookInfo<'_>) -> bool {
    let text = mapfold_plan::panic_text(info.payload());
    if let Some(member) = broken_peer(thread::current().name().unwrap_or_default(), &text) {
        linger(note(member));
        return true;
    }
    let timelys = thread::current().name().is_some_and(|name| name.starts_with("timely:"));
    (timelys || JOINING.get()) && first().is_some()
}

/// The peer whose socket this thread has served, if it is its failure that the text tells of.
fn broken_peer(thread: &str, text: &str) -> Option<u32> {
    let peer = thread.strip_prefix("timely:recv-").or_else(|| thread.strip_prefix("timely:send-"))?;
    text.starts_with(BROKEN).then_some(peer)?.parse().ok()
}

/// Keeps the first death, and prints it. The coordinator may know of it first.
#[allow(clippy::print_stderr)] // The line that is left of three panics; this member can do nothing else any more.
pub(crate) fn note(member: u32) -> Lost {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    *first.get_or_insert_with(|| {
        eprintln!("stopped because member {member} died");
        Lost { member, since: Instant::now() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_timelys_socket_threads_speak_of_a_peer() {
        let text = "timely communication error: reading data: socket closed";
        assert_eq!(broken_peer("timely:recv-2", text), Some(2));
        assert_eq!(broken_peer("timely:send-17", text), Some(17));
        assert_eq!(broken_peer("timely:work-0", text), None);
        assert_eq!(broken_peer("timely:recv-2", "MergeQueue poisoned."), None);
        assert_eq!(broken_peer("", text), None);
    }
}
