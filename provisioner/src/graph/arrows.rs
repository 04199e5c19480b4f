//! Who talks to whom: read from listeners, targets and security groups.

use super::{
    facts::Facts,
    picture::{Flow, INTERNET, Picture},
    place::{behind, elastic, standby},
};

pub(super) fn draw(facts: &Facts<'_>, picture: &mut Picture) {
    entrance(facts, picture);
    files(facts, picture);
    databases(facts, picture);
    copies(facts, picture);
    for it in facts.of("distribution") {
        picture.arrow(INTERNET, facts.key(it), Flow::Web);
        for bucket in facts.refs(it, "bucket") {
            picture.arrow(facts.key(it), facts.key(bucket), Flow::Web);
        }
    }
}

/// Internet → gateway → balancer → target group → host.
fn entrance(facts: &Facts<'_>, picture: &mut Picture) {
    for gateway in facts.of("internet-gateway") {
        picture.arrow(INTERNET, facts.key(gateway), Flow::Web);
        for balancer in facts.of("load-balancer") {
            picture.arrow(facts.key(gateway), facts.key(balancer), Flow::Web);
        }
    }
    for balancer in facts.of("load-balancer") {
        for (group, _) in behind(facts, balancer) {
            picture.arrow(facts.key(balancer), facts.key(group), Flow::Web);
            for target in facts.referrers(group, "target") {
                for host in facts.refs(target, "instance") {
                    picture.arrow(facts.key(group), facts.key(host), Flow::Web);
                }
            }
            for scaling in facts.referrers(group, "scaling-group") {
                for subnet in facts.refs(scaling, "subnet") {
                    picture.arrow(facts.key(group), elastic(facts, scaling, subnet), Flow::Web);
                }
            }
        }
    }
}

/// A host as the picture has it: its key, its zone, and its security groups.
struct Host {
    key: String,
    zone: String,
    groups: Vec<usize>,
}

fn hosts(facts: &Facts<'_>) -> Vec<Host> {
    let zone = |subnet: usize| facts.text(subnet, "zone");
    let mut hosts = Vec::new();
    for it in facts.of("instance") {
        let Some(subnet) = facts.the(it, "subnet") else { continue };
        let groups = facts.refs(it, "security-group");
        hosts.push(Host { key: facts.key(it).to_owned(), zone: zone(subnet), groups });
    }
    for it in facts.of("scaling-group") {
        let template = facts.the(it, "launch-template");
        let groups = template.map(|it| facts.refs(it, "security-group")).unwrap_or_default();
        for subnet in facts.refs(it, "subnet") {
            hosts.push(Host { key: elastic(facts, it, subnet), zone: zone(subnet), groups: groups.clone() });
        }
    }
    hosts
}

/// Whether the groups of `node` let the host in: they name one of its groups, or name none at all
/// and are open to addresses.
fn lets_in(facts: &Facts<'_>, node: usize, host: &Host) -> bool {
    let named: Vec<usize> =
        facts.refs(node, "security-group").iter().flat_map(|it| facts.refs(*it, "security-group")).collect();
    named.is_empty() || named.iter().any(|it| host.groups.contains(it))
}

/// Host → mount target of its zone → file system.
fn files(facts: &Facts<'_>, picture: &mut Picture) {
    for target in facts.of("mount-target") {
        let zone = facts.the(target, "subnet").map(|it| facts.text(it, "zone"));
        for host in hosts(facts) {
            if Some(&host.zone) == zone.as_ref() && lets_in(facts, target, &host) {
                picture.arrow(host.key, facts.key(target), Flow::Files);
            }
        }
        for system in facts.refs(target, "file-system") {
            picture.arrow(facts.key(target), facts.key(system), Flow::Files);
        }
    }
}

/// Host → database.
fn databases(facts: &Facts<'_>, picture: &mut Picture) {
    for database in facts.of("db-instance") {
        for host in hosts(facts) {
            if lets_in(facts, database, &host) {
                picture.arrow(host.key, facts.key(database), Flow::Database);
            }
        }
    }
}

/// Primary → standby and replica, host → image → launch template.
fn copies(facts: &Facts<'_>, picture: &mut Picture) {
    for database in facts.of("db-instance") {
        if facts.text(database, "multi_az") == "true" {
            picture.arrow(facts.key(database), standby(facts, database), Flow::Copy);
        }
        for replica in facts.referrers(database, "replica") {
            picture.arrow(facts.key(database), facts.key(replica), Flow::Copy);
        }
    }
    for image in facts.of("image") {
        for host in facts.refs(image, "instance") {
            picture.arrow(facts.key(host), facts.key(image), Flow::Copy);
        }
        for template in facts.referrers(image, "launch-template") {
            picture.arrow(facts.key(image), facts.key(template), Flow::Copy);
        }
    }
}
