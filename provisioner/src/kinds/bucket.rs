//! A bucket. AWS encrypts what is in it by itself, and keeps no versions unless asked.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    types::{
        BucketLocationConstraint, CreateBucketConfiguration, Delete, ErrorDocument, IndexDocument,
        ObjectIdentifier, PublicAccessBlockConfiguration, Tagging, WebsiteConfiguration,
    },
};
use serde::Serialize;

use super::buckets::{OurBucket, derived, ours};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Resource},
};

/// Its id is its name; its node is `bucket/site` or `bucket/artefacts`.
#[derive(Clone, Debug, Serialize)]
pub struct Bucket {
    pub name: String,
    pub region: String,
    /// Whether AWS refuses everything that would make it public.
    pub private: bool,
    /// The website endpoint. Only a public bucket has one: without public access it answers nobody.
    pub website: Option<Website>,
}

/// What the website endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Website {
    /// For a folder.
    pub index: String,
    /// For an error.
    pub error: String,
}

impl Bucket {
    /// The second half of the node's name of the bucket that holds the site.
    pub const SITE: &'static str = super::buckets::SITE;
    /// The second half of the node's name of the bucket that holds the agent.
    pub const ARTEFACTS: &'static str = super::buckets::ARTEFACTS;
}

impl Resource for Bucket {
    const KIND: &'static str = "bucket";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name", "region"];
    const PATIENCE: Duration = Duration::from_secs(600);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in ours(aws).await?.iter() {
            let private = match is_private(it, aws).await {
                // It was deleted a moment ago.
                Err(err) if err.code == "NoSuchBucket" => continue,
                other => other?,
            };
            let website = if private { None } else { website(it, aws).await? };
            let spec = Bucket { name: it.name.clone(), region: it.region.clone(), private, website };
            found.push(Found::untagged(it.node, &it.name, spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let s3 = cx.aws.s3_in(&self.region);
        // In us-east-1 AWS makes a bucket "again" without a word if it is ours: look before.
        if derived(&self.name, cx.aws).is_none() {
            match s3.head_bucket().bucket(&self.name).send().await.map_err(aws::Error::from) {
                Err(err) if err.is_missing() => (),
                Err(err) if !err.is_forbidden() && !err.is_moved() => return Err(err),
                _ => {
                    return Err(aws::Error::refused(format!(
                        "bucket {} exists and does not carry this stack's tag {}; choose another site.bucket, or set the tag to hand it over",
                        self.name,
                        shared::tags::STACK
                    )));
                }
            }
        }
        let configuration = CreateBucketConfiguration::builder().set_tags(Some(Aws::to_s3(cx.tags)?));
        let configuration = match self.region.as_str() {
            "us-east-1" => configuration,
            other => configuration.location_constraint(BucketLocationConstraint::from(other)),
        };
        s3.create_bucket()
            .bucket(&self.name)
            .create_bucket_configuration(configuration.build())
            .send()
            .await?;
        self.complete(None, &s3, cx).await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.complete(Some(&have.spec), &cx.aws.s3_in(&self.region), cx).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let s3 = aws.s3_in(&have.spec.region);
        let delete = || s3.delete_bucket().bucket(&have.id).send();
        match delete().await.map_err(aws::Error::from) {
            Err(err) if err.code == "BucketNotEmpty" => {
                empty(&have.id, &s3).await?;
                delete().await?;
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

impl Bucket {
    async fn complete(&self, have: Option<&Bucket>, s3: &Client, cx: &Cx<'_>) -> aws::Result<()> {
        // Tags first, since they are not read: what comes after them tells, if this is interrupted, that
        // something is left to do.
        let tags = Tagging::builder().set_tag_set(Some(Aws::to_s3(cx.tags)?)).build()?;
        s3.put_bucket_tagging().bucket(&self.name).tagging(tags).send().await?;
        if have.is_none_or(|it| it.private != self.private) {
            let block = PublicAccessBlockConfiguration::builder()
                .block_public_acls(self.private)
                .ignore_public_acls(self.private)
                .block_public_policy(self.private)
                .restrict_public_buckets(self.private);
            let put = s3.put_public_access_block().bucket(&self.name);
            put.public_access_block_configuration(block.build()).send().await?;
        }
        if have.is_none_or(|it| it.website != self.website) {
            match &self.website {
                Some(it) => {
                    let index = IndexDocument::builder().suffix(&it.index).build()?;
                    let error = ErrorDocument::builder().key(&it.error).build()?;
                    let website = WebsiteConfiguration::builder().index_document(index).error_document(error);
                    let put = s3.put_bucket_website().bucket(&self.name);
                    put.website_configuration(website.build()).send().await?;
                }
                None if have.is_some() => drop(s3.delete_bucket_website().bucket(&self.name).send().await?),
                None => (),
            }
        }
        Ok(())
    }
}

async fn is_private(bucket: &OurBucket, aws: &Aws) -> aws::Result<bool> {
    let get = bucket.client(aws).get_public_access_block().bucket(&bucket.name);
    match get.send().await.map_err(aws::Error::from) {
        Ok(it) => Ok(it.public_access_block_configuration.is_some_and(|it| {
            [it.block_public_acls, it.ignore_public_acls, it.block_public_policy, it.restrict_public_buckets]
                .iter()
                .all(|it| *it == Some(true))
        })),
        Err(err) if err.code == "NoSuchPublicAccessBlockConfiguration" => Ok(false),
        Err(err) => Err(err),
    }
}

async fn website(bucket: &OurBucket, aws: &Aws) -> aws::Result<Option<Website>> {
    let get = bucket.client(aws).get_bucket_website().bucket(&bucket.name);
    match get.send().await.map_err(aws::Error::from) {
        Ok(it) => Ok(Some(Website {
            index: it.index_document.map(|it| it.suffix).unwrap_or_default(),
            error: it.error_document.map(|it| it.key).unwrap_or_default(),
        })),
        Err(err) if err.is_missing() => Ok(None),
        Err(err) => Err(err),
    }
}

/// Deletes everything, old versions and the marks of deleted objects too, a thousand at a time.
async fn empty(bucket: &str, s3: &Client) -> aws::Result<()> {
    let mut pages = s3.list_object_versions().bucket(bucket).send().await?;
    loop {
        let versions = pages.versions().iter().map(|it| (it.key(), it.version_id()));
        let marks = pages.delete_markers().iter().map(|it| (it.key(), it.version_id()));
        let all = versions.chain(marks).map(|(key, version)| {
            let version = version.map(str::to_owned);
            ObjectIdentifier::builder().key(key.unwrap_or_default()).set_version_id(version).build()
        });
        let all: Vec<_> = all.collect::<Result<_, _>>()?;
        let is_last = pages.is_truncated() != Some(true);
        let (key, version) = (pages.next_key_marker.take(), pages.next_version_id_marker.take());
        delete_objects(bucket, all, s3).await?;
        if is_last {
            return Ok(());
        }
        let next = s3.list_object_versions().bucket(bucket).set_key_marker(key);
        pages = next.set_version_id_marker(version).send().await?;
    }
}

/// Deletes objects, a thousand at a time.
///
/// # Errors
/// The call's, or the first object that S3 kept.
pub(super) async fn delete_objects(
    bucket: &str,
    objects: Vec<ObjectIdentifier>,
    s3: &Client,
) -> aws::Result<()> {
    for some in objects.chunks(1000) {
        let delete = Delete::builder().set_objects(Some(some.to_vec())).quiet(true).build()?;
        let done = s3.delete_objects().bucket(bucket).delete(delete).send().await?;
        if let Some(it) = done.errors().first() {
            let (key, why) = (it.key().unwrap_or_default(), it.message().or(it.code()).unwrap_or_default());
            return Err(aws::Error::refused(format!("S3 did not delete {key} of bucket {bucket}: {why}")));
        }
    }
    Ok(())
}
