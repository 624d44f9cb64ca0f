//! Panics of user code are data.
//!
//! Every closure runs under `catch_unwind` on a compute thread that is marked as guarded. The process-wide hook
//! keeps the message and the line of a guarded panic for the error, instead of printing a backtrace; a panic on any
//! other thread of the engine is a fault of ours and aborts, because timely would wait for ever for a worker that is
//! gone. A panic that only follows from another member's death is no fault of ours (`mesh`). Threads that are not the engine's (a test runner's) keep the hook that was there before.

use mapfold_plan::{Error, Kind, panic_text};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Foreign,
    Engine,
    Guarded,
}

thread_local! {
    static MARK: Cell<Mark> = const { Cell::new(Mark::Foreign) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether a guarded panic leaves its backtrace: it takes milliseconds, and user code may panic a million times.
static KEEPS: AtomicBool = AtomicBool::new(false);
static BACKTRACE: Mutex<Option<String>> = Mutex::new(None);

/// From now on the backtrace of the last guarded panic is kept, or none.
pub fn keep_backtraces(keep: bool) {
    KEEPS.store(keep, Relaxed);
}

/// The backtrace of the last guarded panic, if it was kept.
pub fn take_backtrace() -> Option<String> {
    BACKTRACE.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn keep_backtrace() {
    if KEEPS.load(Relaxed) {
        let told = std::backtrace::Backtrace::force_capture().to_string();
        *BACKTRACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

/// Installs the hook, once per process. `run` does it.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match MARK.get() {
            Mark::Guarded => {
                keep_backtrace();
                LAST.set(Some(told(info)));
            }
            _ if crate::mesh::explains(info) => {} // one line was said; the thread goes down as it must
            Mark::Engine => abort(info),
            Mark::Foreign => before(info),
        }));
    });
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let at = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
    format!("{}{at}", panic_text(info.payload()))
}

#[allow(clippy::print_stderr)] // The process ends here; nothing else can speak any more.
fn abort(info: &PanicHookInfo<'_>) {
    eprintln!("mapfold: internal error: {} (please report this); no output was made visible", told(info));
    std::process::abort();
}

/// Marks this thread as the engine's: a panic outside of [`guarded`] aborts the process.
pub fn mark_engine_thread() {
    MARK.set(Mark::Engine);
}

/// Runs user code; a panic becomes an error that names its line.
pub fn guarded<O>(f: impl FnOnce() -> Result<O, Error>) -> Result<O, Error> {
    let before = MARK.replace(Mark::Guarded);
    let done = catch_unwind(AssertUnwindSafe(f));
    MARK.set(before);
    done.unwrap_or_else(|panic| {
        let text = LAST.take().unwrap_or_else(|| panic_text(panic.as_ref()));
        Err(Error::new(Kind::Panic, format!("panic: {text}")))
    })
}
