//! The one form in which `lamp` says that it failed.

use std::io::{self, IsTerminal, Write};

use super::{paint::Paint, wants_colours};

/// Prints `error: …` with its causes on stderr.
pub fn fault(err: &anyhow::Error) {
    let paint = Paint { colours: io::stderr().is_terminal() && wants_colours() };
    // Without stderr there is nobody to tell.
    let _ = io::stderr().write_all(text(err, paint).as_bytes());
}

fn text(err: &anyhow::Error, paint: Paint) -> String {
    let mut text = format!("{} {err}\n", paint.red(&paint.bold("error:")));
    let mut said = err.to_string();
    for cause in err.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors repeat their cause in their own words.
        if !said.contains(&cause) {
            text += &format!("  because: {cause}\n");
        }
        said = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_follow_once_each() {
        let err = anyhow!("connection refused").context("ec2:DescribeVpcs: connection refused");
        let err = Err::<(), _>(err).context("cannot look at the account").unwrap_err();
        let text = text(&err, Paint { colours: false });
        assert_eq!(
            text,
            "error: cannot look at the account\n  because: ec2:DescribeVpcs: connection refused\n"
        );
    }
}
