//! `/events`: the event log as server-sent events.
//!
//! The id of an event is the byte in the log where the next one begins, so a client that lost its line goes on exactly
//! there (`Last-Event-ID`), after a day or with another process, and nothing is kept for it here. At most ten batches a
//! second; the log itself is bounded, whatever the number of splits.

use super::pages::Pages;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use mapfold_coord::{Follow, Line};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most events of a batch.
const BATCH: usize = 500;

/// Follows the log from its begin, or from the client's last event on.
pub async fn events(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let Some(log) = &pages.shown.log else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the event log of this job is not written\n").into_response();
    };
    let last = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.trim().parse().ok()));
    let Some(from) = last.unwrap_or(Some(0)) else {
        return (StatusCode::BAD_REQUEST, "Last-Event-ID is not an id of this stream\n").into_response();
    };
    match Follow::open(log, from) {
        Ok(follow) => Sse::new(told(follow, pages.over)).keep_alive(KeepAlive::default()).into_response(),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
            (StatusCode::BAD_REQUEST, "Last-Event-ID is not an id of this stream\n").into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the event log of this job cannot be read\n").into_response(),
    }
}

/// Batches until the job is over and all of it was told.
fn told(follow: Follow, over: watch::Receiver<bool>) -> impl Stream<Item = Result<Event, Infallible>> {
    let batches = stream::unfold(Some((follow, over)), |state| async move {
        let (mut follow, mut over) = state?;
        loop {
            let is_over = *over.borrow(); // Before the look: what was written until then is seen.
            let lines = follow.lines(BATCH).unwrap_or_default();
            if !lines.is_empty() {
                tokio::time::sleep(LOOK_EVERY / 2).await;
                return Some((lines, Some((follow, over))));
            }
            if is_over {
                return None;
            }
            let _ = tokio::time::timeout(LOOK_EVERY, over.changed()).await;
        }
    });
    batches.flat_map(|lines| stream::iter(lines.into_iter().map(|line| Ok(event(line)))))
}

fn event(line: Line) -> Event {
    Event::default().id(line.end.to_string()).data(line.text)
}
