//! What a machine's first volume is made from.

use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, Image as Sdk, VolumeType};
use serde::Serialize;

use super::Image;
use crate::{
    aws::{self, Aws},
    engine::{Cx, Ref},
};

/// An image, or where AWS says which one is current.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ImageSource {
    /// A public SSM parameter that names the newest image, such as
    /// `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`.
    Parameter(String),
    /// `ami-…`
    Id(String),
    Node(Ref<Image>),
}

/// How launch templates write a parameter that names an image.
const RESOLVE: &str = "resolve:ssm:";

impl From<&str> for ImageSource {
    /// As a configuration writes it: a parameter begins with a slash.
    fn from(text: &str) -> ImageSource {
        match text.starts_with('/') {
            true => ImageSource::Parameter(text.to_owned()),
            false => ImageSource::Id(text.to_owned()),
        }
    }
}

impl ImageSource {
    /// The image's id now.
    pub(super) async fn id(&self, cx: &Cx<'_>) -> aws::Result<String> {
        match self {
            ImageSource::Id(id) => Ok(id.clone()),
            ImageSource::Node(it) => Ok(cx.id(*it)),
            ImageSource::Parameter(name) => {
                let key = format!("image {name}");
                let id = cx.aws.for_good(&key, || async {
                    let seen = cx.aws.ssm.get_parameter().name(name).send().await?;
                    Ok(seen.parameter.and_then(|it| it.value).unwrap_or_default())
                });
                Ok(id.await?.as_ref().clone())
            }
        }
    }

    /// As a launch template stores it: a parameter is looked up at each launch.
    pub(super) fn in_template(&self, cx: &Cx<'_>) -> String {
        match self {
            ImageSource::Id(id) => id.clone(),
            ImageSource::Node(it) => cx.id(*it),
            ImageSource::Parameter(name) => format!("{RESOLVE}{name}"),
        }
    }

    /// The way back.
    pub(super) fn from_template(text: &str) -> ImageSource {
        match text.strip_prefix(RESOLVE) {
            Some(name) => ImageSource::Parameter(name.to_owned()),
            None => ImageSource::Node(Ref::id(Some(text))),
        }
    }
}

/// The volume that a machine boots from.
#[derive(Clone, Debug, Serialize)]
pub struct RootVolume {
    /// `gp3`
    pub kind: String,
    pub gib: u32,
    pub encrypted: bool,
}

impl RootVolume {
    /// A volume of today's general type.
    pub fn gp3(gib: u32, encrypted: bool) -> RootVolume {
        RootVolume { kind: "gp3".into(), gib, encrypted }
    }

    /// This volume as the first one of a machine that starts from `image`.
    pub(super) async fn mapping(&self, image: &str, aws: &Aws) -> aws::Result<BlockDeviceMapping> {
        let ebs = EbsBlockDevice::builder()
            .volume_type(VolumeType::from(self.kind.as_str()))
            .volume_size(i32::try_from(self.gib).unwrap_or(i32::MAX))
            // Never `false`: a volume from an encrypted image cannot be anything else.
            .set_encrypted(self.encrypted.then_some(true))
            .delete_on_termination(true);
        let device = root_device(image, aws).await?;
        Ok(BlockDeviceMapping::builder().device_name(device).ebs(ebs.build()).build())
    }
}

/// Remembers what a listing told, which saves a call.
pub(super) async fn remember_root_device(image: &Sdk, aws: &Aws) {
    if let (Some(id), Some(device)) = (image.image_id(), image.root_device_name()) {
        let device = device.to_owned();
        // Nothing that could fail is asked.
        let _ = aws.for_good(&format!("root device {id}"), || async { Ok(device) }).await;
    }
}

/// What an image calls its first volume: under any other name a second volume would be made, and the
/// first would stay as small and as readable as the image's own.
pub(super) async fn root_device(image: &str, aws: &Aws) -> aws::Result<String> {
    let key = format!("root device {image}");
    let device = aws.for_good(&key, || async {
        let seen = aws.ec2.describe_images().image_ids(image).send().await?;
        let device = seen.images().first().and_then(|it| it.root_device_name());
        Ok(device.unwrap_or("/dev/xvda").to_owned())
    });
    Ok(device.await?.as_ref().clone())
}
