//! An image of a host that works, with its snapshots: what the next hosts start from.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ec2::types::{Filter, Image as Sdk, ImageState, ResourceType, Snapshot, SnapshotState};
use serde::Serialize;

use super::{Instance, Target, TargetState, image_source::remember_root_device, target::target_health};
use crate::{
    aws::{self, Aws, Tags},
    engine::{AtCreation, Cx, Found, Phase, Ref, Resource},
};

/// Whether it is encrypted is no field: its snapshots inherit that from the volumes of its source.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Unique in the account and region.
    pub name: String,
    /// The host that it is made of, while that runs on. The image outlives it.
    pub source: AtCreation<Ref<Instance>>,
    /// Where the source has to be healthy first: the image of a host that is half set up is of no use.
    pub healthy_in: AtCreation<Vec<Ref<Target>>>,
    /// What `list` found; nothing to ask for.
    pub snapshots: AtCreation<Vec<String>>,
}

impl Resource for Image {
    const KIND: &'static str = "image";
    const EC2_TAGGED: bool = true;
    const FIXED: &'static [&'static str] = &["name"];
    const USUALLY: Duration = Duration::from_secs(240);
    // Its source may have to install packages first.
    const PATIENCE: Duration = Duration::from_secs(40 * 60);

    /// The images, and snapshots of ours whose image is gone: those cost money until they are removed.
    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let images = aws.ec2.describe_images().owners("self").filters(aws.ours()).into_paginator().items();
        let images = images.send().collect::<Result<Vec<Sdk>, _>>().await?;
        for it in &images {
            remember_root_device(it, aws).await;
        }
        // By the bearings these are all images with all their snapshots, which AWS gives up none of while they are there.
        let known = aws.bearings(Self::KIND).await?;
        let is_in =
            |known: &BTreeMap<String, String>, it: &Sdk| known.values().any(|id| it.image_id() == Some(id));
        if known.is_some_and(|known| known.len() == images.len() && images.iter().all(|it| is_in(&known, it)))
        {
            return Ok(images.iter().map(image).collect());
        }
        let snapshots = aws.ec2.describe_snapshots().owner_ids("self").filters(aws.ours());
        let snapshots =
            snapshots.into_paginator().items().send().collect::<Result<Vec<Snapshot>, _>>().await?;
        let mut found: Vec<Found<Self>> =
            images.iter().map(|it| with_snapshots(image(it), &snapshots)).collect();
        let used: BTreeSet<&str> = images.iter().flat_map(snapshots_of).collect();
        let unfinished = found.iter().filter(|it| it.phase != Phase::Ready);
        let unfinished: BTreeSet<String> = unfinished.map(|it| it.node.clone()).collect();
        let left = snapshots.iter().filter(|it| !used.contains(it.snapshot_id().unwrap_or_default()));
        // An image that is still being made may not name its snapshots yet.
        let left = left.map(left_behind).filter(|(node, _)| !unfinished.contains(node));
        found.extend(left.map(|(_, it)| it));
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        for target in self.healthy_in.0.iter().flatten() {
            // What the registration was seen with a moment ago needs no call of its own.
            if cx.text(&target.out(Target::HEALTH)) != TargetState::HEALTHY {
                wait_for(&cx.id(*target), cx.aws).await?;
            }
        }
        let Some(source) = self.source.0 else {
            return Err(aws::Error::refused("no host is given to make the image of"));
        };
        let create = cx.aws.ec2.create_image().instance_id(cx.id(source)).name(&self.name).no_reboot(true);
        let create = create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::Image));
        let made = match create.send().await.map_err(aws::Error::from) {
            // The name of an image that went stays taken for a while.
            Err(err) if err.is_there_already() && !is_named(&self.name, cx.aws).await? => {
                return Err(aws::Error::not_yet(format!("the name {} to be free again", self.name)));
            }
            other => other?,
        };
        let id = made.image_id.unwrap_or_default();
        // Not every emulator takes the snapshots' tags with the image's. Where AWS does not name them yet,
        // they get their tags when the image is ready.
        match Self::tag(&id, cx.tags, cx.aws).await {
            Err(err) if !err.is_missing() => Err(err),
            _ => Ok(id),
        }
    }

    /// The image and its snapshots carry the same tags, in one call.
    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        let seen = aws.ec2.describe_images().image_ids(id).send().await?;
        let own = seen.images().iter().flat_map(snapshots_of).map(String::from);
        let tag = aws.ec2.create_tags().resources(id).set_tags(Some(Aws::to_ec2(tags)));
        tag.set_resources(Some(own.chain([id.to_owned()]).collect())).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        if have.id.starts_with("ami-") {
            // AWS takes the snapshots along where it can; whatever stays is listed, or removed just below.
            let gone = aws.ec2.deregister_image().image_id(&have.id).delete_associated_snapshots(true).send();
            aws::gone(gone.await)?;
        }
        for snapshot in have.spec.snapshots.0.iter().flatten() {
            aws::gone(aws.ec2.delete_snapshot().snapshot_id(snapshot).send().await)?;
        }
        Ok(())
    }
}

/// Whether the account has an image of this name.
async fn is_named(name: &str, aws: &Aws) -> aws::Result<bool> {
    let named = Filter::builder().name("name").values(name).build();
    let seen = aws.ec2.describe_images().owners("self").filters(named).send().await?;
    Ok(!seen.images().is_empty())
}

/// Not yet, in words, unless the target answers its balancer's checks.
async fn wait_for(target: &str, aws: &Aws) -> aws::Result<()> {
    let Some((group, host, port)) = Target::parse(target) else {
        return Err(aws::Error::refused(format!("{target} is no registration with a target group")));
    };
    let all = target_health(aws, group).await?;
    let Some(it) = all.iter().find(|it| it.id == host && it.port == port) else {
        return Err(aws::Error::not_yet(format!("{host} to be registered with {group}")));
    };
    if it.is_healthy() {
        return Ok(());
    }
    let name = group.split('/').nth(1).unwrap_or(group);
    Err(aws::Error::not_yet(format!("{host}:{port} to be healthy in {name}: {it}")))
}

fn snapshots_of(it: &Sdk) -> impl Iterator<Item = &str> {
    it.block_device_mappings().iter().filter_map(|it| it.ebs()?.snapshot_id())
}

fn image(it: &Sdk) -> Found<Image> {
    let own: Vec<String> = snapshots_of(it).map(str::to_owned).collect();
    let spec = Image {
        name: it.name().unwrap_or_default().to_owned(),
        source: AtCreation::unknown(),
        healthy_in: AtCreation::unknown(),
        snapshots: own.into(),
    };
    let reason = it.state_reason().and_then(|it| it.message()).unwrap_or_default();
    let phase = match it.state() {
        Some(ImageState::Available) | None => Phase::Ready,
        Some(ImageState::Pending | ImageState::Transient) => Phase::Pending("pending".into()),
        Some(other) => Phase::Failed(format!("{other} {reason}").trim().to_owned()),
    };
    Found::new(it.image_id(), Aws::from_ec2(it.tags()), spec).phase(phase)
}

/// A tag counts only where every snapshot has it, too: a sweep has to find them all.
fn with_snapshots(mut found: Found<Image>, snapshots: &[Snapshot]) -> Found<Image> {
    for id in found.spec.snapshots.0.iter().flatten() {
        let snapshot = snapshots.iter().find(|it| it.snapshot_id() == Some(id));
        let theirs = snapshot.map(|it| Aws::from_ec2(it.tags())).unwrap_or_default();
        if let Some(tags) = &mut found.tags {
            tags.retain(|key, value| theirs.get(key) == Some(value));
        }
    }
    found
}

/// A snapshot without its image: nobody asked for it, so it goes. First the node that it was made for.
fn left_behind(it: &Snapshot) -> (String, Found<Image>) {
    let id = it.snapshot_id().unwrap_or_default();
    let spec = Image {
        name: String::new(),
        source: AtCreation::unknown(),
        healthy_in: AtCreation::unknown(),
        snapshots: vec![id.to_owned()].into(),
    };
    let mut found = Found::new(Some(id), Aws::from_ec2(it.tags()), spec);
    if it.state() == Some(&SnapshotState::Pending) {
        found = found.phase(Phase::Pending("pending".into()));
    }
    let node = std::mem::replace(&mut found.node, format!("{}/{id}", Image::KIND));
    (node, found)
}
