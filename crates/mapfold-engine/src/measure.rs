//! CPU time and memory of this process, from `/proc`.

use std::time::Instant;

/// CPU and wall seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// In user mode.
    pub user: f64,
    /// In the kernel.
    pub sys: f64,
    /// On the wall.
    pub wall: f64,
}

/// CPU seconds of this process since it began, and wall seconds since `since`.
pub fn usage(since: Instant) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / ticks;
    Usage { user: field(11), sys: field(12), wall: since.elapsed().as_secs_f64() }
}

/// Most bytes of this process resident at once (VmHWM), 0 when the system does not say.
pub fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |k| k << 10)
}

/// A moment and what the process had used until then.
#[derive(Clone, Copy)]
pub struct Moment(Instant, Usage);

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        let now = Instant::now();
        Moment(now, usage(now))
    }

    /// What was used from then to `later`.
    pub fn until(self, later: Moment) -> Usage {
        let (a, b) = (self.1, later.1);
        Usage { user: b.user - a.user, sys: b.sys - a.sys, wall: later.0.duration_since(self.0).as_secs_f64() }
    }
}
