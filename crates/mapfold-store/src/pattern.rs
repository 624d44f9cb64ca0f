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

use crate::{Loc, Scheme, StoreError, Stores, closest};

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
            None => pattern.memory_key().to_owned(),
        };
        let mut steps: Vec<String> = text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        if steps.last().is_some_and(|last| last == "**") {
            steps.push("*".into());
        }
        let root = match pattern.scheme() {
            // The name of a memory store is no pattern: nobody lists those.
            Scheme::Memory => Loc::parse(&format!("memory://{}", steps.remove(0))).ok(),
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
        let wanted = |loc: &Loc| self.stores.is_folder(loc, true) != last;
        for folder in here {
            let named = child(folder, step);
            if !is_sign(step) || self.stores.exists(&named)? {
                let there = self.stores.exists(&named)? && wanted(&named);
                next.extend(there.then_some(Some(named)));
                continue;
            }
            let pattern = self.compiled(step)?;
            let matched = self.names(folder)?.into_iter().filter(|name| pattern.matches_with(name, AS_SHELLS));
            next.extend(matched.map(|name| child(folder, &name)).filter(wanted).map(Some));
        }
        Ok(next)
    }

    /// A folder and all below it, hidden ones aside.
    fn below(&self, folder: &Folder, out: &mut Vec<Folder>) -> Result<(), StoreError> {
        out.push(folder.clone());
        let inner = self.names(folder)?.into_iter().filter(|name| !name.starts_with('.'));
        let folders = inner.map(|name| child(folder, &name)).filter(|loc| self.stores.is_folder(loc, false));
        folders.map(Some).try_for_each(|folder| self.below(&folder, out))
    }

    fn names(&self, folder: &Folder) -> Result<Vec<String>, StoreError> {
        let here = Loc::local(".");
        let all = match self.stores.list(folder.as_ref().unwrap_or(&here)) {
            Err(StoreError::NotFound { .. }) => Vec::new(), // It has gone, or a memory store holds nothing yet.
            listed => listed?,
        };
        Ok(all.iter().map(|loc| loc.name().to_owned()).filter(|name| !name.is_empty()).collect())
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
        let wanted =
            |name: &String| !name.starts_with('.') && self.stores.is_folder(&child(folder, name), true) != last;
        let names: Vec<String> = self.names(folder).unwrap_or_default().into_iter().filter(wanted).collect();
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
