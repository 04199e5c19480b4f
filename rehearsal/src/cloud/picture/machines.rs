//! The instances of the picture, and the images that were made of them.

use anyhow::Context;

use super::{MachinePlan, Picture};
use crate::cloud::clients::Clients;

impl Picture {
    pub(super) async fn read_machines(&mut self, aws: &Clients) -> anyhow::Result<()> {
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
                group_names: groups.iter().filter_map(|it| it.group_name()).map(str::to_owned).collect(),
                public: it.public_ip_address().and_then(|it| it.parse().ok()),
                running: matches!(state, "running" | "pending"),
                image: it.image_id().unwrap_or_default().to_owned(),
                class: it.instance_type().map(|it| it.as_str()).unwrap_or_default().to_owned(),
                key: it.key_name().map(str::to_owned),
                profile: profile.map(str::to_owned),
                hop_limit: hops.and_then(|it| u8::try_from(it).ok()).unwrap_or(1),
                tags: tags.collect(),
                account: account.to_owned(),
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
}
