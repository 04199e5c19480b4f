//! The bastions and the private hosts, behind their load balancers, and the images made of them.

use super::{
    entrance::{Entrances, join},
    firewall::Firewall,
    network::Network,
    role::HostKit,
};
use crate::{
    config::{Behind, Config, PlacePlan},
    engine::{AtCreation, Ref, Stack},
    kinds::{
        AddressAssociation, ElasticIp, Image, ImageSource, Instance, KeyPair, RootVolume, SecurityGroup,
        Target,
    },
};

/// One kind of host.
struct Flavour<'a> {
    key: Ref<KeyPair>,
    group: Ref<SecurityGroup>,
    instance_type: &'a str,
    behind: Behind,
}

/// The public hosts: each with its own address, the second and later ones from the first one's image.
pub(super) fn public(
    s: &mut Stack,
    c: &Config,
    net: &Network,
    fw: &Firewall,
    kit: &HostKit,
    doors: &Entrances,
) {
    let (Some(group), Some(key)) = (fw.public_hosts, kit.public_key) else { return };
    let flavour = Flavour { key, group, instance_type: &c.hosts.public_type, behind: Behind::PublicHosts };
    let mut image = kit.image.clone();
    for (number, plan) in c.public_hosts().iter().enumerate() {
        let (host, target) = one(s, c, net, kit, doors, &flavour, plan, &image);
        let address = s.add_named(&plan.address_node, &plan.address_name, ElasticIp {});
        s.add_named(&plan.address_node, &plan.address_name, AddressAssociation { address, instance: host });
        if number == 0 && c.hosts.public_copies {
            image = ImageSource::Node(image_of(s, "ami-public-ec2", &c.names.public_image, host, target));
        }
    }
}

/// The private hosts; returns the image of the first, from which the scaling group's hosts start.
pub(super) fn private(
    s: &mut Stack,
    c: &Config,
    net: &Network,
    fw: &Firewall,
    kit: &HostKit,
    doors: &Entrances,
) -> Option<Ref<Image>> {
    let (group, key) = (fw.private_hosts?, kit.private_key?);
    let flavour = Flavour { key, group, instance_type: &c.hosts.private_type, behind: Behind::PrivateHosts };
    let mut image = None;
    for plan in &c.private_hosts() {
        let (host, target) = one(s, c, net, kit, doors, &flavour, plan, &kit.image);
        image.get_or_insert_with(|| image_of(s, "ami-private-ec2", &c.names.private_image, host, target));
    }
    image
}

#[expect(
    clippy::too_many_arguments,
    reason = "what a host is made of; a struct for one caller would only rename it"
)]
fn one(
    s: &mut Stack,
    c: &Config,
    net: &Network,
    kit: &HostKit,
    doors: &Entrances,
    flavour: &Flavour<'_>,
    plan: &PlacePlan,
    image: &ImageSource,
) -> (Ref<Instance>, Option<Ref<Target>>) {
    let spec = Instance {
        subnet: net.subnet(&plan.subnet_node),
        key: flavour.key,
        groups: vec![flavour.group],
        profile: kit.role,
        instance_type: flavour.instance_type.to_owned(),
        metadata: kit.metadata.clone(),
        detailed_monitoring: c.hosts.detailed_monitoring,
        running: true,
        image: AtCreation::from(image.clone()),
        volume: AtCreation::from(RootVolume::gp3(c.hosts.volume_gib, !c.unsafe_choices.unencrypted_volumes)),
        user_data: AtCreation::from(kit.user_data.clone()),
    };
    let host = s.add_named(&plan.node, &plan.name, spec);
    (host, join(s, doors, flavour.behind, &plan.node, host))
}

/// Waits until the host answers its balancer: the image of one that is half set up would be of no use.
fn image_of(
    s: &mut Stack,
    node: &str,
    name: &str,
    host: Ref<Instance>,
    target: Option<Ref<Target>>,
) -> Ref<Image> {
    let spec = Image {
        name: name.to_owned(),
        source: AtCreation::from(host),
        healthy_in: AtCreation::from(target.into_iter().collect::<Vec<_>>()),
        snapshots: AtCreation::unknown(),
    };
    s.add_named(node, name, spec)
}
