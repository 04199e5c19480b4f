//! CloudFront's signature on what it asks of the private bucket.

use aws_sdk_cloudfront::types::{
    OriginAccessControlConfig, OriginAccessControlOriginTypes, OriginAccessControlSigningBehaviors,
    OriginAccessControlSigningProtocols,
};
use serde::Serialize;

use super::mark::{mark, marked};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct OriginAccessControl {
    /// Unique in the account.
    pub name: String,
    /// `always`, so that the bucket knows who asks.
    pub signing: String,
}

impl OriginAccessControl {
    /// One that signs every request.
    pub fn always(name: &str) -> OriginAccessControl {
        OriginAccessControl { name: name.to_owned(), signing: "always".into() }
    }

    fn config(&self, cx: &Cx<'_>) -> aws::Result<OriginAccessControlConfig> {
        let config =
            OriginAccessControlConfig::builder().name(&self.name).description(mark(cx.name(), cx.aws));
        let config = config.signing_protocol(OriginAccessControlSigningProtocols::Sigv4);
        let config =
            config.signing_behavior(OriginAccessControlSigningBehaviors::from(self.signing.as_str()));
        Ok(config.origin_access_control_origin_type(OriginAccessControlOriginTypes::S3).build()?)
    }
}

impl Resource for OriginAccessControl {
    const KIND: &'static str = "origin-access-control";
    const USABLE_AT_ONCE: bool = true;
    // Longer than a distribution takes to go.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let page = aws.cloudfront.list_origin_access_controls().set_marker(marker).send().await?;
            let Some(list) = page.origin_access_control_list else { break };
            for it in list.items() {
                let Some(node) = marked(Some(it.description()), aws) else { continue };
                let spec = OriginAccessControl {
                    name: it.name().to_owned(),
                    signing: it.signing_behavior().as_str().to_owned(),
                };
                found.push(Found::untagged(node, it.id(), spec));
            }
            marker = list.next_marker.filter(|it| list.is_truncated && !it.is_empty());
            if marker.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.cloudfront.create_origin_access_control();
        let made = create.origin_access_control_config(self.config(cx)?).send().await?;
        Ok(made.origin_access_control.map(|it| it.id).unwrap_or_default())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let now = cx.aws.cloudfront.get_origin_access_control().id(&have.id).send().await?;
        let update = cx.aws.cloudfront.update_origin_access_control().id(&have.id).set_if_match(now.e_tag);
        update.origin_access_control_config(self.config(cx)?).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let now = aws.cloudfront.get_origin_access_control().id(&have.id).send().await?;
        aws.cloudfront.delete_origin_access_control().id(&have.id).set_if_match(now.e_tag).send().await?;
        Ok(())
    }
}
