//! Small results that are not files: printed for people, or as JSON for tools.

use crate::node::{Need, Node, Step};
use crate::stage::{Fetch, sorted_needs};
use crate::{Cut, Cx, Domain, Error, Flow, Place, Product, Result, Stage, StageKind, template};
use serde::Serialize;
use std::sync::Arc;

/// A report once the run is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reported {
    /// The name that the job gave it.
    pub name: String,
    /// Its values, in the order of splits (or partitions and keys).
    pub values: Vec<serde_json::Value>,
}

impl<T: Serialize + 'static> Flow<T> {
    /// Prints the values at the end of the run, as a table or with `--json`. For small results: everything is kept
    /// in memory.
    ///
    /// # Errors
    /// When the template fails, or the name is taken: by another report, or `run`, which is the run's own.
    #[track_caller]
    pub fn report(self, name: &str) -> Result<()> {
        let label = format!("report {name} at {}", crate::flow::label(std::panic::Location::caller()));
        self.plan.check()?;
        if name == "run" || self.plan.stages().iter().any(|s| s.report_name() == Some(name)) {
            let what = format!("the name {name:?} of a report is taken");
            return Err(Error::usage(what).with_remedy("choose another name").at_stage(label));
        }
        template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        self.plan.close(Arc::new(ReportStage { node: self.node, name: name.to_string(), label }));
        Ok(())
    }
}

struct ReportStage<T> {
    node: Arc<dyn Node<T>>,
    name: String,
    label: String,
}

impl<T: Serialize + 'static> Stage for ReportStage<T> {
    fn kind(&self) -> StageKind {
        StageKind::Report
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn report_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn domain(&self) -> &Domain {
        self.node.domain()
    }

    fn steps(&self) -> Vec<Step> {
        let mut out = Vec::new();
        self.node.steps(&mut out);
        out.push(Step { what: "report".into(), at: String::new() });
        out
    }

    fn cuttable(&self) -> bool {
        self.node.cuttable()
    }

    fn input_bytes(&self) -> u64 {
        self.node.input_bytes()
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.node.recompute(at)
    }

    fn needs(&self, at: &Place) -> Result<Vec<Need>> {
        sorted_needs(self.node.as_ref(), at)
    }

    fn memory(&self, at: &Place) -> u64 {
        self.node.memory(at)
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let mut values = Vec::new();
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let keep = &mut |v: T| {
                values.push((cx.order(), serde_json::to_string(&v)?));
                Ok(())
            };
            self.node.eval(&at, cx, keep).map_err(|e| e.at_stage(self.label.clone()).at_place(at.to_string()))?;
        }
        Ok(Product::Values(values))
    }
}
