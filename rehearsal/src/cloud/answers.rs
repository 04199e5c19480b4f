//! Where moto's answers are too kind: what really is, written into them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::call::Call;
use super::shared::Known;
use crate::balancer::{Health, TargetState};

/// The answer as AWS would give it.
pub(super) fn corrected(call: &Call, known: &Known, answer: String) -> String {
    match (call.service.as_str(), call.action.as_str()) {
        ("ec2", _) => addresses(&answer, &known.public),
        ("elasticloadbalancing", "DescribeTargetHealth") => {
            let group = call.parameter("TargetGroupArn").map(group_name).unwrap_or_default();
            targets(&answer, known.health.get(group))
        }
        _ => answer,
    }
}

/// And the question as moto understands it.
pub(super) fn asked(call: &Call, known: &Known, body: String) -> String {
    if call.service != "ec2" {
        return body;
    }
    let reverse: BTreeMap<Ipv4Addr, Ipv4Addr> =
        known.public.iter().map(|(moto, ours)| (*ours, *moto)).collect();
    addresses(&body, &reverse)
}

/// `arn:…:targetgroup/name/0123` → `name`.
pub(super) fn group_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or_default()
}

/// Replaces whole addresses.
fn addresses(text: &str, map: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> String {
    map.iter().fold(text.to_owned(), |text, (from, to)| {
        let from = from.to_string();
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&from) {
            let (before, after) = (&rest[..at], &rest[at + from.len()..]);
            let is_part = |it: Option<char>| it.is_some_and(|it| it.is_ascii_digit());
            let whole = !is_part(before.chars().next_back()) && !is_part(after.chars().next());
            out.push_str(before);
            out.push_str(&if whole { to.to_string() } else { from.clone() });
            rest = after;
        }
        out.push_str(rest);
        out
    })
}

/// Puts the balancers' own knowledge in place of moto's.
fn targets(text: &str, health: Option<&BTreeMap<String, Health>>) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, part) in text.split("<TargetHealth>").enumerate() {
        if number == 0 {
            out.push_str(part);
            continue;
        }
        let Some((_, after)) = part.split_once("</TargetHealth>") else {
            out.push_str(part);
            continue;
        };
        // The target's id stands before its health.
        let id = between(last_member(&out), "<Id>", "</Id>");
        out.push_str(&described(health.and_then(|it| it.get(id))));
        out.push_str(after);
    }
    out
}

fn last_member(text: &str) -> &str {
    text.rfind("<Target>").map_or("", |at| &text[at..])
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let from = text.split(open).nth(1).unwrap_or_default();
    from.split(close).next().unwrap_or_default()
}

fn described(health: Option<&Health>) -> String {
    let unused = Health {
        state: TargetState::Initial,
        reason: Some("Elb.RegistrationInProgress"),
        description: Some("Target registration is in progress".to_owned()),
    };
    let it = health.unwrap_or(&unused);
    let state = match it.state {
        TargetState::Healthy => "healthy",
        TargetState::Initial => "initial",
        TargetState::Draining => "draining",
        TargetState::Unhealthy => "unhealthy",
    };
    let reason = it.reason.map(|it| format!("<Reason>{it}</Reason>")).unwrap_or_default();
    let words = it.description.as_ref().map(|it| format!("<Description>{it}</Description>"));
    format!("<TargetHealth><State>{state}</State>{reason}{}</TargetHealth>", words.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_addresses_are_exchanged() {
        let map = BTreeMap::from([(Ipv4Addr::new(127, 1, 2, 3), Ipv4Addr::new(203, 0, 113, 5))]);
        let text = "<ip>127.1.2.3</ip><ip>127.1.2.33</ip><ip>1127.1.2.3</ip>";
        assert_eq!(addresses(text, &map), "<ip>203.0.113.5</ip><ip>127.1.2.33</ip><ip>1127.1.2.3</ip>");
    }

    #[test]
    fn a_target_is_as_well_as_its_balancer_says() {
        let one = |id: &str| {
            format!(
                "<member><Target><Id>{id}</Id><Port>80</Port></Target>\
                 <TargetHealth><State>healthy</State></TargetHealth></member>"
            )
        };
        let text = one("i-1") + &one("i-2");
        let sick = Health {
            state: TargetState::Unhealthy,
            reason: Some("Target.Timeout"),
            description: Some("Request timed out".into()),
        };
        let said = targets(&text, Some(&BTreeMap::from([("i-1".to_owned(), sick)])));
        assert!(said.contains("<State>unhealthy</State><Reason>Target.Timeout</Reason>"), "{said}");
        assert!(said.contains("<State>initial</State>") && !said.contains("<State>healthy"), "{said}");
    }
}
