//! Ways in which a split ends its process, or never ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A number that differs from attempt to attempt.
pub fn noise() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
}

/// Does it.
pub fn do_harm(how: &str) {
    match how {
        "abort" => std::process::abort(),
        "kill" => signal("-KILL"),
        "segv" => signal("-SEGV"),
        "exit" => std::process::exit(7),
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        _ => panic!("a harmful split"),
    }
}

fn signal(name: &str) {
    let me = std::process::id().to_string();
    // More than once: the first SIGSEGV that comes from outside only ends the runtime's own handler of it, and one that is
    // sent while it is still pending counts for nothing.
    loop {
        let _ = std::process::Command::new("kill").args([name, &me]).status();
        std::thread::sleep(Duration::from_millis(20));
    }
}
