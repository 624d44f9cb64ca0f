//! A report for people: objects as a table, histograms as bars, numbers with as many digits as an eye can use.
//!
//! `--json` has every digit; this is for looking. What it does not do: know any job. A field that holds `low`, `high`
//! and `counts` is a histogram, whoever made it; other nested fields are shown by `--json` only.

use mapfold_watch::{Align, Table};
use serde_json::{Map, Value};

/// Digits of a number that is not whole.
const DIGITS: usize = 9;
/// Longest bar of a histogram, in characters.
const BAR: usize = 40;
/// More bins than this are for a plotter.
const MOST_BINS: usize = 64;

/// The values of one report.
pub fn text(values: &[Value]) -> String {
    let Some(Value::Object(first)) = values.first() else {
        return values.iter().map(|v| format!("{}\n", plain(v))).collect();
    };
    let simple: Vec<&String> = first.iter().filter(|(_, v)| !v.is_array() && !v.is_object()).map(|(k, _)| k).collect();
    let mut t = Table::new(simple.iter().map(|_| Align::Right));
    t.row(simple.iter().map(|k| k.as_str()));
    for v in values {
        t.row(simple.iter().map(|k| plain(&v[k.as_str()])));
    }
    let mut out = lines(&t);
    for v in values.iter().filter_map(Value::as_object) {
        let name = simple.first().map_or(String::new(), |k| format!(" of {k} {}", plain(&v[k.as_str()])));
        v.iter().filter_map(|(k, v)| bars(v).map(|b| (k, b))).for_each(|(k, b)| out += &format!("\n{k}{name}\n{b}"));
    }
    out
}

fn lines(table: &Table) -> String {
    table.lines(0).iter().map(|l| format!("{l}\n")).collect()
}

/// A histogram: from, to, count and a bar for each bin; what lies outside its range behind it.
fn bars(v: &Value) -> Option<String> {
    let h: &Map<String, Value> = v.as_object()?;
    let (low, high) = (h.get("low")?.as_f64()?, h.get("high")?.as_f64()?);
    let counts: Vec<u64> = h.get("counts")?.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
    if counts.len() > MOST_BINS {
        return Some(format!("{} bins from {} to {}: --json has them\n", counts.len(), digits(low), digits(high)));
    }
    let (most, step) = (counts.iter().copied().max()?.max(1), (high - low) / counts.len() as f64);
    let mut t = Table::new([Align::Right, Align::Right, Align::Right, Align::Left]);
    t.row(["from", "to", "count", ""]);
    for (i, n) in counts.iter().enumerate() {
        let bar = "#".repeat((*n as f64 / most as f64 * BAR as f64).ceil() as usize);
        let edge = |i: usize| digits(low + step * i as f64);
        t.row([edge(i), edge(i + 1), n.to_string(), bar]);
    }
    let outside = ["below", "above"].iter().filter_map(|k| h.get(*k).and_then(Value::as_u64).map(|n| (k, n)));
    let outside: String = outside.filter(|(_, n)| *n > 0).map(|(k, n)| format!("{k} the range: {n}\n")).collect();
    Some(lines(&t) + &outside)
}

fn plain(v: &Value) -> String {
    match v {
        Value::String(s) => s.clone(),
        Value::Null => "-".into(),
        Value::Number(n) if n.is_f64() => n.as_f64().map_or_else(|| n.to_string(), digits),
        other => other.to_string(),
    }
}

/// A number with at most nine digits that mean something: `298`, `0.686982786`, `1.5e-12`.
fn digits(v: f64) -> String {
    let v = v + 0.0; // no minus before a zero
    if v.fract() == 0.0 && v.abs() < 1e15 {
        return format!("{v:.0}");
    }
    let round = format!("{v:.*e}", DIGITS - 1).parse().unwrap_or(v);
    if (1e-5..1e15).contains(&v.abs()) { format!("{round}") } else { format!("{round:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_have_the_digits_that_an_eye_can_use() {
        let shown = [298.0, 0.686982786032823, -1.5e-12, 1e20, 0.0, 100.0, 414.6090099009901].map(digits);
        assert_eq!(shown, ["298", "0.686982786", "-1.5e-12", "1e20", "0", "100", "414.60901"]);
    }

    #[test]
    fn a_histogram_is_drawn_under_the_table() {
        let band = json!({ "band": "B04", "count": 4, "histogram":
            { "low": 0.0, "high": 4.0, "counts": [3, 1], "below": 0, "above": 2 } });
        let lines: Vec<String> = text(&[band]).lines().map(|l| l.trim_end().to_string()).collect();
        assert_eq!(lines[0], "band  count");
        assert_eq!(lines[3], "histogram of band B04");
        assert!(lines[5].ends_with(&format!("3  {}", "#".repeat(40))), "{lines:?}");
        assert!(lines[6].ends_with(&format!("1  {}", "#".repeat(14))), "{lines:?}");
        assert_eq!(lines[7], "above the range: 2");
    }

    #[test]
    fn many_bins_are_left_to_tools() {
        let band = json!({ "band": "1", "histogram": { "low": 0, "high": 1, "counts": vec![1; 100] } });
        assert!(text(&[band]).ends_with("100 bins from 0 to 1: --json has them\n"));
    }
}
