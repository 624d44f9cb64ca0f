//! Colour or not, decided once per stream: `NO_COLOR` and `CLICOLOR=0` turn it off, `CLICOLOR_FORCE` turns it on,
//! otherwise a terminal has colour and anything else has none.

use anstream::{AutoStream, ColorChoice};

/// What a piece of text is; few on purpose, so that reports look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A heading.
    Strong,
    /// Something that went well.
    Good,
    /// Something to look at.
    Warn,
    /// Something that failed.
    Bad,
    /// Less important.
    Faint,
}

impl Style {
    /// `text` in this style; unchanged when `colour` is false.
    pub fn paint(self, text: &str, colour: bool) -> String {
        if !colour {
            return text.to_owned();
        }
        let code = match self {
            Style::Strong => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Whether text on stderr may have colour.
pub fn colour_on_stderr() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Whether text on stdout may have colour.
pub fn colour_on_stdout() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_text_is_untouched() {
        assert_eq!(Style::Bad.paint("x", false), "x");
        assert_eq!(Style::Bad.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
    }
}
