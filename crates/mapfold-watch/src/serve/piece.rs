//! `/api/v1/events`: a piece of the event log, for whoever asks again and again.
//!
//! [`stream`](super::stream) tells as things happen, but proxies hold streams back, and a cluster's proxy passes no
//! `Last-Event-ID` on. Here one question has one whole answer. What it does not do: wait for events.

use super::pages::{Pages, said};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mapfold_coord::{Follow, Line};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// The most events of a piece.
const MOST: usize = 1000;

/// What is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// `next` of the piece before; 0 for the begin of the log.
    #[serde(default)]
    after: u64,
    /// At most so many events.
    limit: Option<usize>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Piece {
    /// When the job of this log began, in milliseconds since 1970: another log begins at another time.
    began_ms: u64,
    /// Oldest first, as the log has them.
    events: Vec<Value>,
    /// Where the next piece begins.
    next: u64,
}

/// The piece that is asked for; empty when nothing was written since.
pub async fn events(State(pages): State<Pages>, query: Result<Query<Asked>, QueryRejection>) -> Response {
    let asked = match query {
        Ok(Query(asked)) => asked,
        Err(e) => return said(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    let Some(log) = &pages.shown.log else {
        return said(StatusCode::SERVICE_UNAVAILABLE, "the event log of this job is not written");
    };
    match lines(log, &asked) {
        Ok(lines) => {
            let next = lines.last().map_or(asked.after, |line| line.end);
            let events = lines.iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
            let piece = Piece { began_ms: pages.shown.live.look(|view| view.started_ms), events, next };
            axum::Json(piece).into_response()
        }
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
            said(StatusCode::BAD_REQUEST, "no event of this log begins at `after`")
        }
        Err(_) => said(StatusCode::SERVICE_UNAVAILABLE, "the event log of this job cannot be read"),
    }
}

fn lines(log: &Path, asked: &Asked) -> std::io::Result<Vec<Line>> {
    Follow::open(log, asked.after)?.lines(asked.limit.unwrap_or(MOST).min(MOST))
}
