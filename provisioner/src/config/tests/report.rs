//! How mistakes are told.

use super::refused;
use crate::config::{SaidRegion, parse};

const MANY: &str = r#"stack = "web-two"
zones = ["ap-northeast-2a", "us-east-1c"]
regoin = "ap-northeast-2"

[network]
vpc_cidr = "10.2.0.0/16"
public_cidrs = ["10.2.1.0/24", "10.2.1.128/25"]
private_cidrs = ["10.1.3.0/24", "10.2.4.7/24"]

[hosts]
public_type = t3.micro

[database]
backup_days = 0

[scaling]
min = 5
termination_policies = ["Oldest"]

[names]
public_balancer = "the_public_one"
"#;

#[test]
fn all_mistakes_are_told_at_once() {
    insta::assert_snapshot!(refused(MANY).render(false, 100));
}

#[test]
fn a_pipe_gets_one_line_for_each_mistake() {
    insta::assert_snapshot!(refused(MANY));
}

#[test]
fn a_program_gets_the_same_as_json() {
    let errors = serde_json::to_value(refused("[scaling]\nmin = 5")).unwrap();
    let issue = serde_json::json!({
        "file": "lamp.toml",
        "line": 2,
        "column": 7,
        "key": "scaling.min",
        "value": "5",
        "rule": "is more than scaling.max, 4",
        "remedy": "write at most 4, or raise scaling.max",
    });
    assert_eq!(errors, serde_json::json!({ "issues": [issue] }));
}

#[test]
fn a_value_that_cannot_be_read_is_not_compared_with_others() {
    let errors = refused("[scaling]\nmin = 5\nmax = \"4\"");
    let keys: Vec<_> = errors.issues.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["scaling.max"]);
}

#[test]
fn colour_is_only_used_when_asked_for() {
    let errors = refused("stack = 7");
    assert!(errors.render(true, 80).contains('\u{1b}'));
    assert!(!errors.render(false, 80).contains('\u{1b}'));
}

#[test]
fn no_text_makes_the_reader_panic() {
    let seeds = [MANY, &crate::config::template()];
    for seed in seeds {
        for cut in (0..seed.len()).filter(|it| seed.is_char_boundary(*it)).step_by(197) {
            let (head, tail) = seed.split_at(cut);
            for text in [
                head.to_owned(),
                tail.to_owned(),
                format!("{head}\u{0}[[\"{tail}"),
                format!("{head}é=1{tail}"),
            ] {
                let _ = parse("lamp.toml", &text, SaidRegion::default()).map_err(|it| it.render(false, 40));
            }
        }
    }
}
