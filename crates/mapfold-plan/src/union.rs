//! Several flows as one: each keeps its own ground, all are splits of the same stage.
//!
//! This is how many files of different grids become one job without a mosaic and without a stage for each, and how inputs
//! of different kinds, mapped to one type, meet in one exchange. A union of rasters lies on no single grid, so what needs
//! one (a raster output, halos, planned keys) does not take it; what follows is an exchange or a report.
//!
//! Deliberately absent: unions of what exchanges give. Their partitions belong to those who hold the records.

use crate::domain::RasterDomains;
use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Flow, Place, Plan, Result};
use mapfold_grid::Shape;
use std::sync::Arc;

/// Flows whose steps `--explain` shows one by one.
const SHOWN: usize = 3;

impl Plan {
    /// The values of all `flows`, each with the number of its flow.
    ///
    /// # Errors
    /// When there is no flow, or they are neither all rasters nor all flows of records (files, ranges) before an exchange.
    pub fn union<T: 'static>(&self, flows: Vec<Flow<T>>) -> Result<Flow<(u32, T)>> {
        let domain = side_by_side(&flows)?;
        let ends = flows.iter().scan(0, |end, f| {
            *end += f.node.domain().splits();
            Some(*end)
        });
        let ends = ends.collect();
        let members = flows.into_iter().map(|f| f.node).collect();
        Ok(Flow::from_node(self, Arc::new(Union { members, domain, ends })))
    }
}

fn side_by_side<T: 'static>(flows: &[Flow<T>]) -> Result<Domain> {
    if flows.is_empty() {
        return Err(Error::usage("a union needs at least one flow"));
    }
    let ground = |f: &Flow<T>| match f.node.domain() {
        Domain::Raster(r) => Some(r.clone()),
        _ => None,
    };
    let units = |f: &Flow<T>| match f.node.domain() {
        Domain::Units { count } => Some(*count),
        _ => None,
    };
    let grounds = flows.iter().map(ground).collect::<Option<Vec<_>>>();
    let counts = flows.iter().map(units).sum::<Option<u64>>();
    match (grounds, counts) {
        (Some(grounds), _) => Ok(Domain::Rasters(Arc::new(RasterDomains::new(grounds)))),
        (None, Some(count)) => Ok(Domain::Units { count }),
        (None, None) => Err(Error::usage("a union takes flows of rasters, or flows of records before an exchange")
            .with_remedy("bring them to one type and unite them first, then group")),
    }
}

struct Union<T> {
    members: Vec<Arc<dyn Node<T>>>,
    domain: Domain,
    /// Splits of each member and those before it.
    ends: Vec<u64>,
}

impl<T> Union<T> {
    /// The flow that a place belongs to, and what the flow calls it.
    fn member(&self, at: &Place) -> (u32, &dyn Node<T>, Place) {
        match (&self.domain, at) {
            (Domain::Rasters(all), Place::Window { scene, window }) => {
                let (member, scene) = all.member(*scene);
                (member as u32, self.members[member].as_ref(), Place::Window { scene, window: *window })
            }
            (_, Place::Unit(unit)) => {
                let member = self.ends.partition_point(|end| end <= unit).min(self.members.len() - 1);
                let before = if member == 0 { 0 } else { self.ends[member - 1] };
                (member as u32, self.members[member].as_ref(), Place::Unit(unit - before))
            }
            (_, other) => unreachable!("a union was asked for {other}"),
        }
    }

    fn each_template(&self, cx: &Cx<'_>, emit: &mut dyn FnMut((u32, T)) -> Result<()>) -> Result<()> {
        let pixel = Place::Window { scene: 0, window: Shape { rows: 1, cols: 1 }.window() };
        let at = |m: &Arc<dyn Node<T>>| match m.domain() {
            Domain::Raster(_) => pixel,
            other => other.place(0),
        };
        let mut all = self.members.iter().enumerate();
        all.try_for_each(|(i, m)| m.eval(&at(m), cx, &mut |v| emit((i as u32, v))))
    }
}

impl<T: 'static> Node<(u32, T)> for Union<T> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut((u32, T)) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return self.each_template(cx, emit);
        }
        let (number, member, at) = self.member(at);
        member.eval(&at, cx, &mut |v| emit((number, v)))
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        let (_, member, at) = self.member(at);
        member.needs(&at, out)
    }

    fn held(&self, at: &Place) -> u64 {
        let (_, member, at) = self.member(at);
        member.held(&at)
    }

    fn memory(&self, at: &Place) -> u64 {
        let (_, member, at) = self.member(at);
        // The memory plan looks at some splits only, and may miss those of a costly member.
        let firsts = self.members.iter().filter(|m| matches!(m.domain(), Domain::Units { count } if *count > 0));
        let most = firsts.map(|m| m.memory(&Place::Unit(0))).max().unwrap_or(0);
        member.memory(&at).max(most)
    }

    fn cuttable(&self) -> bool {
        self.members.iter().all(|m| m.cuttable())
    }

    fn recompute(&self, at: &Place) -> f64 {
        let (_, member, at) = self.member(at);
        member.recompute(&at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.members.iter().take(SHOWN).for_each(|m| m.steps(out));
        let more = self.members.len().saturating_sub(SHOWN);
        if more > 0 {
            out.push(Step { what: format!("and {more} more like these"), at: String::new() });
        }
    }

    fn input_bytes(&self) -> u64 {
        self.members.iter().map(|m| m.input_bytes()).sum()
    }
}
