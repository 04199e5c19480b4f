//! Who may talk to whom.

use std::collections::BTreeMap;

use super::network::Network;
use crate::{
    config::{Behind, Cidr, Config},
    engine::{Ref, Stack},
    kinds::{Rule, SecurityGroup, Source},
};

/// The security groups of the parts that are switched on.
pub(super) struct Firewall {
    pub(super) balancers: BTreeMap<Behind, Ref<SecurityGroup>>,
    pub(super) public_hosts: Option<Ref<SecurityGroup>>,
    /// Also of the scaling group's hosts.
    pub(super) private_hosts: Option<Ref<SecurityGroup>>,
    pub(super) files: Option<Ref<SecurityGroup>>,
    pub(super) database: Option<Ref<SecurityGroup>>,
}

/// Apache, and the agent's index page.
const WEB: u16 = 80;
const INDEX: u16 = 8080;
const HTTPS: u16 = 443;
const SSH: u16 = 22;
const NFS: u16 = 2049;

pub(super) fn firewall(s: &mut Stack, c: &Config, net: &Network) -> Firewall {
    let mut group = |node: &str, name: &str, description: &str, inbound: Vec<Rule>| {
        let spec = SecurityGroup {
            vpc: net.vpc,
            name: name.into(),
            description: description.into(),
            inbound,
            outbound: vec![Rule::everything()],
        };
        s.add_named(node, name, spec)
    };
    let from = |port, sources: &[Cidr]| -> Vec<Rule> {
        sources.iter().map(|it| Rule::tcp(port, Source::Cidr(it.to_string()))).collect()
    };

    let mut balancers = BTreeMap::new();
    for it in c.entrances() {
        let inbound = from(c.balancers.port, &c.balancers.open_to);
        let made =
            group(&format!("{}-sg", it.node), &it.group, "load balancer: the page, for everybody", inbound);
        balancers.insert(it.behind, made);
    }

    // A host answers its own balancers only, unless the lab's open ports were asked for.
    let web = |behind: &[Behind]| -> Vec<Rule> {
        let sources = behind.iter().filter_map(|it| balancers.get(it));
        let mut inbound: Vec<Rule> =
            sources.flat_map(|it| [WEB, INDEX].map(|port| Rule::tcp(port, Source::Group(*it)))).collect();
        if c.unsafe_choices.web_from_anywhere {
            inbound
                .extend([WEB, HTTPS].map(|port| Rule::tcp(port, Source::Cidr(Cidr::ANYWHERE.to_string()))));
        }
        inbound
    };

    let public_hosts = c.parts.public_hosts.then(|| {
        let mut inbound = web(&[Behind::PublicHosts]);
        match c.unsafe_choices.ssh_from_anywhere {
            true => inbound.extend(from(SSH, &[Cidr::ANYWHERE])),
            false => inbound.extend(from(SSH, &c.access.ssh_from)),
        }
        group(
            "public-ec2-sg",
            &c.names.public_group,
            "bastions: the page from their balancer, SSH if opened",
            inbound,
        )
    });
    let private_hosts = (c.parts.private_hosts || c.parts.scaling_group).then(|| {
        let mut inbound = web(&[Behind::PrivateHosts, Behind::ScalingGroup]);
        inbound.extend(public_hosts.map(|it| Rule::tcp(SSH, Source::Group(it))));
        group(
            "private-ec2-sg",
            &c.names.private_group,
            "hosts: the page from their balancers, SSH from bastions",
            inbound,
        )
    });

    let hosts: Vec<Ref<SecurityGroup>> = [public_hosts, private_hosts].into_iter().flatten().collect();
    let from_hosts =
        |port| -> Vec<Rule> { hosts.iter().map(|it| Rule::tcp(port, Source::Group(*it))).collect() };
    let files = c
        .parts
        .files
        .then(|| group("efs-sg", &c.files_group(), "file system: NFS from the hosts", from_hosts(NFS)));
    let database = c.parts.database.then(|| {
        let inbound = match c.unsafe_choices.database_open_to_vpc {
            true => from(c.database.port, &[c.network.vpc_cidr]),
            false => from_hosts(c.database.port),
        };
        group("rds-sg", &c.database_group(), "database: MySQL from the hosts", inbound)
    });
    Firewall { balancers, public_hosts, private_hosts, files, database }
}
