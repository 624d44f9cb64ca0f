//! `mapfold cp|ls|cat|head|rm`: files of every store, as the shell's own verbs handle local ones.
//!
//! A location may be a pattern or a list wherever inputs are named. Nothing is replaced without `--overwrite`, no folder
//! is copied or removed without `-r`.

mod cat;
mod cp;
mod ls;
mod rm;

use crate::{examples, parsed};
use clap::{ArgMatches, Args, Command};
use mapfold::store::{Loc, StoreError, Stores};
use mapfold::{Error, Result};
use std::process::ExitCode;

/// The commands of this module.
pub fn commands() -> Vec<Command> {
    vec![
        cp::CpArgs::augment_args(Command::new("cp")).after_help(examples::text(examples::CP)),
        ls::LsArgs::augment_args(Command::new("ls")).after_help(examples::text(examples::LS)),
        cat::CatArgs::augment_args(Command::new("cat")).after_help(examples::text(examples::CAT)),
        cat::HeadArgs::augment_args(Command::new("head")).after_help(examples::text(examples::HEAD)),
        rm::RmArgs::augment_args(Command::new("rm")).after_help(examples::text(examples::RM)),
    ]
}

/// Does a verb of this module; `None` for another.
pub fn run(verb: &str, m: &ArgMatches) -> Option<Result<ExitCode>> {
    Some(match verb {
        "cp" => parsed::<cp::CpArgs>(m).and_then(|args| args.run()),
        "ls" => parsed::<ls::LsArgs>(m).and_then(|args| args.run()),
        "cat" => parsed::<cat::CatArgs>(m).and_then(|args| args.run()),
        "head" => parsed::<cat::HeadArgs>(m).and_then(|args| args.run()),
        "rm" => parsed::<rm::RmArgs>(m).and_then(|args| args.run()),
        _ => return None,
    })
}

/// The files or folders that an argument names; a missing one is an error that names the nearest one there is.
fn named(stores: &Stores, loc: &Loc) -> Result<Vec<Loc>> {
    if loc.is_pattern() {
        return Ok(stores.expand(loc)?);
    }
    match stores.exists(loc)? {
        true => Ok(vec![loc.clone()]),
        false => Err(missing(stores, loc)),
    }
}

fn missing(stores: &Stores, loc: &Loc) -> Error {
    let error = Error::from(StoreError::NotFound { loc: loc.to_string() });
    let beside = loc.parent().and_then(|folder| stores.list(&folder).ok()).unwrap_or_default();
    let names: Vec<String> = beside.iter().map(Loc::file_name).collect();
    match mapfold::store::closest(&loc.file_name(), names.iter().map(String::as_str)) {
        Some(near) => Error::input(format!("{loc}: not found; did you mean {}?", loc.sibling(near))),
        None => error,
    }
}

/// `a` or `a and 3 more`.
fn some_of(all: &[Loc]) -> String {
    match all {
        [] => String::new(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
