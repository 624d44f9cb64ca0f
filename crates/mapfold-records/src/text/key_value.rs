//! Key and value of a line, as `KeyValueTextInputFormat` cuts it.

use mapfold_plan::{Error, Result};

/// The byte between key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separator(pub u8);

impl Default for Separator {
    /// A tab.
    fn default() -> Separator {
        Separator(b'\t')
    }
}

impl std::str::FromStr for Separator {
    type Err = Error;

    /// One byte, or `\t` spelt out. Hadoop silently takes the first character of a longer text.
    fn from_str(text: &str) -> Result<Separator> {
        match text.as_bytes() {
            b"\\t" => Ok(Separator(b'\t')),
            [one] => Ok(Separator(*one)),
            _ => Err(Error::usage(format!("the separator {text:?} is not one byte"))
                .with_remedy("give one ASCII character, or leave the option out for a tab")),
        }
    }
}

/// What stands before and behind the first separator. Without one the whole line is the key and the value is empty.
///
/// ```
/// use mapfold_records::text::{Separator, key_value};
/// let tab = Separator::default();
/// assert_eq!(key_value(b"a\tb\tc", tab), (&b"a"[..], &b"b\tc"[..]));
/// assert_eq!(key_value(b"abc", tab), (&b"abc"[..], &b""[..]));
/// ```
#[inline]
pub fn key_value(line: &[u8], separator: Separator) -> (&[u8], &[u8]) {
    match memchr::memchr(separator.0, line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_separator_is_one_byte() {
        assert_eq!(
            ("|".parse::<Separator>().unwrap(), "\\t".parse::<Separator>().unwrap()),
            (Separator(b'|'), Separator(9))
        );
        assert!(
            "".parse::<Separator>().is_err() && "||".parse::<Separator>().is_err() && "é".parse::<Separator>().is_err()
        );
    }

    #[test]
    fn empty_keys_and_values() {
        let cut = |line: &'static [u8]| key_value(line, Separator(b'='));
        assert_eq!(cut(b"=v"), (&b""[..], &b"v"[..]));
        assert_eq!(cut(b"k="), (&b"k"[..], &b""[..]));
        assert_eq!(cut(b""), (&b""[..], &b""[..]));
    }
}
