//! Inputs by name: what lists and patterns stand for, asked once while planning.

use crate::{Error, Plan, Result};
use mapfold_store::{Loc, ObjectInfo};

/// Files that a message names.
const SHOWN: usize = 3;

/// What is asked of a location. It holds the whole text, since two lists may differ in their secrets only; without
/// blanks, at which the redaction of a question sees the end of a URL.
fn question(what: &str, loc: &Loc) -> String {
    format!("{what} {}", loc.as_text().replace(' ', "%20"))
}

impl Plan {
    /// The files that some inputs name, in the order given: a list (`@FILE`) and a pattern (`tiles/*.tif`) stand for
    /// theirs, anything else for itself (see [`mapfold_store::Stores::expand`]). The answer is recorded.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// use mapfold_store::{Loc, Stores};
    /// let stores = Stores::new();
    /// for name in ["b.tif", "a.tif"] {
    ///     stores.put(&Loc::parse(&format!("memory://tiles/{name}"))?, "".into())?;
    /// }
    /// let plan = Plan::new(stores, PlanOptions::default());
    /// let found = plan.locations([&Loc::parse("memory://tiles/*.tif#B04")?])?;
    /// assert_eq!(found[0].to_string(), "memory://tiles/a.tif#B04");
    /// assert_eq!(found.len(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// When one names nothing, or cannot be looked up.
    pub fn locations<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>) -> Result<Vec<Loc>> {
        let mut out = Vec::new();
        for input in inputs {
            match input.is_pattern() {
                true => out.extend(self.look_up(input)?),
                false => out.push(input.clone()),
            }
        }
        Ok(out)
    }

    fn look_up(&self, input: &Loc) -> Result<Vec<Loc>> {
        self.ask(&question("look up", input), || Ok(self.stores().expand(input)?))
    }

    /// The files that some inputs name, with their sizes: as [`Plan::locations`], and a folder stands for the files in it
    /// whose names do not begin with `_` or `.`, in the order of their names. The answer is recorded.
    ///
    /// ```
    /// use mapfold_plan::*;
    /// use mapfold_store::{Loc, Stores};
    /// let stores = Stores::new();
    /// for name in ["_SUCCESS", "part-r-00001", "part-r-00000"] {
    ///     stores.put(&Loc::parse(&format!("memory://lab/out/{name}"))?, "text".into())?;
    /// }
    /// let plan = Plan::new(stores, PlanOptions::default());
    /// let found = plan.files_of([&Loc::parse("memory://lab/out")?])?;
    /// let names: Vec<&str> = found.iter().map(|(loc, _)| loc.name()).collect();
    /// assert_eq!(names, ["part-r-00000", "part-r-00001"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Plan::locations`]; when a file is not there, a folder holds none, or a folder holds folders.
    pub fn files_of<'a>(&self, inputs: impl IntoIterator<Item = &'a Loc>) -> Result<Vec<(Loc, ObjectInfo)>> {
        let mut out = Vec::new();
        for loc in self.locations(inputs)? {
            out.extend(self.ask(&question("files of", &loc), || self.find_files(&loc))?);
        }
        Ok(out)
    }

    fn find_files(&self, loc: &Loc) -> Result<Vec<(Loc, ObjectInfo)>> {
        let stores = self.stores();
        let head = |loc: Loc| Ok(stores.block_on(stores.head(&loc)).map(|info| (loc, info))?);
        if !stores.is_folder(loc, true) {
            return Ok(vec![head(loc.clone())?]);
        }
        let is_seen = |l: &Loc| !l.name().starts_with(['_', '.']);
        let inside: Vec<Loc> = stores.list(loc)?.into_iter().filter(is_seen).collect();
        if let Some(folder) = inside.iter().find(|l| stores.is_folder(l, true)) {
            let what = format!("{loc} holds a folder, {}", folder.name());
            return Err(Error::input(what).with_remedy(format!("name the folders that are meant: '{loc}/*'")));
        }
        if inside.is_empty() {
            return Err(Error::input(format!("{loc}: there is no file in this folder"))
                .with_remedy("names that begin with _ or . do not count"));
        }
        inside.into_iter().map(head).collect()
    }

    /// The one file that an input names.
    ///
    /// # Errors
    /// Those of [`Plan::locations`]; and when a list or a pattern names several.
    pub fn location(&self, input: &Loc) -> Result<Loc> {
        let found = self.locations([input])?;
        match found.as_slice() {
            [one] => Ok(one.clone()),
            several => {
                let names: Vec<&str> = several.iter().take(SHOWN).map(Loc::name).collect();
                let more = if several.len() > SHOWN { ", ..." } else { "" };
                let what = format!(
                    "{input} names {} files ({}{more}), but one is wanted here",
                    several.len(),
                    names.join(", ")
                );
                Err(Error::usage(what).with_remedy("name one file, or write a pattern that only one matches"))
            }
        }
    }
}
