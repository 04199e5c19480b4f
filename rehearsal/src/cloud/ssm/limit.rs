//! How many hosts a command may run on at once, and on how many it may fail: a number, or a share of them all.

use std::fmt;

use serde_json::Value;

use crate::cloud::refusal::Refusal;

const SHARES: &str = "[1-9][0-9]%";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Number(usize),
    Percent(usize),
}

/// `MaxConcurrency`, which nobody can set to nothing.
pub(super) fn at_once(asked: &Value) -> Result<Limit, Refusal> {
    let pattern = format!("^([1-9][0-9]*|{SHARES}|[1-9]%|100%)$");
    let is_nothing = |it| matches!(it, Limit::Number(0) | Limit::Percent(0));
    read(asked, "MaxConcurrency", Limit::Number(50), |it| !is_nothing(it), &pattern)
}

/// `MaxErrors`.
pub(super) fn errors(asked: &Value) -> Result<Limit, Refusal> {
    let pattern = format!("^([1-9][0-9]*|[0]|{SHARES}|[0-9]%|100%)$");
    read(asked, "MaxErrors", Limit::Number(0), |_| true, &pattern)
}

fn read(
    asked: &Value,
    field: &str,
    otherwise: Limit,
    fits: impl Fn(Limit) -> bool,
    pattern: &str,
) -> Result<Limit, Refusal> {
    let Some(text) = asked[field].as_str() else { return Ok(otherwise) };
    Limit::parse(text).filter(|it| fits(*it)).ok_or_else(|| {
        let words = format!(
            "1 validation error detected: Value '{text}' at '{}{}' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: {pattern}",
            field[..1].to_lowercase(),
            &field[1..]
        );
        Refusal::new("ValidationException", words)
    })
}

impl Limit {
    fn parse(text: &str) -> Option<Limit> {
        let (digits, is_share) = text.strip_suffix('%').map_or((text, false), |it| (it, true));
        // Seven characters are what the interface takes; a zero leads no other digit.
        let is_plain = digits.bytes().all(|it| it.is_ascii_digit()) && text.len() <= 7;
        let number: usize =
            digits.parse().ok().filter(|_| is_plain && (digits == "0" || !digits.starts_with('0')))?;
        match is_share {
            true => (number <= 100).then_some(Limit::Percent(number)),
            false => Some(Limit::Number(number)),
        }
    }

    /// Of so many hosts; a share is rounded down.
    pub(super) fn of(self, hosts: usize) -> usize {
        match self {
            Limit::Number(it) => it,
            Limit::Percent(it) => hosts * it / 100,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Number(it) => write!(f, "{it}"),
            Limit::Percent(it) => write!(f, "{it}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_shares_are_understood_and_nothing_else() {
        for text in ["1", "50", "1%", "10%", "100%"] {
            assert_eq!(at_once(&json!({ "MaxConcurrency": text })).unwrap().to_string(), text);
        }
        for text in ["0", "0%"] {
            assert!(at_once(&json!({ "MaxConcurrency": text })).is_err());
            assert_eq!(errors(&json!({ "MaxErrors": text })).unwrap().to_string(), text);
        }
        for text in ["", "%", "01", "+1", "-1", "101%", "1.5", "half", "12345678"] {
            assert!(errors(&json!({ "MaxErrors": text })).is_err(), "{text}");
        }
        assert_eq!((at_once(&json!({})).unwrap().of(3), errors(&json!({})).unwrap().of(3)), (50, 0));
        assert_eq!((Limit::Percent(10).of(50), Limit::Percent(50).of(3)), (5, 1));
    }
}
