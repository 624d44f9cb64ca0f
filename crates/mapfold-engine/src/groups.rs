//! Which stages begin again together when records are exchanged in memory.
//!
//! A stage that puts records into an exchange, all that reduce it, and whatever these put records into are one group:
//! what a dead member held of it is nowhere else.

use mapfold_coord::StageKind;
use mapfold_plan::{Domain, Stage, StageKind as Kind};

/// What a stage has to do with exchanges. A chained one has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// It is the map side of this one.
    pub maps: Option<usize>,
    /// It reduces the partitions of this one.
    pub reduces: Option<usize>,
}

impl Role {
    /// The role of a stage.
    pub fn of(stage: &dyn Stage) -> Role {
        let maps = match stage.kind() {
            Kind::Exchange { exchange, .. } => Some(exchange),
            _ => None,
        };
        let reduces = match stage.domain() {
            Domain::Partitions { exchange, .. } => Some(*exchange),
            _ => None,
        };
        Role { maps, reduces }
    }

    fn touches(self, other: Role) -> bool {
        let mine = [self.maps, self.reduces];
        mine.into_iter().flatten().any(|e| other.maps == Some(e) || other.reduces == Some(e))
    }
}

/// The kind of each stage for the coordinator, and whether its splits belong to who holds their records.
pub fn kinds(roles: &[Role]) -> Vec<(StageKind, bool)> {
    let mut groups: Vec<usize> = (0..roles.len()).collect();
    // As often as there are stages: a chain passes the number of its first stage on by one link at least each time.
    for _ in 0..roles.len() {
        for i in 0..roles.len() {
            let joined = (0..roles.len()).filter(|j| roles[i].touches(roles[*j]));
            groups[i] = joined.map(|j| groups[j]).chain([groups[i]]).min().unwrap_or(i);
        }
    }
    let kind = |(role, group): (&Role, usize)| {
        let group = group as u32;
        match role {
            Role { maps: Some(_), reduces } => (StageKind::PipelinedMap { group }, reduces.is_some()),
            Role { reduces: Some(_), .. } => (StageKind::PipelinedReduce { group }, true),
            _ => (StageKind::LeaseOnly, false),
        }
    };
    roles.iter().zip(groups).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_share_an_exchange_are_a_group_and_chains_are_one() {
        let role = |maps, reduces| Role { maps, reduces };
        // A chain of two exchanges, a stage by itself, and an exchange that two stages read.
        let roles = [
            role(Some(0), None),
            role(Some(1), Some(0)),
            role(None, None),
            role(None, Some(1)),
            role(Some(2), None),
            role(None, Some(2)),
            role(None, Some(2)),
        ];
        let (map, reduce) = (|group| StageKind::PipelinedMap { group }, |group| StageKind::PipelinedReduce { group });
        let expected = [
            (map(0), false),
            (map(0), true),
            (StageKind::LeaseOnly, false),
            (reduce(0), true),
            (map(4), false),
            (reduce(4), true),
            (reduce(4), true),
        ];
        assert_eq!(kinds(&roles), expected);
    }
}
