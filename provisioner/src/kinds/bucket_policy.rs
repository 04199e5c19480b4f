//! Who may read a bucket. Apart from the bucket, since the site's policy names the distribution, which
//! in turn needs the bucket. A node's name is its bucket's: `bucket-policy/site`.

use serde::Serialize;

use super::{
    Bucket, Distribution,
    buckets::{by_name, ours, settled},
    policy::{self, Statement},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Ref, Resource, Value},
};

/// Its id is the bucket's.
#[derive(Clone, Debug, Serialize)]
pub struct BucketPolicy {
    pub bucket: Ref<Bucket>,
    /// The distribution that reads the bucket, if one does.
    pub distribution: Option<Ref<Distribution>>,
    pub statements: Vec<Statement>,
}

impl BucketPolicy {
    /// Encrypted connections only, and nobody but the account itself.
    pub fn private(bucket: Ref<Bucket>, name: &str) -> BucketPolicy {
        let tls_only = Statement::deny("TlsOnly", &[EVERYTHING])
            .to("*")
            .on(format!("arn:aws:s3:::{name}"))
            .on(format!("arn:aws:s3:::{name}/*"))
            .when("Bool", "aws:SecureTransport", "false");
        BucketPolicy { bucket, distribution: None, statements: vec![tls_only] }
    }

    /// CloudFront reads on behalf of this distribution, and over encrypted connections only. Unless viewers may come
    /// without encryption: CloudFront asks a bucket the way that it was asked itself.
    pub fn served(
        bucket: Ref<Bucket>,
        name: &str,
        distribution: Ref<Distribution>,
        over_http: bool,
    ) -> BucketPolicy {
        let mut policy = Self::private(bucket, name);
        if over_http {
            policy.statements.clear();
        }
        let read = Statement::allow("CloudFrontReads", &[READ])
            .to("Service: cloudfront.amazonaws.com")
            .on(format!("arn:aws:s3:::{name}/*"))
            .when("StringEquals", SOURCE, distribution.out(Distribution::ARN));
        policy.statements.push(read);
        policy.distribution = Some(distribution);
        policy
    }

    /// Everybody reads, without encryption too: the website endpoint speaks HTTP only.
    pub fn public(bucket: Ref<Bucket>, name: &str) -> BucketPolicy {
        let read = Statement::allow("PublicReadGetObject", &["s3:GetObject"]).to("*");
        let read = read.on(format!("arn:aws:s3:::{name}/*"));
        BucketPolicy { bucket, distribution: None, statements: vec![read] }
    }
}

// IAM does not mind capitals. moto does, which is why it passes over these statements: it looks at no condition, and
// would refuse everything for the one and let everybody read for the other.
const EVERYTHING: &str = "S3:*";
const READ: &str = "S3:GetObject";

/// The condition by which a statement is meant for one distribution.
const SOURCE: &str = "aws:SourceArn";

impl Resource for BucketPolicy {
    const KIND: &'static str = "bucket-policy";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["bucket"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in ours(aws).await?.iter() {
            let get = it.client(aws).get_bucket_policy().bucket(&it.name);
            match get.send().await.map_err(aws::Error::from) {
                Ok(policy) => {
                    let statements = policy::parse(policy.policy().unwrap_or_default());
                    let distribution = distribution_in(&statements);
                    let bucket = Ref::id(Some(&it.name));
                    let spec = BucketPolicy { bucket, distribution, statements };
                    found.push(Found::untagged(it.node, &it.name, spec));
                }
                Err(err) if err.is_missing() => (),
                Err(err) => return Err(err),
            }
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let name = cx.id(self.bucket);
        let bucket = settled(&name, cx.aws).await?;
        let policy = policy::render(&self.statements, |it| cx.text(it));
        let put = bucket.client(cx.aws).put_bucket_policy().bucket(&name).policy(policy);
        match put.send().await.map_err(aws::Error::from) {
            // That the bucket may be public takes a moment to be known.
            Err(err) if err.message.contains("BlockPublicPolicy") => {
                Err(aws::Error::not_yet(err.to_string()))
            }
            other => other.map(|_| name),
        }
    }

    async fn configure(&self, _have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Some(bucket) = by_name(&have.id, aws).await? else { return Ok(()) };
        bucket.client(aws).delete_bucket_policy().bucket(&have.id).send().await?;
        Ok(())
    }
}

fn distribution_in(statements: &[Statement]) -> Option<Ref<Distribution>> {
    let sources = statements.iter().flat_map(|it| &it.conditions).filter(|it| it.key == SOURCE);
    let mut arns = sources.flat_map(|it| &it.values).filter_map(|it| match it {
        Value::Text(arn) => arn.rsplit_once(":distribution/"),
        _ => None,
    });
    arns.next().map(|(_, id)| Ref::id(Some(id)))
}
