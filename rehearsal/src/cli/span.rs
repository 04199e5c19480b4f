//! For how long something stays broken.

use std::str::FromStr;
use std::time::Duration;

/// `30` or `30s`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let factor = match unit {
            "" | "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = number.parse::<u64>().ok().zip(factor).and_then(|it| it.0.checked_mul(it.1));
        seconds
            .filter(|it| *it > 0)
            .map(|it| Span(Duration::from_secs(it)))
            .ok_or_else(|| "write a number of seconds, or one with its unit: 30, 30s, 2m, 1h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_with_a_unit_or_of_seconds() {
        let seconds = |text: &str| text.parse::<Span>().map(|it| it.0.as_secs());
        assert_eq!(["30", "30s", "2m", "1h"].map(seconds), [Ok(30), Ok(30), Ok(120), Ok(3600)]);
        for wrong in ["", "0", "s", "1.5", "-1", "2 m", "1d", "99999999999999999999", "9999999999999999999h"]
        {
            assert!(seconds(wrong).is_err_and(|it| it.contains("30s, 2m, 1h")), "{wrong}");
        }
    }
}
