//! The static site's acceleration: CloudFront before the bucket.

use std::{
    collections::BTreeMap,
    process,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use aws_sdk_cloudfront::types::{
    DistributionConfig, DistributionConfigWithTags, DistributionSummary, InvalidationBatch, Paths,
};
use serde::Serialize;

use super::{
    Bucket, OriginAccessControl, distribution_config,
    mark::{mark, marked},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Output, Phase, Ref, Resource},
};

/// Answers GET and HEAD. With the default certificate AWS itself fixes which TLS versions are taken.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    pub bucket: Ref<Bucket>,
    /// The bucket's region.
    pub region: String,
    /// How CloudFront proves who it is; `None`: it reads the public website endpoint.
    pub access: Option<Ref<OriginAccessControl>>,
    /// `redirect-to-https` or `allow-all`.
    pub viewers: String,
    pub compress: bool,
    /// Id of the cache policy.
    pub cache_policy: String,
    /// `PriceClass_All`, `PriceClass_200` or `PriceClass_100`.
    pub price_class: String,
    /// What `/` answers.
    pub root_object: String,
    /// Key of the page for what is not there.
    pub error_page: Option<String>,
    pub ipv6: bool,
    /// Names of its own.
    pub aliases: Vec<String>,
    /// ARN of the certificate for these names.
    pub certificate: Option<String>,
    /// The oldest TLS version that is taken, with a certificate of one's own; otherwise AWS decides.
    pub minimum_tls: Option<String>,
    /// The bucket that gets access logs.
    pub log_bucket: Option<String>,
    pub enabled: bool,
}

impl Distribution {
    pub const ARN: Output<Distribution> = Output::new("arn");
    /// Its own name, `d….cloudfront.net`.
    pub const DOMAIN: Output<Distribution> = Output::new("domain");
    /// The oldest TLS version that we let in where AWS lets us choose.
    pub const TLS: &'static str = "TLSv1.2_2021";
}

impl Resource for Distribution {
    const KIND: &'static str = "distribution";
    const FIXED: &'static [&'static str] = &[];
    const USUALLY: Duration = Duration::from_secs(4 * 60);
    const PATIENCE: Duration = Duration::from_secs(45 * 60);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for Ours { node, id, arn, domain, status, config } in distributions(aws).await?.iter() {
            let spec = distribution_config::read(config);
            let phase = match status.as_str() {
                "Deployed" => Phase::Ready,
                _ if !spec.enabled => Phase::Pending("being disabled".into()),
                _ => Phase::Pending("deploying".into()),
            };
            let it = Found::untagged(node, id, spec).phase(phase);
            found.push(it.out(Self::ARN, arn).out(Self::DOMAIN, domain));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let mark = mark(cx.name(), cx.aws);
        let config = distribution_config::new(self, &format!("{mark} {}", run()), &mark, cx)?;
        let tags = Aws::to_cloudfront(cx.tags)?;
        let config = DistributionConfigWithTags::builder().distribution_config(config).tags(tags).build();
        let create = cx.aws.cloudfront.create_distribution_with_tags();
        let made = create.distribution_config_with_tags(config).send().await?;
        Ok(made.distribution.map(|it| it.id).unwrap_or_default())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let now = cx.aws.cloudfront.get_distribution_config().id(&have.id).send().await?;
        let Some(mut config) = now.distribution_config else {
            return Err(aws::Error::not_yet(format!("the configuration of {}", have.id)));
        };
        distribution_config::write(self, &mut config, cx)?;
        let update = cx.aws.cloudfront.update_distribution().id(&have.id).set_if_match(now.e_tag);
        update.distribution_config(config).send().await?;
        Ok(())
    }

    /// Three steps: disable, wait until that is deployed everywhere, delete. Asked again and again, it
    /// goes on from where it is.
    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let now = aws.cloudfront.get_distribution().id(&have.id).send().await?;
        let Some(mut config) = now.distribution.as_ref().and_then(|it| it.distribution_config.clone()) else {
            return Err(aws::Error::not_yet(format!("the configuration of {}", have.id)));
        };
        if config.enabled {
            config.enabled = false;
            let update = aws.cloudfront.update_distribution().id(&have.id).set_if_match(now.e_tag);
            let done = update.distribution_config(config).send().await?;
            let deployed = done.distribution.as_ref().is_some_and(|it| it.status == "Deployed");
            if !deployed {
                return Err(aws::Error::not_yet(
                    "the distribution to be disabled everywhere, which takes minutes",
                ));
            }
            aws.cloudfront.delete_distribution().id(&have.id).set_if_match(done.e_tag).send().await?;
            return Ok(());
        }
        if now.distribution.is_some_and(|it| it.status != "Deployed") {
            return Err(aws::Error::not_yet(
                "the distribution to be disabled everywhere, which takes minutes",
            ));
        }
        aws.cloudfront.delete_distribution().id(&have.id).set_if_match(now.e_tag).send().await?;
        Ok(())
    }
}

/// One of the stack's distributions.
struct Ours {
    node: String,
    id: String,
    arn: String,
    domain: String,
    status: String,
    config: DistributionConfig,
}

/// The stack's distributions: one read of all, and one of each of ours, since the list leaves out the
/// root object and the logs.
async fn distributions(aws: &Aws) -> aws::Result<Arc<Vec<Ours>>> {
    aws.once("distributions", || async {
        if let Some(known) = aws.bearings(Distribution::KIND).await?
            && let Some(ours) = by_id(&known, aws).await?
        {
            return Ok(ours);
        }
        let mut ours = Vec::new();
        for it in summaries(aws).await? {
            let Some(node) = marked(Some(it.comment()), aws).map(str::to_owned) else { continue };
            let get = aws.cloudfront.get_distribution_config().id(it.id());
            let config = match get.send().await.map_err(aws::Error::from) {
                Ok(it) => it.distribution_config,
                Err(err) if err.is_missing() => None,
                Err(err) => return Err(err),
            };
            ours.extend(config.map(|config| Ours {
                node,
                id: it.id,
                arn: it.arn,
                domain: it.domain_name,
                status: it.status,
                config,
            }));
        }
        Ok(ours)
    })
    .await
}

/// The distributions with these ids; `None` unless all are there.
async fn by_id(known: &BTreeMap<String, String>, aws: &Aws) -> aws::Result<Option<Vec<Ours>>> {
    let mut ours = Vec::new();
    for id in known.values() {
        let it = match aws.cloudfront.get_distribution().id(id).send().await.map_err(aws::Error::from) {
            Err(err) if err.is_missing() => return Ok(None),
            other => other?.distribution,
        };
        let found = it.and_then(|it| {
            let config = it.distribution_config?;
            let node = marked(Some(config.comment()), aws)?.to_owned();
            Some(Ours { node, id: it.id, arn: it.arn, domain: it.domain_name, status: it.status, config })
        });
        match found {
            Some(it) => ours.push(it),
            None => return Ok(None),
        }
    }
    Ok((!ours.is_empty()).then_some(ours))
}

async fn summaries(aws: &Aws) -> aws::Result<Vec<DistributionSummary>> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let page = aws.cloudfront.list_distributions().set_marker(marker).send().await?;
        let Some(list) = page.distribution_list else { return Ok(all) };
        all.extend(list.items.unwrap_or_default());
        marker = list.next_marker.filter(|it| list.is_truncated && !it.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Buckets that the stack's distributions serve, with their regions.
pub(super) async fn served_buckets(aws: &Aws) -> aws::Result<Vec<(String, String)>> {
    let ours = distributions(aws).await?;
    Ok(ours.iter().filter_map(|it| distribution_config::bucket(&it.config)).collect())
}

/// Makes CloudFront forget what it keeps under these keys of a bucket that it serves; the folder's own address with them.
pub(super) async fn forget(bucket: &str, keys: &[String], aws: &Aws) -> aws::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let all = distributions(aws).await?;
    let serves = |it: &&Ours| distribution_config::bucket(&it.config).is_some_and(|it| it.0 == bucket);
    for it in all.iter().filter(serves) {
        let paths = paths(keys);
        let number = i32::try_from(paths.len()).unwrap_or(i32::MAX);
        let paths = Paths::builder().quantity(number).set_items(Some(paths)).build()?;
        // Two invalidations of the same do no harm, so each is a new one.
        let reference = format!("{:032x}", rand::random::<u128>());
        let batch = InvalidationBatch::builder().paths(paths).caller_reference(reference).build()?;
        aws.cloudfront.create_invalidation().distribution_id(&it.id).invalidation_batch(batch).send().await?;
    }
    Ok(())
}

/// So many paths are told one by one; AWS lets a thousand a month go free, and takes everything for one.
const PATHS: usize = 15;

/// What AWS calls these keys; everything, where they are many or would have to be written otherwise.
fn paths(keys: &[String]) -> Vec<String> {
    let is_plain = |it: &String| it.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_./".contains(&c));
    if PATHS < keys.len() || !keys.iter().all(is_plain) {
        return vec!["/*".to_owned()];
    }
    // The root object is kept under the address without a name, too.
    keys.iter().map(|it| format!("/{it}")).chain(["/".to_owned()]).collect()
}

/// Differs from run to run: AWS takes a caller's reference once, and not again after a `down`. Within a
/// run it makes a second call harmless.
fn run() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{}-{}", now.as_millis(), process::id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_plain_keys_are_forgotten_by_name_and_others_with_everything() {
        let keys = |it: &[&str]| it.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(paths(&keys(&["index.html", "img/a.png"])), ["/index.html", "/img/a.png", "/"]);
        assert_eq!(paths(&keys(&["with space.html"])), ["/*"]);
        assert_eq!(paths(&vec!["a".to_owned(); 100]), ["/*"]);
    }
}
