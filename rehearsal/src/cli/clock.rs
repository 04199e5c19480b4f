//! By what AWS's durations are divided.

use std::fmt;
use std::str::FromStr;

/// A factor of at least one; `real` is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(pub(super) u32);

impl Default for Clock {
    /// A minute is a second.
    fn default() -> Clock {
        Clock(60)
    }
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Clock, String> {
        match text.parse() {
            _ if text == "real" => Ok(Clock(1)),
            Ok(factor @ 1..) => Ok(Clock(factor)),
            _ => Err("write a whole number from 1 on, such as 60, or `real`".to_owned()),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("real time"),
            factor => write!(f, "{factor} times AWS's pace"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_a_factor_or_real() {
        assert_eq!("real".parse(), Ok(Clock(1)));
        assert_eq!("120".parse(), Ok(Clock(120)));
        for wrong in ["0", "-1", "fast", "1.5", ""] {
            assert!(wrong.parse::<Clock>().is_err(), "{wrong}");
        }
    }
}
