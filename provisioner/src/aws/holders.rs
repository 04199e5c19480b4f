//! What holds a thing that will not go: the network interfaces in it, what else somebody put there, or who uses it.

use aws_sdk_ec2::types::{Filter, IpPermission, NatGatewayState, Tag};

use super::{Aws, Result};

impl Aws {
    /// The network interfaces behind a filter such as `subnet-id`, in words; `None` where there are none.
    pub async fn interfaces_in(&self, filter: &str, id: &str) -> Result<Option<String>> {
        let seen = self.ec2.describe_network_interfaces().filters(only(filter, id)).send().await?;
        let words = seen.network_interfaces().iter().map(|it| {
            let what = match it.description().unwrap_or_default() {
                "" => "a network interface",
                text => text,
            };
            let owner = it.requester_id().or(it.owner_id()).unwrap_or("unknown");
            format!("{} ({what}, owner {owner})", it.network_interface_id().unwrap_or_default())
        });
        Ok(told(words.collect()))
    }

    /// All that is in a VPC and did not come with it, in words; `None` where there is nothing.
    pub async fn contents_of(&self, vpc: &str) -> Result<Option<String>> {
        let of_vpc = || only("vpc-id", vpc);
        let mut words = Vec::from_iter(self.interfaces_in("vpc-id", vpc).await?);
        let seen = self.ec2.describe_subnets().filters(of_vpc()).send().await?;
        words.extend(seen.subnets().iter().map(|it| thing(it.subnet_id(), "subnet", it.tags())));
        let seen = self.ec2.describe_security_groups().filters(of_vpc()).send().await?;
        let groups = seen.security_groups().iter().filter(|it| it.group_name() != Some("default"));
        words.extend(groups.map(|it| named(it.group_id(), "security group", it.group_name())));
        let seen = self.ec2.describe_route_tables().filters(of_vpc()).send().await?;
        let tables = seen.route_tables().iter();
        let tables = tables.filter(|it| it.associations().iter().all(|it| it.main() != Some(true)));
        words.extend(tables.map(|it| thing(it.route_table_id(), "route table", it.tags())));
        let attached = only("attachment.vpc-id", vpc);
        let seen = self.ec2.describe_internet_gateways().filters(attached).send().await?;
        let gateways = seen.internet_gateways().iter();
        words.extend(gateways.map(|it| thing(it.internet_gateway_id(), "internet gateway", it.tags())));
        let seen = self.ec2.describe_nat_gateways().filter(of_vpc()).send().await?;
        let gateways = seen.nat_gateways().iter().filter(|it| it.state() != Some(&NatGatewayState::Deleted));
        words.extend(gateways.map(|it| thing(it.nat_gateway_id(), "NAT gateway", it.tags())));
        Ok(told(words))
    }

    /// The other groups of its VPC whose rules name this one, in words; `None` where there are none.
    pub async fn groups_naming(&self, group: &str, vpc: &str) -> Result<Option<String>> {
        let seen = self.ec2.describe_security_groups().filters(only("vpc-id", vpc)).send().await?;
        let names = |rules: &[IpPermission]| {
            rules.iter().flat_map(IpPermission::user_id_group_pairs).any(|it| it.group_id() == Some(group))
        };
        let others = seen.security_groups().iter().filter(|it| it.group_id() != Some(group));
        let naming = others.filter(|it| names(it.ip_permissions()) || names(it.ip_permissions_egress()));
        let words =
            naming.map(|it| named(it.group_id(), "security group whose rules name it", it.group_name()));
        Ok(told(words.collect()))
    }

    /// The load balancers that send requests to a target group, in words; `None` where there are none.
    pub async fn balancers_of(&self, group: &str) -> Result<Option<String>> {
        let seen = self.elb.describe_target_groups().target_group_arns(group).send().await?;
        let arns = seen.target_groups().iter().flat_map(|it| it.load_balancer_arns());
        // `…:loadbalancer/app/<name>/<id>`
        let words = arns.filter_map(|it| Some(format!("load balancer {}", it.rsplit('/').nth(1)?)));
        Ok(told(words.collect()))
    }
}

fn only(filter: &str, value: &str) -> Filter {
    Filter::builder().name(filter).values(value).build()
}

fn told(words: Vec<String>) -> Option<String> {
    if words.is_empty() { None } else { Some(words.join(", ")) }
}

fn thing(id: Option<&str>, what: &str, tags: &[Tag]) -> String {
    let name = tags.iter().find(|it| it.key() == Some(shared::tags::NAME)).and_then(|it| it.value());
    named(id, what, name)
}

/// `subnet-0a1b (subnet mine)`
fn named(id: Option<&str>, what: &str, name: Option<&str>) -> String {
    let name = name.map(|it| format!(" {it}")).unwrap_or_default();
    format!("{} ({what}{name})", id.unwrap_or_default())
}
