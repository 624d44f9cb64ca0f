//! Several flows as one: each keeps its own ground, all are splits of the same stage.
//!
//! This is how many files of different grids become one job without a mosaic and without a stage for each. A union
//! lies on no single grid, so what needs one (a raster output, halos, planned keys) does not take it; what follows
//! is an exchange or a report.

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
    /// When there is no flow, or one that is not on the ground.
    pub fn union<T: 'static>(&self, flows: Vec<Flow<T>>) -> Result<Flow<(u32, T)>> {
        let ground = |f: &Flow<T>| match f.node.domain() {
            Domain::Raster(r) => Ok(r.clone()),
            _ => Err(Error::usage("a union takes flows of rasters")),
        };
        let grounds = flows.iter().map(ground).collect::<Result<Vec<_>>>()?;
        if grounds.is_empty() {
            return Err(Error::usage("a union needs at least one flow"));
        }
        let domain = Domain::Rasters(Arc::new(RasterDomains::new(grounds)));
        let members = flows.into_iter().map(|f| f.node).collect();
        Ok(Flow::from_node(self, Arc::new(Union { members, domain })))
    }
}

struct Union<T> {
    members: Vec<Arc<dyn Node<T>>>,
    domain: Domain,
}

impl<T> Union<T> {
    /// The flow that a place belongs to, and what the flow calls it.
    fn member(&self, at: &Place) -> (u32, &dyn Node<T>, Place) {
        let Domain::Rasters(all) = &self.domain else { unreachable!("a union lies on several grids") };
        let (scene, window) = at.window();
        let (member, scene) = all.member(scene);
        (member as u32, self.members[member].as_ref(), Place::Window { scene, window })
    }

    fn each_template(&self, cx: &Cx<'_>, emit: &mut dyn FnMut((u32, T)) -> Result<()>) -> Result<()> {
        let pixel = Place::Window { scene: 0, window: Shape { rows: 1, cols: 1 }.window() };
        let mut all = self.members.iter().enumerate();
        all.try_for_each(|(i, m)| m.eval(&pixel, cx, &mut |v| emit((i as u32, v))))
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
        member.memory(&at)
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
