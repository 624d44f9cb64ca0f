//! How many members each host gets, and what one may use there.

use crate::carrier::Room;
use crate::target::SshHost;

/// Members of each host: one after the other, never more than its slots. Without a number, its slots, or one.
///
/// # Errors
/// When there are fewer slots than members.
pub fn spread(hosts: &[SshHost], members: Option<u32>) -> Result<Vec<u32>, String> {
    let Some(members) = members else {
        return Ok(hosts.iter().map(|h| h.slots.unwrap_or(1)).collect());
    };
    let mut counts = vec![0; hosts.len()];
    for _ in 0..members {
        let free = |(i, host): &(usize, &SshHost)| host.slots.is_none_or(|slots| counts[*i] < slots);
        let next = hosts.iter().enumerate().filter(free).min_by_key(|(i, _)| counts[*i]).map(|(i, _)| i);
        let slots: u32 = counts.iter().sum();
        counts[next.ok_or_else(|| format!("the hosts have {slots} slots, which is less than {members}"))?] += 1;
    }
    Ok(counts)
}

/// What one of `members` may use on a host that has `room` for all of them; what was asked for goes before it.
pub fn share(room: Room, members: u32, threads: Option<u32>, memory: Option<u64>) -> Room {
    let members = members.max(1);
    let threads = threads.unwrap_or_else(|| (room.threads / members).max(1));
    Room { threads, memory: memory.unwrap_or(room.memory / u64::from(members)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hosts(slots: &[Option<u32>]) -> Vec<SshHost> {
        let host = |(i, slots): (usize, &Option<u32>)| SshHost {
            user: None,
            host: format!("h{i}"),
            port: None,
            slots: *slots,
        };
        slots.iter().enumerate().map(host).collect()
    }

    #[test]
    fn members_go_to_hosts_in_turn_and_never_beyond_their_slots() {
        let two = hosts(&[None, None]);
        assert_eq!(spread(&two, None).unwrap(), [1, 1]);
        assert_eq!(spread(&two, Some(5)).unwrap(), [3, 2]);
        assert_eq!(spread(&two, Some(1)).unwrap(), [1, 0]);
        let some = hosts(&[Some(1), Some(3), None]);
        assert_eq!(spread(&some, None).unwrap(), [1, 3, 1]);
        assert_eq!(spread(&some, Some(7)).unwrap(), [1, 3, 3]);
        assert!(spread(&hosts(&[Some(1), Some(2)]), Some(4)).unwrap_err().contains("3 slots"));
    }

    #[test]
    fn a_share_is_never_less_than_one_thread() {
        let room = Room { threads: 4, memory: 4000 };
        assert_eq!(share(room, 3, None, None), Room { threads: 1, memory: 1333 });
        assert_eq!(share(room, 8, None, Some(7)), Room { threads: 1, memory: 7 });
        assert_eq!(share(room, 1, Some(2), None), Room { threads: 2, memory: 4000 });
    }
}
