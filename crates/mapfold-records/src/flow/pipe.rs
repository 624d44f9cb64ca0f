//! Another program's hands: lines go to its standard input, lines come from its standard output.
//!
//! The command runs under `sh -c`, as Hadoop Streaming's commands do. A thread feeds it, this one takes what it says, and
//! a third keeps the end of its standard error; so nothing is held but pipes, whatever the command reads before it
//! writes. A command that does not want all of its input may close it; what counts is its exit code.

use crate::text::{Delimiter, LineBatch, LineStream};
use mapfold_plan::{Cx, Domain, Error, Flow, Need, Node, Place, Result, Step};
use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// Bytes of standard error that are kept.
const LAST_WORDS: usize = 4 << 10;
/// Bytes of output read at a time.
const PIECE: usize = 64 << 10;
/// A longer line is an error.
const MAX_LINE: usize = 64 << 20;

/// A command, and what messages call it.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// `mapper`, `reducer`, `combiner`.
    pub role: &'static str,
    /// For `sh -c`.
    pub command: String,
}

impl Pipe {
    /// Runs the command once: `feed` writes its input (in a thread of its own), `take` gets its lines.
    ///
    /// ```
    /// use mapfold_records::flow::Pipe;
    /// let pipe = Pipe { role: "mapper", command: "tr a-z A-Z".into() };
    /// let mut lines = Vec::new();
    /// pipe.run(&mut |to| Ok(to.write_all(b"one\ntwo\n")?), &mut |batch| {
    ///     lines.extend(batch.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()));
    ///     Ok(())
    /// })?;
    /// assert_eq!(lines, ["ONE", "TWO"]);
    /// # Ok::<(), mapfold_plan::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be started or ends with another code than 0: with the end of its standard error. Those of `feed`
    /// and `take`.
    pub fn run(
        &self,
        feed: &mut (dyn FnMut(&mut dyn Write) -> Result<(), FeedError> + Send),
        take: &mut dyn FnMut(LineBatch) -> Result<()>,
    ) -> Result<()> {
        let mut child = Running::start(self)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
        else {
            return Err(self.fault("has no pipes"));
        };
        let (taken, fed, words) = std::thread::scope(|s| {
            let feeder = s.spawn(move || {
                let mut to = BufWriter::with_capacity(PIECE, stdin);
                feed(&mut to).and_then(|()| Ok(to.flush()?))
            });
            let words = s.spawn(move || last_words(stderr));
            let taken = self.take_lines(stdout, take);
            if taken.is_err() {
                let _ = child.0.kill();
            }
            (taken, feeder.join(), words.join())
        });
        let status = child.0.wait().map_err(|e| self.fault(&format!("cannot be waited for: {e}")))?;
        taken?;
        match fed.unwrap_or_else(|_| Err(FeedError::Ours(self.fault("could not be fed: the thread panicked")))) {
            Err(FeedError::Ours(e)) => return Err(e),
            Err(FeedError::Pipe(e)) if e.kind() != ErrorKind::BrokenPipe => {
                return Err(self.fault(&format!("could not be fed: {e}")));
            }
            _ => {}
        }
        if status.success() { Ok(()) } else { Err(self.failed(status, &words.unwrap_or_default())) }
    }

    fn take_lines(&self, mut from: ChildStdout, take: &mut dyn FnMut(LineBatch) -> Result<()>) -> Result<()> {
        let mut lines = LineStream::new(Delimiter::Newline, 0, MAX_LINE);
        loop {
            let mut piece = vec![0; PIECE];
            let len = match from.read(&mut piece) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                got => got.map_err(|e| self.fault(&format!("cannot be read: {e}")))?,
            };
            piece.truncate(len);
            let mut batch = LineBatch::default();
            lines.feed(piece.into(), len == 0, &mut batch).map_err(|e| e.at_place(self.role))?;
            if !batch.is_empty() {
                take(batch)?;
            }
            if len == 0 {
                return Ok(());
            }
        }
    }

    fn fault(&self, what: &str) -> Error {
        Error::job(format!("the {} ({}) {what}", self.role, self.command))
    }

    fn failed(&self, status: std::process::ExitStatus, words: &str) -> Error {
        let how = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
        let said = if words.is_empty() { "it said nothing".into() } else { format!("it said: {words}") };
        let remedy = match status.code() {
            Some(126 | 127) => "give a command that `sh -c` finds on every machine of the job",
            _ => "try the command by hand on a few lines of the input",
        };
        self.fault(&format!("ended with {how}; {said}")).with_remedy(remedy)
    }
}

/// Why feeding ended early.
pub enum FeedError {
    /// The pipe: the command may have closed it.
    Pipe(io::Error),
    /// What was to be fed could not be made.
    Ours(Error),
}

impl From<io::Error> for FeedError {
    fn from(e: io::Error) -> FeedError {
        FeedError::Pipe(e)
    }
}

/// A child that does not outlive its split.
struct Running(Child);

impl Running {
    fn start(pipe: &Pipe) -> Result<Running> {
        let mut sh = Command::new("sh");
        sh.arg("-c").arg(&pipe.command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sh.spawn().map(Running).map_err(|e| pipe.fault(&format!("cannot be started: {e}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already waited for in the usual case: then these say so and do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads all and keeps the end.
fn last_words(mut from: ChildStderr) -> String {
    let (mut kept, mut piece) = (VecDeque::new(), [0; 1024]);
    while let Ok(len @ 1..) = from.read(&mut piece) {
        kept.extend(&piece[..len]);
        let over = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..over);
    }
    String::from_utf8_lossy(kept.make_contiguous()).trim_end().to_string()
}

/// Lines of each split through a command.
pub fn pipe_splits(flow: &Flow<LineBatch>, pipe: Pipe) -> Flow<LineBatch> {
    let node = PipeSplits { inner: flow.node().clone(), pipe };
    Flow::from_node(flow.plan(), Arc::new(node))
}

struct PipeSplits {
    inner: Arc<dyn Node<LineBatch>>,
    pipe: Pipe,
}

impl Node<LineBatch> for PipeSplits {
    fn domain(&self) -> &Domain {
        self.inner.domain()
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(LineBatch) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return Ok(());
        }
        let (fetched, split) = (cx.fetched(), cx.split());
        let mut feed = move |to: &mut dyn Write| {
            // The source runs in the feeding thread, with a context of its own over the same bytes.
            let rooms = std::cell::RefCell::default();
            let own = Cx::new(&rooms);
            own.set_split(split);
            own.set_fetched(fetched.clone());
            let mut broken = None;
            let done = self.inner.eval(at, &own, &mut |batch| {
                write_lines(&batch, to).map_err(|e| {
                    broken = Some(e);
                    Error::job("the command does not take more")
                })
            });
            broken.map_or_else(|| done.map_err(FeedError::Ours), |e| Err(FeedError::Pipe(e)))
        };
        self.pipe.run(&mut feed, emit).map_err(|e| e.at_place(at.to_string()))
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        self.inner.needs(at, out)
    }

    fn held(&self, _: &Place) -> u64 {
        3 * PIECE as u64
    }

    fn memory(&self, at: &Place) -> u64 {
        self.inner.memory(at) + 2 * self.held(at)
    }

    fn cuttable(&self) -> bool {
        false
    }

    fn recompute(&self, at: &Place) -> f64 {
        self.inner.recompute(at)
    }

    fn steps(&self, out: &mut Vec<Step>) {
        self.inner.steps(out);
        out.push(Step { what: format!("{}: {}", self.pipe.role, self.pipe.command), at: String::new() });
    }

    fn input_bytes(&self) -> u64 {
        self.inner.input_bytes()
    }
}

fn write_lines(batch: &LineBatch, to: &mut dyn Write) -> io::Result<()> {
    batch.iter().try_for_each(|(_, line)| to.write_all(line).and_then(|()| to.write_all(b"\n")))
}
