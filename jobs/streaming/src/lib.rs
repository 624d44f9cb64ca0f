//! Map and reduce by any two commands: Hadoop Streaming's line protocol.
//!
//! - The mapper gets the lines of a split on its standard input and writes lines `key TAB value`; without a tab the whole
//!   line is the key.
//! - Lines come to a reducer as `key TAB value`, sorted by the bytes of the key; all lines of a key come to one reducer.
//!   A partition without lines starts no reducer (Hadoop starts one).
//! - What the reducer (or, without one, the mapper) writes is the output, line by line and as it stands. Hadoop would
//!   put a tab behind a line without one.
//! - The combiner gets and writes what a reducer would, for a part of the mapper's output; it must not change the result.
//!
//! Commands run under `sh -c` on the machine that has the split. An exit code other than 0 ends the job, with the
//! command and the end of its standard error in the message.

use mapfold::plan::Plan;
use mapfold::plan::exchange::RawGroups;
use mapfold::prelude::*;
use mapfold::records::flow::{FeedError, Pipe, pipe_splits};
use mapfold::records::sort::{Entry, prefix, sort_entries};
use mapfold::records::text::{LineBatch, Separator, key_value};
use std::io::Write;

/// Map and reduce by any two commands over lines, as Hadoop Streaming does
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Streaming {
    /// Text: files, folders, patterns ('logs/*.txt'), lists (@list.txt); .gz, .bz2 and .zst are decompressed
    #[arg(required = true, num_args = 1..)]
    pub input: Vec<Loc>,
    /// Folder for the result: part-r-00000, ... (part-m-00000 without a reducer), _SUCCESS
    #[arg(long)]
    pub out: Loc,
    /// Command that gets lines and writes lines key TAB value
    #[arg(long, value_name = "COMMAND", default_value = "cat")]
    pub mapper: String,
    /// Command that gets lines key TAB value, sorted by key [default: none, the mapper's lines are the result]
    #[arg(long, value_name = "COMMAND")]
    pub reducer: Option<String>,
    /// Command that folds a mapper's sorted lines before they are sent
    #[arg(long, value_name = "COMMAND", requires = "reducer")]
    pub combiner: Option<String>,
    /// Bytes of a split, such as 8388608 [default: a 32nd of the input, 1 to 32 MiB]
    #[arg(long, value_name = "BYTES")]
    pub split_size: Option<u64>,
}

/// Bytes that a combiner gets at a time.
const COMBINED: usize = 16 << 20;

/// The plan: lines through the mapper, sorted by key, through the reducer.
///
/// # Errors
/// When an input names nothing.
pub fn streaming(job: Streaming, p: &Plan) -> Result<()> {
    let options = TextOptions { split_size: job.split_size, ..TextOptions::default() };
    let mapper = Pipe { role: "mapper", command: job.mapper };
    let mapped = pipe_splits(&p.text(&job.input, &options)?, mapper);
    let Some(command) = job.reducer else {
        return mapped.map(|batch| text(&batch)).write(&job.out, TextOut::default());
    };
    let lines = match job.combiner {
        Some(command) => combined(mapped, Pipe { role: "combiner", command }),
        None => mapped.map(|batch| text(&batch)),
    };
    let reducer = Pipe { role: "reducer", command };
    lines
        .shuffle("sort by key", |lines, emit| {
            each_line(&lines, |line| {
                let (key, value) = key_value(line, Separator::default());
                emit.put(key, value);
            });
        })
        .reduce_raw(move |groups, out| if groups.is_empty() { Ok(()) } else { reduce(&reducer, groups, out) })
        .write(&job.out, TextOut::default())
}

/// The lines of a batch, each with its line end.
fn text(batch: &LineBatch) -> Vec<u8> {
    let mut out = Vec::new();
    batch.iter().for_each(|(_, line)| {
        out.extend_from_slice(line);
        out.push(b'\n');
    });
    out
}

fn each_line(lines: &[u8], visit: impl FnMut(&[u8])) {
    lines.strip_suffix(b"\n").into_iter().flat_map(|lines| lines.split(|b| *b == b'\n')).for_each(visit);
}

fn reduce(pipe: &Pipe, groups: &mut RawGroups, out: &mut dyn FnMut(Vec<u8>) -> Result<()>) -> Result<()> {
    let mut feed = |to: &mut dyn Write| -> Result<(), FeedError> {
        while let Some(mut group) = groups.next() {
            while let Some(value) = group.values.next() {
                to.write_all(group.key)?;
                to.write_all(b"\t")?;
                to.write_all(value)?;
                to.write_all(b"\n")?;
            }
        }
        Ok(())
    };
    pipe.run(&mut feed, &mut |batch| out(text(&batch)))
}

/// The mapper's lines, many at a time, sorted by key and folded by a command.
fn combined(mapped: Flow<LineBatch>, pipe: Pipe) -> Flow<Vec<u8>> {
    let gathered = mapped.fold_splits(3 * COMBINED as u64, Vec::new, |lines: &mut Vec<u8>, batch| {
        lines.extend_from_slice(&text(&batch));
        Ok(lines.len() >= COMBINED)
    });
    gathered.try_map(move |lines| {
        let mut out = Vec::new();
        if lines.is_empty() {
            return Ok(out);
        }
        let mut feed = |to: &mut dyn Write| Ok(to.write_all(&sorted_by_key(&lines))?);
        pipe.run(&mut feed, &mut |batch| {
            out.extend_from_slice(&text(&batch));
            Ok(())
        })?;
        Ok(out)
    })
}

/// Lines as a reducer gets them.
fn sorted_by_key(lines: &[u8]) -> Vec<u8> {
    let mut cut = Vec::new();
    each_line(lines, |line| {
        let (key, value) = key_value(line, Separator::default());
        cut.push((key.to_vec(), value.to_vec()));
    });
    let mut entries: Vec<Entry> =
        (0u32..).zip(&cut).map(|(index, (key, _))| Entry { prefix: prefix(key), index }).collect();
    sort_entries(&mut entries, |a, b| cut[a as usize].0.cmp(&cut[b as usize].0));
    let line = |e: &Entry| {
        let (key, value) = &cut[e.index as usize];
        [key.as_slice(), b"\t", value, b"\n"].concat()
    };
    entries.iter().flat_map(line).collect()
}
