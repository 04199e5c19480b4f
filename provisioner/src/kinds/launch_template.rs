//! What the scaling group's hosts are made from, in versions: a change makes a new one the default.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateTagSpecificationRequest,
    LaunchTemplateVersion, LaunchTemplatesMonitoringRequest, RequestLaunchTemplateData, ResourceType,
    VolumeType,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use shared::tags::{NAME, NODE};

use super::{ImageSource, KeyPair, Metadata, Role, RootVolume, SecurityGroup, image_source};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Output, Ref, Resource, Value},
};

/// Its content is that of its default version.
#[derive(Clone, Debug, Serialize)]
pub struct LaunchTemplate {
    /// Unique in the account and region.
    pub name: String,
    pub image: ImageSource,
    pub instance_type: String,
    pub key: Ref<KeyPair>,
    pub groups: Vec<Ref<SecurityGroup>>,
    pub profile: Ref<Role>,
    pub metadata: Metadata,
    pub detailed_monitoring: bool,
    pub volume: RootVolume,
    pub user_data: Value,
    /// Of its hosts and their volumes; see [`LaunchTemplate::host_tags`].
    pub host_tags: Tags,
}

/// How many versions are kept to go back to.
const KEPT: i64 = 10;

impl LaunchTemplate {
    /// The number of the default version.
    pub const VERSION: Output<LaunchTemplate> = Output::new("version");

    /// Tags by which a sweep finds the group's hosts. No node: they come and go without the engine.
    pub fn host_tags(tags: &Tags, name: &str) -> Tags {
        let mut tags = tags.clone();
        tags.remove(NODE);
        tags.insert(NAME.to_owned(), name.to_owned());
        tags
    }

    async fn data(&self, cx: &Cx<'_>) -> aws::Result<RequestLaunchTemplateData> {
        let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
            .volume_type(VolumeType::from(self.volume.kind.as_str()))
            .volume_size(i32::try_from(self.volume.gib).unwrap_or(i32::MAX))
            .set_encrypted(self.volume.encrypted.then_some(true))
            .delete_on_termination(true);
        let device = image_source::root_device(&self.image.id(cx).await?, cx.aws).await?;
        let mapping = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(device);
        let profile = LaunchTemplateIamInstanceProfileSpecificationRequest::builder();
        let data = RequestLaunchTemplateData::builder()
            .image_id(self.image.in_template(cx))
            .instance_type(self.instance_type.as_str().into())
            .key_name(cx.id(self.key))
            .set_security_group_ids(Some(cx.ids(&self.groups)))
            .iam_instance_profile(profile.name(cx.id(self.profile)).build())
            .metadata_options(self.metadata.for_template())
            .monitoring(LaunchTemplatesMonitoringRequest::builder().enabled(self.detailed_monitoring).build())
            .block_device_mappings(mapping.ebs(volume.build()).build())
            .user_data(BASE64_STANDARD.encode(cx.text(&self.user_data)));
        let tagged = [ResourceType::Instance, ResourceType::Volume].map(|it| {
            let specification = LaunchTemplateTagSpecificationRequest::builder().resource_type(it);
            specification.set_tags(Some(Aws::to_ec2(&self.host_tags))).build()
        });
        Ok(data.set_tag_specifications(Some(tagged.to_vec())).build())
    }
}

impl Resource for LaunchTemplate {
    const KIND: &'static str = "launch-template";
    const EC2_TAGGED: bool = true;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name"];
    const USUALLY: Duration = Duration::from_secs(2);

    /// Two calls, however many there are: ownership is in the templates' tags, which the listing of
    /// versions leaves out, and a description that repeated them would not show a tag that was removed.
    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        if let Some(known) = aws.bearings(Self::KIND).await?
            && let Some(found) = by_id(&known, aws).await?
        {
            return Ok(found);
        }
        // Largest pages: some emulators answer one page only.
        let templates = aws.ec2.describe_launch_templates().filters(aws.ours()).max_results(200);
        let templates: Result<Vec<_>, _> = templates.into_paginator().items().send().collect().await;
        let templates = templates?;
        if templates.is_empty() {
            return Ok(Vec::new());
        }
        let versions = default_versions(aws).await?;
        let found = templates.iter().map(|it| {
            let version = versions.iter().find(|v| v.launch_template_id() == it.launch_template_id());
            let spec = spec(it.launch_template_name().unwrap_or_default(), version);
            let found = Found::new(it.launch_template_id(), Aws::from_ec2(it.tags()), spec);
            found.out(Self::VERSION, it.default_version_number().unwrap_or_default().to_string())
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.ec2.create_launch_template().launch_template_name(&self.name);
        let create = create.launch_template_data(self.data(cx).await?);
        let made =
            create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::LaunchTemplate)).send().await?;
        Ok(made.launch_template.and_then(|it| it.launch_template_id).unwrap_or_default())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let ec2 = &cx.aws.ec2;
        let data = self.data(cx).await?;
        // The same change from the same version is one version, however often it is asked for. The SDK does not show
        // the user data among the others.
        let from = have.out.get(Self::VERSION.name()).map(String::as_str).unwrap_or_default();
        let token = cx.aws.token(cx.node, &format!("{from} {data:?} {}", cx.text(&self.user_data)));
        let create = ec2.create_launch_template_version().launch_template_id(&have.id).client_token(token);
        let made = create.launch_template_data(data).send().await?;
        let number = made.launch_template_version.and_then(|it| it.version_number).unwrap_or_default();
        let modify = ec2.modify_launch_template().launch_template_id(&have.id);
        modify.default_version(number.to_string()).send().await?;
        // One comes, one goes; those that are gone already are no error.
        if KEPT < number {
            let delete = ec2.delete_launch_template_versions().launch_template_id(&have.id);
            delete.versions((number - KEPT).to_string()).send().await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.delete_launch_template().launch_template_id(&have.id).send().await?;
        Ok(())
    }
}

/// The default version of every template in the region.
async fn default_versions(aws: &Aws) -> aws::Result<Vec<LaunchTemplateVersion>> {
    let versions = aws.ec2.describe_launch_template_versions().versions("$Default").max_results(200);
    let versions: Result<Vec<_>, _> = versions.into_paginator().items().send().collect().await;
    Ok(versions?)
}

/// The templates with these ids, by node; `None` unless all are there. Their tags are not read.
async fn by_id(
    known: &BTreeMap<String, String>,
    aws: &Aws,
) -> aws::Result<Option<Vec<Found<LaunchTemplate>>>> {
    if known.is_empty() {
        return Ok(None);
    }
    let versions = default_versions(aws).await?;
    let found = known.iter().map(|(node, id)| {
        let version = versions.iter().find(|it| it.launch_template_id() == Some(id))?;
        let spec = spec(version.launch_template_name().unwrap_or_default(), Some(version));
        let name = node.split_once('/').map_or(node.as_str(), |(_, name)| name);
        let number = version.version_number().unwrap_or_default().to_string();
        Some(Found::untagged(name, id, spec).out(LaunchTemplate::VERSION, number))
    });
    Ok(found.collect())
}

fn spec(name: &str, version: Option<&LaunchTemplateVersion>) -> LaunchTemplate {
    let data = version.and_then(|it| it.launch_template_data());
    let ebs = data.and_then(|it| it.block_device_mappings().first()).and_then(|it| it.ebs());
    let script = data.and_then(|it| it.user_data()).and_then(|it| BASE64_STANDARD.decode(it).ok());
    let tags = |kind: ResourceType| {
        let all = data.map(|it| it.tag_specifications()).unwrap_or_default();
        let of_kind = all.iter().filter(|it| it.resource_type() == Some(&kind));
        of_kind.flat_map(|it| Aws::from_ec2(it.tags())).collect::<Tags>()
    };
    // What hosts and volumes do not both carry is a difference.
    let (mut host_tags, volumes) = (tags(ResourceType::Instance), tags(ResourceType::Volume));
    host_tags.retain(|key, value| volumes.get(key) == Some(value));
    LaunchTemplate {
        name: name.to_owned(),
        image: ImageSource::from_template(data.and_then(|it| it.image_id()).unwrap_or_default()),
        instance_type: data
            .and_then(|it| it.instance_type())
            .map(|it| it.as_str().to_owned())
            .unwrap_or_default(),
        key: Ref::id(data.and_then(|it| it.key_name())),
        groups: data
            .map(|it| it.security_group_ids())
            .unwrap_or_default()
            .iter()
            .map(|it| Ref::id(Some(it)))
            .collect(),
        profile: Ref::id(data.and_then(|it| it.iam_instance_profile()).and_then(|it| it.name())),
        metadata: Metadata::of_template(data),
        detailed_monitoring: data.and_then(|it| it.monitoring()).and_then(|it| it.enabled()) == Some(true),
        volume: RootVolume {
            kind: ebs.and_then(|it| it.volume_type()).map(|it| it.as_str().to_owned()).unwrap_or_default(),
            gib: ebs
                .and_then(|it| it.volume_size())
                .and_then(|it| u32::try_from(it).ok())
                .unwrap_or_default(),
            encrypted: ebs.and_then(|it| it.encrypted()) == Some(true),
        },
        user_data: String::from_utf8(script.unwrap_or_default()).unwrap_or_default().into(),
        host_tags,
    }
}
