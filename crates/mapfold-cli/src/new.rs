//! `mapfold new`: a job crate of one's own, ready to build, run and test.
//!
//! The files are made by a pure function ([`files`]) from templates in `new/`, so that a test can compile them;
//! [`write()`] puts them into a folder that must be new or empty. Deliberately absent: questions, several templates,
//! `git init`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the new crate gets the library from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// A checkout of mapfold: the folder that holds `crates/mapfold`.
    Checkout(PathBuf),
    /// The published version of this program.
    Version(String),
}

/// Write a job crate of your own, ready to build, run and test
#[derive(clap::Args, Clone, Debug)]
pub struct NewArgs {
    /// Name of the crate: letters, digits, - and _
    pub name: String,
    /// Folder to write to [default: a new folder of that name]
    #[arg(long, value_name = "FOLDER")]
    pub path: Option<PathBuf>,
    /// A checkout of mapfold to build against [default: the version of this program, once it is published]
    #[arg(long, value_name = "CHECKOUT")]
    pub mapfold: Option<PathBuf>,
}

impl NewArgs {
    /// Writes the crate and returns its folder.
    ///
    /// # Errors
    /// [`NewError`]: a name, folder or checkout that cannot be used.
    pub fn run(&self) -> Result<PathBuf, NewError> {
        let folder = self.path.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let version = || Library::Version(env!("CARGO_PKG_VERSION").to_owned());
        write(&self.name, &folder, &self.mapfold.clone().map_or_else(version, Library::Checkout))?;
        Ok(folder)
    }
}

/// Why no crate was made.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// A name that cargo would refuse, or that would clash.
    #[error("{name:?} cannot be the name of a job crate: {why}")]
    Name {
        /// As typed.
        name: String,
        /// Which character, or which rule.
        why: String,
    },
    /// The folder is in use.
    #[error("{0} exists and is not empty; choose another name or --path")]
    NotEmpty(PathBuf),
    /// No checkout there.
    #[error("{0} is not a checkout of mapfold (it has no crates/mapfold/Cargo.toml)")]
    NoCheckout(PathBuf),
    /// The folder cannot be read or written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names that mean something else in a Rust crate.
const TAKEN: [&str; 14] = [
    "mapfold",
    "clap",
    "serde",
    "std",
    "core",
    "alloc",
    "test",
    "self",
    "super",
    "crate",
    "proc_macro",
    "main",
    "build",
    "deps",
];
/// Keywords cannot name a crate either.
const KEYWORDS: [&str; 41] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "use",
];

/// Whether cargo takes `name` as a package name and nothing here clashes with it.
///
/// # Errors
/// [`NewError::Name`] with the first character, or the rule, that is wrong.
pub fn check_name(name: &str) -> Result<(), NewError> {
    let bad = |why: String| Err(NewError::Name { name: name.to_owned(), why });
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if let Some((i, c)) = name.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        return bad(format!("character {} is {c:?}; letters a-z, digits, - and _ are allowed", i + 1));
    }
    match name.chars().next() {
        None => return bad("it is empty".to_owned()),
        Some(c) if !c.is_ascii_alphabetic() => {
            return bad(format!("it begins with {c:?}; begin with a letter"));
        }
        Some(_) => {}
    }
    if name.len() > 64 {
        return bad(format!("it has {} characters; 64 are allowed", name.len()));
    }
    let lower = name.to_ascii_lowercase().replace('-', "_");
    if TAKEN.contains(&lower.as_str()) || KEYWORDS.contains(&lower.as_str()) {
        return bad("the word is taken in every Rust crate".to_owned());
    }
    Ok(())
}

/// The files of the crate: path below its folder, text.
///
/// # Errors
/// [`NewError::Name`], see [`check_name`].
pub fn files(name: &str, library: &Library) -> Result<Vec<(&'static str, String)>, NewError> {
    check_name(name)?;
    let source = match library {
        Library::Checkout(folder) => format!("path = {}", toml_text(&folder.join("crates/mapfold").to_string_lossy())),
        Library::Version(version) => format!("version = {}", toml_text(version)),
    };
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{library}}", &source);
    Ok(vec![
        ("Cargo.toml", fill(include_str!("new/Cargo.toml.in"))),
        ("src/main.rs", fill(include_str!("new/main.rs.in"))),
        ("src/tests.rs", fill(include_str!("new/tests.rs.in"))),
        ("README.md", fill(include_str!("new/README.md.in"))),
        (".gitignore", "/target\n".to_owned()),
    ])
}

/// Text in TOML: quoted, with what TOML wants escaped.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Writes the crate into `folder`, which must be new or empty, and returns the paths written. A checkout may be given
/// as a relative path; the crate names it in full.
///
/// # Errors
/// [`NewError`], before anything is written wherever that is possible.
pub fn write(name: &str, folder: &Path, library: &Library) -> Result<Vec<PathBuf>, NewError> {
    let library = match library {
        Library::Checkout(checkout) => Library::Checkout(full_checkout(checkout)?),
        version => version.clone(),
    };
    let files = files(name, &library)?;
    check_empty(folder)?;
    let mut written = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|source| NewError::Io { path: parent.to_owned(), source })?;
        fs::write(&path, text).map_err(|source| NewError::Io { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

fn full_checkout(checkout: &Path) -> Result<PathBuf, NewError> {
    let full = fs::canonicalize(checkout).map_err(|_| NewError::NoCheckout(checkout.to_owned()))?;
    match full.join("crates/mapfold/Cargo.toml").is_file() {
        true => Ok(full),
        false => Err(NewError::NoCheckout(checkout.to_owned())),
    }
}

fn check_empty(folder: &Path) -> Result<(), NewError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(NewError::NotEmpty(folder.to_owned())),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(NewError::NotEmpty(folder.to_owned())),
        Err(source) => Err(NewError::Io { path: folder.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn why(name: &str) -> String {
        check_name(name).unwrap_err().to_string()
    }

    #[test]
    fn names_are_cargos_and_the_wrong_character_is_told() {
        for good in ["ndvi2", "my-job", "my_job", "J"] {
            check_name(good).unwrap();
        }
        assert!(why("my job").ends_with(r"character 3 is ' '; letters a-z, digits, - and _ are allowed"));
        assert!(why("größe").contains("character 3 is 'ö'"));
        assert!(why("../up").contains("character 1 is '.'"));
        assert!(why("2ndvi").ends_with("it begins with '2'; begin with a letter"));
        assert!(why("").ends_with("it is empty"));
        for taken in ["mapfold", "Serde", "fn", "proc-macro"] {
            assert!(why(taken).contains("taken"), "{taken}");
        }
    }

    #[test]
    fn the_job_is_short_and_its_manifest_names_the_three_dependencies() {
        let files = files("my-job", &Library::Checkout("/src/map\"fold".into())).unwrap();
        let text = |name: &str| files.iter().find(|f| f.0 == name).unwrap().1.clone();
        assert!(text("src/main.rs").lines().count() <= 30);
        let manifest = text("Cargo.toml");
        assert!(manifest.contains(r#"name = "my-job""#), "{manifest}");
        assert!(manifest.contains(r#"mapfold = { path = "/src/map\"fold/crates/mapfold" }"#), "{manifest}");
        let after = manifest.split("[dependencies]\n").nth(1).unwrap();
        let names: Vec<&str> =
            after.lines().take_while(|l| !l.is_empty()).map(|l| l.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["mapfold", "clap", "serde"]);
        assert!(files.iter().all(|(_, text)| !text.contains("{{") && text.ends_with('\n')));
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let version = Library::Version("0.1.0".to_owned());
        let folder = dir.path().join("my-job");
        let written = write("my-job", &folder, &version).unwrap();
        assert_eq!(written.len(), 5);
        assert!(fs::read_to_string(&written[0]).unwrap().contains(r#"mapfold = { version = "0.1.0" }"#));
        assert!(matches!(write("my-job", &folder, &version), Err(NewError::NotEmpty(_))));
        assert!(matches!(write("my-job", &written[0], &version), Err(NewError::NotEmpty(_))));
    }

    #[test]
    fn a_checkout_is_checked_and_named_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::Checkout(dir.path().to_owned());
        let folder = dir.path().join("job");
        assert!(matches!(write("job", &folder, &library), Err(NewError::NoCheckout(_))));
        assert!(!folder.exists(), "nothing is written");
        fs::create_dir_all(dir.path().join("crates/mapfold")).unwrap();
        fs::write(dir.path().join("crates/mapfold/Cargo.toml"), "").unwrap();
        write("job", &folder, &library).unwrap();
        let full = fs::canonicalize(dir.path()).unwrap();
        assert!(fs::read_to_string(folder.join("Cargo.toml")).unwrap().contains(full.to_str().unwrap()));
    }
}
