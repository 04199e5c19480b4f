//! Network interfaces, whoever they belong to: what holds subnets and groups, and what says so.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use aws_sdk_ec2::types::{NatGateway, Subnet};
use aws_sdk_elasticloadbalancingv2::types::LoadBalancer;
use aws_sdk_rds::types::DbInstance;

use crate::cloud::call::Call;
use crate::cloud::life::Kind;
use crate::cloud::sync::Sync;
use crate::cloud::xml::{Element, Node, escaped};

/// One that is there.
#[derive(Clone)]
pub(in crate::cloud) struct Interface {
    pub(super) subnet: String,
    pub(super) groups: Vec<String>,
    pub(super) is_public: bool,
    /// Who has it and what they call it, where the control plane knows nothing of it.
    unknown: Option<(&'static str, String)>,
}

pub(super) fn is_there(it: &NatGateway) -> bool {
    !it.state().is_some_and(|it| matches!(it.as_str(), "deleted" | "failed"))
}

/// All that there are, those of a balancer that has just gone among them.
pub(super) async fn interfaces(sync: &Sync) -> Option<Vec<Interface>> {
    let aws = &sync.clients;
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let known = |subnet, groups, is_public| Interface { subnet, groups, is_public, unknown: None };
    let mut all = Vec::new();
    let instances = aws.ec2.describe_instances().send().await.ok()?;
    for it in instances.reservations().iter().flat_map(|it| it.instances()) {
        let state = it.state().and_then(|it| it.name()).map(|it| it.as_str()).unwrap_or_default();
        let going = it.instance_id().and_then(|it| sync.shared.lock().lives.word(Kind::Instance, it));
        if state != "terminated" || going.is_some() {
            let groups = it.security_groups().iter().map(|it| text(it.group_id())).collect();
            let is_public = it.public_ip_address().is_some() && state != "terminated";
            all.push(known(text(it.subnet_id()), groups, is_public));
        }
    }
    let gateways = aws.ec2.describe_nat_gateways().send().await.ok()?;
    let gateways = gateways.nat_gateways().iter().filter(|it| is_there(it));
    all.extend(gateways.map(|it| known(text(it.subnet_id()), Vec::new(), true)));
    let systems = aws.efs.describe_file_systems().send().await.ok()?;
    for system in systems.file_systems() {
        let targets =
            aws.efs.describe_mount_targets().file_system_id(system.file_system_id()).send().await.ok()?;
        for it in targets.mount_targets() {
            let groups =
                aws.efs.describe_mount_target_security_groups().mount_target_id(it.mount_target_id());
            let groups = groups.send().await.ok()?.security_groups().to_vec();
            all.push(known(it.subnet_id().to_owned(), groups, false));
        }
    }
    all.extend(unknown(sync).await?);
    Some(all)
}

/// Those that the control plane does not know: of balancers and databases.
async fn unknown(sync: &Sync) -> Option<Vec<Interface>> {
    let aws = &sync.clients;
    let balancers = aws.elb.describe_load_balancers().send().await.ok()?;
    let mut all: Vec<Interface> = balancers.load_balancers().iter().flat_map(of_balancer).collect();
    {
        let known = sync.shared.lock();
        let now = known.lives.time.now();
        all.extend(known.lingering.iter().filter(|it| now < it.0).map(|it| it.1.clone()));
    }
    let databases = aws.rds.describe_db_instances().send().await.ok()?;
    all.extend(databases.db_instances().iter().flat_map(of_database));
    Some(all)
}

fn of_balancer(it: &LoadBalancer) -> Vec<Interface> {
    let is_public = it.scheme().is_none_or(|it| it.as_str() == "internet-facing");
    let subnets = it.availability_zones().iter().filter_map(|it| it.subnet_id());
    let name = it.load_balancer_arn().and_then(|it| it.split_once("loadbalancer/")).map(|it| it.1);
    let unknown = Some(("amazon-elb", format!("ELB {}", name.unwrap_or_default())));
    let groups = it.security_groups();
    let one = |it: &str| Interface {
        subnet: it.to_owned(),
        groups: groups.to_vec(),
        is_public,
        unknown: unknown.clone(),
    };
    subnets.map(one).collect()
}

/// Its primary's, and its standby's in the other zone.
fn of_database(it: &DbInstance) -> Vec<Interface> {
    let groups: Vec<String> = it
        .vpc_security_groups()
        .iter()
        .filter_map(|it| it.vpc_security_group_id())
        .map(str::to_owned)
        .collect();
    let all = it.db_subnet_group().map(|it| it.subnets()).unwrap_or_default();
    let zone = |it: &aws_sdk_rds::types::Subnet| {
        it.subnet_availability_zone().and_then(|it| it.name()).map(str::to_owned)
    };
    let mut subnets: Vec<(bool, &str)> = all
        .iter()
        .filter_map(|one| Some((zone(one).as_deref() != it.availability_zone(), one.subnet_identifier()?)))
        .collect();
    subnets.sort_unstable();
    let is_replica = it.read_replica_source_db_instance_identifier().is_some();
    let count = if it.multi_az() == Some(true) && !is_replica { 2 } else { 1 };
    let one = |it: (bool, &str)| Interface {
        subnet: it.1.to_owned(),
        groups: groups.clone(),
        is_public: false,
        unknown: Some(("amazon-rds", "RDSNetworkInterface".to_owned())),
    };
    subnets.into_iter().take(count).map(one).collect()
}

/// A balancer's interfaces outlive it: what they hold, before it goes.
pub(in crate::cloud) async fn left_by(sync: &Sync, call: &Call) -> Vec<Interface> {
    let Some(arn) = call.parameter("LoadBalancerArn") else { return Vec::new() };
    let seen = sync.clients.elb.describe_load_balancers().load_balancer_arns(arn).send().await;
    let all = seen.map(|it| it.load_balancers().iter().flat_map(of_balancer).collect::<Vec<_>>());
    all.unwrap_or_default()
}

/// The list of interfaces as AWS has it: with those of balancers and databases, without those of what is gone.
pub(in crate::cloud) async fn shown(sync: &Sync, call: &Call, answer: &str) -> Option<String> {
    let aws = &sync.clients;
    let instances = aws.ec2.describe_instances().send().await.ok()?;
    let instances = instances.reservations().iter().flat_map(|it| it.instances());
    let mut gone: BTreeSet<String> = instances
        .filter(|it| it.state().and_then(|it| it.name()).is_some_and(|it| it.as_str() == "terminated"))
        .filter_map(|it| it.instance_id())
        .filter(|it| sync.shared.lock().lives.word(Kind::Instance, it).is_none())
        .map(str::to_owned)
        .collect();
    let gateways = aws.ec2.describe_nat_gateways().send().await.ok()?;
    let mut of_gateways = Vec::new();
    for it in gateways.nat_gateways() {
        let own = it.nat_gateway_addresses().iter().filter_map(|it| it.network_interface_id());
        let id = it.nat_gateway_id().unwrap_or_default();
        match is_there(it) {
            true => of_gateways.extend(own.map(|own| (own.to_owned(), id.to_owned()))),
            false => gone.extend(own.map(str::to_owned)),
        }
    }
    let subnets = aws.ec2.describe_subnets().send().await.ok()?;
    let mut whole = Element::parse(answer)?;
    let list = whole.child_mut("networkInterfaceSet")?;
    list.nodes.retain(|it| {
        let Node::Element(it) = it else { return true };
        let instance = it.child("attachment").and_then(|it| it.text("instanceId"));
        !it.text("networkInterfaceId").into_iter().chain(instance).any(|it| gone.contains(it))
    });
    for it in &mut list.nodes {
        let Node::Element(it) = it else { continue };
        let id = it.text("networkInterfaceId").unwrap_or_default();
        let Some((_, gateway)) = of_gateways.iter().find(|known| known.0 == id) else { continue };
        let words = format!("Interface for NAT Gateway {gateway}");
        for (name, text) in [("description", words.as_str()), ("status", "in-use")] {
            match it.child_mut(name) {
                Some(it) => it.set(text),
                None => it.nodes.push(leaf(name, text)),
            }
        }
    }
    // Whoever asks for some by their ids knows of none but the control plane's.
    if !call.parameters.keys().any(|it| it.starts_with("NetworkInterfaceId.")) {
        for it in unknown(sync).await? {
            let subnet = subnets.subnets().iter().find(|known| known.subnet_id() == Some(&it.subnet));
            let own = subnet.and_then(|subnet| item(&it, subnet));
            list.nodes.extend(own.filter(|it| fits(call, it)).map(Node::Element));
        }
    }
    Some(whole.write())
}

fn leaf(name: &str, text: &str) -> Node {
    Node::Element(Element::new(name, vec![Node::Text(escaped(text))]))
}

fn item(it: &Interface, subnet: &Subnet) -> Option<Element> {
    let (owner, words) = it.unknown.as_ref()?;
    let mut hasher = DefaultHasher::new();
    (words, &it.subnet, &it.groups).hash(&mut hasher);
    let id = format!("eni-0{:016x}", hasher.finish());
    let group = |id: &String| Node::Element(Element::new("item", vec![leaf("groupId", id)]));
    let groups = Element::new("groupSet", it.groups.iter().map(group).collect());
    let mut nodes = vec![
        leaf("networkInterfaceId", &id),
        leaf("subnetId", &it.subnet),
        leaf("vpcId", subnet.vpc_id().unwrap_or_default()),
        leaf("availabilityZone", subnet.availability_zone().unwrap_or_default()),
        leaf("description", words),
        leaf("ownerId", subnet.owner_id().unwrap_or("123456789012")),
        leaf("requesterId", owner),
        leaf("requesterManaged", "true"),
        leaf("status", "in-use"),
        leaf("interfaceType", "interface"),
    ];
    nodes.push(Node::Element(groups));
    Some(Element::new("item", nodes))
}

/// Whether it is what every filter of the call asks for.
fn fits(call: &Call, it: &Element) -> bool {
    let filters = call.parameters.iter().filter(|it| it.0.starts_with("Filter.") && it.0.ends_with(".Name"));
    filters.into_iter().all(|(key, name)| {
        let values = format!("{}Value.", key.trim_end_matches("Name"));
        let mut wanted =
            call.parameters.iter().filter(|it| it.0.starts_with(&values)).map(|it| it.1.as_str());
        let own: Vec<String> = match name.as_str() {
            "group-id" => it.child("groupSet").map(|it| it.all("groupId")).unwrap_or_default(),
            "attachment.instance-owner-id" => it.all("requesterId"),
            // `vpc-id` is `vpcId` there; whatever it does not have, tags above all, fits nothing.
            _ => it.text(&camel(name)).map(str::to_owned).into_iter().collect(),
        };
        wanted.any(|wanted| own.iter().any(|own| like(wanted, own)))
    })
}

fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, it| {
        let (head, tail) = it.split_at(it.len().min(1));
        all + &head.to_ascii_uppercase() + tail
    })
}

/// A filter's value may have stars.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            rest.is_empty() || (0..=text.len()).any(|at| text.get(at..).is_some_and(|it| like(rest, it)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_fits_what_all_filters_ask_for() {
        let text = "<item><subnetId>subnet-1</subnetId><description>ELB app/a/1</description>\
                    <groupSet><item><groupId>sg-1</groupId></item><item><groupId>sg-2</groupId></item></groupSet></item>";
        let it = Element::parse(text).unwrap();
        let asks = |all: &[(&str, &str)]| {
            let pairs = all.iter().enumerate().flat_map(|(n, (name, value))| {
                [(format!("Filter.{n}.Name"), name), (format!("Filter.{n}.Value.1"), value)]
            });
            let parameters = pairs.map(|(name, value)| (name, (*value).to_owned())).collect();
            fits(&Call { parameters, ..Call::default() }, &it)
        };
        assert!(asks(&[]) && asks(&[("group-id", "sg-2"), ("subnet-id", "subnet-1")]));
        assert!(asks(&[("description", "ELB app/*")]) && !asks(&[("description", "ELB net/*")]));
        assert!(!asks(&[("group-id", "sg-2"), ("subnet-id", "subnet-2")]) && !asks(&[("tag:a", "b")]));
    }
}
