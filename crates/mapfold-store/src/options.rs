//! The few settings of the stores. Each has a default that suits a laptop and a cluster alike.

use std::time::Duration;

use crate::{Settings, StoreError};
use std::sync::Arc;

/// The environment variable that sets [`StoreOptions::http_retries`].
pub(crate) const RETRIES_VARIABLE: &str = "MAPFOLD_HTTP_RETRIES";

/// Settings of a [`Stores`](crate::Stores).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How often a failed HTTP request is repeated (0: never).
    pub http_retries: u32,
    /// The wait before the first repetition; doubled for each further one, with jitter, at most 5 s.
    pub http_backoff: Duration,
    /// No repetition starts later than this after the first attempt began.
    pub http_retry_total: Duration,
    /// How long to wait for a connection.
    pub http_connect_timeout: Duration,
    /// How long a server may stay silent.
    pub http_read_timeout: Duration,
    /// How long HDFS may be out of reach (a name node that restarts, safe mode) before a request fails.
    pub hdfs_patience: Duration,
    /// How long a file is written to HDFS again and again before its write fails: data nodes die, and the name node
    /// notices late.
    pub hdfs_write_patience: Duration,
    /// Settings and credentials of object stores and HDFS; `None` takes those of the process.
    pub settings: Option<Arc<Settings>>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            http_retries: 6,
            http_backoff: Duration::from_millis(100),
            http_retry_total: Duration::from_secs(25),
            http_connect_timeout: Duration::from_secs(10),
            http_read_timeout: Duration::from_secs(15),
            hdfs_patience: Duration::from_secs(120),
            hdfs_write_patience: Duration::from_secs(300),
            settings: None,
        }
    }
}

impl StoreOptions {
    /// The defaults, changed by `MAPFOLD_HTTP_RETRIES` where it is set.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] names the variable when its value is not a whole number.
    pub fn from_env() -> Result<StoreOptions, StoreError> {
        let mut options = StoreOptions::default();
        let Ok(text) = std::env::var(RETRIES_VARIABLE) else {
            return Ok(options);
        };
        options.http_retries = text.trim().parse().map_err(|_| StoreError::BadUrl {
            loc: RETRIES_VARIABLE.into(),
            why: format!("{text:?} is not a number of retries (0, 1, 2, ...)"),
        })?;
        Ok(options)
    }
}
