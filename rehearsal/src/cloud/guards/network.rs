//! Networks: who still holds a subnet, a group, an address or a gateway.

use std::collections::BTreeSet;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{NatGateway, SecurityGroup};

use super::listed;
use crate::cloud::call::Call;
use crate::cloud::life::Kind;
use crate::cloud::refusal::Refusal;
use crate::cloud::sync::Sync;

/// A network interface, whoever it belongs to.
#[derive(Clone)]
pub(in crate::cloud) struct Interface {
    subnet: String,
    groups: Vec<String>,
    is_public: bool,
}

pub(super) async fn refuse(sync: &Sync, call: &Call) -> Option<Refusal> {
    let given = |name: &str| call.parameter(name);
    match call.action.as_str() {
        "DeleteSubnet" => {
            let subnet = given("SubnetId")?;
            let held = interfaces(sync).await?.iter().any(|it| it.subnet == subnet);
            let words = format!("The subnet '{subnet}' has dependencies and cannot be deleted.");
            held.then(|| Refusal::new("DependencyViolation", words))
        }
        "DeleteVpc" => {
            let vpc = given("VpcId")?;
            let groups = sync.clients.ec2.describe_security_groups().send().await.ok()?;
            let own = |it: &SecurityGroup| it.vpc_id() == Some(vpc) && it.group_name() != Some("default");
            let held = groups.security_groups().iter().any(own);
            let words = format!("The vpc '{vpc}' has dependencies and cannot be deleted.");
            held.then(|| Refusal::new("DependencyViolation", words))
        }
        "DeleteSecurityGroup" => group(sync, given("GroupId")?).await,
        "DetachInternetGateway" => {
            let vpc = given("VpcId")?;
            let subnets = sync.clients.ec2.describe_subnets().send().await.ok()?;
            let within = subnets.subnets().iter().filter(|it| it.vpc_id() == Some(vpc));
            let within: BTreeSet<&str> = within.filter_map(|it| it.subnet_id()).collect();
            let mapped = |it: &Interface| it.is_public && within.contains(it.subnet.as_str());
            let words = format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before \
                 detaching the gateway."
            );
            interfaces(sync).await?.iter().any(mapped).then(|| Refusal::new("DependencyViolation", words))
        }
        "ReleaseAddress" => address(sync, given("AllocationId")?).await,
        "RunInstances" => launch(sync, call).await,
        _ => None,
    }
}

async fn group(sync: &Sync, id: &str) -> Option<Refusal> {
    let groups = sync.clients.ec2.describe_security_groups().send().await.ok()?;
    let own = groups.security_groups().iter().find(|it| it.group_id() == Some(id))?;
    if own.group_name() == Some("default") {
        let words = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Some(Refusal::new("CannotDelete", words));
    }
    let names = |it: &SecurityGroup| {
        let rules = it.ip_permissions().iter().chain(it.ip_permissions_egress());
        rules.flat_map(|it| it.user_id_group_pairs()).any(|it| it.group_id() == Some(id))
    };
    // Its own rules may name it.
    let named = groups.security_groups().iter().any(|it| it.group_id() != Some(id) && names(it));
    let held = named || interfaces(sync).await?.iter().any(|it| it.groups.iter().any(|it| it == id));
    held.then(|| Refusal::new("DependencyViolation", format!("resource {id} has a dependent object")))
}

async fn address(sync: &Sync, allocation: &str) -> Option<Refusal> {
    let gateways = sync.clients.ec2.describe_nat_gateways().send().await.ok()?;
    let mut alive = gateways.nat_gateways().iter().filter(|it| is_there(it));
    let holds =
        |it: &NatGateway| it.nat_gateway_addresses().iter().any(|it| it.allocation_id() == Some(allocation));
    if alive.any(holds) {
        // AWS's words, which lead many astray.
        let words = "You do not have permission to access the specified resource.";
        return Some(Refusal::new("AuthFailure", words));
    }
    let addresses = sync.clients.ec2.describe_addresses().allocation_ids(allocation).send().await.ok()?;
    let own = addresses.addresses().first()?;
    let instance = own.instance_id().filter(|it| !it.is_empty())?;
    let seen = sync.clients.ec2.describe_instances().instance_ids(instance).send().await.ok()?;
    // The control plane remembers the instance after its end.
    let used = seen
        .reservations()
        .iter()
        .flat_map(|it| it.instances())
        .any(|it| it.state().and_then(|it| it.name()).is_some_and(|it| it.as_str() != "terminated"));
    let words = format!("Address {} is in use.", own.public_ip().unwrap_or_default());
    used.then(|| Refusal::new("InvalidIPAddress.InUse", words))
}

async fn launch(sync: &Sync, call: &Call) -> Option<Refusal> {
    if let Some(image) = call.parameter("ImageId") {
        if sync.shared.lock().lives.word(Kind::Image, image).is_some() {
            let words = format!("The image ID '{image}' is not available yet");
            return Some(Refusal::new("InvalidAMIID.Unavailable", words));
        }
        let seen = sync.clients.ec2.describe_images().image_ids(image).send().await;
        let missing = match seen {
            Ok(it) => it.images().is_empty(),
            Err(err) => err.code() == Some("InvalidAMIID.NotFound"),
        };
        // A parameter's name is resolved by whoever launches.
        if missing && image.starts_with("ami-") {
            let words = format!("The image id '[{image}]' does not exist");
            return Some(Refusal::new("InvalidAMIID.NotFound", words));
        }
    }
    let key = call.parameter("KeyName")?;
    let keys = sync.clients.ec2.describe_key_pairs().send().await.ok()?;
    let missing = keys.key_pairs().iter().all(|it| it.key_name() != Some(key));
    missing.then(|| Refusal::new("InvalidKeyPair.NotFound", format!("The key pair '{key}' does not exist")))
}

pub(super) async fn refuse_files(sync: &Sync, call: &Call) -> Option<Refusal> {
    let id = call.action.strip_prefix("DELETE /2015-02-01/file-systems/").filter(|it| !it.contains('/'))?;
    let targets = sync.clients.efs.describe_mount_targets().file_system_id(id).send().await.ok()?;
    let words = format!("file system {id} has mount targets");
    let held = !targets.mount_targets().is_empty();
    held.then(|| Refusal::new("FileSystemInUse", words).with_status(409))
}

pub(super) async fn refuse_balancer(sync: &Sync, call: &Call) -> Option<Refusal> {
    let elb = &sync.clients.elb;
    match call.action.as_str() {
        "CreateLoadBalancer" => {
            let name = call.parameter("Name")?;
            if elb
                .describe_load_balancers()
                .names(name)
                .send()
                .await
                .is_ok_and(|it| !it.load_balancers().is_empty())
            {
                let words = format!("A load balancer with the name {name} exists, but with other settings");
                return Some(Refusal::new("DuplicateLoadBalancerName", words));
            }
            let few = listed(call, "Subnets").len() == 1;
            let words = "At least two subnets in two different Availability Zones must be specified";
            few.then(|| Refusal::new("ValidationError", words))
        }
        "CreateListener" => {
            let (balancer, port) = (call.parameter("LoadBalancerArn")?, call.parameter("Port")?);
            let known = elb.describe_listeners().load_balancer_arn(balancer).send().await.ok()?;
            let taken = known
                .listeners()
                .iter()
                .any(|it| it.port().map(|it| it.to_string()).as_deref() == Some(port));
            let words = "A listener already exists on this port for this load balancer";
            taken.then(|| Refusal::new("DuplicateListener", format!("{words} '{balancer}'")))
        }
        _ => None,
    }
}

pub(super) async fn gateway_exists(sync: &Sync, id: &str) -> bool {
    let seen = sync.clients.ec2.describe_nat_gateways().nat_gateway_ids(id).send().await;
    seen.is_ok_and(|it| it.nat_gateways().iter().any(is_there))
}

fn is_there(it: &NatGateway) -> bool {
    !it.state().is_some_and(|it| matches!(it.as_str(), "deleted" | "failed"))
}

/// All network interfaces that there are, those of a balancer that has just gone among them.
async fn interfaces(sync: &Sync) -> Option<Vec<Interface>> {
    let aws = &sync.clients;
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let mut all = Vec::new();
    let instances = aws.ec2.describe_instances().send().await.ok()?;
    for it in instances.reservations().iter().flat_map(|it| it.instances()) {
        let state = it.state().and_then(|it| it.name()).map(|it| it.as_str()).unwrap_or_default();
        let going = it.instance_id().and_then(|it| sync.shared.lock().lives.word(Kind::Instance, it));
        if state != "terminated" || going.is_some() {
            all.push(Interface {
                subnet: text(it.subnet_id()),
                groups: it.security_groups().iter().map(|it| text(it.group_id())).collect(),
                is_public: it.public_ip_address().is_some() && state != "terminated",
            });
        }
    }
    let gateways = aws.ec2.describe_nat_gateways().send().await.ok()?;
    for it in gateways.nat_gateways().iter().filter(|it| is_there(it)) {
        all.push(Interface { subnet: text(it.subnet_id()), groups: Vec::new(), is_public: true });
    }
    let balancers = aws.elb.describe_load_balancers().send().await.ok()?;
    all.extend(balancers.load_balancers().iter().flat_map(of_balancer));
    for (until, it) in &sync.shared.lock().lingering {
        if std::time::Instant::now() < *until {
            all.push(it.clone());
        }
    }
    let systems = aws.efs.describe_file_systems().send().await.ok()?;
    for system in systems.file_systems() {
        let targets =
            aws.efs.describe_mount_targets().file_system_id(system.file_system_id()).send().await.ok()?;
        for it in targets.mount_targets() {
            let groups =
                aws.efs.describe_mount_target_security_groups().mount_target_id(it.mount_target_id());
            let groups = groups.send().await.ok()?.security_groups().to_vec();
            all.push(Interface { subnet: it.subnet_id().to_owned(), groups, is_public: false });
        }
    }
    let databases = aws.rds.describe_db_instances().send().await.ok()?;
    for it in databases.db_instances() {
        let groups: Vec<String> =
            it.vpc_security_groups().iter().map(|it| text(it.vpc_security_group_id())).collect();
        for subnet in it.db_subnet_group().map(|it| it.subnets()).unwrap_or_default() {
            let subnet = text(subnet.subnet_identifier());
            all.push(Interface { subnet, groups: groups.clone(), is_public: false });
        }
    }
    Some(all)
}

fn of_balancer(it: &aws_sdk_elasticloadbalancingv2::types::LoadBalancer) -> Vec<Interface> {
    let is_public = it.scheme().is_none_or(|it| it.as_str() == "internet-facing");
    let subnets = it.availability_zones().iter().filter_map(|it| it.subnet_id());
    let groups = it.security_groups();
    subnets.map(|it| Interface { subnet: it.to_owned(), groups: groups.to_vec(), is_public }).collect()
}

/// A balancer's interfaces outlive it: what they hold, before it goes.
pub(in crate::cloud) async fn left_by(sync: &Sync, call: &Call) -> Vec<Interface> {
    let Some(arn) = call.parameter("LoadBalancerArn") else { return Vec::new() };
    let seen = sync.clients.elb.describe_load_balancers().load_balancer_arns(arn).send().await;
    let all = seen.map(|it| it.load_balancers().iter().flat_map(of_balancer).collect::<Vec<_>>());
    all.unwrap_or_default()
}
