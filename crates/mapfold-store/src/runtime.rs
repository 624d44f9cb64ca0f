//! The small I/O runtime: two threads, started at the first use.
//!
//! Started late so that a command that reads nothing over it starts in milliseconds. Who drops the last handle waits
//! until its threads have ended (they do at once; a read of a disk that hangs is left behind), except on the runtime
//! itself, where nobody may wait. Why at all: a program that ends while they let go of connections pulls the rug from
//! under the Kerberos library, whose locks are gone by then, and dies by an assertion of that library after all is done.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that may block in local reads at the same time.
const BLOCKING_THREADS: usize = 16;
/// How long the end of the threads is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct LazyRuntime(OnceLock<Runtime>);

impl LazyRuntime {
    pub(crate) fn get(&self) -> &Runtime {
        self.0.get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_name("mapfold-io")
                .enable_all()
                .build()
                .expect("the system refuses two more threads: nothing can be read")
        })
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            match Handle::try_current() {
                Ok(_) => runtime.shutdown_background(),
                Err(_) => runtime.shutdown_timeout(LAST_WORDS),
            }
        }
    }
}

/// Runs `future` with timers and sockets of `handle`, whatever executor polls it.
pub(crate) async fn within<F: Future>(handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = handle.enter();
        future.as_mut().poll(cx)
    })
    .await
}
