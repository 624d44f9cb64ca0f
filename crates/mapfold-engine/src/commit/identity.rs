//! Whether `--resume` goes on with the same job: the program, the parameters, the run options that change results, the
//! inputs, the plan. A refusal names what differs, then and now.
//!
//! Made once per job: the program's file is read for it.

use crate::options::RunOptions;
use mapfold_plan::{Error, FileEntry, Plan, Result};
use mapfold_store::Loc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Differences that a message names; how many more there are is said.
const NAMED: usize = 3;

/// Letters of a value that a message shows.
const SHOWN: usize = 60;

/// What makes two runs the same job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of the program's file; `None` where it cannot be read.
    program: Option<String>,
    /// Hash of the whole plan, planning answers included.
    plan: String,
    /// The job's parameters, free of secrets.
    params: Value,
    /// Run options that change results, as given.
    options: BTreeMap<String, String>,
    inputs: Vec<Input>,
}

/// A file that the plan reads, as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Input {
    loc: String,
    size: u64,
    etag: Option<String>,
    modified_ms: Option<i64>,
}

impl Identity {
    /// Of a plan and this program.
    pub fn of(plan: &Plan, opts: &RunOptions) -> Identity {
        let params = mapfold_plan::redacted(&opts.params);
        Identity {
            program: program_hash().ok().map(|hash| format!("{hash:016x}")),
            plan: format!("{:032x}", plan.fingerprint(&params)),
            params,
            options: opts.given.clone(),
            inputs: plan.files().iter().filter(|f| f.made.is_none()).map(Input::of).collect(),
        }
    }

    /// Refuses to go on with another job, by what differs.
    ///
    /// # Errors
    /// Names what differs, then and now.
    pub fn refuse_another(&self, kept: &Value, output: &Loc) -> Result<()> {
        let differs = match serde_json::from_value::<Identity>(kept.clone()) {
            Ok(then) if then == *self => return Ok(()),
            Ok(then) => self.differences(&then),
            Err(_) => vec!["another version of mapfold began it".to_string()],
        };
        let more = differs.len().saturating_sub(NAMED);
        let mut told = differs.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
        if more > 0 {
            told += &format!("; and {more} more differences");
        }
        Err(Error::input(format!("{output}: this is not the run that was interrupted: {told}"))
            .with_remedy("run it as it was, or start over with --overwrite"))
    }

    /// What differs, the most telling first.
    fn differences(&self, then: &Identity) -> Vec<String> {
        let mut out = Vec::new();
        params("", &then.params, &self.params, &mut out);
        let names: BTreeSet<&String> = then.options.keys().chain(self.options.keys()).collect();
        for name in names {
            let text = |o: &Identity| o.options.get(name).map_or_else(|| "not given".to_string(), Clone::clone);
            changed(name, &text(then), &text(self), &mut out);
        }
        let chosen_otherwise = !out.is_empty();
        out.extend(self.inputs.iter().filter_map(|now| {
            let before = then.inputs.iter().find(|i| i.loc == now.loc);
            before.map_or_else(|| (!chosen_otherwise).then(|| format!("{} was not read", now.loc)), |b| now.change(b))
        }));
        if self.program != then.program {
            let text = |o: &Identity| o.program.clone().unwrap_or_else(|| "not known".to_string());
            out.push(format!("the program has changed: its hash was {}, is {}", text(then), text(self)));
        }
        if out.is_empty() {
            out.push("the plan differs in its stages, splits or settings".to_string());
        }
        out
    }
}

impl Input {
    fn of(file: &FileEntry) -> Input {
        let info = file.info.clone();
        Input { loc: file.loc.to_string(), size: info.size, etag: info.etag, modified_ms: info.modified_ms }
    }

    /// `scene.tif has changed: size was 100, is 104; modified was …, is …`
    fn change(&self, then: &Input) -> Option<String> {
        let text = |o: &Option<String>| o.clone().unwrap_or_else(|| "none".to_string());
        let mut out = Vec::new();
        changed("size", &then.size.to_string(), &self.size.to_string(), &mut out);
        changed("modified", &moment(then.modified_ms), &moment(self.modified_ms), &mut out);
        changed("etag", &text(&then.etag), &text(&self.etag), &mut out);
        (!out.is_empty()).then(|| format!("{} has changed: {}", self.loc, out.join(", ")))
    }
}

fn changed(name: &str, then: &str, now: &str, out: &mut Vec<String>) {
    if then != now {
        out.push(format!("{name} was {}, is {}", short(then), short(now)));
    }
}

/// Parameters that differ, by name; those of a group by `group.name`.
fn params(at: &str, then: &Value, now: &Value, out: &mut Vec<String>) {
    let (Some(a), Some(b)) = (then.as_object(), now.as_object()) else {
        let name = if at.is_empty() { "parameters" } else { at };
        return changed(name, &plain(then), &plain(now), out);
    };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        params(&path, &then[name.as_str()], &now[name.as_str()], out);
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not given".to_string(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn short(text: &str) -> String {
    let mut letters = text.chars();
    let begin: String = letters.by_ref().take(SHOWN).collect();
    if letters.next().is_some() { format!("{begin}…") } else { begin }
}

fn moment(ms: Option<i64>) -> String {
    let at = ms.and_then(chrono::DateTime::from_timestamp_millis);
    at.map_or_else(|| "unknown".to_string(), |t| t.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Hash of this program's file, read in pieces. Linux finds it even when it was replaced meanwhile.
fn program_hash() -> std::io::Result<u64> {
    let running = std::fs::File::open("/proc/self/exe");
    let mut file = running.or_else(|_| std::fs::File::open(std::env::current_exe()?))?;
    let (mut piece, mut hash) = (Vec::with_capacity(1 << 20), 0_u64);
    loop {
        piece.clear();
        // A read may give less than was asked for: the pieces must not depend on it.
        if file.by_ref().take(1 << 20).read_to_end(&mut piece)? == 0 {
            return Ok(hash);
        }
        hash = mapfold_plan::hash64(&piece) ^ hash.rotate_left(7);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn identity() -> Identity {
        let input = |loc: &str| Input { loc: loc.into(), size: 100, etag: Some("a".into()), modified_ms: Some(1000) };
        Identity {
            program: Some("01".into()),
            plan: "02".into(),
            params: json!({ "eps": 0.0, "out": "out.tif", "more": { "deep": [1] } }),
            options: BTreeMap::from([("--tile".into(), "256".into())]),
            inputs: vec![input("red.tif"), input("nir.tif")],
        }
    }

    /// What a refusal says after one change.
    fn told(change: impl Fn(&mut Identity)) -> String {
        let mut now = identity();
        change(&mut now);
        let kept = serde_json::to_value(identity()).unwrap();
        now.refuse_another(&kept, &Loc::parse("out.tif").unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_same_job_is_not_refused() {
        let kept = serde_json::to_value(identity()).unwrap();
        identity().refuse_another(&kept, &Loc::parse("out.tif").unwrap()).unwrap();
    }

    #[test]
    fn what_differs_is_named_then_and_now() {
        let all = "out.tif: this is not the run that was interrupted: ";
        assert_eq!(told(|i| i.params["eps"] = json!(1.5)), format!("{all}eps was 0.0, is 1.5"));
        assert_eq!(told(|i| i.params["more"]["deep"] = json!([2])), format!("{all}more.deep was [1], is [2]"));
        assert_eq!(told(|i| i.options.clear()), format!("{all}--tile was 256, is not given"));
        let program = told(|i| i.program = Some("03".into()));
        assert_eq!(program, format!("{all}the program has changed: its hash was 01, is 03"));
        let plan = told(|i| i.plan = "04".into());
        assert_eq!(plan, format!("{all}the plan differs in its stages, splits or settings"));
        let input = told(|i| {
            i.inputs[1] = Input { size: 104, etag: Some("b".into()), modified_ms: Some(2500), ..i.inputs[1].clone() };
        });
        let times = "modified was 1970-01-01T00:00:01.000Z, is 1970-01-01T00:00:02.500Z";
        assert_eq!(input, format!("{all}nir.tif has changed: size was 100, is 104, {times}, etag was a, is b"));
        assert_eq!(told(|i| i.inputs[0].loc = "blue.tif".into()), format!("{all}blue.tif was not read"));
    }

    #[test]
    fn of_many_differences_three_are_named_and_the_rest_counted() {
        let told = told(|i| i.params = json!({ "a": 1, "b": 2, "c": "x".repeat(100) }));
        assert!(told.contains("a was not given, is 1; b was not given, is 2; c was") && told.contains("…"), "{told}");
        assert!(told.ends_with("and 3 more differences"), "{told}");
    }

    #[test]
    fn what_another_version_kept_is_refused() {
        let e = identity().refuse_another(&json!("0123-4567"), &Loc::parse("out.tif").unwrap()).unwrap_err();
        assert!(e.to_string().contains("another version"), "{e}");
    }
}
