//! What a run of the program said, and what it must have said.

use serde_json::Value;

/// A finished run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command line.
    pub line: String,
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Highest resident memory that was seen while it ran, in bytes.
    pub peak: u64,
}

impl Ran {
    /// It worked.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fine(self) -> Ran {
        assert_eq!(self.code, 0, "should work: {self}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self}"))
    }

    /// It failed with this code and said so as the house says it: nothing on stdout, at most five lines on stderr, the
    /// first an error, no Rust in them, every one of `words` somewhere.
    ///
    /// # Panics
    /// When any of that is not so.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> Ran {
        assert_eq!(self.code, code, "exit code: {self}");
        assert_eq!(self.out, "", "stdout is for results: {self}");
        let lines = self.err.lines().filter(|l| !l.trim().is_empty()).count();
        assert!((1..=5).contains(&lines), "{lines} lines: {self}");
        assert!(self.err.starts_with("error: "), "begins with error: {self}");
        for rust in ["panicked", "backtrace", "Some(", "None", "Err(", "unwrap", "src/"] {
            let place = rust == "src/" && self.err.contains("jobs/"); // a stage is named by its line in the job
            assert!(place || !self.err.contains(rust), "{rust:?} means nothing to a user: {self}");
        }
        self.says(words)
    }

    /// Every one of `words` is on stderr.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.err.contains(word), "should say {word:?}: {self}");
        }
        self
    }

    /// `true` for the lines of an error beside the first: `stage`, `at`, `try`.
    pub fn has(&self, line: &str) -> bool {
        self.err.lines().any(|l| l.trim_start().starts_with(&format!("{line}: ")))
    }

    /// The error has a remedy.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn with_remedy(self) -> Ran {
        assert!(self.has("try") || self.err.contains("tip:"), "no remedy: {self}");
        self
    }

    /// The error names the stage.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn with_stage(self) -> Ran {
        assert!(self.has("stage"), "no stage: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n$ {}\nexit {}\nstdout: {}\nstderr: {}", self.line, self.code, self.out, self.err)
    }
}
