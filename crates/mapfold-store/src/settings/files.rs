//! Files that hold settings: `mapfold.toml`, `~/.aws/credentials` and `~/.aws/config`, Hadoop's XML.
//!
//! A file that is not there holds nothing. A file that cannot be read or understood is an error that names it: a
//! setting that silently does not count is worse. No value is ever part of a message.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Names and values in the order of a file.
pub(crate) type Pairs = Vec<(String, String)>;

/// How deep Hadoop files may include one another.
const INCLUDES: usize = 4;

fn bad(path: &Path, why: impl Into<String>) -> StoreError {
    StoreError::Settings { loc: path.display().to_string(), why: why.into() }
}

fn text(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(bad(path, error.to_string())),
    }
}

/// The table `[store]` of a `mapfold.toml`; tables inside it are names with dots.
pub(crate) fn toml(path: &Path) -> Result<Pairs, StoreError> {
    let Some(text) = text(path)? else { return Ok(Vec::new()) };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        bad(path, format!("line {line}: {}", e.message()))
    })?;
    let mut pairs = Vec::new();
    for (name, value) in &table {
        match value {
            toml::Value::Table(store) if name == "store" => flatten(path, "", store, &mut pairs)?,
            _ => return Err(bad(path, format!("{name} is not known here; settings of stores are in [store]"))),
        }
    }
    Ok(pairs)
}

fn flatten(path: &Path, above: &str, table: &toml::Table, out: &mut Pairs) -> Result<(), StoreError> {
    for (name, value) in table {
        let name = format!("{above}{name}");
        match value {
            toml::Value::Table(inner) => flatten(path, &format!("{name}."), inner, out)?,
            toml::Value::String(text) => out.push((name, text.clone())),
            toml::Value::Integer(number) => out.push((name, number.to_string())),
            toml::Value::Float(number) => out.push((name, number.to_string())),
            toml::Value::Boolean(yes) => out.push((name, yes.to_string())),
            _ => return Err(bad(path, format!("{name} must be a text, a number, true or false"))),
        }
    }
    Ok(())
}

/// What one profile of `~/.aws` says, under our names; `None` when neither file has it. A role is not looked into: that
/// is [`super::role`]'s.
pub(crate) fn aws_profile(credentials: &Path, config: &Path, profile: &str) -> Result<Option<Pairs>, StoreError> {
    let section = if profile == "default" { "default".to_owned() } else { format!("profile {profile}") };
    let keys = ini_section(credentials, profile)?;
    let rest = ini_section(config, &section)?;
    if keys.is_none() && rest.is_none() {
        return Ok(None);
    }
    let mut pairs: Pairs = Vec::new();
    for (name, value) in keys.into_iter().flatten().chain(rest.into_iter().flatten()) {
        if let Some(ours) = of_profile(&name)
            && !pairs.iter().any(|(known, _)| known == ours)
        {
            pairs.push((ours.to_owned(), value));
        }
    }
    Ok(Some(pairs))
}

/// Our name of a line in a profile; others are for other tools.
fn of_profile(name: &str) -> Option<&'static str> {
    Some(match name {
        "aws_access_key_id" => "aws_access_key_id",
        "aws_secret_access_key" => "aws_secret_access_key",
        "aws_session_token" => "aws_session_token",
        "region" => "aws_region",
        "endpoint_url" => "aws_endpoint",
        "role_arn" => "aws_role_arn",
        "role_session_name" => "aws_role_session_name",
        "external_id" => "aws_role_external_id",
        "duration_seconds" => "aws_role_duration_seconds",
        "web_identity_token_file" => "aws_web_identity_token_file",
        "credential_source" => "aws_credential_source",
        "mfa_serial" => "aws_mfa_serial",
        "source_profile" => "aws_source_profile",
        "credential_process" => "aws_credential_process",
        "sso_session" | "sso_start_url" => "aws_sso",
        _ => return None,
    })
}

/// The lines of `[section]`; nested ones (`s3 =` and below it) are left out.
fn ini_section(path: &Path, section: &str) -> Result<Option<Pairs>, StoreError> {
    let Some(text) = text(path)? else { return Ok(None) };
    let mut found: Option<Pairs> = None;
    let mut inside = false;
    for line in text.lines() {
        let plain = line.trim();
        if plain.is_empty() || plain.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = plain.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = name.split_whitespace().collect::<Vec<_>>().join(" ") == section;
            found = if inside { Some(found.unwrap_or_default()) } else { found };
            continue;
        }
        let nested = line.starts_with([' ', '\t']);
        if let (true, false, Some((name, value))) = (inside, nested, plain.split_once('=')) {
            found.get_or_insert_default().push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(found)
}

/// The properties of `core-site.xml` and `hdfs-site.xml` in a configuration folder, the second over the first.
pub(crate) fn hadoop(folder: &Path) -> Result<Vec<(PathBuf, Pairs)>, StoreError> {
    let mut all = Vec::new();
    for name in ["core-site.xml", "hdfs-site.xml"] {
        let path = folder.join(name);
        let mut pairs = Vec::new();
        properties(&path, INCLUDES, &mut pairs)?;
        if !pairs.is_empty() {
            all.push((path, pairs));
        }
    }
    Ok(all)
}

fn properties(path: &Path, includes: usize, out: &mut Pairs) -> Result<(), StoreError> {
    let Some(text) = text(path)? else { return Ok(()) };
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let tree = roxmltree::Document::parse_with_options(&text, options).map_err(|e| bad(path, e.to_string()))?;
    let root = tree.root_element();
    if root.tag_name().name() != "configuration" {
        return Err(bad(path, format!("<configuration> is expected, not <{}>", root.tag_name().name())));
    }
    for element in root.children().filter(roxmltree::Node::is_element) {
        match element.tag_name().name() {
            "property" => out.extend(property(element)),
            "include" if includes > 0 => {
                let href = element.attribute("href").unwrap_or_default();
                let other = path.parent().unwrap_or(Path::new(".")).join(href);
                properties(&other, includes - 1, out)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn property(element: roxmltree::Node<'_, '_>) -> Option<(String, String)> {
    let part = |name: &str| element.children().find(|n| n.tag_name().name() == name).and_then(|n| n.text());
    let name = part("name")?.trim();
    Some((name.to_owned(), part("value").unwrap_or_default().trim().to_owned()))
}

/// `${other.name}` and `${env.NAME}` in values, as Hadoop replaces them; what is not known stays.
pub(crate) fn substitute(pairs: &mut Pairs) {
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        let known: std::collections::HashMap<String, String> = pairs.iter().cloned().collect();
        let mut changed = false;
        for (_, value) in pairs.iter_mut().filter(|(_, value)| value.contains("${")) {
            let next = replaced(value, &known);
            changed |= next != *value;
            *value = next;
        }
        if !changed {
            return;
        }
    }
}

fn replaced(value: &str, known: &std::collections::HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        let of_env = |name: &str| name.strip_prefix("env.").and_then(|name| std::env::var(name).ok());
        let user = || (name == "user.name").then(|| std::env::var("USER").ok()).flatten();
        match known.get(name).cloned().or_else(|| of_env(name)).or_else(user) {
            Some(text) => out.push_str(&text),
            None => out.push_str(&format!("${{{name}}}")),
        }
        rest = tail;
    }
    out + rest
}
