//! A call's parameters: numbers, lists and lists of records, as the query protocol writes them.

use std::collections::BTreeMap;

use super::{Refusal, invalid};
use crate::cloud::call::Call;
use crate::cloud::scaling::group::Template;

pub(super) fn text<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.parameter(name).filter(|it| !it.is_empty())
}

pub(super) fn needed<'a>(call: &'a Call, name: &str) -> Result<&'a str, Refusal> {
    text(call, name).ok_or_else(|| invalid(format!("{name} is missing")))
}

pub(super) fn number(call: &Call, name: &str) -> Result<Option<u32>, Refusal> {
    let Some(text) = text(call, name) else { return Ok(None) };
    // A decimal point is how some clients write whole numbers.
    let number =
        text.parse::<f64>().ok().filter(|it| *it >= 0.0 && it.fract() == 0.0 && *it <= f64::from(u32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let number = number.map(|it| it as u32);
    number.map(Some).ok_or_else(|| invalid(format!("{name} is {text:?}, which is no number from 0 on")))
}

pub(super) fn flag(call: &Call, name: &str) -> Option<bool> {
    text(call, name).map(|it| it == "true")
}

/// `Name.member.1`, `Name.member.2` and so on.
pub(super) fn list(call: &Call, name: &str) -> Vec<String> {
    members(call, name).into_values().filter_map(|mut it| it.remove("")).collect()
}

/// `Name.member.1.Key`, `Name.member.1.Value` and so on.
pub(super) fn records(call: &Call, name: &str) -> Vec<BTreeMap<String, String>> {
    members(call, name).into_values().collect()
}

fn members(call: &Call, name: &str) -> BTreeMap<u32, BTreeMap<String, String>> {
    let mut all: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    let start = format!("{name}.member.");
    for (key, value) in &call.parameters {
        let Some(rest) = key.strip_prefix(&start) else { continue };
        let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
        if let Ok(number) = number.parse() {
            all.entry(number).or_default().insert(field.to_owned(), value.clone());
        }
    }
    all
}

/// The launch template that a call names.
pub(super) fn template(call: &Call) -> Option<Template> {
    let field = |name: &str| text(call, &format!("LaunchTemplate.{name}")).map(str::to_owned);
    let (id, name) = (field("LaunchTemplateId"), field("LaunchTemplateName"));
    if id.is_none() && name.is_none() {
        return None;
    }
    Some(Template { id: id.unwrap_or_default(), name: name.unwrap_or_default(), version: field("Version") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_beyond_nine_and_records_their_fields() {
        let mut call = Call::default();
        for number in 1..=11 {
            call.parameters.insert(format!("TargetGroupARNs.member.{number}"), format!("arn-{number}"));
        }
        call.parameters.insert("Tags.member.1.Key".into(), "Name".into());
        call.parameters.insert("Tags.member.1.Value".into(), "web".into());
        assert_eq!(list(&call, "TargetGroupARNs")[9..], ["arn-10", "arn-11"]);
        assert_eq!(records(&call, "Tags")[0]["Value"], "web");
        assert!(list(&call, "Tags").is_empty());
    }

    #[test]
    fn numbers_are_whole_and_not_negative() {
        let call = |value: &str| Call { parameters: [("N".into(), value.into())].into(), ..Call::default() };
        assert_eq!(number(&call("3"), "N"), Ok(Some(3)));
        assert_eq!(number(&call(""), "N"), Ok(None));
        assert!(number(&call("-1"), "N").is_err() && number(&call("x"), "N").is_err());
    }
}
