//! Splits that do almost nothing, with an output: what a split costs by itself, lease, grant, stream, log and layout
//! included. Each writes its number into one file.
//!
//! `cargo run --release -p mapfold --example splits -- --count 100000 --out numbers --mode pseudo --workers 2`
use mapfold::plan::{Assignment, Cut, Cx, FinishCx, Output, Part, PartWriter, Place, Sink, SinkInput, SinkRun};
use mapfold::prelude::*;

/// Writes the numbers below a count into one file, eight bytes each, a split for each
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Splits {
    /// How many
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// The file
    #[arg(long)]
    out: Loc,
}

/// The output: parts one behind the other.
struct Numbers(Loc);

impl Sink<u64> for Numbers {
    fn open(self, _: SinkInput<'_, u64>) -> Result<Box<dyn SinkRun<u64>>> {
        Ok(Box::new(self))
    }
}

impl Output for Numbers {
    fn loc(&self) -> &Loc {
        &self.0
    }
    fn describe(&self) -> String {
        "numbers".into()
    }
    fn streams(&self) -> u32 {
        1
    }
    fn reserve(&self, _: u32) -> u64 {
        0
    }
    fn estimate(&self) -> (u64, u64) {
        (0, 0)
    }
    fn writer_bytes(&self, _: &Place, _: Cut) -> u64 {
        8
    }
    fn part_bytes(&self, _: &Place) -> u64 {
        8
    }
    fn finish_bytes(&self, _: u64) -> u64 {
        0
    }
    fn lay_out(&self, cx: &FinishCx<'_>) -> Result<Vec<Assignment>> {
        let stored = cx.parts.iter().flat_map(|p| &p.segments);
        Ok(stored.map(|s| Assignment::Stored { stream: s.stream, offset: s.offset, len: s.len }).collect())
    }
}

impl SinkRun<u64> for Numbers {
    fn open_part(&self, _: &Place) -> Result<Box<dyn PartWriter<u64>>> {
        Ok(Box::new(Writer(Vec::new())))
    }
    fn as_output(&self) -> &dyn Output {
        self
    }
}

struct Writer(Vec<u8>);

impl PartWriter<u64> for Writer {
    fn put(&mut self, _: &Place, value: Option<u64>, _: &Cx<'_>) -> Result<()> {
        self.0.extend(value.iter().flat_map(|v| v.to_le_bytes()));
        Ok(())
    }
    fn finish(self: Box<Self>, _: &Cx<'_>) -> Result<Part> {
        Ok(Part { segments: vec![(0, self.0)], ..Part::default() })
    }
}

fn splits(job: Splits, p: &Plan) -> Result<()> {
    let Splits { count, out } = job;
    p.range(count).write(&out.clone(), Numbers(out))
}

fn main() -> ExitCode {
    mapfold::main(splits)
}
