//! Where moto's answers are too kind: what really is, written into them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::call::Call;
use super::shared::Known;
use super::xml::{Element, Node, escaped};
use crate::balancer::{Health, TargetState};

/// The answer as AWS would give it.
pub(super) fn corrected(call: &Call, known: &Known, answer: String) -> String {
    match (call.service.as_str(), call.action.as_str()) {
        ("ec2", _) => addresses(&answer, &known.public),
        ("elasticloadbalancing", "DescribeTargetHealth") => targets(answer, call, known),
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
    // A block is somebody's word in a rule, which is about what the address is called here.
    let is_block = |it: &str| it.contains('/') || it.contains("%2F");
    let parameters = body.split('&');
    let parameters = parameters.map(|it| if is_block(it) { it.to_owned() } else { addresses(it, &reverse) });
    parameters.collect::<Vec<_>>().join("&")
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

/// Puts the balancers' own knowledge in place of moto's, which drops whoever drains as well.
fn targets(text: String, call: &Call, known: &Known) -> String {
    let group = call.parameter("TargetGroupArn").map(group_name).unwrap_or_default();
    let (health, port) = (known.health.get(group), known.listened.get(group));
    let Some(mut whole) = Element::parse(&text) else { return text };
    whole.each(&mut |list| {
        if list.name != "TargetHealthDescriptions" {
            return;
        }
        let mut told = BTreeSet::new();
        for it in &mut list.nodes {
            let Node::Element(it) = it else { continue };
            let Some(id) = it.child("Target").and_then(|it| it.text("Id")).map(str::to_owned) else {
                continue;
            };
            let seen = health.and_then(|it| it.get(&id));
            // Asked about by its name, it is listed all the same; while it drains, moto has forgotten it already.
            let is_registered = it.all("Reason") != ["Target.NotRegistered"];
            if !is_registered && seen.is_none_or(|it| it.state != TargetState::Draining) {
                told.insert(id);
                continue;
            }
            let state = match (port, seen) {
                (None, _) => unused(
                    "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                ),
                _ if known.stopped.contains(&id) => {
                    unused("Target.InvalidState", "Target is in the stopped state")
                }
                (_, health) => described(health),
            };
            it.nodes.retain(|it| !matches!(it, Node::Element(it) if it.name == "TargetHealth"));
            it.nodes.push(state);
            told.insert(id);
        }
        let asked: Vec<&String> =
            call.parameters.iter().filter(|it| it.0.starts_with("Targets.")).map(|it| it.1).collect();
        for (id, it) in health.into_iter().flatten() {
            let drains = it.state == TargetState::Draining && !told.contains(id);
            if drains && (asked.is_empty() || asked.contains(&id)) {
                let port = leaf("Port", &port.copied().unwrap_or(80).to_string());
                let target = Node::Element(Element::new("Target", vec![leaf("Id", id), port]));
                let one = Element::new("member", vec![target, described(Some(it))]);
                list.nodes.push(Node::Element(one));
            }
        }
    });
    whole.write()
}

pub(super) fn leaf(name: &str, text: &str) -> Node {
    Node::Element(Element::new(name, vec![Node::Text(escaped(text))]))
}

fn unused(reason: &str, words: &str) -> Node {
    state("unused", Some(reason), Some(words))
}

fn state(state: &str, reason: Option<&str>, words: Option<&str>) -> Node {
    let mut nodes = vec![leaf("State", state)];
    nodes.extend(reason.map(|it| leaf("Reason", it)));
    nodes.extend(words.map(|it| leaf("Description", it)));
    Node::Element(Element::new("TargetHealth", nodes))
}

fn described(health: Option<&Health>) -> Node {
    let Some(it) = health else {
        let words = "Target registration is in progress";
        return state("initial", Some("Elb.RegistrationInProgress"), Some(words));
    };
    let word = match it.state {
        TargetState::Healthy => "healthy",
        TargetState::Initial => "initial",
        TargetState::Draining => "draining",
        TargetState::Unhealthy => "unhealthy",
    };
    state(word, it.reason, it.description.as_deref())
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
    fn rules_name_addresses_as_everybody_does() {
        let call = Call { service: "ec2".into(), ..Call::default() };
        let mut known = Known::default();
        known.public.insert(Ipv4Addr::new(127, 1, 2, 3), Ipv4Addr::new(203, 0, 113, 5));
        let said = |it: &str| asked(&call, &known, it.to_owned());
        let rule = "Action=AuthorizeSecurityGroupIngress&IpPermissions.1.IpRanges.1.CidrIp=203.0.113.5%2F32";
        assert_eq!(said(rule), rule);
        assert_eq!(said("PublicIp=203.0.113.5&x=a%2Fb"), "PublicIp=127.1.2.3&x=a%2Fb");
    }

    #[test]
    fn a_target_is_as_well_as_its_balancer_says_and_unused_without_one() {
        let one = |id: &str| {
            format!(
                "<member><Target><Id>{id}</Id><Port>80</Port></Target>\
                 <TargetHealth><State>healthy</State></TargetHealth></member>"
            )
        };
        let text = format!(
            "<r><TargetHealthDescriptions>{}</TargetHealthDescriptions></r>",
            one("i-1") + &one("i-2") + &one("i-3")
        );
        let parameters = BTreeMap::from([("TargetGroupArn".to_owned(), "arn:targetgroup/tg/1".to_owned())]);
        let call = Call { parameters, ..Call::default() };
        let health = |state, reason| Health { state, reason: Some(reason), description: None };
        let mut known = Known::default();
        let said = targets(text.clone(), &call, &known);
        assert_eq!(
            said.matches("<State>unused</State><Reason>Target.NotInUse</Reason>").count(),
            3,
            "{said}"
        );
        known.listened.insert("tg".to_owned(), 80);
        known.stopped.insert("i-3".to_owned());
        let all = [
            ("i-1".to_owned(), health(TargetState::Unhealthy, "Target.Timeout")),
            ("i-4".to_owned(), health(TargetState::Draining, "Target.DeregistrationInProgress")),
            ("i-5".to_owned(), health(TargetState::Unhealthy, "Target.Timeout")),
        ];
        known.health.insert("tg".to_owned(), BTreeMap::from(all));
        let said = Element::parse(&targets(text, &call, &known)).unwrap();
        assert_eq!(said.all("Id"), ["i-1", "i-2", "i-3", "i-4"]);
        assert_eq!(said.all("State"), ["unhealthy", "initial", "unused", "draining"]);
    }

    #[test]
    fn who_is_not_registered_is_unused_or_draining() {
        let one = |id: &str| {
            format!(
                "<member><Target><Id>{id}</Id><Port>80</Port></Target><TargetHealth><State>unused</State>\
                 <Reason>Target.NotRegistered</Reason></TargetHealth></member>"
            )
        };
        let text = format!(
            "<r><TargetHealthDescriptions>{}</TargetHealthDescriptions></r>",
            one("i-1") + &one("i-2")
        );
        let parameters = BTreeMap::from([("TargetGroupArn".to_owned(), "arn:targetgroup/tg/1".to_owned())]);
        let call = Call { parameters, ..Call::default() };
        let mut known = Known::default();
        known.listened.insert("tg".to_owned(), 80);
        let leaves = Health {
            state: TargetState::Draining,
            reason: Some("Target.DeregistrationInProgress"),
            description: None,
        };
        known.health.insert("tg".to_owned(), BTreeMap::from([("i-2".to_owned(), leaves)]));
        let said = Element::parse(&targets(text, &call, &known)).unwrap();
        assert_eq!(said.all("State"), ["unused", "draining"]);
        assert_eq!(said.all("Reason"), ["Target.NotRegistered", "Target.DeregistrationInProgress"]);
    }
}
