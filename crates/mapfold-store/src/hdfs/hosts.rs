//! Where the blocks of a file lie, for splits that are best read on their own host.
//!
//! The client library keeps block locations to itself, so the name node is asked over WebHDFS
//! (`GETFILEBLOCKLOCATIONS`), of a name service each in turn: one on standby refuses. The answer is a hint: a name node
//! without WebHDFS, or one that wants Kerberos here, means that nobody knows, never that a job fails.

use std::ops::Range;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use super::{Hdfs, path};
use crate::http::Http;
use crate::{Loc, StoreError, StoreOptions};

/// Bytes of a file that lie together on some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which bytes.
    pub range: Range<u64>,
    /// Names of the hosts that hold a copy, as they call themselves.
    pub hosts: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "BlockLocations")]
    all: Locations,
}

#[derive(Deserialize)]
struct Locations {
    #[serde(rename = "BlockLocation", default)]
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    offset: u64,
    length: u64,
    #[serde(default)]
    hosts: Vec<String>,
}

impl Hdfs {
    /// The blocks that `range` touches, in order; empty when nobody tells.
    pub(crate) async fn located(&self, http: &Http, loc: &Loc, range: &Range<u64>) -> Vec<Located> {
        for address in self.http.iter().filter(|_| !self.web_is_silent.load(Ordering::Relaxed)) {
            match self.ask_web(http, address, loc, range).await {
                Ok(blocks) => {
                    self.web_spoke.store(true, Ordering::Relaxed);
                    return blocks;
                }
                Err(error) => tracing::debug!(%loc, %error, "no block locations"),
            }
        }
        // Asked once for each file of a job: who never gave a hint gives none later.
        self.web_is_silent.store(!self.web_spoke.load(Ordering::Relaxed), Ordering::Relaxed);
        Vec::new()
    }

    async fn ask_web(
        &self,
        http: &Http,
        address: &str,
        loc: &Loc,
        range: &Range<u64>,
    ) -> Result<Vec<Located>, StoreError> {
        let question = self.question(address, loc, range)?;
        let once = StoreOptions { http_retries: 0, ..self.options.clone() };
        let text = http.get(&question, &once, &self.counters).await?;
        let answer: Answer = serde_json::from_slice(&text).map_err(|e| StoreError::Network {
            loc: question.to_string(),
            attempts: 1,
            why: e.to_string(),
        })?;
        let located = |block: Block| Located { range: block.offset..block.offset + block.length, hosts: block.hosts };
        Ok(answer.all.blocks.into_iter().map(located).collect())
    }

    fn question(&self, address: &str, loc: &Loc, range: &Range<u64>) -> Result<Loc, StoreError> {
        let bad = |e: url::ParseError| StoreError::BadUrl { loc: address.to_owned(), why: e.to_string() };
        let mut url = url::Url::parse(&format!("http://{address}/")).map_err(bad)?;
        url.set_path(&format!("/webhdfs/v1{}", path(loc).replace('%', "%25")));
        url.query_pairs_mut()
            .append_pair("op", "GETFILEBLOCKLOCATIONS")
            .append_pair("offset", &range.start.to_string())
            .append_pair("length", &(range.end - range.start).to_string());
        if let Some(user) = &self.user {
            url.query_pairs_mut().append_pair("user.name", user);
        }
        Loc::parse(url.as_str())
    }
}
