//! Patterns: `tiles/*.tif`, `**/B0[48].tif`, folder by folder.
//!
//! The signs are the shell's: `*` and `?` stay within a name, `[..]` is one of some characters, `**` as a whole
//! component is any number of folders. As in a shell a name that begins with a dot is matched only by a pattern that
//! does, so work folders and other hidden things are never inputs. A component that exists by its very name is taken
//! as it is: `data[1]/*.tif` works where there is a folder `data[1]`. `**` does not follow links, so it ends.
//!
//! Matching one name is the `glob` crate's; walking is done here, because it must go through [`Stores`]. There are
//! no braces, and names that are not UTF-8 match nothing.

use glob::{MatchOptions, Pattern};

use crate::{Entry, Loc, Scheme, StoreError, Stores, closest};

/// Names of a folder that a message shows.
const SHOWN: usize = 3;

const AS_SHELLS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that `pattern` matches, sorted by their texts; each with the pattern's fragment.
pub(crate) fn matches(stores: &Stores, pattern: &Loc) -> Result<Vec<Loc>, StoreError> {
    if pattern.scheme() == Scheme::Http {
        return literal(stores, pattern);
    }
    let walk = Walk::new(stores, pattern);
    let mut found = walk.files()?;
    found.sort();
    found.dedup();
    Ok(match pattern.fragment() {
        Some(part) => found.iter().map(|loc| loc.with_fragment(part)).collect(),
        None => found,
    })
}

/// A URL with signs of a pattern in its path: it may be a plain name.
fn literal(stores: &Stores, loc: &Loc) -> Result<Vec<Loc>, StoreError> {
    match stores.exists(loc) {
        Ok(true) => Ok(vec![loc.clone()]),
        Ok(false) | Err(StoreError::Denied { .. }) => Err(StoreError::CannotList { loc: loc.to_string() }),
        Err(error) => Err(error),
    }
}

/// A folder that a walk has reached; `None` is where the program runs.
type Folder = Option<Loc>;

struct Walk<'a> {
    stores: &'a Stores,
    pattern: &'a Loc,
    root: Folder,
    steps: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(stores: &'a Stores, pattern: &'a Loc) -> Walk<'a> {
        let text = match pattern.local_path() {
            Some(path) => path.to_string_lossy().into_owned(),
            None if pattern.scheme().is_remote() => pattern.key(),
            None => pattern.memory_key().to_owned(),
        };
        let mut steps: Vec<String> = text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        if steps.last().is_some_and(|last| last == "**") {
            steps.push("*".into());
        }
        let root = match pattern.scheme() {
            // The name of a memory store is no pattern: nobody lists those.
            Scheme::Memory => Loc::parse(&format!("memory://{}", steps.remove(0))).ok(),
            scheme if scheme.is_remote() => Some(pattern.root()),
            _ => text.starts_with('/').then(|| Loc::local("/")),
        };
        Walk { stores, pattern, root, steps }
    }

    fn files(&self) -> Result<Vec<Loc>, StoreError> {
        let mut here = vec![self.root.clone()];
        for (i, step) in self.steps.iter().enumerate() {
            let last = i + 1 == self.steps.len();
            let next = self.step(&here, step, last)?;
            if next.is_empty() {
                return Err(StoreError::no_match(self.pattern, self.why(&here, step, last)));
            }
            here = next;
        }
        Ok(here.into_iter().flatten().collect())
    }

    /// What one component leads to: files at the end, folders before it.
    fn step(&self, here: &[Folder], step: &str, last: bool) -> Result<Vec<Folder>, StoreError> {
        let mut next = Vec::new();
        if step == "**" {
            here.iter().try_for_each(|folder| self.below(folder, &mut next))?;
            return Ok(next);
        }
        for folder in here {
            match is_sign(step) {
                true => self.matching(folder, step, last, &mut next)?,
                false => self.named(folder, step, last, &mut next)?,
            }
        }
        Ok(next)
    }

    /// The entry called `step`, if it is there and of the kind wanted.
    fn named(&self, folder: &Folder, step: &str, last: bool, next: &mut Vec<Folder>) -> Result<(), StoreError> {
        let named = child(folder, step);
        // In an object store a folder is a beginning of names: what follows will tell whether there are any.
        let assumed = !last && named.scheme().is_objects();
        if assumed || (self.stores.exists(&named)? && self.stores.is_folder(&named, true) != last) {
            next.push(Some(named));
        }
        Ok(())
    }

    fn matching(&self, folder: &Folder, step: &str, last: bool, next: &mut Vec<Folder>) -> Result<(), StoreError> {
        let entries = self.entries(folder)?;
        let wanted = |entry: &&Entry| self.is_folder(entry) != last;
        if entries.iter().any(|entry| entry.loc.file_name() == step) {
            let literal = entries.iter().filter(|entry| entry.loc.file_name() == step);
            next.extend(literal.filter(wanted).map(|entry| Some(child(folder, &entry.loc.file_name()))));
            return Ok(());
        }
        let pattern = self.compiled(step)?;
        let matched = entries.iter().filter(|entry| pattern.matches_with(&entry.loc.file_name(), AS_SHELLS));
        next.extend(matched.filter(wanted).map(|entry| Some(child(folder, &entry.loc.file_name()))));
        Ok(())
    }

    /// A link to a folder is a folder here.
    fn is_folder(&self, entry: &Entry) -> bool {
        entry.folder || (entry.link && self.stores.is_folder(&entry.loc, true))
    }

    /// A folder and all below it, hidden ones aside.
    fn below(&self, folder: &Folder, out: &mut Vec<Folder>) -> Result<(), StoreError> {
        out.push(folder.clone());
        let inner =
            self.entries(folder)?.into_iter().filter(|entry| entry.folder && !entry.loc.name().starts_with('.'));
        let folders = inner.map(|entry| child(folder, &entry.loc.file_name()));
        folders.map(Some).try_for_each(|folder| self.below(&folder, out))
    }

    fn entries(&self, folder: &Folder) -> Result<Vec<Entry>, StoreError> {
        let here = Loc::local(".");
        let mut all = match self.stores.entries(folder.as_ref().unwrap_or(&here)) {
            Err(StoreError::NotFound { .. }) => Vec::new(), // It has gone, or a memory store holds nothing yet.
            listed => listed?,
        };
        all.retain(|entry| !entry.loc.name().is_empty());
        Ok(all)
    }

    fn compiled(&self, step: &str) -> Result<Pattern, StoreError> {
        let broken = |e: glob::PatternError| {
            let why = format!("no file has this very name, and {step:?} is no pattern ({})", e.msg);
            StoreError::no_match(self.pattern, why)
        };
        Pattern::new(step).map_err(broken)
    }

    /// Why nothing was found: what is there instead.
    fn why(&self, here: &[Folder], step: &str, last: bool) -> String {
        let kind = if last { "file" } else { "folder" };
        let [folder] = here else { return format!("in {} folders no {kind} is called {step}", here.len()) };
        let place = folder.as_ref().map_or_else(|| "this folder".into(), |f| format!("the folder {f}"));
        let wanted = |entry: &Entry| !entry.loc.name().starts_with('.') && self.is_folder(entry) != last;
        let entries = self.entries(folder).unwrap_or_default();
        let names: Vec<String> = entries.into_iter().filter(wanted).map(|entry| entry.loc.file_name()).collect();
        if let Some(near) = closest(step, names.iter().map(String::as_str)).filter(|_| !is_sign(step)) {
            return format!("{place} has no {kind} {step}; did you mean {near}?");
        }
        match names.len() {
            0 => format!("{place} holds no {kind}"),
            n => {
                let shown = names[..n.min(SHOWN)].join(", ");
                let more = if n > SHOWN { ", ..." } else { "" };
                format!("{place} has no {kind} {step}; it holds {n}: {shown}{more}")
            }
        }
    }
}

fn is_sign(step: &str) -> bool {
    step.contains(['*', '?', '['])
}

fn child(folder: &Folder, name: &str) -> Loc {
    folder.as_ref().map_or_else(|| Loc::local(name), |folder| folder.join(name))
}
