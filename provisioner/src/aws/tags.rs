//! Tags in the shapes that the services want.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use shared::tags::STACK;

use super::{Aws, Result};

/// A resource's tags by key.
pub type Tags = BTreeMap<String, String>;

/// The value of one tag, empty where it is absent.
pub fn tag_value(tags: &Tags, key: &str) -> String {
    tags.get(key).cloned().unwrap_or_default()
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $module:ident, $to:ident, $from:ident;)*) => {$(
        impl Aws {
            $(#[$doc])*
            pub fn $to(tags: &Tags) -> Vec<$module::types::Tag> {
                tags.iter().map(|(k, v)| $module::types::Tag::builder().key(k).value(v).build()).collect()
            }

            /// The way back.
            pub fn $from(tags: &[$module::types::Tag]) -> Tags {
                let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
                tags.iter().map(|it| (text(it.key()), text(it.value()))).collect()
            }
        }
    )*};
}

shapes! {
    /// Tags as EC2 takes them.
    aws_sdk_ec2, to_ec2, from_ec2;
    /// Tags as RDS takes them.
    aws_sdk_rds, to_rds, from_rds;
    /// Tags as Elastic Load Balancing takes them.
    aws_sdk_elasticloadbalancingv2, to_elb, from_elb;
}

macro_rules! strict_shapes {
    ($($(#[$doc:meta])* $module:ident, $to:ident, $from:ident;)*) => {$(
        impl Aws {
            $(#[$doc])*
            pub fn $to(tags: &Tags) -> Result<Vec<$module::types::Tag>> {
                let build = |(k, v): (&String, &String)| $module::types::Tag::builder().key(k).value(v).build();
                Ok(tags.iter().map(build).collect::<std::result::Result<_, _>>()?)
            }

            /// The way back.
            pub fn $from(tags: &[$module::types::Tag]) -> Tags {
                tags.iter().map(|it| (it.key().to_owned(), it.value().to_owned())).collect()
            }
        }
    )*};
}

strict_shapes! {
    /// Tags as EFS takes them.
    aws_sdk_efs, to_efs, from_efs;
    /// Tags as IAM takes them.
    aws_sdk_iam, to_iam, from_iam;
    /// Tags as S3 takes them.
    aws_sdk_s3, to_s3, from_s3;
    /// Tags as SSM takes them.
    aws_sdk_ssm, to_ssm, from_ssm;
}

impl Aws {
    /// The filter of every EC2 listing: what belongs to this stack.
    pub fn ours(&self) -> aws_sdk_ec2::types::Filter {
        aws_sdk_ec2::types::Filter::builder().name(format!("tag:{STACK}")).values(&self.stack).build()
    }

    /// Tags as CloudFront takes them: a required key, an optional value.
    pub fn to_cloudfront(tags: &Tags) -> Result<aws_sdk_cloudfront::types::Tags> {
        use aws_sdk_cloudfront::types::{Tag, Tags};
        let build = |(k, v): (&String, &String)| Tag::builder().key(k).value(v).build();
        let items = tags.iter().map(build).collect::<std::result::Result<_, _>>()?;
        Ok(Tags::builder().set_items(Some(items)).build())
    }

    /// Tags for an EC2 object at its creation.
    pub fn ec2_tags(
        tags: &Tags,
        kind: aws_sdk_ec2::types::ResourceType,
    ) -> aws_sdk_ec2::types::TagSpecification {
        let builder = aws_sdk_ec2::types::TagSpecification::builder().resource_type(kind);
        builder.set_tags(Some(Self::to_ec2(tags))).build()
    }

    /// Sets tags on an EC2 object that exists.
    pub async fn tag_ec2(&self, id: &str, tags: &Tags) -> Result<()> {
        self.ec2.create_tags().resources(id).set_tags(Some(Self::to_ec2(tags))).send().await?;
        Ok(())
    }

    /// Whether nothing in EC2 carries the stack's tag: in an empty account one call says what a dozen listings would.
    pub async fn has_nothing_in_ec2(&self) -> Result<bool> {
        if !self.vpcs().await?.vpcs().is_empty() {
            return Ok(false);
        }
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let ask =
            self.ec2.describe_tags().filters(filter("key", STACK)).filters(filter("value", &self.stack));
        let mut pages = ask.into_paginator().items().send();
        Ok(pages.try_next().await?.is_none())
    }

    /// Whether these tags say that the resource belongs to this stack.
    pub fn is_ours(&self, tags: &Tags) -> bool {
        tags.get(STACK) == Some(&self.stack)
    }
}
