//! Numbers as people read them: durations, sizes, counts. Short, and never a false zero: what is there but too small
//! to show says so with its unit.
//!
//! Sizes are binary (KiB, MiB) because limits are given so; decimal separators are points, groups are commas.

use mapfold_coord::Placed;

const KIB: f64 = 1024.0;

/// A size: `0 B`, `812 B`, `1.5 KiB`, `96.0 MiB`.
///
/// ```
/// assert_eq!(mapfold_watch::human::bytes(1536), "1.5 KiB");
/// ```
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / KIB;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0 of the smaller unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= KIB;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration in seconds: `0 s`, `35 us`, `12 ms`, `4.8 s`, `2 min 05 s`, `3 h 07 min`, `2 d 04 h`.
///
/// ```
/// assert_eq!(mapfold_watch::human::seconds(125.0), "2 min 05 s");
/// ```
pub fn seconds(s: f64) -> String {
    if !s.is_finite() {
        return "?".to_owned();
    }
    let s = s.max(0.0);
    match s {
        0.0 => "0 s".to_owned(),
        _ if s < 0.000_5 => format!("{:.0} us", (s * 1e6).max(1.0)),
        _ if s < 0.099_5 => format!("{:.0} ms", s * 1e3),
        _ if s < 9.95 => format!("{s:.1} s"),
        _ if s < 59.5 => format!("{s:.0} s"),
        _ => long(s.round() as u64),
    }
}

/// A minute or more, in two units.
fn long(s: u64) -> String {
    let (m, h, d) = (s / 60, s / 3600, s / 86400);
    match s {
        _ if s < 3600 => format!("{m} min {:02} s", s % 60),
        _ if s < 86400 => format!("{h} h {:02} min", m % 60),
        _ => format!("{d} d {:02} h", h % 24),
    }
}

/// A count with groups of three digits: `241,120,800`.
///
/// ```
/// assert_eq!(mapfold_watch::human::count(1234567), "1,234,567");
/// ```
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// Where splits were worked on: `95 of 100 splits on a host that holds what they read (95 %), 5 elsewhere`. Nothing where
/// no host is known to hold anything.
///
/// ```
/// use mapfold_coord::Placed;
/// let placed = Placed { local: 19, remote: 1, anywhere: 0 };
/// let told = "19 of 20 splits on a host that holds what they read (95 %), 1 on another";
/// assert_eq!(mapfold_watch::human::placed(&placed).as_deref(), Some(told));
/// ```
pub fn placed(placed: &Placed) -> Option<String> {
    let all = placed.all();
    if all == 0 {
        return None;
    }
    let percent = 100.0 * placed.local as f64 / all as f64;
    let (local, all) = (count(placed.local), count(all));
    let mut told = format!("{local} of {all} splits on a host that holds what they read ({percent:.0} %)");
    for (n, where_to) in [(placed.remote, "on another"), (placed.anywhere, "of which no host is known")] {
        if n > 0 {
            told += &format!(", {} {where_to}", count(n));
        }
    }
    Some(told)
}

/// A rate with three significant digits and its unit: `51.2 MPix/s`, `0.4 splits/s`.
pub fn rate(per_second: f64, unit: &str) -> String {
    let shown = match per_second {
        r if !r.is_finite() => "?".to_owned(),
        r if r < 9.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    };
    format!("{shown} {unit}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_change_unit_before_they_round_to_1024() {
        let shown = [0, 1023, 1024, 1024 * 1024 - 1, 1 << 20, 5 << 30, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "16384.0 PiB"]);
    }

    #[test]
    fn durations_never_show_sixty_seconds() {
        let shown = [0.0, 1e-7, 0.0004, 0.0123, 0.0999, 4.76, 9.96, 59.4, 59.6, 3599.6, 90000.0].map(seconds);
        let want = [
            "0 s",
            "1 us",
            "400 us",
            "12 ms",
            "0.1 s",
            "4.8 s",
            "10 s",
            "59 s",
            "1 min 00 s",
            "1 h 00 min",
            "1 d 01 h",
        ];
        assert_eq!(shown, want);
        assert_eq!((seconds(f64::NAN), seconds(-1.0)), ("?".to_owned(), "0 s".to_owned()));
    }

    #[test]
    fn counts_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 100_000, 12_345_678].map(count), ["0", "999", "1,000", "100,000", "12,345,678"]);
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!([0.4, 51.23, 1234.4].map(|r| rate(r, "x")), ["0.40 x/s", "51.2 x/s", "1234 x/s"]);
    }
}
