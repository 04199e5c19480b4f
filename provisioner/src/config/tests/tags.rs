//! The operator's own tags.

use super::refuses;

#[test]
fn awss_tags_are_awss() {
    refuses(
        "[tags]\n\"aws:team\" = \"web\"",
        (2, 14),
        r#"tags."aws:team" = "web""#,
        "AWS keeps this tag for itself",
        "choose another key, such as team",
    );
}

#[test]
fn our_tags_are_ours() {
    refuses(
        "[tags]\n\"lamp:stack\" = \"web\"",
        (2, 16),
        r#"tags."lamp:stack" = "web""#,
        "lamp keeps this tag for itself",
        "choose another key, such as team",
    );
}

#[test]
fn the_name_is_given_by_lamp() {
    refuses(
        "[tags]\nName = \"web\"",
        (2, 8),
        r#"tags.Name = "web""#,
        "lamp keeps this tag for itself",
        "choose another key, such as team",
    );
}

#[test]
fn a_tags_key_has_plain_characters() {
    refuses(
        "[tags]\n\"team<1>\" = \"web\"",
        (2, 13),
        r#"tags."team<1>" = "web""#,
        "a tag's key has 1 to 127 letters, digits, spaces and _.:/=+-@",
        "choose another key, such as team",
    );
}

#[test]
fn a_tags_value_has_plain_characters() {
    refuses(
        "[tags]\nteam = \"web;rm\"",
        (2, 8),
        r#"tags.team = "web;rm""#,
        "a tag's value has at most 256 letters, digits, spaces and _.:/=+-@",
        "shorten it or replace the other characters",
    );
}

#[test]
fn a_tags_value_is_a_text() {
    refuses("[tags]\nteam = 1", (2, 8), "tags.team = 1", "is not a text in quotes", "write a text in quotes");
}
