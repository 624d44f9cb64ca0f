//! When to ask a server again, and how long to wait before.
//!
//! Waits double, with jitter of half (so that a thousand workers do not come back together), and a
//! server that says `Retry-After` is believed. No attempt starts after the total allowed.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::{StoreError, StoreOptions};

const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Asking again would give the same answer.
    Final(StoreError),
    /// May pass: a busy server, a lost connection. `why` is redacted.
    Passing { why: String, after: Option<Duration> },
    /// The answer ended early; final as this error when it keeps doing so.
    Short(StoreError),
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    pub(crate) total: Duration,
}

impl From<&StoreOptions> for Patience {
    fn from(options: &StoreOptions) -> Patience {
        Patience { retries: options.http_retries, backoff: options.http_backoff, total: options.http_retry_total }
    }
}

impl Patience {
    /// As often as needed within `total`.
    pub(crate) fn of(total: Duration) -> Patience {
        Patience { retries: u32::MAX, backoff: Duration::from_millis(200), total }
    }
}

/// Runs `attempt` until it succeeds, fails for good, or the patience of `options` ends.
pub(crate) async fn retrying<T, F: Future<Output = Result<T, Fault>>>(
    patience: impl Into<Patience>,
    counters: &Counters,
    loc: &crate::Loc,
    attempt: impl Fn() -> F,
) -> Result<T, StoreError> {
    let patience = patience.into();
    let started = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        counters.request();
        let fault = match attempt().await {
            Ok(value) => return Ok(value),
            Err(Fault::Final(error)) => return Err(error),
            Err(fault) => fault,
        };
        let wait = wait_before(patience, attempts, &fault);
        if attempts > patience.retries || started.elapsed() + wait > patience.total {
            return Err(give_up(loc, attempts, fault));
        }
        tracing::debug!(%loc, attempts, ?wait, ?fault, "trying again");
        counters.retry();
        tokio::time::sleep(wait).await;
    }
}

fn give_up(loc: &crate::Loc, attempts: u32, fault: Fault) -> StoreError {
    match fault {
        Fault::Final(error) | Fault::Short(error) => error,
        Fault::Passing { why, .. } => StoreError::Network { loc: loc.to_string(), attempts, why },
    }
}

fn wait_before(patience: Patience, attempts: u32, fault: &Fault) -> Duration {
    let doubled = patience.backoff.saturating_mul(1 << (attempts - 1).min(16));
    let wait = doubled.min(LONGEST_WAIT).mul_f64(jitter());
    match fault {
        Fault::Passing { after: Some(after), .. } => wait.max(*after),
        _ => wait,
    }
}

/// Between 0.5 and 1.0. Each `RandomState` is keyed differently, which is random enough here.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    0.5 + (random >> 11) as f64 / (1u64 << 53) as f64 / 2.0
}
