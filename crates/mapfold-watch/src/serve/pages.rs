//! The pages: paths and what they show. All are made from one [`JobView`](crate::JobView), under its lock, and bounded.

use super::guard::{self, Guard};
use super::{Shown, piece, stream};
use crate::json::SplitQuery;
use crate::{JobView, json, metrics};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::watch;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Every path with its meaning: the page at `/`.
const INDEX: &str = "mapfold: a running job, read-only
/api/v1/job       the job in all (JSON)
/api/v1/stages    its stages
/api/v1/members   its member processes
/api/v1/splits    ?state=in_flight|failed|skipped &stage= &offset= &limit=
/api/v1/errors    what went wrong, by cause
/api/v1/events    ?after= &limit=: a piece of the event log, and where the next one begins
/events           server-sent events; Last-Event-ID goes on
/metrics          Prometheus
/health           ok
";

/// What every page can see.
#[derive(Clone)]
pub struct Pages {
    pub shown: Shown,
    pub over: watch::Receiver<bool>,
}

/// All pages behind the guard.
pub fn router(shown: Shown, over: watch::Receiver<bool>, guard: Arc<Guard>) -> Router {
    let said = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text);
    let view = |page: fn(&JobView) -> Value| {
        get(move |State(p): State<Pages>| async move { said(JSON, format!("{}\n", p.shown.live.look(page))) })
    };
    let metrics = move |State(p): State<Pages>| async move { said(metrics::TYPE, p.shown.live.look(metrics::text)) };
    Router::new()
        .route("/", get(move || async move { said(TEXT, INDEX.to_owned()) }))
        .route("/health", get(move || async move { said(TEXT, "ok\n".to_owned()) }))
        .route("/metrics", get(metrics))
        .route("/api/v1/job", view(json::job))
        .route("/api/v1/stages", view(json::stages))
        .route("/api/v1/members", view(json::members))
        .route("/api/v1/errors", view(json::errors))
        .route("/api/v1/splits", get(splits))
        .route("/api/v1/events", get(piece::events))
        .route("/events", get(stream::events))
        .fallback(nothing)
        .with_state(Pages { shown, over })
        .layer(from_fn_with_state(guard, guard::check))
}

async fn splits(State(p): State<Pages>, query: Result<Query<SplitQuery>, QueryRejection>) -> Response {
    match query {
        Ok(Query(query)) => {
            let page = p.shown.live.look(|view| json::splits(view, &query));
            ([(header::CONTENT_TYPE, JSON)], format!("{page}\n")).into_response()
        }
        Err(e) => said(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}

async fn nothing() -> Response {
    said(StatusCode::NOT_FOUND, &format!("there is no such page\n{INDEX}"))
}

/// Why there is no page, in a line.
pub fn said(status: StatusCode, what: &str) -> Response {
    (status, [(header::CONTENT_TYPE, TEXT)], format!("{}\n", what.trim_end())).into_response()
}
