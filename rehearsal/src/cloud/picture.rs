//! What should run, as the control plane has it: read whole, pure data afterwards.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Context;
use ipnet::Ipv4Net;

use super::clients::Clients;
use super::picture_balancers::{self, BalancerPlan};
use crate::vpc::{Group, Peer, Protocol, Rule, Vpc, WayOut};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    pub(super) vpcs: Vec<Vpc>,
    pub(super) subnets: BTreeMap<String, SubnetPlan>,
    pub(super) groups: Vec<Group>,
    pub(super) machines: BTreeMap<String, MachinePlan>,
    /// Subnet and allocated address by gateway.
    pub(super) nat_gateways: BTreeMap<String, (String, Option<Ipv4Addr>)>,
    pub(super) mount_targets: BTreeMap<String, MountTargetPlan>,
    pub(super) databases: BTreeMap<String, DatabasePlan>,
    pub(super) balancers: BTreeMap<String, BalancerPlan>,
    /// Every address that was allocated, in the order of their allocations.
    pub(super) addresses: BTreeMap<String, Ipv4Addr>,
    /// The instance of which an image was made.
    pub(super) images: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SubnetPlan {
    pub(super) cidr: Ipv4Net,
    pub(super) zone: String,
    pub(super) vpc: String,
    pub(super) way_out: WayOut,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MachinePlan {
    pub(super) address: Ipv4Addr,
    pub(super) subnet: String,
    pub(super) groups: Vec<String>,
    pub(super) public: Option<Ipv4Addr>,
    pub(super) running: bool,
    pub(super) image: String,
    pub(super) class: String,
    pub(super) key: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) hop_limit: u8,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) account: String,
    /// Whether a scaling group puts another in its place when it dies.
    pub(super) replaceable: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MountTargetPlan {
    pub(super) file_system: String,
    pub(super) address: Ipv4Addr,
    pub(super) subnet: String,
    pub(super) groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct DatabasePlan {
    pub(super) endpoint: String,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) multi_az: bool,
    /// The primary's first.
    pub(super) subnets: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) parameters: BTreeMap<String, String>,
    /// What a replica copies.
    pub(super) source: Option<String>,
}

impl Picture {
    pub(super) async fn read(aws: &Clients) -> anyhow::Result<Picture> {
        let mut it = Picture::default();
        it.read_network(aws).await.context("reading the network")?;
        it.read_machines(aws).await.context("reading the instances")?;
        it.read_scaling(aws).await.context("reading the scaling groups")?;
        it.read_files(aws).await.context("reading the file systems")?;
        it.read_databases(aws).await.context("reading the databases")?;
        it.balancers =
            picture_balancers::read(aws, &it.machines).await.context("reading the load balancers")?;
        Ok(it)
    }

    async fn read_network(&mut self, aws: &Clients) -> anyhow::Result<()> {
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

    async fn read_machines(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let reservations = aws.ec2.describe_instances().send().await.context("instances")?;
        let instances = reservations.reservations().iter().flat_map(|it| {
            let owner = it.owner_id().unwrap_or("123456789012");
            it.instances().iter().map(move |it| (owner, it))
        });
        for (account, it) in instances {
            let state = it.state().and_then(|it| it.name()).map(|it| it.as_str()).unwrap_or_default();
            let (Some(id), Some(address)) =
                (it.instance_id(), it.private_ip_address().and_then(|it| it.parse().ok()))
            else {
                continue;
            };
            if matches!(state, "terminated" | "shutting-down") {
                continue;
            }
            let interface = it.network_interfaces().first();
            let groups = interface.map(|it| it.groups()).unwrap_or_else(|| it.security_groups());
            let tags = it.tags().iter().filter_map(|it| Some((it.key()?.to_owned(), it.value()?.to_owned())));
            let hops = it.metadata_options().and_then(|it| it.http_put_response_hop_limit());
            let profile = it.iam_instance_profile().and_then(|it| it.arn()?.rsplit('/').next());
            let plan = MachinePlan {
                address,
                subnet: it.subnet_id().unwrap_or_default().to_owned(),
                groups: groups.iter().filter_map(|it| it.group_id()).map(str::to_owned).collect(),
                public: it.public_ip_address().and_then(|it| it.parse().ok()),
                running: matches!(state, "running" | "pending"),
                image: it.image_id().unwrap_or_default().to_owned(),
                class: it.instance_type().map(|it| it.as_str()).unwrap_or_default().to_owned(),
                key: it.key_name().map(str::to_owned),
                profile: profile.map(str::to_owned),
                hop_limit: hops.and_then(|it| u8::try_from(it).ok()).unwrap_or(1),
                tags: tags.collect(),
                account: account.to_owned(),
                replaceable: false,
            };
            self.machines.insert(id.to_owned(), plan);
        }
        let images = aws.ec2.describe_images().owners("self").send().await.context("images")?;
        for it in images.images() {
            if let (Some(id), Some(source)) = (it.image_id(), it.source_instance_id()) {
                self.images.insert(id.to_owned(), source.to_owned());
            }
        }
        Ok(())
    }

    /// Whose instances are replaced; and moto's scaling groups forget the launch template's instance profile.
    async fn read_scaling(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let groups = aws.scaling.describe_auto_scaling_groups().send().await.context("groups")?;
        for group in groups.auto_scaling_groups() {
            let suspended =
                |it: &str| group.suspended_processes().iter().any(|one| one.process_name() == Some(it));
            let replaces =
                !["HealthCheck", "ReplaceUnhealthy", "Terminate", "Launch"].iter().any(|it| suspended(it));
            for id in group.instances().iter().filter_map(|it| it.instance_id()) {
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.replaceable = replaces;
                }
            }
            let Some(template) = group.launch_template() else { continue };
            let Some(id) = template.launch_template_id() else { continue };
            let profile = aws.profile_of(id, template.version().unwrap_or("$Default")).await?;
            for id in group.instances().iter().filter_map(|it| it.instance_id()) {
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.profile = machine.profile.take().or_else(|| profile.clone());
                }
            }
        }
        Ok(())
    }

    async fn read_files(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let systems = aws.efs.describe_file_systems().send().await.context("file systems")?;
        for system in systems.file_systems() {
            let targets =
                aws.efs.describe_mount_targets().file_system_id(system.file_system_id()).send().await;
            for it in targets.context("mount targets")?.mount_targets() {
                let id = it.mount_target_id();
                let groups = aws.efs.describe_mount_target_security_groups().mount_target_id(id).send().await;
                let groups = groups.context("groups of a mount target")?.security_groups().to_vec();
                let Some(address) = it.ip_address().and_then(|it| it.parse().ok()) else { continue };
                let plan = MountTargetPlan {
                    file_system: system.file_system_id().to_owned(),
                    address,
                    subnet: it.subnet_id().to_owned(),
                    groups,
                };
                self.mount_targets.insert(id.to_owned(), plan);
            }
        }
        Ok(())
    }

    async fn read_databases(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let all = aws.rds.describe_db_instances().send().await.context("instances")?;
        for it in all.db_instances() {
            let (Some(name), Some(endpoint)) =
                (it.db_instance_identifier(), it.endpoint().and_then(|it| it.address()))
            else {
                continue;
            };
            let own = it.availability_zone();
            let mut subnets: Vec<(bool, String)> = it
                .db_subnet_group()
                .map(|it| it.subnets())
                .unwrap_or_default()
                .iter()
                .filter_map(|it| {
                    let zone = it.subnet_availability_zone().and_then(|it| it.name());
                    Some((zone != own, it.subnet_identifier()?.to_owned()))
                })
                .collect();
            subnets.sort();
            let mut parameters = BTreeMap::new();
            for group in it.db_parameter_groups().iter().filter_map(|it| it.db_parameter_group_name()) {
                if group.starts_with("default.") {
                    continue;
                }
                let read = aws.rds.describe_db_parameters().db_parameter_group_name(group).send().await;
                for it in read.context("parameters")?.parameters() {
                    if let (Some(name), Some(value)) = (it.parameter_name(), it.parameter_value())
                        && TAKEN.contains(&name)
                    {
                        parameters.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
            let groups = it.vpc_security_groups().iter().filter_map(|it| it.vpc_security_group_id());
            let plan = DatabasePlan {
                endpoint: endpoint.to_owned(),
                user: it.master_username().unwrap_or("admin").to_owned(),
                database: it.db_name().unwrap_or("main").to_owned(),
                multi_az: it.multi_az().unwrap_or(false),
                subnets: subnets.into_iter().map(|it| it.1).collect(),
                groups: groups.map(str::to_owned).collect(),
                parameters,
                source: it.read_replica_source_db_instance_identifier().map(str::to_owned),
            };
            self.databases.insert(name.to_owned(), plan);
        }
        Ok(())
    }
}

/// Settings that mean the same to MariaDB.
const TAKEN: [&str; 4] = ["require_secure_transport", "max_connections", "general_log", "slow_query_log"];

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
