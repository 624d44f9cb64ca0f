//! `mapfold config show|list`: the settings of stores, where each comes from, and which there are.
//!
//! A secret is never shown, only that it is set and by whom.

use crate::verbs::{json_flag, say};
use crate::{examples, parsed};
use clap::{ArgMatches, Args, Command};
use mapfold::Result;
use mapfold::store::{Settings, Shown};
use serde_json::json;
use std::process::ExitCode;

/// Show the settings of stores that are in force
#[derive(clap::Args, Clone, Debug)]
pub struct ShowArgs {
    /// Where each value comes from
    #[arg(long)]
    origin: bool,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

/// `mapfold config`
pub fn command() -> Command {
    let list = Command::new("list").about("List the names of settings").arg(json_flag());
    let list = list.after_help(examples::text(examples::CONFIG));
    Command::new("config")
        .about("Show the settings and credentials of stores, without secrets")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(examples::text(examples::CONFIG))
        .subcommand(ShowArgs::augment_args(Command::new("show")).after_help(examples::text(examples::CONFIG)))
        .subcommand(list)
}

/// Does it.
pub fn run(m: &ArgMatches) -> Result<ExitCode> {
    match m.subcommand() {
        Some(("list", m)) => list(m.get_flag("json")),
        Some((_, m)) => parsed::<ShowArgs>(m)?.run(),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn list(as_json: bool) -> Result<ExitCode> {
    let all: Vec<_> = Settings::known().collect();
    if as_json {
        let told: Vec<_> = all.iter().map(|(name, about)| json!({ "name": name, "about": about })).collect();
        return say(&format!("{:#}\n", json!(told)));
    }
    let lines: String = all.iter().map(|(name, about)| format!("{name:<40}{about}\n")).collect();
    say(&lines)
}

impl ShowArgs {
    fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let settings = Settings::of_process()?;
        let all = settings.shown();
        if self.json {
            let told: Vec<_> = all
                .iter()
                .map(|s| json!({ "name": s.name, "value": s.value, "origin": s.origin, "about": s.about }))
                .collect();
            return say(&format!("{:#}\n", json!(told)));
        }
        let lines: String = all.iter().map(|shown| self.line(shown)).collect();
        say(&lines)
    }

    fn line(&self, shown: &Shown) -> String {
        match self.origin {
            true => format!("{} = {}  [{}]\n", shown.name, shown.value, shown.origin),
            false => format!("{} = {}\n", shown.name, shown.value),
        }
    }
}
