//! Words of command lines: as a shell takes them, and the one that reaches other hosts.

/// A word as `sh` takes it.
///
/// ```
/// use mapfold_launch::quoted;
/// assert_eq!(quoted("it's"), r"'it'\''s'");
/// assert_eq!((quoted("--out"), quoted("a.tif#B04"), quoted("#a")), ("--out".into(), "a.tif#B04".into(), "'#a'".into()));
/// ```
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%#".contains(c);
    // At the begin of a word it would start a comment.
    if !word.is_empty() && !word.starts_with('#') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The words of `ssh`, or of the command that `MAPFOLD_SSH` names instead: `ssh -F FILE`.
pub fn ssh_command() -> Vec<String> {
    let said = std::env::var("MAPFOLD_SSH").ok().filter(|text| !text.trim().is_empty());
    said.as_deref().unwrap_or("ssh").split_whitespace().map(str::to_owned).collect()
}
