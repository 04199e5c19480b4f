//! An Elastic IP put on a host.

use serde::Serialize;
use shared::tags::NAME;

use super::{ElasticIp, Instance, InternetGateway};
use crate::{
    aws::{self, Aws, tag_value},
    engine::{Cx, Found, Ref, Resource},
};

/// The node's name is the address's own: an association has no tags, and an address has at most one.
#[derive(Clone, Debug, Serialize)]
pub struct AddressAssociation {
    pub address: Ref<ElasticIp>,
    pub instance: Ref<Instance>,
}

impl Resource for AddressAssociation {
    const KIND: &'static str = "address-association";
    const EC2_TAGGED: bool = true;
    const GOES_WITH: Option<&str> = Some("instance");
    const USABLE_AT_ONCE: bool = true;
    // AWS maps public addresses only in a VPC that has a way out.
    const AFTER: &'static [&'static str] = &[InternetGateway::KIND];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.addresses().await?;
        // A NAT gateway's address is associated too, but with no instance.
        let taken = seen.addresses().iter().filter(|it| it.instance_id().is_some_and(|it| !it.is_empty()));
        let found = taken.map(|it| {
            let address = Ref::id(it.allocation_id());
            let spec = AddressAssociation { address, instance: Ref::id(it.instance_id()) };
            let tags = Aws::from_ec2(it.tags());
            let node = tag_value(&tags, shared::tags::NODE);
            let name =
                node.split_once('/').map_or_else(|| tag_value(&tags, NAME), |(_, name)| name.to_owned());
            Found::untagged(&name, it.association_id().unwrap_or_default(), spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let associate = cx.aws.ec2.associate_address().allocation_id(cx.id(self.address));
        let made = associate.instance_id(cx.id(self.instance)).allow_reassociation(true).send().await?;
        Ok(made.association_id.unwrap_or_default())
    }

    async fn configure(&self, _have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.disassociate_address().association_id(&have.id).send().await?;
        Ok(())
    }
}
