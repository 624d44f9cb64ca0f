//! A closed stage: what the engine runs, without its types.

use crate::exchange::Piece;
use crate::node::{Need, Node, Step};
use crate::sink::{Output, Part, Sink, SinkInput, SinkRun};
use crate::{Cut, Cx, Domain, Error, Flow, Load, Phase, Place, Result, Round, StageId, StoredFile, template};
use mapfold_store::Loc;
use std::sync::Arc;

/// What becomes of a stage's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// Parts of an output.
    Output,
    /// Records for an exchange.
    Exchange {
        /// Which exchange.
        exchange: usize,
        /// Into how many partitions.
        partitions: u32,
    },
    /// A small result, kept in the order of the splits.
    Report,
    /// Blocks in a file of the scratch folder, for later stages.
    Blocks,
    /// A small result that later stages use.
    Side {
        /// Which side of the plan.
        number: u32,
        /// It is one value, no list.
        single: bool,
    },
}

/// What one attempt at a split made.
pub enum Product {
    /// An encoded part.
    Part(Part),
    /// Records for an exchange.
    Records(Vec<Piece>),
    /// Values of a report, as JSON texts, each with its rank ([`Cx::order`]).
    Values(Vec<(Vec<u8>, String)>),
    /// Blocks, in their file already: so many bytes.
    Blocks(u64),
    /// Values of a side, as postcard bytes, each with its rank.
    Side(Vec<(Vec<u8>, Vec<u8>)>),
}

impl Product {
    /// Bytes of the product; those of records may be in files.
    pub fn bytes(&self) -> u64 {
        match self {
            Product::Part(p) => p.segments.iter().map(|(_, b)| b.len()).sum::<usize>() as u64 + p.meta.len() as u64,
            Product::Records(pieces) => pieces.iter().map(Piece::len).sum(),
            Product::Blocks(bytes) => *bytes,
            Product::Side(v) => v.iter().map(|(rank, value)| rank.len() + value.len()).sum::<usize>() as u64,
            Product::Values(v) => v.iter().map(|(rank, text)| rank.len() + text.len()).sum::<usize>() as u64,
        }
    }
}

/// Gives the bytes (or records) of a window to the context before it is computed.
pub type Fetch<'a> = dyn FnMut(&Place, &Cx<'_>) -> Result<()> + 'a;

/// A closed stage.
pub trait Stage: Send + Sync {
    /// What becomes of the values.
    fn kind(&self) -> StageKind;
    /// `write ndvi.tif at jobs/ndvi/src/lib.rs:21`
    fn label(&self) -> &str;
    /// What the splits are pieces of.
    fn domain(&self) -> &Domain;
    /// Steps from the sources on.
    fn steps(&self) -> Vec<Step>;
    /// Whether a split may be computed in windows.
    fn cuttable(&self) -> bool;
    /// Bytes of all inputs.
    fn input_bytes(&self) -> u64;
    /// Source pixels read per pixel of output.
    fn recompute(&self, at: &Place) -> f64;
    /// Bytes that a window needs, ascending by file and offset, each once.
    ///
    /// # Errors
    /// When the window cannot be had.
    fn needs(&self, at: &Place) -> Result<Vec<Need>>;
    /// Bytes alive at most while a window is computed.
    fn memory(&self, at: &Place) -> u64;
    /// The output, for stages that write one.
    fn output(&self) -> Option<&dyn Output> {
        None
    }
    /// How much the splits put in all, for stages before an exchange that have an estimate.
    fn load(&self) -> Option<Load> {
        None
    }
    /// The file of its blocks, for stages that store them.
    fn stored(&self) -> Option<&StoredFile> {
        None
    }
    /// Which round it is, for stages that are one.
    fn round(&self) -> Option<&Round> {
        None
    }
    /// The name of the report, for stages that give one.
    fn report_name(&self) -> Option<&str> {
        None
    }
    /// One attempt at a split, window by window.
    ///
    /// # Errors
    /// Those of nodes and sink, with stage and place.
    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product>;
}

/// The needs of a window: sorted, each range once.
pub(crate) fn sorted_needs<T>(node: &dyn Node<T>, at: &Place) -> Result<Vec<Need>> {
    let mut out = Vec::new();
    node.needs(at, &mut out)?;
    out.sort_unstable_by_key(|n| (n.file, n.range.start, n.range.end));
    out.dedup();
    Ok(out)
}

impl<T: 'static> Flow<T> {
    /// Writes the flow: nothing is visible at `loc` before everything is there.
    ///
    /// # Errors
    /// When the template fails, or the sink cannot take such values.
    #[track_caller]
    pub fn write<S: Sink<T>>(self, loc: &Loc, sink: S) -> Result<()> {
        let at = crate::flow::label(std::panic::Location::caller());
        let label = format!("write {} at {at}", loc.name());
        self.plan.check()?;
        check_place(&self.plan, loc).map_err(|e| e.at_stage(label.clone()))?;
        let made = template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        let input = SinkInput { plan: &self.plan, loc, domain: self.node.domain(), template: made.first() };
        let sink = sink.open(input).map_err(|e| e.at_stage(label.clone()))?;
        self.plan.close(Arc::new(WriteStage { node: self.node, sink, label }));
        Ok(())
    }

    /// Closes the flow as a stage of the caller's making: for format rooms.
    pub fn close(self, stage: impl FnOnce(Arc<dyn Node<T>>) -> Arc<dyn Stage>) -> StageId {
        self.plan.close(stage(self.node))
    }
}

/// An output is a file of its own: not a band of one (`#`), not another output of the same job, and no input.
fn check_place(plan: &crate::Plan, loc: &Loc) -> Result<()> {
    if let Some(fragment) = loc.fragment() {
        let what = format!("{loc}: an output is a whole file; #{fragment} names a part of one");
        return Err(Error::usage(what).with_remedy(format!("write to {}", loc.without_fragment())));
    }
    let same = |other: &Loc| plan.stores().same_object(other, loc);
    if plan.stages().iter().filter_map(|s| s.output().map(Output::loc)).any(same) {
        return Err(
            Error::usage(format!("{loc}: the job writes it twice")).with_remedy("give each output its own place")
        );
    }
    if plan.files().iter().any(|f| same(&f.loc)) {
        return Err(Error::usage(format!("{loc}: the output is one of the inputs"))
            .with_remedy("write to another file, and move it over the input when it is done"));
    }
    Ok(())
}

/// What every stage answers that ends a chain: what its last `node` says, and one more step.
macro_rules! end_of_a_chain {
    ($self:ident, $what:expr) => {
        $crate::stage::end_of_a_chain!($self, $what, cuttable: true);
    };
    ($self:ident, $what:expr, cuttable: $cuttable:literal) => {
        $crate::stage::end_of_a_chain!($self, $what, except memory, cuttable: $cuttable);

        fn memory(&self, at: &$crate::Place) -> u64 {
            self.node.memory(at)
        }
    };
    ($self:ident, $what:expr, except memory) => {
        $crate::stage::end_of_a_chain!($self, $what, except memory, cuttable: true);
    };
    ($self:ident, $what:expr, except memory, cuttable: $cuttable:literal) => {
        fn label(&self) -> &str {
            &self.label
        }

        fn domain(&self) -> &$crate::Domain {
            self.node.domain()
        }

        fn steps(&$self) -> Vec<$crate::Step> {
            let mut out = Vec::new();
            $self.node.steps(&mut out);
            out.push($crate::Step { what: $what, at: String::new() });
            out
        }

        fn cuttable(&self) -> bool {
            $cuttable && self.node.cuttable()
        }

        fn input_bytes(&self) -> u64 {
            self.node.input_bytes()
        }

        fn recompute(&self, at: &$crate::Place) -> f64 {
            self.node.recompute(at)
        }

        fn needs(&self, at: &$crate::Place) -> $crate::Result<Vec<$crate::Need>> {
            $crate::stage::sorted_needs(self.node.as_ref(), at)
        }
    };
}
pub(crate) use end_of_a_chain;

struct WriteStage<T> {
    node: Arc<dyn Node<T>>,
    sink: Box<dyn SinkRun<T>>,
    label: String,
}

impl<T: 'static> Stage for WriteStage<T> {
    fn kind(&self) -> StageKind {
        StageKind::Output
    }

    end_of_a_chain!(self, format!("write {}", self.sink.describe()));

    fn output(&self) -> Option<&dyn Output> {
        Some(self.sink.as_output())
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let mut writer = self.sink.open_part(split)?;
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let mut put = false;
            let here = |e: Error| e.at_stage(self.label.clone()).at_place(at.to_string());
            self.node
                .eval(&at, cx, &mut |value| {
                    if std::mem::replace(&mut put, true) && !self.sink.takes_many() {
                        return Err(Error::job("the flow gives two values for one window of the output"));
                    }
                    cx.during(Phase::Encode, || writer.put(&at, Some(value), cx))
                })
                .map_err(here)?;
            if !put {
                writer.put(&at, None, cx).map_err(here)?;
            }
        }
        cx.clock.enter(Phase::Encode);
        let part = writer.finish(cx).map_err(|e| e.at_stage(self.label.clone()).at_place(split.to_string()))?;
        Ok(Product::Part(part))
    }
}
