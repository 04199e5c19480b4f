//! What is left after `down`.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::paint::{Paint, count, fit, tame};

/// The result of looking through all services once more.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sweep {
    /// What should be gone.
    pub left: Vec<Leftover>,
    /// What stays since the operator asked for it, such as a final snapshot.
    pub kept: Vec<Leftover>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Leftover {
    /// `network interface`, `snapshot`, …
    pub what: String,
    pub id: String,
    /// How it was recognised, or what holds it.
    pub why: String,
}

pub(super) fn text(sweep: &Sweep, paint: Paint) -> String {
    let list = |all: &[Leftover], sign: &str| {
        let widest = all.iter().map(|it| it.what.chars().count()).max().unwrap_or_default();
        let line = |it: &Leftover| {
            let line = format!("  {sign} {}  {}  {}", fit(&it.what, widest), it.id, tame(&it.why));
            format!("{}\n", line.trim_end())
        };
        all.iter().map(line).collect::<String>()
    };
    let mut text = String::new();
    if !sweep.kept.is_empty() {
        text += &format!("kept, since you asked for it:\n{}", list(&sweep.kept, " "));
    }
    if sweep.left.is_empty() {
        return text + &format!("{}\n", paint.green("nothing left"));
    }
    let title = paint.red(&format!("{} left:", count(sweep.left.len(), "resource")));
    text + &format!("{title}\n{}", list(&sweep.left, &paint.red("✗")))
}

pub(super) fn object(sweep: &Sweep) -> Json {
    json!({ "event": "sweep", "ok": sweep.left.is_empty(), "left": sweep.left, "kept": sweep.kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_sweep_says_nothing_left_and_a_dirty_one_lists_it() {
        let plain = Paint { colours: false };
        assert_eq!(text(&Sweep::default(), plain), "nothing left\n");
        let it =
            |what: &str, id: &str, why: &str| Leftover { what: what.into(), id: id.into(), why: why.into() };
        let sweep = Sweep {
            left: vec![
                it("network interface", "eni-1", "in vpc-1, held by ELB app/x"),
                it("bucket", "lab-site", ""),
            ],
            kept: vec![it("snapshot", "lab-vpc-rds-final", "--final-snapshot")],
        };
        insta::assert_snapshot!(text(&sweep, plain));
    }
}
