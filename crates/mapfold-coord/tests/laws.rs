//! The coordinator's laws, each on the smallest run that shows it.
#![allow(clippy::unwrap_used)]

use mapfold_coord::{
    Action, Attempt, Coordinator, Costs, Counters, Earlier, Event, Failure, FailureKind, LogEntry, MemberId, OnError,
    PartRecord, Policy, Seat, SplitId, StageId, StageKind, StageSpec,
};

const STAGE: StageId = StageId(0);
const ALICE: MemberId = MemberId(1);
const BOB: MemberId = MemberId(2);

/// A coordinator and the words to speak with it.
struct Room(Coordinator);

impl Room {
    fn of(splits: u64, policy: Policy) -> Room {
        Room(Coordinator::new(vec![StageSpec::new(STAGE, splits)], policy).unwrap())
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.0.handle(event, &mut out);
        out
    }

    fn lease(&mut self, member: MemberId, count: u32) -> Vec<(u64, u32)> {
        leased(&self.tell(Event::LeaseWanted { member, stage: STAGE, count }))
    }

    fn ask(&mut self, member: MemberId, split: u64, attempt: u32) -> Vec<Action> {
        let (split, attempt) = (SplitId(split), Attempt(attempt));
        self.tell(Event::GrantWanted { member, stage: STAGE, split, attempt })
    }

    fn register(&mut self, member: MemberId, split: u64, attempt: u32) -> Vec<Action> {
        let mut record = PartRecord::default();
        record.counters.add("pixels", 10);
        let (split, attempt) = (SplitId(split), Attempt(attempt));
        self.tell(Event::Registered { member, stage: STAGE, split, attempt, record })
    }

    fn finish(&mut self, member: MemberId, split: u64, attempt: u32) -> Vec<Action> {
        let mut out = self.ask(member, split, attempt);
        out.extend(self.register(member, split, attempt));
        out
    }

    fn fail(&mut self, split: u64, attempt: u32, kind: FailureKind) -> Vec<Action> {
        let (split, attempt) = (SplitId(split), Attempt(attempt));
        let failure = Failure::new(kind, "it broke");
        self.tell(Event::Failed { member: ALICE, stage: STAGE, split, attempt, failure })
    }
}

fn leased(actions: &[Action]) -> Vec<(u64, u32)> {
    let lease = |action: &Action| match action {
        Action::Lease { split, attempt, .. } => Some((split.0, attempt.0)),
        _ => None,
    };
    actions.iter().filter_map(lease).collect()
}

fn appended(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Append(_))).count()
}

fn failed(actions: &[Action]) -> Option<&Failure> {
    actions.iter().find_map(|action| match action {
        Action::JobFailed { failure, .. } => Some(failure),
        _ => None,
    })
}

#[test]
fn equal_splits_come_in_ascending_order_and_a_wish_is_a_level() {
    let mut room = Room::of(4, Policy::default());
    assert_eq!(room.lease(ALICE, 2), [(0, 0), (1, 0)]);
    assert_eq!(room.lease(ALICE, 2), [], "saying it twice gives no more");
    assert_eq!(leased(&room.finish(ALICE, 0, 0)), [(2, 0)], "one done, one more");
    assert_eq!(room.lease(ALICE, 0), []);
    assert_eq!(leased(&room.finish(ALICE, 1, 0)), [], "none wanted any more");
}

#[test]
fn costly_splits_come_first_ties_by_number() {
    let costs = Costs::PerSplit(vec![1, 9, 5, 9]);
    let spec = StageSpec { costs, ..StageSpec::new(STAGE, 4) };
    let mut room = Room(Coordinator::new(vec![spec], Policy::default()).unwrap());
    assert_eq!(room.lease(ALICE, 4), [(1, 0), (3, 0), (2, 0), (0, 0)]);
    room.finish(ALICE, 1, 0);
    let stage = &room.0.progress().stages[0];
    assert_eq!((stage.cost_done, stage.cost_total), (9, 24));
}

#[test]
fn the_end_is_said_to_everybody_and_again_to_who_asks_again() {
    let mut room = Room::of(1, Policy::default());
    room.lease(ALICE, 1);
    assert_eq!(room.lease(BOB, 1), [], "Alice may yet fail: no answer for Bob so far");
    let end = room.finish(ALICE, 0, 0);
    for member in [ALICE, BOB] {
        assert!(end.contains(&Action::NoMoreSplits { member, stage: STAGE }));
    }
    assert!(end.ends_with(&[Action::StageDone { stage: STAGE }, Action::JobDone]));
    let again = room.tell(Event::LeaseWanted { member: BOB, stage: STAGE, count: 1 });
    assert_eq!(again, [Action::NoMoreSplits { member: BOB, stage: STAGE }]);
}

#[test]
fn a_stage_without_splits_is_done_at_the_first_word() {
    let mut room = Room::of(0, Policy::default());
    let out = room.tell(Event::Tick { now_ms: 0 });
    assert_eq!(out, [Action::StageDone { stage: STAGE }, Action::JobDone]);
}

#[test]
fn nothing_is_registered_without_its_grant_and_nothing_twice() {
    let mut room = Room::of(1, Policy::default());
    room.lease(ALICE, 1);
    assert_eq!(room.register(ALICE, 0, 0), [], "not granted");
    assert_eq!(room.ask(BOB, 0, 0).len(), 1, "not Bob's: denied");
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::Grant { .. }]));
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::Grant { .. }]), "the answer was lost");
    assert_eq!(appended(&room.register(ALICE, 0, 0)), 1);
    assert!(matches!(room.register(ALICE, 0, 0)[..], [Action::Accepted { .. }]));
    assert!(matches!(room.register(ALICE, 0, 1)[..], [Action::Deny { .. }]), "never leased");
    assert_eq!(room.0.counters().get("pixels"), 10);
}

#[test]
fn read_failures_are_tried_three_times_panics_once() {
    let mut room = Room::of(1, Policy::default());
    room.lease(ALICE, 1);
    assert_eq!(leased(&room.fail(0, 0, FailureKind::Io)), [(0, 1)]);
    assert_eq!(room.fail(0, 0, FailureKind::Io), [], "said twice");
    assert_eq!(leased(&room.fail(0, 1, FailureKind::Io)), [(0, 2)]);
    let out = room.fail(0, 2, FailureKind::Io);
    assert_eq!(failed(&out).unwrap().message, "it broke");

    let mut room = Room::of(2, Policy::default());
    room.lease(ALICE, 2);
    let out = room.fail(1, 0, FailureKind::Panic);
    assert!(matches!(&out[..], [Action::JobFailed { at: Some((STAGE, SplitId(1))), .. }]));
    assert_eq!(room.fail(0, 0, FailureKind::User), [], "one root cause");
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::Deny { .. }]));
}

#[test]
fn bad_splits_are_left_out_within_the_allowance_and_never_a_bad_output() {
    let policy = Policy { on_error: OnError::Skip { max: 1 }, ..Policy::default() };
    let mut room = Room::of(3, policy.clone());
    room.lease(ALICE, 3);
    let out = room.fail(0, 0, FailureKind::Data);
    assert!(matches!(out[0], Action::Append(LogEntry::Skipped { split: SplitId(0), .. })));
    assert_eq!(failed(&out), None);
    assert_eq!(room.0.progress().skipped(), 1);
    assert!(failed(&room.fail(1, 0, FailureKind::Data)).is_some(), "one too many");

    let mut room = Room::of(1, policy);
    room.lease(ALICE, 1);
    assert!(failed(&room.fail(0, 0, FailureKind::Output)).is_some());
}

#[test]
fn a_lost_members_splits_go_to_others_and_its_late_words_count_for_nothing() {
    let mut room = Room::of(2, Policy::default());
    assert_eq!(room.lease(ALICE, 2), [(0, 0), (1, 0)]);
    room.lease(BOB, 2);
    room.ask(ALICE, 1, 0);
    let out = room.tell(Event::MemberLost { member: ALICE });
    assert_eq!(leased(&out), [(0, 1), (1, 1)]);
    let gone = [Action::MemberGone { member: ALICE }];
    assert_eq!(room.register(ALICE, 1, 0), gone);
    assert_eq!(room.tell(Event::Joined { member: ALICE, solo: false }), gone);
    room.finish(BOB, 0, 1);
    assert!(room.finish(BOB, 1, 1).contains(&Action::JobDone));
    assert_eq!(room.0.counters().get("pixels"), 20);
    assert_eq!(room.0.progress().stages[0].retries, 2);
}

#[test]
fn a_split_that_kills_its_member_is_tried_alone_and_convicted_by_two_deaths() {
    let policy = Policy { on_error: OnError::Skip { max: 1 }, ..Policy::default() };
    let mut room = Room::of(3, policy);
    let crash = |member, split: u64| Event::Crashed {
        member,
        splits: vec![(STAGE, SplitId(split))],
        failure: Failure::new(FailureKind::Crash, "killed by signal 11"),
    };
    assert_eq!(room.lease(ALICE, 2), [(0, 0), (1, 0)]);
    let out = room.tell(crash(ALICE, 1));
    assert!(out.contains(&Action::MemberGone { member: ALICE }));
    assert_eq!(room.0.waiting_suspects(), 1);
    assert_eq!(room.lease(BOB, 9), [(0, 1), (2, 0)], "the innocent one at once, the suspect not");
    for solo in [MemberId(3), MemberId(4)] {
        room.tell(Event::Joined { member: solo, solo: true });
        let leased = room.lease(solo, 9);
        assert!(matches!(leased[..], [(1, _)]), "suspects only, one at a time: {leased:?}");
        let out = room.tell(crash(solo, 1));
        let skipped = out.iter().any(|a| matches!(a, Action::Skipped { split: SplitId(1), .. }));
        assert_eq!(skipped, solo == MemberId(4), "{out:?}");
    }
    room.finish(BOB, 0, 1);
    assert!(room.finish(BOB, 2, 0).contains(&Action::JobDone));
}

#[test]
fn a_suspect_that_a_solo_member_finishes_is_cleared() {
    let mut room = Room::of(1, Policy::default());
    room.lease(ALICE, 1);
    let failure = Failure::new(FailureKind::Crash, "killed by signal 9");
    room.tell(Event::Crashed { member: ALICE, splits: vec![(STAGE, SplitId(0))], failure });
    assert_eq!(room.lease(BOB, 1), []);
    let solo = MemberId(3);
    room.tell(Event::Joined { member: solo, solo: true });
    assert_eq!(room.lease(solo, 1), [(0, 1)]);
    assert!(room.finish(solo, 0, 1).contains(&Action::JobDone));
    assert_eq!(room.0.waiting_suspects(), 0);
}

#[test]
fn an_overdue_split_ends_its_members_process() {
    let policy = Policy { lease_ms: Some(50), kill_overdue: true, ..Policy::default() };
    let mut room = Room::of(1, policy);
    room.lease(ALICE, 1);
    assert_eq!(room.tell(Event::Tick { now_ms: 50 }), []);
    let overdue = Action::Overdue { member: ALICE, at: (STAGE, SplitId(0)) };
    assert_eq!(room.tell(Event::Tick { now_ms: 51 }), [overdue]);
}

#[test]
fn of_two_attempts_the_first_to_ask_wins() {
    let policy = Policy { speculate_after_ms: Some(100), ..Policy::default() };
    let mut room = Room::of(1, policy);
    room.lease(ALICE, 1);
    room.lease(BOB, 1);
    assert_eq!(leased(&room.tell(Event::Tick { now_ms: 99 })), []);
    assert_eq!(leased(&room.tell(Event::Tick { now_ms: 100 })), [(0, 1)]);
    let out = room.ask(BOB, 0, 1);
    let (split, attempt) = (SplitId(0), Attempt(0));
    assert!(out.contains(&Action::Revoke { member: ALICE, stage: STAGE, split, attempt }));
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::Deny { .. }]));
    assert!(room.register(BOB, 0, 1).contains(&Action::JobDone));
    assert!(matches!(room.register(ALICE, 0, 0)[..], [Action::Deny { .. }]));
    assert_eq!(room.0.counters().get("pixels"), 10);
}

#[test]
fn a_slow_attempt_whose_rival_has_died_gets_another_at_once() {
    let policy = Policy { speculate_after_ms: Some(100), ..Policy::default() };
    let mut room = Room::of(1, policy);
    room.lease(ALICE, 1);
    room.lease(BOB, 1);
    let carol = MemberId(3);
    assert_eq!(leased(&room.tell(Event::Tick { now_ms: 100 })), [(0, 1)], "Bob's");
    assert_eq!(room.lease(carol, 1), [], "two are enough");
    let out = room.tell(Event::MemberLost { member: BOB });
    assert_eq!(leased(&out), [(0, 2)], "Carol's: Alice is slow since 0");
}

#[test]
fn a_resumed_stage_runs_the_rest_only_and_keeps_the_counters() {
    let mut counters = Counters::default();
    counters.add("pixels", 20);
    let done = vec![SplitId(0), SplitId(2)];
    let earlier = Earlier { done, counters, ..Earlier::default() };
    let spec = StageSpec { earlier, ..StageSpec::new(STAGE, 4) };
    let mut room = Room(Coordinator::new(vec![spec], Policy::default()).unwrap());
    assert_eq!(room.lease(ALICE, 9), [(1, 0), (3, 0)]);
    room.finish(ALICE, 1, 0);
    assert!(room.finish(ALICE, 3, 0).contains(&Action::JobDone));
    assert_eq!(room.0.counters().get("pixels"), 40);
}

#[test]
fn a_pipelined_pair_begins_again_together_with_new_attempts() {
    let group = 0;
    let reduce = StageId(1);
    let mut map = StageSpec::new(STAGE, 2);
    map.kind = StageKind::PipelinedMap { group };
    let mut last = StageSpec::new(reduce, 1);
    last.kind = StageKind::PipelinedReduce { group };
    let mut room = Room(Coordinator::new(vec![map, last], Policy::default()).unwrap());
    room.lease(ALICE, 2);
    assert_eq!(appended(&room.finish(ALICE, 0, 0)), 0, "nothing of a map side lasts");
    room.tell(Event::LeaseWanted { member: BOB, stage: reduce, count: 1 });
    let out = room.tell(Event::MemberLost { member: BOB });
    assert_eq!(leased(&out), [(0, 1), (1, 1)]);
    assert_eq!(appended(&out), 1, "the log says that the reduce side begins again");
    assert_eq!(room.0.counters().get("pixels"), 0);
    assert!(matches!(room.ask(ALICE, 1, 0)[..], [Action::Deny { .. }]), "of the old generation");
    room.finish(ALICE, 0, 1);
    room.finish(ALICE, 1, 1);
    assert_eq!(room.0.counters().get("pixels"), 20);
}

/// A map stage of 2 splits and a reduce stage of 5 partitions, Alice and Bob in two seats.
fn seated() -> Room {
    let group = 0;
    let map = StageSpec { kind: StageKind::PipelinedMap { group }, ..StageSpec::new(STAGE, 2) };
    let reduce = StageSpec { kind: StageKind::PipelinedReduce { group }, owned: true, ..StageSpec::new(StageId(1), 5) };
    let mut room = Room(Coordinator::new(vec![map, reduce], Policy::default()).unwrap());
    room.sit(&[ALICE, BOB]);
    room
}

impl Room {
    fn sit(&mut self, members: &[MemberId]) {
        let of = members.len() as u32;
        for (index, member) in (0..).zip(members) {
            self.tell(Event::Seated { member: *member, seat: Seat { index, of } });
        }
    }

    fn reduce(&mut self, member: MemberId, count: u32) -> Vec<(u64, u32)> {
        leased(&self.tell(Event::LeaseWanted { member, stage: StageId(1), count }))
    }
}

#[test]
fn a_partition_is_leased_to_its_owner_only() {
    let mut room = seated();
    assert_eq!(room.reduce(ALICE, 2), [(0, 0), (2, 0)]);
    assert_eq!(room.reduce(BOB, 9), [(1, 0), (3, 0)], "and none that waits for Alice");
    assert_eq!(room.reduce(MemberId(7), 9), [], "nobody without a seat gets one");
    let (stage, split, attempt) = (StageId(1), SplitId(2), Attempt(0));
    let failure = Failure::new(FailureKind::Io, "it broke");
    let again = room.tell(Event::Failed { member: ALICE, stage, split, attempt, failure });
    assert_eq!(leased(&again), [(2, 1)], "tried again where its records are");
    assert_eq!(room.reduce(ALICE, 9), [(4, 0)]);
}

#[test]
fn who_sits_together_is_lost_together_and_one_generation_begins() {
    let mut room = seated();
    room.lease(ALICE, 1);
    room.lease(BOB, 1);
    room.reduce(ALICE, 1);
    room.reduce(BOB, 1);
    let out = room.tell(Event::MemberLost { member: BOB });
    let gone: Vec<&Action> = out.iter().filter(|a| matches!(a, Action::MemberGone { .. })).collect();
    assert_eq!(gone, [&Action::MemberGone { member: BOB }, &Action::MemberGone { member: ALICE }]);
    let begun = |a: &&Action| matches!(a, Action::NewGeneration { generation, .. } if generation.0 == 1);
    assert_eq!(out.iter().filter(begun).count(), 2, "one for each stage of the pair: {out:?}");
    assert_eq!(room.tell(Event::MemberLost { member: ALICE }), [], "it was told already");
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::MemberGone { .. }]), "a word of the old generation");
    let new = [MemberId(3), MemberId(4)];
    room.sit(&new);
    assert_eq!(room.lease(new[0], 9), [(0, 1), (1, 1)]);
    assert_eq!(room.reduce(new[1], 9), [(1, 1), (3, 1)]);
}

#[test]
fn a_group_that_is_done_is_not_begun_again_when_its_members_are_lost() {
    let mut room = seated();
    room.lease(ALICE, 2);
    room.finish(ALICE, 0, 0);
    room.finish(ALICE, 1, 0);
    for (member, owned) in [(ALICE, vec![0, 2, 4]), (BOB, vec![1, 3])] {
        room.reduce(member, 9);
        for split in owned {
            let (stage, split, attempt) = (StageId(1), SplitId(split), Attempt(0));
            room.tell(Event::GrantWanted { member, stage, split, attempt });
            room.tell(Event::Registered { member, stage, split, attempt, record: PartRecord::default() });
        }
    }
    assert!(room.0.is_complete());
    let out = room.tell(Event::MemberLost { member: BOB });
    assert!(out.iter().all(|a| matches!(a, Action::MemberGone { .. })), "{out:?}");
}

#[test]
fn a_granted_part_that_cannot_be_written_ends_the_job_and_begins_nothing_again() {
    let mut room = seated();
    room.reduce(ALICE, 1);
    let (member, stage, split, attempt) = (ALICE, StageId(1), SplitId(0), Attempt(0));
    room.tell(Event::GrantWanted { member, stage, split, attempt });
    let failure = Failure::new(FailureKind::Output, "no space left");
    let out = room.tell(Event::Failed { member, stage, split, attempt, failure });
    assert_eq!(failed(&out).unwrap().message, "no space left");
}

#[test]
fn a_cancelled_job_grants_nothing_more() {
    let mut room = Room::of(2, Policy::default());
    room.lease(ALICE, 1);
    let out = room.tell(Event::Cancel { reason: "interrupted".to_owned() });
    assert_eq!(failed(&out).unwrap().kind, FailureKind::Cancelled);
    assert!(matches!(room.ask(ALICE, 0, 0)[..], [Action::Deny { .. }]));
    assert_eq!(room.tell(Event::Cancel { reason: "again".to_owned() }), []);
    let stage = STAGE;
    let answer = room.tell(Event::LeaseWanted { member: BOB, stage, count: 1 });
    assert_eq!(answer, [Action::NoMoreSplits { member: BOB, stage }]);
}

#[test]
fn a_plan_that_does_not_fit_is_refused_by_name() {
    let refused = |spec: StageSpec| Coordinator::new(vec![spec], Policy::default()).unwrap_err().to_string();
    let costs = Costs::PerSplit(vec![1, 2]);
    let message = refused(StageSpec { costs, ..StageSpec::new(STAGE, 3) });
    assert_eq!(message, "stage 0: 2 costs for 3 splits");
    let earlier = Earlier { done: vec![SplitId(3)], ..Earlier::default() };
    let message = refused(StageSpec { earlier, ..StageSpec::new(STAGE, 3) });
    assert!(message.contains("split 3 of 3"), "{message}");
}

#[test]
fn unknown_stages_and_splits_change_nothing() {
    let mut room = Room::of(1, Policy::default());
    let before = room.0.progress();
    let stage = StageId(9);
    room.tell(Event::LeaseWanted { member: ALICE, stage, count: 1 });
    assert!(matches!(room.ask(ALICE, u64::MAX, 0)[..], [Action::Deny { .. }]));
    assert!(matches!(room.register(ALICE, 77, 0)[..], [Action::Deny { .. }]));
    room.fail(77, 0, FailureKind::Panic);
    assert_eq!(room.0.progress().stages, before.stages);
}

#[test]
fn a_member_that_retires_finishes_what_it_holds_gets_nothing_more_and_goes() {
    let mut room = Room::of(6, Policy::default());
    room.lease(ALICE, 2);
    room.lease(BOB, 2);
    assert_eq!(room.tell(Event::Retire { member: ALICE }), [], "it holds two");
    assert_eq!(room.tell(Event::Retire { member: ALICE }), [], "saying it twice changes nothing");
    assert_eq!(leased(&room.finish(ALICE, 0, 0)), []);
    assert_eq!(room.lease(ALICE, 5), [], "whatever it wants");
    let last = room.finish(ALICE, 1, 0);
    assert_eq!(last.last(), Some(&Action::Retired { member: ALICE }));
    let last_words = Event::Heartbeat { member: ALICE, at_ms: 5 };
    assert_eq!(room.tell(last_words), [], "they are heard in peace");
    assert_eq!(room.tell(Event::MemberLost { member: ALICE }), [], "its end is no loss");
    assert_eq!(leased(&room.finish(BOB, 2, 0)), [(4, 0)], "nothing that Alice did is done again");
    assert_eq!(room.0.counters().get("pixels"), 30);
}

#[test]
fn a_member_that_retires_before_it_has_anything_goes_at_once_and_one_with_a_seat_stays() {
    let mut room = Room::of(2, Policy::default());
    assert_eq!(room.tell(Event::Retire { member: BOB }), [Action::Retired { member: BOB }], "it had said nothing yet");
    assert_eq!(room.tell(Event::Joined { member: BOB, solo: false }), [], "and is too late now");
    assert_eq!(room.lease(BOB, 1), []);
    let seat = Seat { index: 0, of: 1 };
    room.tell(Event::Seated { member: ALICE, seat });
    assert_eq!(room.tell(Event::Retire { member: ALICE }), []);
    assert_eq!(room.lease(ALICE, 1), [(0, 0)], "the others of its group cannot go on without it");
}

#[test]
fn a_member_that_dies_while_it_retires_is_lost_like_any_other() {
    let mut room = Room::of(1, Policy::default());
    room.lease(ALICE, 1);
    room.lease(BOB, 1);
    room.tell(Event::Retire { member: ALICE });
    assert_eq!(leased(&room.tell(Event::MemberLost { member: ALICE })), [(0, 1)], "Bob has it now");
}

#[test]
fn suspects_are_tried_by_anybody_when_no_solo_member_can_be_had() {
    let mut room = Room::of(2, Policy::default());
    room.lease(ALICE, 1);
    let failure = Failure::new(FailureKind::Crash, "killed by signal 9");
    room.tell(Event::Crashed { member: ALICE, splits: vec![(STAGE, SplitId(0))], failure });
    assert_eq!(room.lease(BOB, 2), [(1, 0)], "the other one waits for a solo member");
    assert_eq!(leased(&room.tell(Event::NobodySolo)), [(0, 1)], "Bob may have it now");
    assert_eq!(room.tell(Event::NobodySolo), [], "saying it twice changes nothing");
}
