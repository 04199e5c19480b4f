//! Colours, column widths, and durations in words.

use std::time::Duration;

use owo_colors::{OwoColorize, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    pub(super) colours: bool,
}

impl Paint {
    pub(super) fn green(self, text: &str) -> String {
        self.with(text, Style::new().green())
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with(text, Style::new().yellow())
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with(text, Style::new().red())
    }

    pub(super) fn magenta(self, text: &str) -> String {
        self.with(text, Style::new().magenta())
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.with(text, Style::new().cyan())
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with(text, Style::new().bold())
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with(text, Style::new().dimmed())
    }

    fn with(self, text: &str, style: Style) -> String {
        if self.colours { text.style(style).to_string() } else { text.to_owned() }
    }
}

/// What others wrote, on one line and without control characters: an error text must not be able
/// to move the cursor.
pub(super) fn tame(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.chars().filter(|it| !it.is_control()).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text in exactly `columns` columns: cut with an ellipsis, or filled up.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let fill = columns.saturating_sub(cut.width());
    cut + &" ".repeat(fill)
}

/// The text in at most `columns` columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |it: &char| {
        used += it.width().unwrap_or(0);
        used < columns
    };
    let mut short: String = text.chars().take_while(fits).collect();
    if 0 < columns {
        short.push('…');
    }
    short
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`.
pub(super) fn words(it: Duration) -> String {
    let seconds = it.as_secs();
    match seconds {
        0 => format!("{:.1} s", it.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A forecast needs no seconds: `40 seconds`, `1 minute`, `32 minutes`.
pub(super) fn about(it: Duration) -> String {
    let (n, unit) = match it.as_secs() {
        ..60 => (it.as_secs().max(1), "second"),
        seconds => ((seconds + 30) / 60, "minute"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// `1 node`, `2 nodes`.
pub(super) fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// `3:07`, `1:02:03`.
pub(super) fn clock(it: Duration) -> String {
    let (h, m, s) = (it.as_secs() / 3600, it.as_secs() / 60 % 60, it.as_secs() % 60);
    if h == 0 { format!("{m}:{s:02}") } else { format!("{h}:{m:02}:{s:02}") }
}

/// An estimate that changes every second is read as a promise: minutes will do.
pub(super) fn coarse(it: Duration) -> Duration {
    let step = if it.as_secs() < 90 { 5 } else { 60 };
    Duration::from_secs(it.as_secs().div_ceil(step) * step)
}

/// The text without colours.
pub(super) fn bare(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    bare.extend(parts.map(|it| it.split_once('m').map_or("", |(_, rest)| rest)));
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_columns_not_to_bytes() {
        assert_eq!(cut("수원시 서버", 6), "수원…");
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        let words = |it| words(Duration::from_millis(it));
        assert_eq!(words(420), "0.4 s");
        assert_eq!(words(59_000), "59 s");
        assert_eq!(words(200_000), "3 min 20 s");
        assert_eq!(words(3_900_000), "1 h 5 min");
        assert_eq!(about(Duration::from_secs(1940)), "32 minutes");
        assert_eq!(about(Duration::from_secs(61)), "1 minute");
    }

    #[test]
    fn an_error_text_cannot_move_the_cursor() {
        assert_eq!(tame("bad\x1b[2J\nnews"), "bad[2J news");
    }
}
