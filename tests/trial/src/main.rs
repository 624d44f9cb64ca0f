//! A job that dies as it is told: numbers in, numbers out, and some of them kill the process that works on them.
//!
//! What it is for: the tests of faults (`tests/tests/poison.rs` and the kill loops). It uses the facade as any job does.
use mapfold::prelude::*;
use std::process::ExitCode;
use std::time::Duration;

/// Counts to a number; some splits do harm
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Trial {
    /// Splits, one number each
    #[arg(long)]
    splits: u64,
    /// Milliseconds of work for each
    #[arg(long, default_value_t = 0)]
    millis: u64,
    /// Splits that do harm
    #[arg(long, value_delimiter = ',')]
    bad: Vec<u64>,
    /// What harm they do: abort, kill, segv, exit, hang or panic
    #[arg(long, default_value = "abort")]
    harm: String,
}

fn trial(job: Trial, p: &Plan) -> Result<()> {
    let Trial { splits, millis, bad, harm } = job;
    p.range(splits)
        .map(move |n| {
            std::thread::sleep(Duration::from_millis(millis));
            if bad.contains(&n) {
                harmful(&harm);
            }
            n
        })
        .report("numbers")
}

fn harmful(how: &str) {
    let signal = |name: &str| {
        let me = std::process::id().to_string();
        // Twice: the first SIGSEGV that comes from outside only ends the runtime's own handler of it.
        for _ in 0..2 {
            let _ = std::process::Command::new("kill").args([name, &me]).status();
        }
        std::thread::sleep(Duration::from_secs(60));
    };
    match how {
        "abort" => std::process::abort(),
        "kill" => signal("-KILL"),
        "segv" => signal("-SEGV"),
        "exit" => std::process::exit(7),
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        _ => panic!("a harmful split"),
    }
}

fn main() -> ExitCode {
    mapfold::main(trial)
}
