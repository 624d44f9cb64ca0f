//! The page of a running application, through the cluster's proxy: the piece of the job's event log that is new.
//!
//! The coordinator serves it to the proxies alone. Where it cannot be had (no page, a proxy that wants more than a
//! question, an address that this machine does not reach) nothing is lost but the sight of the job.

use super::rm::App;
use mapfold_coord::events::TimedEvent;
use mapfold_store::{Call, Stores};
use serde::Deserialize;
use serde_json::Value;

/// A piece of an event log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Which log: when its job began, in milliseconds since 1970. Another attempt of an application has another one.
    pub began_ms: u64,
    /// What is new, oldest first. Events that this program does not know are left out.
    pub events: Vec<TimedEvent>,
    /// Where the next piece begins.
    pub next: u64,
}

#[derive(Deserialize)]
struct Told {
    began_ms: u64,
    events: Vec<Value>,
    next: u64,
}

/// Where the job's pages are; `None` while there are none.
pub fn job_page(app: &App) -> Option<&str> {
    // Before its master is there, and when it has ended, the address is that of a page of YARN's own.
    (app.state == "RUNNING" && app.tracking_url.contains("/proxy/")).then_some(app.tracking_url.as_str())
}

/// What the log of the job at this page has from `after` on; `None` where that cannot be had.
pub fn new_events(stores: &Stores, page: &str, after: u64) -> Option<Piece> {
    let url = format!("{}/api/v1/events?after={after}", page.trim_end_matches('/'));
    let headers = vec![("Accept".to_string(), "application/json".to_string())];
    let answer = stores.call(&Call { method: "GET", url, headers, body: Default::default() });
    match answer {
        Ok(answer) if answer.status == 200 => piece(&answer.body),
        Ok(answer) => {
            tracing::debug!("{page}: HTTP {}", answer.status);
            None
        }
        Err(error) => {
            tracing::debug!("{page}: {error}");
            None
        }
    }
}

fn piece(body: &[u8]) -> Option<Piece> {
    let told: Told = serde_json::from_slice(body).ok()?;
    let events = told.events.into_iter().filter_map(|event| serde_json::from_value(event).ok()).collect();
    Some(Piece { began_ms: told.began_ms, events, next: told.next })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mapfold_coord::{JobEvent, StageId};

    #[test]
    fn what_is_no_piece_of_a_log_is_none_and_an_event_that_is_not_understood_is_left_out() {
        assert_eq!(piece(b"<html>The requested application is not running"), None);
        assert_eq!(piece(b"{\"next\": 1}"), None);
        let text = br#"{"began_ms": 7, "next": 99, "events": [
            {"at_ms": 8, "event": "stage_done", "stage": 0, "seconds": 1.5}, {"at_ms": 9, "event": "stage_done"}, 4]}"#;
        let told = piece(text).unwrap();
        let event = JobEvent::StageDone { stage: StageId(0), seconds: 1.5 };
        assert_eq!(told, Piece { began_ms: 7, events: vec![TimedEvent { at_ms: 8, event }], next: 99 });
    }

    #[test]
    fn only_a_running_application_behind_the_proxy_has_a_page() {
        let app = |state: &str, url: &str| App { state: state.into(), tracking_url: url.into(), ..App::default() };
        assert_eq!(job_page(&app("RUNNING", "http://rm:8088/proxy/app_1/")), Some("http://rm:8088/proxy/app_1/"));
        assert_eq!(job_page(&app("ACCEPTED", "http://rm:8088/proxy/app_1/")), None);
        assert_eq!(job_page(&app("RUNNING", "http://rm:8088/cluster/app/app_1")), None);
    }
}
