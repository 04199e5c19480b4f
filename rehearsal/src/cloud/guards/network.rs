//! Networks: who still holds a subnet, a group, an address or a gateway.

use std::collections::BTreeSet;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{NatGateway, SecurityGroup};

use super::interfaces::{Interface, interfaces, is_there};
use super::listed;
use crate::cloud::call::Call;
use crate::cloud::life::Kind;
use crate::cloud::refusal::Refusal;
use crate::cloud::shared::Shared;
use crate::cloud::sync::Sync;

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
        "DeleteRouteTable" => {
            let table = given("RouteTableId")?;
            let seen = sync.clients.ec2.describe_route_tables().route_table_ids(table).send().await.ok()?;
            let mut own = seen.route_tables().iter().flat_map(|it| it.associations());
            let words = format!("The routeTable '{table}' has dependencies and cannot be deleted.");
            let is_main = own.any(|it| it.main() == Some(true));
            is_main.then(|| Refusal::new("DependencyViolation", words))
        }
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

/// What forbids a launch of that class, with that profile, in that zone, whoever wants it.
pub(in crate::cloud) async fn unlaunchable(
    sync: &Sync,
    class: Option<&str>,
    profile: Option<&str>,
    zone: Option<&str>,
) -> Option<Refusal> {
    if let Some(refusal) = profile.and_then(|it| unknown_profile(&sync.shared, it)) {
        return Some(refusal);
    }
    if let Some(zone) = zone.filter(|it| sync.shared.lock().outages.contains_key(*it)) {
        let words = format!(
            "We currently do not have sufficient {} capacity in the Availability Zone you requested ({zone}). Our \
             system will be working on provisioning additional capacity.",
            class.unwrap_or("instance")
        );
        return Some(Refusal::new("InsufficientInstanceCapacity", words).with_status(500));
    }
    let class = class?;
    let types = sync.clients.ec2.describe_instance_types().instance_types(class.into()).send().await;
    let unknown = types.is_err_and(|err| err.code() == Some("InvalidInstanceType"));
    let words = format!("Invalid value '{class}' for InstanceType.");
    unknown.then(|| Refusal::new("InvalidParameterValue", words))
}

/// A profile, by its name or ARN, that was made a moment ago.
pub(in crate::cloud) fn unknown_profile(shared: &Shared, profile: &str) -> Option<Refusal> {
    let name = profile.rsplit('/').next().unwrap_or_default();
    let what = if name == profile { "name" } else { "arn" };
    let words = format!(
        "Value ({profile}) for parameter iamInstanceProfile.{what} is invalid. Invalid IAM Instance Profile {}",
        if what == "name" { "name" } else { "ARN" }
    );
    let is_young = shared.lock().lives.word(Kind::Profile, name).is_some();
    is_young.then(|| Refusal::new("InvalidParameterValue", words))
}

async fn launch(sync: &Sync, call: &Call) -> Option<Refusal> {
    let given = |name: &str| call.parameter(name);
    let subnet = match given("SubnetId").or(given("NetworkInterface.1.SubnetId")) {
        Some(id) => sync.clients.ec2.describe_subnets().subnet_ids(id).send().await.ok(),
        None => None,
    };
    let zone = subnet.as_ref().and_then(|it| it.subnets().first()?.availability_zone());
    let profile = given("IamInstanceProfile.Name").or(given("IamInstanceProfile.Arn"));
    let zone = zone.or(given("Placement.AvailabilityZone"));
    if let Some(refusal) = unlaunchable(sync, given("InstanceType"), profile, zone).await {
        return Some(refusal);
    }
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
            let given = listed(call, "Subnets");
            let words = "At least two subnets in two different Availability Zones must be specified";
            if given.len() == 1 {
                return Some(Refusal::new("ValidationError", words));
            }
            let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
            let seen = sync.clients.ec2.describe_subnets().set_subnet_ids(Some(given)).send().await.ok()?;
            let zones: BTreeSet<&str> =
                seen.subnets().iter().filter_map(|it| it.availability_zone()).collect();
            let words =
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone";
            (zones.len() < seen.subnets().len()).then(|| Refusal::new("InvalidConfigurationRequest", words))
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
