//! The bar on a recorded terminal; plain lines into a buffer.
#![allow(clippy::unwrap_used)]
use super::*;
use indicatif::TermLike;
use mapfold_coord::StageId;

/// A terminal that writes down what it is told.
#[derive(Clone, Debug, Default)]
struct Tape(Arc<Mutex<String>>);

impl Tape {
    fn add(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl TermLike for Tape {
    fn width(&self) -> u16 {
        100
    }
    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn write_line(&self, s: &str) -> std::io::Result<()> {
        self.add(&format!("{s}\n"))
    }
    fn write_str(&self, s: &str) -> std::io::Result<()> {
        self.add(s)
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.add("<clear>")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(std::str::from_utf8(bytes).unwrap())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn planned(splits: u64) -> JobEvent {
    JobEvent::StagePlanned { stage: StageId(0), label: "map".to_owned(), splits, already_done: 0, bytes_in: None }
}

#[test]
fn a_bar_is_there_at_once_and_gone_at_the_end() {
    let tape = Tape::default();
    let progress = Progress::bar(ProgressDrawTarget::term_like(Box::new(tape.clone())), false);
    assert!(tape.text().contains("planning"), "the first line must be there before any event: {:?}", tape.text());
    progress.event(&planned(10));
    std::thread::sleep(DRAW_EVERY * 3);
    assert!(tape.text().contains("0/10 splits"), "{:?}", tape.text());
    progress.finish();
    let text = tape.text();
    assert!(text.trim_end().ends_with("<clear>"), "{text:?}");
    progress.event(&planned(11));
    std::thread::sleep(DRAW_EVERY * 2);
    assert_eq!(tape.text(), text, "nothing is drawn after the end");
}

#[test]
fn plain_lines_come_while_events_do_not() {
    let tape = Tape::default();
    let progress = Progress::lines(Box::new(tape.clone()), Duration::from_millis(20));
    progress.event(&planned(10));
    std::thread::sleep(Duration::from_millis(200));
    progress.finish();
    let text = tape.text();
    assert!(text.lines().count() >= 2 && text.contains("0/10 splits"), "{text:?}");
}

#[test]
fn quiet_means_nothing_and_no_thread() {
    let progress = Progress::start(ProgressOptions { quiet: true, verbose: true });
    assert!(matches!(progress.shared.out, Out::Nowhere) && progress.shared.state().drawer.is_none());
}

#[test]
fn a_hundred_thousand_splits_cost_little() {
    let tape = Tape::default();
    let progress = Progress::bar(ProgressDrawTarget::term_like(Box::new(tape)), false);
    progress.event(&planned(100_000));
    let done = JobEvent::SplitsDone {
        stage: StageId(0),
        splits: 1,
        times: mapfold_coord::PhaseTimes::default(),
        bytes_in: 1,
        bytes_out: 1,
        in_flight: None,
    };
    let began = Instant::now();
    (0..100_000).for_each(|_| progress.event(&done));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(progress.meter().fraction(), 1.0);
    progress.finish();
}
