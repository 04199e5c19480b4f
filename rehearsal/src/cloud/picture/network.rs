//! The network of the picture: subnets and their ways out, security groups, gateways and addresses.

use anyhow::Context;

use super::{Picture, SubnetPlan};
use crate::cloud::clients::Clients;
use crate::vpc::{Group, Peer, Protocol, Rule, Vpc, WayOut};

impl Picture {
    pub(super) async fn read_network(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let (vpcs, subnets, tables, groups, gateways, addresses) = tokio::try_join!(
            async { aws.ec2.describe_vpcs().send().await.context("networks") },
            async { aws.ec2.describe_subnets().send().await.context("subnets") },
            async { aws.ec2.describe_route_tables().send().await.context("route tables") },
            async { aws.ec2.describe_security_groups().send().await.context("security groups") },
            async { aws.ec2.describe_nat_gateways().send().await.context("NAT gateways") },
            async { aws.ec2.describe_addresses().send().await.context("addresses") },
        )?;
        let block = |it: &aws_sdk_ec2::types::Vpc| {
            Some(Vpc { id: it.vpc_id()?.to_owned(), cidr: it.cidr_block()?.parse().ok()? })
        };
        self.vpcs = vpcs.vpcs().iter().filter_map(block).collect();
        for table in subnets.subnets() {
            let (Some(id), Some(vpc)) = (table.subnet_id(), table.vpc_id()) else { continue };
            let Some(cidr) = table.cidr_block().and_then(|it| it.parse().ok()) else { continue };
            let mine = tables
                .route_tables()
                .iter()
                .find(|it| it.associations().iter().any(|it| it.subnet_id() == Some(id)));
            let main = || {
                tables.route_tables().iter().find(|it| {
                    it.vpc_id() == Some(vpc) && it.associations().iter().any(|it| it.main() == Some(true))
                })
            };
            let routes = mine.or_else(main).map(|it| it.routes()).unwrap_or_default();
            let default = routes.iter().find(|it| it.destination_cidr_block() == Some("0.0.0.0/0"));
            let way_out = match default.map(|it| (it.gateway_id(), it.nat_gateway_id())) {
                Some((Some(gateway), _)) if gateway.starts_with("igw-") => WayOut::InternetGateway,
                Some((_, Some(gateway))) => WayOut::NatGateway(gateway.to_owned()),
                _ => WayOut::Nowhere,
            };
            let zone = table.availability_zone().unwrap_or_default().to_owned();
            self.subnets.insert(id.to_owned(), SubnetPlan { cidr, zone, vpc: vpc.to_owned(), way_out });
        }
        self.groups = groups.security_groups().iter().map(group).collect();
        for it in gateways.nat_gateways() {
            let gone = it.state().is_some_and(|it| matches!(it.as_str(), "deleted" | "deleting" | "failed"));
            if let (Some(id), Some(subnet), false) = (it.nat_gateway_id(), it.subnet_id(), gone) {
                let public = it.nat_gateway_addresses().iter().find_map(|it| it.public_ip()?.parse().ok());
                self.nat_gateways.insert(id.to_owned(), (subnet.to_owned(), public));
            }
        }
        for it in addresses.addresses() {
            if let (Some(id), Some(ip)) = (it.allocation_id(), it.public_ip().and_then(|it| it.parse().ok()))
            {
                self.addresses.insert(id.to_owned(), ip);
            }
        }
        Ok(())
    }
}

fn group(it: &aws_sdk_ec2::types::SecurityGroup) -> Group {
    Group {
        id: it.group_id().unwrap_or_default().to_owned(),
        ingress: it.ip_permissions().iter().flat_map(rules).collect(),
        egress: it.ip_permissions_egress().iter().flat_map(rules).collect(),
    }
}

fn rules(it: &aws_sdk_ec2::types::IpPermission) -> Vec<Rule> {
    let port = |it: Option<i32>, other| it.and_then(|it| u16::try_from(it).ok()).unwrap_or(other);
    let (from, to) = (port(it.from_port(), 0), port(it.to_port(), 65535));
    let protocol = match it.ip_protocol().unwrap_or_default() {
        "-1" => Protocol::Any,
        "tcp" | "6" => Protocol::Tcp(from, to),
        "udp" | "17" => Protocol::Udp(from, to),
        "icmp" | "1" => Protocol::Icmp,
        _ => return Vec::new(),
    };
    let addresses =
        it.ip_ranges().iter().filter_map(|it| it.cidr_ip()).map(|it| Peer::Addresses(it.to_owned()));
    let groups = it.user_id_group_pairs().iter().filter_map(|it| it.group_id());
    let peers = addresses.chain(groups.map(|it| Peer::Group(it.to_owned())));
    peers.map(|peer| Rule { protocol: protocol.clone(), peer }).collect()
}
