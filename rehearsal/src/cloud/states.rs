//! Writes into an answer in which state things are, where the control plane is ahead of the time.

use serde_json::Value;

use super::call::Call;
use super::life::{Kind, Lives};
use super::shared::Known;
use super::xml::{Element, Node};

/// The answer with the states that AWS would tell.
pub(super) fn told(call: &Call, known: &mut Known, answer: String) -> String {
    for it in &known.pending_databases {
        known.lives.hold(Kind::Database, it);
    }
    for it in &known.pending_balancers {
        known.lives.hold(Kind::Balancer, it);
    }
    let lives = &known.lives;
    match call.service.as_str() {
        "elasticfilesystem" => files(&answer, lives).unwrap_or(answer),
        "ec2" | "rds" | "elasticloadbalancing" | "cloudfront" => {
            let Some(mut it) = Element::parse(&answer) else { return answer };
            let mut changed = false;
            it.each(&mut |it| {
                changed |= route(it, known)
                    || state(it, lives) | promoted(it, known) | zones(it, known) | port(it, known)
            });
            if changed { it.write() } else { answer }
        }
        _ => answer,
    }
}

/// Which child names a thing, and which tells its state.
const TELLERS: [(Kind, &str, &[&str]); 7] = [
    (Kind::Instance, "instanceId", &["instanceState", "name"]),
    (Kind::Instance, "instanceId", &["currentState", "name"]),
    (Kind::Image, "imageId", &["imageState"]),
    (Kind::NatGateway, "natGatewayId", &["state"]),
    (Kind::Database, "DBInstanceIdentifier", &["DBInstanceStatus"]),
    (Kind::Balancer, "LoadBalancerName", &["State", "Code"]),
    (Kind::Distribution, "Id", &["Status"]),
];

/// EC2 gives instances' states numbers as well.
const NUMBERS: [(&str, &str); 4] =
    [("pending", "0"), ("running", "16"), ("shutting-down", "32"), ("stopping", "64")];

fn state(it: &mut Element, lives: &Lives) -> bool {
    for (kind, id, way) in TELLERS {
        let Some(word) = it.text(id).and_then(|id| lives.word(kind, id)) else { continue };
        let mut at = Some(&mut *it);
        for name in way {
            at = at.and_then(|it| it.child_mut(name));
        }
        let Some(at) = at else { continue };
        at.set(word);
        if let (Some((_, number)), Some(code)) =
            (NUMBERS.iter().find(|it| it.0 == word), it.child_mut(way[0]).and_then(|it| it.child_mut("code")))
        {
            code.set(number);
        }
        if kind == Kind::Database && word == "creating" {
            // Nobody knows yet where it will be.
            it.nodes.retain(|it| !matches!(it, Node::Element(it) if it.name == "Endpoint" || it.name == "LatestRestorableTime"));
        }
        return true;
    }
    // A snapshot has a plain status, as have many others.
    if let Some(word) = it.text("snapshotId").and_then(|id| lives.word(Kind::Snapshot, id))
        && let Some(status) = it.child_mut("status")
    {
        status.set(word);
        return true;
    }
    false
}

/// A route names its NAT gateway, too, whose state is not its own: it leads there or nowhere.
fn route(it: &mut Element, known: &Known) -> bool {
    if it.child("destinationCidrBlock").is_none() {
        return false;
    }
    let is_gone = it.text("natGatewayId").is_some_and(|id| known.gone_gateways.contains(id));
    if let (true, Some(state)) = (is_gone, it.child_mut("state")) {
        state.set("blackhole");
    }
    true
}

/// A replica that was promoted follows nobody any more, whatever the control plane remembers.
fn promoted(it: &mut Element, known: &Known) -> bool {
    if known.promoted.is_empty() {
        return false;
    }
    let before = it.nodes.len();
    if it.text("DBInstanceIdentifier").is_some_and(|name| known.promoted.contains(name)) {
        let names = ["ReadReplicaSourceDBInstanceIdentifier", "StatusInfos"];
        it.nodes.retain(|it| !matches!(it, Node::Element(it) if names.contains(&it.name.as_str())));
    }
    if it.name == "ReadReplicaDBInstanceIdentifiers" {
        let text = |it: &Element| Element::new("x", vec![Node::Element(it.clone())]).all(&it.name).join("");
        it.nodes.retain(|it| !matches!(it, Node::Element(it) if known.promoted.contains(text(it).as_str())));
    }
    before != it.nodes.len()
}

/// Where the primary and the standby of a database are, which a failover exchanges.
fn zones(it: &mut Element, known: &Known) -> bool {
    let zones = it.text("DBInstanceIdentifier").and_then(|it| known.zones.get(it));
    let Some((primary, standby)) = zones else { return false };
    if it.child("DBInstanceStatus").is_none() {
        return false;
    }
    let names = ["AvailabilityZone", "SecondaryAvailabilityZone"];
    it.nodes.retain(|it| !matches!(it, Node::Element(it) if names.contains(&it.name.as_str())));
    for (name, zone) in names.into_iter().zip([Some(primary), standby.as_ref()]) {
        let text = zone.map(|it| Node::Text(it.clone()));
        it.nodes.extend(text.map(|text| Node::Element(Element::new(name, vec![text]))));
    }
    true
}

/// Where a database listens after that was changed.
fn port(it: &mut Element, known: &Known) -> bool {
    let port = it.text("DBInstanceIdentifier").and_then(|it| known.ports.get(it)).copied();
    let at = it.child_mut("Endpoint").and_then(|it| it.child_mut("Port"));
    let (Some(port), Some(at)) = (port, at) else { return false };
    at.set(&port.to_string());
    true
}

/// File systems and mount targets, alone or in lists.
fn files(answer: &str, lives: &Lives) -> Option<String> {
    let mut it: Value = serde_json::from_str(answer).ok()?;
    let mut changed = file(&mut it, lives);
    for list in ["FileSystems", "MountTargets"] {
        for it in it.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            changed |= file(it, lives);
        }
    }
    changed.then(|| it.to_string())
}

fn file(it: &mut Value, lives: &Lives) -> bool {
    let of = |kind, field: &str| it.get(field)?.as_str().map(|id| lives.word(kind, id));
    // A mount target names its file system as well.
    let word =
        of(Kind::MountTarget, "MountTargetId").or_else(|| of(Kind::FileSystem, "FileSystemId")).flatten();
    match (word, it.get_mut("LifeCycleState")) {
        (Some(word), Some(state)) => {
            *state = word.into();
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str) -> Call {
        Call { service: service.into(), ..Call::default() }
    }

    #[test]
    fn only_what_is_on_its_way_says_so() {
        let mut known = Known::default();
        known.lives.leave(Kind::Database, "two", "deleting");
        let one = |name: &str| {
            format!(
                "<DBInstance><DBInstanceIdentifier>{name}</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus></DBInstance>"
            )
        };
        let text = format!("<r>{}{}</r>", one("one"), one("two"));
        let said = Element::parse(&told(&call("rds"), &mut known, text.clone())).unwrap();
        assert_eq!(said.all("DBInstanceStatus"), ["available", "deleting"]);
        assert_eq!(told(&call("sns"), &mut known, text.clone()), text);
    }

    #[test]
    fn a_database_that_is_being_created_has_no_endpoint_yet() {
        let mut known = Known::default();
        known.lives.leave(Kind::Database, "db", "creating");
        let text = "<r><DBInstanceIdentifier>db</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus>\
                    <Endpoint><Address>db.x</Address></Endpoint></r>";
        let said = told(&call("rds"), &mut known, text.to_owned());
        assert!(said.contains(">creating<") && !said.contains("Endpoint"), "{said}");
    }

    #[test]
    fn an_instances_number_follows_its_state() {
        let mut known = Known::default();
        known.lives.leave(Kind::Instance, "i-1", "shutting-down");
        let text = "<item><instanceId>i-1</instanceId><instanceState><code>48</code><name>terminated</name></instanceState></item>";
        let said = told(&call("ec2"), &mut known, text.to_owned());
        assert!(said.contains("<code>32</code><name>shutting-down</name>"), "{said}");
    }

    #[test]
    fn a_route_leads_to_a_gateway_until_that_is_gone() {
        let mut known = Known::default();
        known.lives.leave(Kind::NatGateway, "nat-1", "deleting");
        let route = "<r><item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId>\
            <state>active</state></item></r>";
        assert!(told(&call("ec2"), &mut known, route.to_owned()).contains("<state>active</state>"));
        known.gone_gateways.insert("nat-1".to_owned());
        assert!(told(&call("ec2"), &mut known, route.to_owned()).contains("<state>blackhole</state>"));
        let gateway = "<r><item><natGatewayId>nat-1</natGatewayId><state>available</state></item></r>";
        assert!(told(&call("ec2"), &mut known, gateway.to_owned()).contains("<state>deleting</state>"));
    }

    #[test]
    fn a_mount_target_is_not_taken_for_its_file_system() {
        let mut known = Known::default();
        known.lives.leave(Kind::FileSystem, "fs-1", "creating");
        let text = r#"{"MountTargets":[{"MountTargetId":"fsmt-1","FileSystemId":"fs-1","LifeCycleState":"available"}]}"#;
        assert_eq!(told(&call("elasticfilesystem"), &mut known, text.to_owned()), text);
        known.lives.leave(Kind::MountTarget, "fsmt-1", "deleting");
        assert!(told(&call("elasticfilesystem"), &mut known, text.to_owned()).contains("deleting"));
    }

    #[test]
    fn a_promoted_replica_is_nobodys() {
        let mut known = Known::default();
        known.promoted.insert("rr".to_owned());
        let text = "<r><a><DBInstanceIdentifier>rr</DBInstanceIdentifier>\
            <ReadReplicaSourceDBInstanceIdentifier>db</ReadReplicaSourceDBInstanceIdentifier></a>\
            <b><DBInstanceIdentifier>db</DBInstanceIdentifier><ReadReplicaDBInstanceIdentifiers>\
            <ReadReplicaDBInstanceIdentifier>rr</ReadReplicaDBInstanceIdentifier>\
            <ReadReplicaDBInstanceIdentifier>other</ReadReplicaDBInstanceIdentifier></ReadReplicaDBInstanceIdentifiers></b></r>";
        let said = told(&call("rds"), &mut known, text.to_owned());
        assert!(
            !said.contains("Source") && said.contains("other") && said.matches("rr<").count() == 1,
            "{said}"
        );
    }
}
