//! Connected components of a graph: each node gets the smallest number that it is connected with, directly or not.
//!
//! Edges are lines `A B` of a text file. A node tells its label to its neighbours whenever it has become smaller; when
//! nobody says anything any more, the labels are those of the components.
//!
//! `cargo run --release -p mapfold --example components -- --edges edges.txt --out labels`
use mapfold::prelude::*;

/// The smallest number that each node of a graph is connected with
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Components {
    /// Text files of edges: two whole numbers a line
    #[arg(long)]
    edges: Loc,
    /// Lines NODE TAB LABEL
    #[arg(long)]
    out: Loc,
    /// Rounds after which it is an error that labels still change
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Take the labels that there are after so many rounds
    #[arg(long)]
    early: bool,
    /// Milliseconds that each node takes in a round: for tests
    #[arg(long, default_value_t = 0)]
    millis: u64,
}

/// A node's label and its neighbours.
#[derive(Serialize, Deserialize)]
struct Node {
    label: u64,
    near: Vec<u64>,
}

/// An edge as its two ends see it.
fn edge(line: &[u8]) -> Result<[(u64, u64); 2]> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(a)), Some(Ok(b))) => Ok([(a, b), (b, a)]),
        _ => Err(mapfold::Error::input(format!("{line:?} is no edge")).with_remedy("write two whole numbers a line")),
    }
}

fn components(job: Components, p: &Plan) -> Result<()> {
    let Components { edges, out, limit, early, millis } = job;
    let rounds = if early { Rounds::at_most(limit) } else { Rounds::until_still(limit) };
    p.text([&edges], &TextOptions::default())?
        .try_map(|lines| lines.iter().map(|(_, line)| edge(line)).collect::<Result<Vec<_>>>())
        .flat_map(|edges| edges.into_iter().flatten())
        .reduce(|node, near| (*node, Node { label: *node, near: near.collect() }))
        .iterate::<u64>(rounds, move |_, node, heard, say| {
            std::thread::sleep(std::time::Duration::from_millis(millis));
            let (before, mut is_first) = (node.label, true);
            for label in heard {
                node.label = node.label.min(label);
                is_first = false;
            }
            if is_first || node.label < before {
                node.near.iter().for_each(|other| say.to(other, &node.label));
            }
        })
        .map(|(number, node)| (number, node.label))
        .write(&out, TextOut::default())
}

fn main() -> ExitCode {
    mapfold::records_main(components)
}
