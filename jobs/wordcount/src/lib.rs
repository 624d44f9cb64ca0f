//! How often each word occurs: Hadoop's WordCount.
//!
//! A word is what Java's `StringTokenizer` gives with its default delimiters: bytes between spaces, tabs, line ends and
//! form feeds. The output is text, `word TAB count`, sorted by the bytes of the words within each part; which part a word
//! is in says its hash, as in Hadoop (though another hash). Unlike Hadoop, bytes that are not UTF-8 stay as they are.
//!
//! A split counts its words in one table before anything is sent; what is sent is folded again wherever runs are spilled.
//! How many words there may be says a sample of the input: memory is planned for that.

use mapfold::plan::Plan;
use mapfold::plan::growth::Look;
use mapfold::prelude::*;
use mapfold::records::WordCounts;
use mapfold::records::flow::text_growth;

/// How often each word occurs, as Hadoop's WordCount: lines `word TAB count`, sorted by word in each part
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct WordCount {
    /// Text: files, folders, patterns ('logs/*.txt'), lists (@list.txt); .gz, .bz2 and .zst are decompressed
    #[arg(required = true, num_args = 1..)]
    pub input: Vec<Loc>,
    /// Folder for the counts: part-r-00000, ..., _SUCCESS
    #[arg(long)]
    pub out: Loc,
    /// Bytes of a split, such as 8388608 [default: a 32nd of the input, 1 to 32 MiB]
    #[arg(long, value_name = "BYTES")]
    pub split_size: Option<u64>,
}

/// Bytes of a split's table; then it is sent and begun anew.
const TABLE: u64 = 12 << 20;
/// What one more batch of lines may add to a small table.
const LITTLE: u64 = 1 << 20;
/// Bytes of output handed over at a time.
const PIECE: usize = 256 << 10;

/// The plan: words to counts, counts to sums.
///
/// # Errors
/// When an input names nothing.
#[allow(clippy::needless_pass_by_value)] // what a job function looks like
pub fn wordcount(job: WordCount, p: &Plan) -> Result<()> {
    let options = TextOptions { split_size: job.split_size, ..TextOptions::default() };
    let expected = text_growth(p, &job.input, job.split_size, WordCounts::default(), WordCounts::add_text, look)?;
    let room = expected.map_or(TABLE, |e| (e.split.memory * 3 / 2 + LITTLE).min(TABLE));
    p.text(&job.input, &options)?
        .fold_splits(room + LITTLE, WordCounts::default, move |counts, lines| {
            lines.stretches().for_each(|text| counts.add_text(text));
            Ok(counts.memory() as u64 > room)
        })
        .shuffle("count words", |counts, emit| {
            counts.iter().for_each(|(word, count)| emit.put(word, &count.to_le_bytes()));
        })
        .expect(expected.map(|e| e.load))
        .combine_spilled(|_, counts, out| {
            out.extend_from_slice(&sum(counts)?.to_le_bytes());
            Ok(())
        })
        .reduce_raw(|words, out| {
            let mut lines = Vec::with_capacity(PIECE + 1024);
            while let Some(mut word) = words.next() {
                lines.extend_from_slice(word.key);
                lines.push(b'\t');
                lines.extend_from_slice(sum(&mut word.values)?.to_string().as_bytes());
                lines.push(b'\n');
                if lines.len() > PIECE {
                    out(std::mem::replace(&mut lines, Vec::with_capacity(PIECE + 1024)))?;
                }
            }
            if lines.is_empty() { Ok(()) } else { out(lines) }
        })
        .write(&job.out, TextOut::default())
}

/// What a table of words keeps and would give away.
fn look(counts: &WordCounts) -> Look {
    let bytes = counts.iter().map(|(word, _)| word.len() as u64 + 8).sum();
    Look { memory: counts.memory() as u64, records: counts.len() as u64, bytes }
}

fn sum(counts: &mut mapfold::plan::exchange::RawValues<'_>) -> Result<u64> {
    let mut sum = 0;
    while let Some(count) = counts.next() {
        let bytes = count.try_into().map_err(|_| Error::job("a count has not eight bytes"))?;
        sum += u64::from_le_bytes(bytes);
    }
    Ok(sum)
}
