//! The load balancers: each with a listener, its hosts' Apache by default, and the agents' page for `/`.

use std::collections::BTreeMap;

use super::{firewall::Firewall, network::Network};
use crate::{
    config::{Behind, Config, HealthCheck},
    engine::{Ref, Stack},
    kinds::{
        Attributes, Check, Instance, Listener, ListenerRule, LoadBalancer, TRAFFIC_PORT, Target, TargetGroup,
    },
};

/// The target groups behind one load balancer.
pub(super) struct Entrance {
    pub(super) web: Group,
    pub(super) index: Group,
}

/// One target group, and what registrations are named after.
pub(super) struct Group {
    pub(super) group: Ref<TargetGroup>,
    name: String,
    port: u16,
}

pub(super) type Entrances = BTreeMap<Behind, Entrance>;

/// Apache's port and the agent's.
pub(super) const WEB: u16 = 80;
pub(super) const INDEX: u16 = 8080;

pub(super) fn entrances(s: &mut Stack, c: &Config, net: &Network, fw: &Firewall) -> Entrances {
    let b = &c.balancers;
    let mut all = BTreeMap::new();
    for plan in c.entrances() {
        let Some(group) = fw.balancers.get(&plan.behind) else { continue };
        let mut targets = |node: &str, name: &str, port: u16, check: &HealthCheck| {
            let spec = TargetGroup {
                name: name.to_owned(),
                vpc: net.vpc,
                port,
                check: checks(check),
                deregistration_delay: b.deregistration_delay,
            };
            Group { group: s.add_named(node, name, spec), name: name.to_owned(), port }
        };
        let web = targets(&format!("{}-tg", plan.node), &plan.web_targets, WEB, &b.web_check);
        let index = targets(&format!("{}-index-tg", plan.node), &plan.index_targets, INDEX, &b.index_check);

        let spec = LoadBalancer {
            name: plan.balancer.clone(),
            subnets: net.public.clone(),
            groups: vec![*group],
            attributes: Attributes {
                drop_invalid_headers: !c.unsafe_choices.keep_invalid_headers,
                deletion_protection: b.deletion_protection,
                idle_timeout: b.idle_timeout,
            },
        };
        let balancer = s.add_named(&plan.node, &plan.balancer, spec);
        let spec = Listener { balancer, port: b.port, protocol: "HTTP".into(), group: web.group };
        let listener = s.add_named(&plan.node, &plan.balancer, spec);
        let spec = ListenerRule { listener, priority: 1, path: "/".into(), group: index.group };
        s.add_named(&plan.node, &format!("{}-index", plan.balancer), spec);
        all.insert(plan.behind, Entrance { web, index });
    }
    all
}

fn checks(it: &HealthCheck) -> Check {
    Check {
        path: it.path.clone(),
        port: TRAFFIC_PORT.into(),
        codes: it.codes.clone(),
        interval: it.interval,
        timeout: it.timeout,
        healthy: it.healthy,
        unhealthy: it.unhealthy,
    }
}

/// Puts a host behind both groups of its load balancer; returns its registration with Apache's.
pub(super) fn join(
    s: &mut Stack,
    doors: &Entrances,
    behind: Behind,
    name: &str,
    host: Ref<Instance>,
) -> Option<Ref<Target>> {
    let door = doors.get(&behind)?;
    let [web, _] = [&door.web, &door.index].map(|it| {
        let node = Target::node(name, &it.name);
        s.add(&node, Target { group: it.group, host, port: it.port })
    });
    Some(web)
}
