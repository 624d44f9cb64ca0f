//! A job as JSON: one shape for `--json` of the verbs and for the pages under `/api/v1`.
//!
//! Names carry their unit, a field is never left out, what is not known is `null`. Lists are bounded and say how many
//! there are in all.

use crate::view::{Failed, JobView, KEPT, MemberView, StageView};
use mapfold_coord::events::unix_ms;
use mapfold_coord::{Phase, StageId};
use serde_json::{Map, Value, json};

/// Most entries of one page of splits.
pub const PAGE: usize = 1000;

/// The job in all: `/api/v1/job`, `mapfold jobs --json`.
pub fn job(view: &JobView) -> Value {
    let state = view.state();
    let now = view.clock(state, unix_ms());
    let planned = view.planned.clone().unwrap_or_default();
    let process = view.process.as_ref();
    let ended = view.ended.as_ref();
    json!({
        "id": view.id,
        "name": view.name,
        "state": state,
        "params": view.params,
        "pid": process.map(|p| p.pid),
        "host": process.map(|p| &p.host),
        "url": view.url.as_ref().filter(|_| state.is_open()),
        "started_ms": view.started_ms,
        "heard_ms": view.heard_ms,
        "ended_ms": ended.map(|e| e.at_ms),
        "wall_seconds": view.seconds_at(now),
        "eta_seconds": view.eta(now).filter(|_| state.is_open()),
        "workers": planned.workers,
        "crew": crew(view),
        "threads": planned.threads,
        "outputs": planned.outputs,
        "splits": {
            "all": view.splits(),
            "done": view.splits_done(),
            "in_flight": view.in_flight(None),
            "skipped": view.skipped(),
        },
        "splits_placed": view.placed,
        "failed_attempts": view.failed,
        "members_lost": view.members.values().filter(|m| m.lost.is_some()).count(),
        "bytes_read": view.bytes_in(),
        "bytes_written": view.bytes_out(),
        "bytes_spilled": view.bytes_spilled(),
        "memory": {
            "peak_bytes": view.peak_bytes(),
            "predicted_bytes": view.planned.as_ref().map(|p| p.predicted_bytes),
            "limit_bytes": view.planned.as_ref().map(|p| p.limit_bytes),
        },
        "counters": view.counters,
        "failure": view.root(),
        "unread_events": view.unread,
    })
}

/// How many members there are; what is wanted is `null` where their number is fixed.
fn crew(view: &JobView) -> Value {
    let size = view.members_wanted();
    json!({
        "here": view.members_here(),
        "wanted": size.map(|s| s.0),
        "least": size.map(|s| s.1),
        "most": size.map(|s| s.2),
        "missing": view.missing,
    })
}

/// Its stages: `/api/v1/stages`.
pub fn stages(view: &JobView) -> Value {
    view.stages.iter().map(|(id, s)| stage(view, *id, s)).collect()
}

fn stage(view: &JobView, id: StageId, s: &StageView) -> Value {
    let seconds: Map<String, Value> =
        Phase::ALL.iter().map(|p| (p.name().to_owned(), json!(s.times.get(*p).as_secs_f64()))).collect();
    json!({
        "stage": id.0,
        "label": s.label,
        "splits": s.splits,
        "done": s.done,
        "earlier": s.earlier,
        "in_flight": view.in_flight(Some(id)),
        "skipped": s.skipped,
        "retries": s.retries,
        "wall_seconds": s.seconds,
        "seconds": seconds,
        "split_seconds": s.spread.skew(),
        "bytes_expected": s.expected_bytes,
        "bytes_read": s.bytes_in,
        "bytes_written": s.bytes_out,
    })
}

/// Its member processes: `/api/v1/members`.
pub fn members(view: &JobView) -> Value {
    view.members.iter().map(|(id, m)| member(view, *id, m)).collect()
}

fn member(view: &JobView, id: u32, m: &MemberView) -> Value {
    let state = match (&m.lost, m.left, m.solo) {
        (Some(_), ..) => "lost",
        (None, Some(_), _) => "left",
        (None, None, true) => "alone",
        (None, None, false) => "member",
    };
    json!({
        "member": id,
        "state": state,
        "joined_ms": m.joined_ms,
        "left_ms": m.left,
        "lost_ms": m.lost.as_ref().map(|l| l.0),
        "how": m.lost.as_ref().map(|l| &l.1),
        "replaced": m.lost.as_ref().map(|l| l.2),
        "log_tail": m.log_tail,
        "splits_done": m.done,
        "splits_in_flight": view.members_flights(id),
        "user_seconds": m.used.user_seconds,
        "sys_seconds": m.used.sys_seconds,
        "peak_bytes": m.used.peak_bytes,
        "bytes_read": m.used.bytes_read,
        "bytes_spilled": m.used.bytes_spilled,
    })
}

/// Which splits: `/api/v1/splits?state=&stage=&offset=&limit=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitQuery {
    /// In flight or failed.
    #[serde(default)]
    pub state: SplitState,
    /// Of this stage only.
    pub stage: Option<u32>,
    /// So many are passed over.
    #[serde(default)]
    pub offset: usize,
    /// At most so many: 100, at most [`PAGE`].
    pub limit: Option<usize>,
}

/// Splits that can be listed: those done are counted only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitState {
    /// Someone works on it.
    #[default]
    InFlight,
    /// An attempt at it failed.
    Failed,
    /// It was left out.
    Skipped,
}

/// Splits, a page at a time.
pub fn splits(view: &JobView, query: &SplitQuery) -> Value {
    let of = |stage: StageId| query.stage.is_none_or(|s| s == stage.0);
    let failed = |skipped: bool| {
        view.failures.iter().filter(move |f| of(f.stage) && (!skipped || f.skipped)).map(failure).collect()
    };
    let all: Vec<Value> = match query.state {
        SplitState::InFlight => view.flights.iter().filter(|((s, _), _)| of(*s)).map(|(at, f)| flight(at, f)).collect(),
        SplitState::Failed => failed(false),
        SplitState::Skipped => failed(true),
    };
    let limit = query.limit.unwrap_or(100).min(PAGE);
    let (count, next) = (all.len(), query.offset + limit);
    let page: Vec<Value> = all.into_iter().skip(query.offset).take(limit).collect();
    json!({ "count": count, "next": (next < count).then_some(next), "kept": KEPT, "splits": page })
}

fn flight(at: &(StageId, mapfold_coord::SplitId), f: &crate::view::Flight) -> Value {
    let seconds = unix_ms().saturating_sub(f.since_ms) as f64 / 1000.0;
    json!({ "stage": at.0.0, "split": at.1.0, "attempt": f.attempt.0, "member": f.member.0, "seconds": seconds })
}

fn failure(f: &Failed) -> Value {
    json!({
        "at_ms": f.at_ms, "stage": f.stage.0, "split": f.split.0, "place": f.place, "kind": f.failure.kind,
        "cause": f.failure.message, "try": f.failure.remedy, "skipped": f.skipped,
    })
}

/// What went wrong, by cause: `/api/v1/errors`.
pub fn errors(view: &JobView) -> Value {
    let cause = |(message, (all, skipped)): (&String, &(u64, u64))| {
        let first = view.failures.iter().find(|f| f.failure.message == *message).map(failure);
        json!({ "cause": message, "count": all, "skipped": skipped, "first": first })
    };
    let end = view.ended.as_ref().and_then(|e| {
        let f = e.failure.as_ref()?;
        Some(json!({ "cause": f.message, "stage": e.stage, "place": e.place, "try": f.remedy }))
    });
    json!({ "count": view.failed, "causes": view.causes.iter().map(cause).collect::<Vec<_>>(), "end": end })
}

/// Everything of a job: `mapfold status JOB --json`.
pub fn all(view: &JobView) -> Value {
    let mut whole = job(view);
    whole["stages"] = stages(view);
    whole["members"] = members(view);
    whole["errors"] = errors(view);
    whole
}
