//! `-D name=value`: settings of stores, for every job and every verb.
//!
//! The values are taken at once and used when a store first asks for its settings. Secrets never go to another process by
//! its command line: members get them over their connection, the coordinator of a YARN application from a private file, a
//! job left in the background by its environment.

use crate::{Error, Result};
use mapfold_store::{Secret, Settings};
use std::convert::Infallible;
use std::ffi::OsString;
use std::str::FromStr;

/// One `name=value`; it does not show itself.
#[derive(Clone, Debug)]
pub struct Define(Secret);

impl FromStr for Define {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Define, Infallible> {
        Ok(Define(Secret::new(text)))
    }
}

/// Settings of stores.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct StoreArgs {
    /// A setting of a store, such as aws_region=eu-central-1 or dfs.replication=2; goes before the environment
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE", help_heading = "Stores")]
    pub define: Vec<Define>,
}

impl StoreArgs {
    /// Makes them the settings of this process.
    ///
    /// # Errors
    /// When a name is not known.
    pub fn install(&self) -> Result<()> {
        let defines: Vec<&str> = self.define.iter().map(|define| define.0.expose()).collect();
        let told = |e: mapfold_store::StoreError| {
            Error::usage(e.to_string()).with_remedy("`mapfold config list` shows the names")
        };
        Settings::define(&defines).map_err(told)
    }
}

/// A command line without the secrets in its `-D`, and these as variables of the environment.
pub(crate) fn without_secrets(args: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    let (mut kept, mut secrets) = (Vec::new(), Vec::new());
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        let alone = matches!(text.as_str(), "-D" | "--define");
        let value = match alone {
            true => args.peek().map(|next| next.to_string_lossy().into_owned()),
            false => text.strip_prefix("--define=").or_else(|| text.strip_prefix("-D")).map(str::to_owned),
        };
        match value.as_deref().and_then(|value| value.split_once('=')) {
            Some((name, value)) if Settings::is_secret(name.trim()) => {
                secrets.push((format!("MAPFOLD_STORE__{}", name.trim()), value.trim().to_owned()));
                let _ = alone.then(|| args.next());
            }
            _ => kept.push(arg),
        }
    }
    (kept, secrets)
}

/// The words of this command line, for a place where others read them.
///
/// # Errors
/// When a secret is among them, or a word is no UTF-8.
pub(crate) fn public_words(read_by: &str) -> Result<Vec<String>> {
    let (words, secrets) = without_secrets(std::env::args_os().skip(1));
    if let Some((name, _)) = secrets.first() {
        let name = name.trim_start_matches("MAPFOLD_STORE__");
        let what = format!("-D {name} is a secret, and what is said here is seen by {read_by}");
        return Err(
            Error::usage(what).with_remedy("set it where the nodes read it: core-site.xml, or their environment")
        );
    }
    let bad = |w: OsString| Error::usage(format!("{} is no UTF-8", w.to_string_lossy()));
    words.into_iter().map(|word| word.into_string().map_err(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_leave_a_command_line() {
        let words =
            "run sort -D aws_secret_access_key=x --define=fs.s3a.secret.key=y -Daws_region=r -D dfs.replication=2 in";
        let (kept, secrets) = without_secrets(words.split(' ').map(Into::into));
        assert_eq!(kept.join(std::ffi::OsStr::new(" ")), "run sort -Daws_region=r -D dfs.replication=2 in");
        let secrets: Vec<_> = secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(secrets, [("MAPFOLD_STORE__aws_secret_access_key", "x"), ("MAPFOLD_STORE__fs.s3a.secret.key", "y")]);
    }
}
