//! Puts each node where it belongs in the picture.

use std::collections::BTreeMap;

use super::{
    arrows,
    facts::Facts,
    picture::{Area, Balancer, Picture, Sort, Subnet, Thing, Vpc, Zone},
};
use crate::engine::Stack;

pub(super) fn picture(stack: &Stack) -> Picture {
    let facts = &Facts::new(stack);
    let mut picture = Picture {
        title: stack.name.clone(),
        edge: facts
            .of("distribution")
            .into_iter()
            .map(|it| thing(facts, it, Sort::Edge, "CloudFront"))
            .collect(),
        vpc: facts.of("vpc").first().map(|it| vpc(facts, *it)),
        services: services(facts),
        ..Picture::default()
    };
    let zone = picture.vpc.as_ref().and_then(|it| it.zones.first());
    picture.region =
        zone.map(|it| it.name.trim_end_matches(char::is_alphabetic).to_owned()).unwrap_or_default();
    arrows::draw(facts, &mut picture);
    picture
}

fn thing(facts: &Facts<'_>, node: usize, sort: Sort, detail: &str) -> Thing {
    Thing {
        key: facts.key(node).to_owned(),
        sort,
        label: facts.label(node),
        detail: detail.trim().to_owned(),
    }
}

fn vpc(facts: &Facts<'_>, node: usize) -> Vpc {
    let doors = ["internet-gateway", "vpc-endpoint"].iter().flat_map(|kind| facts.of(kind));
    let doors = doors.map(|it| match facts.kind(it) {
        "internet-gateway" => thing(facts, it, Sort::Door, "internet gateway"),
        _ => thing(facts, it, Sort::Door, "gateway endpoint"),
    });
    let mut zones: BTreeMap<String, Vec<Subnet>> = BTreeMap::new();
    for it in facts.of("subnet") {
        zones.entry(facts.text(it, "zone")).or_default().push(subnet(facts, it));
    }
    Vpc {
        key: facts.key(node).to_owned(),
        label: facts.label(node),
        cidr: facts.text(node, "cidr"),
        doors: doors.collect(),
        balancers: facts.of("load-balancer").into_iter().map(|it| balancer(facts, it)).collect(),
        zones: zones.into_iter().map(|(name, subnets)| Zone { name, subnets }).collect(),
        shared: facts.of("file-system").into_iter().map(|it| thing(facts, it, Sort::Files, "EFS")).collect(),
    }
}

fn balancer(facts: &Facts<'_>, node: usize) -> Balancer {
    let mut groups: Vec<Thing> = Vec::new();
    for (it, path) in behind(facts, node) {
        let detail = format!(":{} {path}", facts.text(it, "port"));
        let group = thing(facts, it, Sort::Group, &detail);
        if groups.iter().all(|it| it.key != group.key) {
            groups.push(group);
        }
    }
    Balancer { thing: thing(facts, node, Sort::Balancer, "load balancer"), groups }
}

/// The target groups that a balancer sends to, with the path for which it does.
pub(super) fn behind(facts: &Facts<'_>, balancer: usize) -> Vec<(usize, String)> {
    let mut groups = Vec::new();
    for listener in facts.referrers(balancer, "listener") {
        groups.extend(facts.refs(listener, "target-group").into_iter().map(|it| (it, String::new())));
        for rule in facts.referrers(listener, "listener-rule") {
            let path = facts.text(rule, "path");
            groups.extend(facts.refs(rule, "target-group").into_iter().map(|it| (it, path.clone())));
        }
    }
    groups
}

fn subnet(facts: &Facts<'_>, node: usize) -> Subnet {
    let table = facts.referrers(node, "route-table").first().copied();
    let gateway = table.and_then(|it| facts.the(it, "internet-gateway"));
    let nat = table.and_then(|it| facts.the(it, "nat-gateway"));
    let mut things = Vec::new();
    for it in facts.referrers(node, "nat-gateway") {
        things.push(thing(facts, it, Sort::Door, "NAT gateway"));
    }
    for it in facts.referrers(node, "instance") {
        things.push(thing(facts, it, Sort::Host, &facts.text(it, "instance_type")));
    }
    for it in facts.referrers(node, "scaling-group") {
        let (min, max) = (facts.text(it, "min"), facts.text(it, "max"));
        let detail = format!("scaling group, {min} to {max}");
        things.push(Thing { key: elastic(facts, it, node), ..thing(facts, it, Sort::Elastic, &detail) });
    }
    for it in facts.referrers(node, "mount-target") {
        things.push(thing(facts, it, Sort::Files, "mount target"));
    }
    things.extend(databases(facts, node));
    Subnet {
        key: facts.key(node).to_owned(),
        label: facts.label(node),
        cidr: facts.text(node, "cidr"),
        route: gateway.or(nat).map(|it| facts.label(it)).unwrap_or_default(),
        public: gateway.is_some(),
        things,
    }
}

/// The key of a scaling group's hosts in one of its subnets.
pub(super) fn elastic(facts: &Facts<'_>, group: usize, subnet: usize) -> String {
    format!("{}@{}", facts.key(group), facts.key(subnet))
}

/// The key of a database's standby.
pub(super) fn standby(facts: &Facts<'_>, database: usize) -> String {
    format!("{}@standby", facts.key(database))
}

/// The databases in one subnet. AWS chooses the zones by itself unless told; drawn are the primary in the
/// first subnet, its standby in the second, a replica in the zone that it was given, otherwise the last.
fn databases(facts: &Facts<'_>, subnet: usize) -> Vec<Thing> {
    let mut things = Vec::new();
    for it in facts.of("db-instance") {
        let subnets = subnets_of(facts, it);
        let class = facts.text(it, "class");
        let multi = facts.text(it, "multi_az") == "true";
        if subnets.first() == Some(&subnet) {
            let role = if multi { "primary" } else { "single" };
            things.push(thing(facts, it, Sort::Database, &format!("{role} {class}")));
        }
        if multi && subnets.get(1) == Some(&subnet) {
            let key = standby(facts, it);
            things.push(Thing { key, ..thing(facts, it, Sort::Database, "standby") });
        }
    }
    for it in facts.of("replica") {
        let zone = facts.text(it, "zone");
        let source = facts.the(it, "db-instance");
        let subnets = source.map(|it| subnets_of(facts, it)).unwrap_or_default();
        let given = subnets.iter().find(|it| !zone.is_empty() && facts.text(**it, "zone") == zone);
        if given.or(subnets.last()) == Some(&subnet) {
            things.push(thing(
                facts,
                it,
                Sort::Database,
                &format!("read replica {}", facts.text(it, "class")),
            ));
        }
    }
    things
}

fn subnets_of(facts: &Facts<'_>, database: usize) -> Vec<usize> {
    facts.the(database, "db-subnet-group").map(|it| facts.refs(it, "subnet")).unwrap_or_default()
}

/// What lies in the region but in no network.
fn services(facts: &Facts<'_>) -> Vec<Area> {
    let sites: Vec<usize> =
        facts.of("site-content").into_iter().filter_map(|it| facts.the(it, "bucket")).collect();
    let sites: Vec<usize> = sites
        .into_iter()
        .chain(facts.of("distribution").into_iter().filter_map(|it| facts.the(it, "bucket")))
        .collect();
    let (site, kit): (Vec<usize>, Vec<usize>) =
        facts.of("bucket").into_iter().partition(|it| sites.contains(it));
    let mut areas = vec![Area {
        title: "Site".into(),
        things: site
            .into_iter()
            .map(|it| thing(facts, it, Sort::Other, &format!("bucket in {}", facts.text(it, "region"))))
            .collect(),
    }];

    let images = facts.of("image").into_iter().map(|it| {
        let source = facts.the(it, "instance").map(|it| format!(" of {}", facts.label(it)));
        thing(facts, it, Sort::Other, &format!("image{}", source.unwrap_or_default()))
    });
    let templates =
        facts.of("launch-template").into_iter().map(|it| thing(facts, it, Sort::Other, "launch template"));
    areas.push(Area { title: "New hosts".into(), things: images.chain(templates).collect() });

    let mut things: Vec<Thing> =
        kit.into_iter().map(|it| thing(facts, it, Sort::Other, "bucket: the agent")).collect();
    things.extend(facts.of("role").into_iter().map(|it| thing(facts, it, Sort::Other, "role")));
    let counted = [
        ("parameter", "Parameter Store", "value"),
        ("key-pair", "Key pairs", "key"),
        ("log-group", "Logs", "log group"),
    ];
    for (kind, label, one) in counted {
        let n = facts.of(kind).len();
        if 0 < n {
            let detail = format!("{n} {one}{}", if n == 1 { "" } else { "s" });
            things.push(Thing { key: kind.into(), sort: Sort::Other, label: label.into(), detail });
        }
    }
    areas.push(Area { title: "Read by the hosts".into(), things });
    areas.retain(|it| !it.things.is_empty());
    areas
}
