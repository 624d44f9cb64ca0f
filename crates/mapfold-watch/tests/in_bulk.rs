//! A job of more splits than its log has lines for: seen from another process, how many are in flight and who has done
//! how many is told all the same, while it runs and when it has ended.
#![allow(clippy::unwrap_used)]

use mapfold_coord::events::{EventLog, MemberUse, Outcome, SPLIT_LINES};
use mapfold_coord::{Attempt, Counters, JobEvent, MemberId, PhaseTimes, SplitId, StageId};
use mapfold_watch::json;
use mapfold_watch::shelf::Reading;

const STAGE: StageId = StageId(0);
const SPLITS: u64 = SPLIT_LINES * 2;

fn leased(split: u64, member: u32) -> JobEvent {
    JobEvent::SplitLeased { stage: STAGE, split: SplitId(split), attempt: Attempt(0), member: MemberId(member) }
}

fn done(split: u64, member: u32) -> JobEvent {
    let (stage, split, member, times) = (STAGE, SplitId(split), MemberId(member), PhaseTimes { nanos: [1; 7] });
    JobEvent::SplitDone { stage, split, attempt: Attempt(0), member, times, bytes_in: 1, bytes_out: 1 }
}

fn ended() -> JobEvent {
    JobEvent::JobEnded {
        outcome: Outcome::Failed,
        wall_seconds: 1.0,
        user_seconds: 1.0,
        sys_seconds: 0.0,
        peak_bytes: None,
        times: PhaseTimes::default(),
        counters: Counters::default(),
        failure: None,
        at: None,
        stage: None,
        place: None,
    }
}

#[test]
fn what_is_in_flight_is_known_beyond_ten_thousand_splits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let log = EventLog::open_at(&path);
    let label = "map".to_owned();
    log.emit(&JobEvent::StagePlanned { stage: STAGE, label, splits: SPLITS, already_done: 0, bytes_in: None });
    for member in 0..3 {
        log.emit(&JobEvent::MemberJoined { member: MemberId(member), solo: false });
    }
    for split in 0..SPLIT_LINES + 2_000 {
        log.emit(&leased(split, (split % 3) as u32));
        log.emit(&done(split, (split % 3) as u32));
    }
    let flying = [(SPLIT_LINES + 2_000, 1), (SPLIT_LINES + 2_001, 1), (SPLIT_LINES + 2_002, 2)];
    flying.iter().for_each(|(split, member)| log.emit(&leased(*split, *member)));
    let how = "killed".to_owned();
    log.emit(&leased(SPLITS - 1, 0));
    log.emit(&JobEvent::MemberLost { member: MemberId(0), how, replaced: false, log_tail: String::new() });
    log.emit(&done(SPLIT_LINES + 2_002, 2));
    let members = (0..3).map(|member| MemberUse { member, ..MemberUse::default() }).collect();
    log.emit(&JobEvent::MembersUsed { members });
    log.end();
    let mut reading = Reading::open(&path).unwrap();
    let view = &reading.view;
    assert_eq!(view.in_flight(None), Some(2), "one of three is done, one went with its member");
    assert_eq!(view.in_flight(Some(STAGE)), Some(2));
    assert_eq!([0, 1, 2].map(|member| view.members_flights(member)), [0, 2, 0]);
    assert_eq!(view.members.values().map(|m| m.done).sum::<u64>(), SPLIT_LINES + 2_001);
    assert_eq!(json::all(view)["stages"][0]["in_flight"], 2);
    log.emit(&ended());
    reading.go_on().unwrap();
    assert_eq!(reading.view.in_flight(None), Some(0), "a job that has ended works on nothing");
    assert_eq!(json::job(&reading.view)["splits"]["in_flight"], 0);
}
