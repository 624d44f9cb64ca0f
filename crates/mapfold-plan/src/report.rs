//! Small results that are not files: printed for people, or as JSON for tools.

use crate::node::Node;
use crate::stage::{Fetch, end_of_a_chain};
use crate::{Cut, Cx, Error, Flow, Place, Product, Result, Stage, StageKind, template};
use serde::Serialize;
use std::sync::Arc;

/// A report once the run is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reported {
    /// The name that the job gave it.
    pub name: String,
    /// Its values, in the order of splits (or partitions and keys).
    pub values: Vec<serde_json::Value>,
}

impl<T: Serialize + 'static> Flow<T> {
    /// Prints the values at the end of the run, as a table or with `--json`. For small results: everything is kept
    /// in memory. A whole number beyond 64 bits (a [`Sum`](crate::Sum) of integers has up to 128) is a string of its
    /// digits in JSON, because most readers would round it.
    ///
    /// # Errors
    /// When the template fails, or the name is taken: by another report, or `run`, which is the run's own.
    #[track_caller]
    pub fn report(self, name: &str) -> Result<()> {
        let label = format!("report {name} at {}", crate::flow::label(std::panic::Location::caller()));
        self.plan.check()?;
        if name == "run" || self.plan.stages().iter().any(|s| s.report_name() == Some(name)) {
            let what = format!("the name {name:?} of a report is taken");
            return Err(Error::usage(what).with_remedy("choose another name").at_stage(label));
        }
        template::run(self.node.as_ref()).map_err(|e| e.at_stage(label.clone()))?;
        self.plan.close(Arc::new(ReportStage { node: self.node, name: name.to_string(), label }));
        Ok(())
    }
}

struct ReportStage<T> {
    node: Arc<dyn Node<T>>,
    name: String,
    label: String,
}

impl<T: Serialize + 'static> Stage for ReportStage<T> {
    fn kind(&self) -> StageKind {
        StageKind::Report
    }

    end_of_a_chain!(self, "report".into());

    fn report_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn run(&self, split: &Place, cut: Cut, cx: &Cx<'_>, fetch: &mut Fetch<'_>) -> Result<Product> {
        let mut values = Vec::new();
        for at in cut.places(*split) {
            fetch(&at, cx)?;
            let keep = &mut |v: T| {
                values.push((cx.order(), exact(&serde_json::to_string(&v)?)));
                Ok(())
            };
            self.node.eval(&at, cx, keep).map_err(|e| e.at_stage(self.label.clone()).at_place(at.to_string()))?;
        }
        Ok(Product::Values(values))
    }
}

/// JSON with every whole number that is neither u64 nor i64 quoted: parsed as a number it would become a float.
fn exact(json: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '"' => string(rest),
            '-' | '0'..='9' => {
                rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        let whole = token.bytes().all(|b| b.is_ascii_digit() || b == b'-') && token.len() > 18;
        match whole && token.parse::<u64>().is_err() && token.parse::<i64>().is_err() {
            true => out += &format!("\"{token}\""),
            false => out += token,
        }
        rest = after;
    }
    out
}

/// Length of the string that `text` begins with, its quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quote
    });
    end.map_or(text.len(), |n| n + 2)
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn only_whole_numbers_beyond_64_bits_are_quoted() {
        let same =
            r#"{"a 99999999999999999999999 \"":[1,-2.5e300,18446744073709551615,-9223372036854775808],"b":null}"#;
        assert_eq!(exact(same), same);
        assert_eq!(
            exact("[18446744073709551616,-9223372036854775809]"),
            r#"["18446744073709551616","-9223372036854775809"]"#
        );
        assert_eq!(exact("340282366920938463463374607431768211455"), r#""340282366920938463463374607431768211455""#);
    }
}
