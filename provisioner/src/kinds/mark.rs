//! Ownership of things whose tags cost a call each to read: a sentence in their description says it.

use crate::aws::Aws;

/// The sentence for node `name`: `site of stack lab-vpc in ap-northeast-2`.
pub(super) fn mark(name: &str, aws: &Aws) -> String {
    format!("{name}{}", suffix(aws))
}

/// The node's name in a sentence of this stack's; `None` for anybody else's.
pub(super) fn marked<'a>(text: Option<&'a str>, aws: &Aws) -> Option<&'a str> {
    text.and_then(|it| it.strip_suffix(&suffix(aws)))
}

fn suffix(aws: &Aws) -> String {
    format!(" of stack {} in {}", aws.stack, aws.region)
}
