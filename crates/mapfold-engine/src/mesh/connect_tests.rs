//! Groups of members as threads of one process: the sockets are real, timely is not there.
#![allow(clippy::unwrap_used)]

use super::*;
use mapfold_wire::{Bound, Cover, Purpose, Token, read_frame, write_frame};

fn identity(token: &Token, index: u32, members: u32) -> Identity {
    let facts = Facts { job: 7, plan: 9, generation: 1, members, who: Who::Member(index) };
    Identity { token: token.clone(), facts, purpose: Purpose::Mesh, cover: Cover::Plain }
}

/// Members that come, each as it says it is, to the group of `addresses`.
fn meet(members: Vec<(Bound, Identity)>, addresses: &[String], limit: Duration) -> Vec<Connected> {
    thread::scope(|scope| {
        let one = |(bound, me): (Bound, Identity)| {
            scope.spawn(move || {
                let listener = bound.listen(me.clone()).unwrap();
                connect(&listener, addresses, &me, limit)
            })
        };
        let running: Vec<_> = members.into_iter().map(one).collect();
        running.into_iter().map(|m| m.join().unwrap()).collect()
    })
}

type Connected = Result<Vec<Option<Conn>>, MeshError>;

fn group(n: u32) -> (Vec<(Bound, Identity)>, Vec<String>) {
    let token = Token::random().unwrap();
    let members: Vec<_> = (0..n).map(|i| (Bound::loopback().unwrap(), identity(&token, i, n))).collect();
    let addresses = members.iter().map(|(bound, _)| bound.address().to_string()).collect();
    (members, addresses)
}

#[test]
fn every_two_members_share_a_connection() {
    for n in 1..=5 {
        let (members, addresses) = group(n);
        let meshes: Vec<_> = meet(members, &addresses, CONNECT_LIMIT).into_iter().map(Result::unwrap).collect();
        for (i, row) in meshes.iter().enumerate() {
            assert!(row[i].is_none() && row.iter().flatten().count() as u32 == n - 1);
            row.iter().flatten().for_each(|conn| write_frame(&mut conn.clone(), &i, 99).unwrap());
        }
        for (i, row) in meshes.iter().enumerate() {
            for (j, conn) in row.iter().enumerate().filter(|(j, _)| *j != i) {
                let said = read_frame::<usize>(&mut conn.clone().unwrap(), 99).unwrap();
                assert_eq!(said, Some(j), "what member {i} has at {j} leads there");
            }
        }
    }
}

#[test]
fn all_that_are_missing_are_named_with_what_is_known() {
    let (mut members, addresses) = group(5);
    members.retain(|(_, me)| ![Who::Member(1), Who::Member(4)].contains(&me.facts.who));
    let limit = Duration::from_millis(1500);
    for result in meet(members, &addresses, limit) {
        let error = result.err().expect("not complete");
        let MeshError::Missing { absent, .. } = &error else { panic!("{error}") };
        assert_eq!(absent.iter().map(|a| a.member).collect::<Vec<_>>(), [1, 4], "{error}");
        let text = error.to_string();
        assert!(text.contains("after 1.5 s") && text.contains(&format!("member 4 at {}", addresses[4])), "{text}");
    }
}

/// Of another generation: both ends know at once, long before the limit.
#[test]
fn a_member_that_does_not_fit_ends_the_waiting() {
    let (mut members, addresses) = group(3);
    members[2].1.facts.generation = 0;
    members.truncate(3);
    let error = meet(members, &addresses, Duration::from_secs(3)).pop().unwrap().err().unwrap();
    assert!(matches!(error, MeshError::Refused(WireError::Unfit { .. })), "{error}");
    assert!(error.to_string().contains("it is of generation 1, this is generation 0"), "{error}");
}

#[test]
fn addresses_must_fit_the_group() {
    let (mut members, addresses) = group(3);
    let (bound, me) = members.remove(0);
    let listener = bound.listen(me.clone()).unwrap();
    let error = connect(&listener, &addresses[..2], &me, CONNECT_LIMIT).err().unwrap();
    assert_eq!(error.to_string(), "this is member 0 of a group of 3, but 2 addresses were given");
}
