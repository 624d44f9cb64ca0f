//! The nearest valid name for a misspelt one ("did you mean ...?").
//!
//! Lives here because this is the lowest room that reads words typed by people; it knows nothing
//! about what the words mean.

/// The choice nearest to `word`, or `None` when nothing is near enough to be worth a suggestion.
///
/// Near means a Damerau-Levenshtein distance (letters added, lost, changed or swapped; case does
/// not count) of at most a third of the longer word, and at least 1.
///
/// ```
/// use mapfold_store::closest;
/// assert_eq!(closest("htps", ["file", "https", "memory"]), Some("https"));
/// assert_eq!(closest("zebra", ["file", "https", "memory"]), None);
/// ```
pub fn closest<'a>(word: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = |choice: &str| {
        let longer = choice.chars().count().max(word.chars().count());
        let distance = strsim::damerau_levenshtein(&word, &choice.to_lowercase());
        (distance <= (longer / 3).max(1)).then_some(distance)
    };
    choices
        .into_iter()
        .filter_map(|choice| near(choice).map(|distance| (distance, choice)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}
