//! `--describe`: the parameters of a job as a JSON schema, for tools that build forms or check calls.

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

/// The schema of a job's own parameters.
pub fn schema(cmd: &Command) -> Value {
    let own = || cmd.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version"));
    let properties: Map<String, Value> = own().map(|a| (name(a), property(a))).collect();
    let required: Vec<String> = own().filter(|a| a.is_required_set()).map(name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cmd.get_name(),
        "description": cmd.get_about().map(ToString::to_string),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn name(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().to_string(), ToString::to_string)
}

fn property(arg: &Arg) -> Value {
    let takes_value = arg.get_action().takes_values();
    let mut out = Map::new();
    let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    match (takes_value, many) {
        (true, true) => {
            out.insert("type".into(), json!("array"));
            out.insert("items".into(), json!({ "type": "string" }));
        }
        (true, false) => drop(out.insert("type".into(), json!("string"))),
        (false, _) => drop(out.insert("type".into(), json!("boolean"))),
    }
    if let Some(help) = arg.get_help() {
        out.insert("description".into(), json!(help.to_string()));
    }
    let default: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if let Some(first) = default.first().filter(|_| takes_value) {
        out.insert("default".into(), json!(first));
    }
    let choices: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_string()).collect();
    if !choices.is_empty() && takes_value {
        out.insert("enum".into(), json!(choices));
    }
    Value::Object(out)
}
