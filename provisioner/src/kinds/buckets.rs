//! Which of the account's buckets are the stack's, and what is in them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_s3::{Client, config::timeout::TimeoutConfig};

use super::distribution;
use crate::aws::{self, Aws};

/// One of ours.
#[derive(Clone, Debug)]
pub(super) struct OurBucket {
    pub(super) name: String,
    pub(super) region: String,
    /// The second half of its node's name: [`SITE`] or [`ARTEFACTS`].
    pub(super) node: &'static str,
}

/// Nodes of the two buckets that a stack has.
pub(super) const SITE: &str = "site";
pub(super) const ARTEFACTS: &str = "artefacts";

/// Under which they are kept in mind, each with its node and region.
const KNOWN: &str = "bucket";

impl OurBucket {
    pub(super) fn client(&self, aws: &Aws) -> Client {
        aws.s3_in(&self.region)
    }

    /// For uploads, which take as long as the operator's line is slow.
    pub(super) fn uploads(&self, aws: &Aws) -> Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5));
        let timeouts = timeouts.operation_attempt_timeout(Duration::from_secs(900));
        let config = self.client(aws).config().to_builder().timeout_config(timeouts.build());
        Client::from_conf(config.build())
    }
}

/// What a name of the pattern `<stack>-artefacts-<account>-<region>` or `<stack>-site-<account>-<region>-<its own>` says:
/// node and region. It is unique in the world and carries stack, account and the stack's region, so that whoever has it
/// is ours.
pub(super) fn derived<'a>(name: &'a str, aws: &Aws) -> Option<(&'static str, &'a str)> {
    let rest = name.strip_prefix(aws.stack.as_str())?.strip_prefix('-')?;
    [SITE, ARTEFACTS].into_iter().find_map(|node| {
        let (account, region) = rest.strip_prefix(node)?.strip_prefix('-')?.split_once('-')?;
        let is_account = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
        let region = match node {
            SITE => region.strip_prefix(aws.region.as_str())?.strip_prefix('-')?,
            _ => Some(region).filter(|it| *it == aws.region)?,
        };
        (is_account && !region.is_empty()).then_some((node, region))
    })
}

/// The stack's buckets.
pub(super) async fn ours(aws: &Aws) -> aws::Result<Arc<Vec<OurBucket>>> {
    aws.once("our buckets", || async {
        if let Some(known) = aws.known(KNOWN) {
            let known = known.into_iter().map(|(name, said)| {
                let node = if said.contains_key(ARTEFACTS) { ARTEFACTS } else { SITE };
                OurBucket { region: said.get(node).cloned().unwrap_or_default(), name, node }
            });
            return Ok(known.collect());
        }
        if let Some(ours) = by_bearings(aws).await? {
            return Ok(ours);
        }
        let doubts = aws.doubts(KNOWN);
        let mut pages = aws.s3.list_buckets().into_paginator().page_size(1000).send();
        let mut all = BTreeMap::new();
        while let Some(page) = pages.try_next().await? {
            for it in page.buckets() {
                let region = it.bucket_region().map(str::to_owned);
                all.insert(it.name().unwrap_or_default().to_owned(), region);
            }
        }
        let mut ours = Vec::new();
        for name in all.keys() {
            if let Some((node, region)) = derived(name, aws) {
                ours.push(OurBucket { name: name.clone(), region: region.to_owned(), node });
            }
        }
        // Names of the operator's choice: of the configuration, or else of what the distribution serves.
        let mut named = aws.settings.buckets.clone();
        if ours.iter().all(|it| it.node != SITE) {
            named.extend(distribution::served_buckets(aws).await?);
        }
        for (name, region) in named {
            let Some(seen) = all.get(&name).filter(|_| ours.iter().all(|it| it.name != name)) else {
                continue;
            };
            let bucket = OurBucket { name, region: seen.clone().unwrap_or(region), node: SITE };
            if is_tagged(&bucket, aws).await? {
                ours.push(bucket);
            }
        }
        // A stack has these two, and neither comes or goes while we act on others.
        if [SITE, ARTEFACTS].iter().all(|node| ours.iter().any(|it| it.node == *node)) {
            let said = |it: &OurBucket| [(it.node.to_owned(), it.region.clone())].into();
            aws.knows(KNOWN, doubts, ours.iter().map(|it| (it.name.clone(), said(it))).collect());
        }
        Ok(ours)
    })
    .await
}

/// The buckets that the bearings name; `None` where they leave anything open.
async fn by_bearings(aws: &Aws) -> aws::Result<Option<Vec<OurBucket>>> {
    let Some(known) = aws.bearings(KNOWN).await?.filter(|it| !it.is_empty()) else { return Ok(None) };
    let bucket = |(node, name): (String, String)| {
        let node = [SITE, ARTEFACTS].into_iter().find(|it| node.ends_with(*it))?;
        let given = || Some(aws.settings.buckets.iter().find(|it| it.0 == name)?.1.clone());
        let region = derived(&name, aws).map(|it| it.1.to_owned()).or_else(given)?;
        Some(OurBucket { name, region, node })
    };
    Ok(known.into_iter().map(bucket).collect())
}

/// The bucket of that name, with its region; `None` if it is not there or not ours.
pub(super) async fn by_name(name: &str, aws: &Aws) -> aws::Result<Option<OurBucket>> {
    // A name that says all saves the look.
    if let Some((node, region)) = derived(name, aws) {
        return Ok(Some(OurBucket { name: name.to_owned(), region: region.to_owned(), node }));
    }
    Ok(ours(aws).await?.iter().find(|it| it.name == name).cloned())
}

/// The same for a bucket that was made before.
pub(super) async fn settled(name: &str, aws: &Aws) -> aws::Result<OurBucket> {
    if let Some(it) = by_name(name, aws).await? {
        return Ok(it);
    }
    // Made a moment ago, after this look began.
    aws.look_again();
    let found = by_name(name, aws).await?;
    found.ok_or_else(|| aws::Error::not_yet(format!("bucket {name} to show up")))
}

async fn is_tagged(bucket: &OurBucket, aws: &Aws) -> aws::Result<bool> {
    let get = bucket.client(aws).get_bucket_tagging().bucket(&bucket.name);
    match get.send().await.map_err(aws::Error::from) {
        Ok(it) => Ok(aws.is_ours(&Aws::from_s3(it.tag_set()))),
        Err(err) if err.is_missing() => Ok(false),
        Err(err) => Err(err),
    }
}

/// What lies in a bucket: the MD5 sums of its objects by key. (An ETag is one where S3 itself encrypts,
/// as it does by default, and the object was uploaded in one piece.)
pub(super) async fn objects(bucket: &OurBucket, aws: &Aws) -> aws::Result<BTreeMap<String, String>> {
    let mut pages = bucket.client(aws).list_objects_v2().bucket(&bucket.name).into_paginator().send();
    let mut objects = BTreeMap::new();
    loop {
        match pages.try_next().await.map_err(aws::Error::from) {
            Ok(Some(page)) => objects.extend(page.contents().iter().map(|it| {
                let sum = it.e_tag().unwrap_or_default().trim_matches('"').to_owned();
                (it.key().unwrap_or_default().to_owned(), sum)
            })),
            // The bucket was deleted a moment ago.
            Err(err) if !err.is_missing() => return Err(err),
            _ => return Ok(objects),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_stack_account_and_the_stacks_region_are_ours() {
        let aws = Aws::unreachable("lab");
        let ours = |it| derived(it, &aws);
        assert_eq!(ours("lab-site-123456789012-ap-northeast-2-us-east-1"), Some(("site", "us-east-1")));
        assert_eq!(ours("lab-artefacts-123456789012-ap-northeast-2"), Some(("artefacts", "ap-northeast-2")));
        assert_eq!(ours("lab-artefacts-123456789012-us-west-2"), None, "another region's stack of this name");
        assert_eq!(ours("lab-site-123456789012-us-west-2-us-east-1"), None);
        assert_eq!(ours("lab-vpc-site-123456789012-ap-northeast-2-us-east-1"), None);
        assert_eq!(ours("lab-site-holiday-us-east-1"), None);
    }
}
