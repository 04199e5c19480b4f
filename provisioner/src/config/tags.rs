//! The operator's own tags.

use super::Config;
use super::aws_names::is_tag_text;
use super::findings::Findings;
use super::key::Key;

/// What EC2 takes; other services take as much or more.
const LONGEST_KEY: usize = 127;
const LONGEST_VALUE: usize = 256;
/// AWS's 50 for a resource, less ours. Most has the VPC: stack, node, Name, and where the last run saw what takes a search
/// to find.
const MOST: usize = 50 - OURS;
const OURS: usize = 16;

pub(super) fn check(config: &Config, found: &mut Findings) {
    let section = Key::from("tags");
    if config.tags.len() > MOST {
        let count = config.tags.len();
        let rule = format!("are {count} tags; AWS takes 50 a resource and lamp sets up to {OURS} itself");
        found.add(&section, "", rule, format!("keep at most {MOST}"));
    }
    for (tag, value) in &config.tags {
        let key = section.name(tag);
        let lower = tag.to_lowercase();
        if lower.starts_with("aws:") || lower.starts_with("lamp:") || tag == shared::tags::NAME {
            let owner = if lower.starts_with("aws:") { "AWS" } else { "lamp" };
            let rule = format!("{owner} keeps this tag for itself");
            found.add(&key, value, rule, "choose another key, such as team");
        }
        if tag.is_empty() || tag.chars().count() > LONGEST_KEY || !is_tag_text(tag) {
            let rule = format!("a tag's key has 1 to {LONGEST_KEY} letters, digits, spaces and _.:/=+-@");
            found.add(&key, value, rule, "choose another key, such as team");
        }
        if value.chars().count() > LONGEST_VALUE || !is_tag_text(value) {
            let rule =
                format!("a tag's value has at most {LONGEST_VALUE} letters, digits, spaces and _.:/=+-@");
            found.add(&key, value, rule, "shorten it or replace the other characters");
        }
    }
}
