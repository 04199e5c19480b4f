//! An independent look at what a stack left behind: asks every service for what carries the stack's tag, lies under its
//! path, says in its description whose it is, or is in its VPC; and shares no reading code with the kinds, so that a
//! mistake there cannot hide here. By name alone goes only what AWS makes itself and marks with nothing else.

mod ec2;
mod rds;

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::Filter;
use futures::{FutureExt, future::LocalBoxFuture, future::join_all};
use serde::Serialize;
use shared::{params::Param, tags::STACK};

use crate::{
    aws::{self, Aws},
    config::Config,
};

/// Something of the stack's that is still there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    pub service: &'static str,
    pub id: String,
    /// How it was recognised.
    pub why: &'static str,
}

/// Everything that still carries the stack's tag, bears its names or lies in `vpc`.
///
/// # Errors
/// The first service that could not be asked: then nothing can be said.
pub async fn sweep(c: &Config, aws: &Aws, vpc: Option<&str>) -> aws::Result<Vec<Leftover>> {
    let account = aws.account().await?;
    let asked: Vec<LocalBoxFuture<'_, aws::Result<Vec<Leftover>>>> = vec![
        ec2::ec2(aws, vpc).boxed_local(),
        balancers(aws, vpc).boxed_local(),
        scaling(aws).boxed_local(),
        alarms(c, aws).boxed_local(),
        rds::databases(c, aws, vpc).boxed_local(),
        files(aws).boxed_local(),
        roles(aws).boxed_local(),
        parameters(aws).boxed_local(),
        buckets(c, aws, &account).boxed_local(),
        cloudfront(aws).boxed_local(),
    ];
    let mut left = BTreeSet::new();
    for it in join_all(asked).await {
        left.extend(it?);
    }
    Ok(left.into_iter().collect())
}

/// How things are recognised.
const TAGGED: &str = "carries the stack's tag";
const NAMED: &str = "bears a name of the stack's";
const DESCRIBED: &str = "says that it is the stack's";
const UNDER: &str = "lies under the stack's path";
const INSIDE: &str = "lies in the stack's VPC";
/// What stays because somebody wanted it.
const ASKED_FOR: &str = "a final snapshot was asked for; it costs money until you delete it";

impl Leftover {
    /// Whether it stays because somebody wanted it.
    pub fn was_asked_for(&self) -> bool {
        self.why == ASKED_FOR
    }
}

fn leftover(service: &'static str, id: impl Into<String>, why: &'static str) -> Leftover {
    Leftover { service, id: id.into(), why }
}

/// Whether a description or comment says so: `site of stack lab-vpc in ap-northeast-2`.
fn says_ours(text: Option<&str>, aws: &Aws) -> bool {
    text.is_some_and(|it| it.ends_with(&format!(" of stack {} in {}", aws.stack, aws.region)))
}

/// Whether it says that it is of a stack of this name in another region: the tags of what is one for all regions do not
/// tell these apart.
fn says_elsewhere(text: &str, aws: &Aws) -> bool {
    let said = text.rsplit_once(&format!(" of stack {} in ", aws.stack));
    said.is_some_and(|(_, region)| region != aws.region)
}

async fn balancers(aws: &Aws, vpc: Option<&str>) -> aws::Result<Vec<Leftover>> {
    let mut left = Vec::new();
    let mut others = Vec::new();
    let mut pages = aws.elb.describe_load_balancers().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let arn = it.load_balancer_arn().unwrap_or_default().to_owned();
        match vpc.is_some() && it.vpc_id() == vpc {
            true => left.push(leftover("elasticloadbalancing", arn, INSIDE)),
            false => others.push(arn),
        }
    }
    let mut pages = aws.elb.describe_target_groups().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let arn = it.target_group_arn().unwrap_or_default().to_owned();
        match vpc.is_some() && it.vpc_id() == vpc {
            true => left.push(leftover("elasticloadbalancing", arn, INSIDE)),
            false => others.push(arn),
        }
    }
    // AWS describes the tags of at most twenty at a time.
    for arns in others.chunks(20) {
        let seen = aws.elb.describe_tags().set_resource_arns(Some(arns.to_vec())).send().await?;
        let ours = seen.tag_descriptions().iter().filter(|it| aws.is_ours(&Aws::from_elb(it.tags())));
        left.extend(
            ours.map(|it| leftover("elasticloadbalancing", it.resource_arn().unwrap_or_default(), TAGGED)),
        );
    }
    Ok(left)
}

async fn scaling(aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let tag = Filter::builder().name(format!("tag:{STACK}")).values(&aws.stack).build();
    let mut left = Vec::new();
    let mut pages = aws.scaling.describe_auto_scaling_groups().filters(tag).into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        left.push(leftover("autoscaling", it.auto_scaling_group_name().unwrap_or_default(), TAGGED));
    }
    Ok(left)
}

/// Target tracking makes its alarms itself, and takes them away itself.
async fn alarms(c: &Config, aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let prefix = format!("TargetTracking-{}-", c.names.scaling_group);
    let seen = match aws
        .cloudwatch
        .describe_alarms()
        .alarm_name_prefix(prefix)
        .send()
        .await
        .map_err(aws::Error::from)
    {
        // An emulator that does not speak CloudWatch's current protocol has no alarms.
        Err(err) if err.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    Ok(seen
        .metric_alarms()
        .iter()
        .map(|it| leftover("cloudwatch", it.alarm_name().unwrap_or_default(), NAMED))
        .collect())
}

async fn files(aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let mut left = Vec::new();
    let mut pages = aws.efs.describe_file_systems().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        if aws.is_ours(&Aws::from_efs(it.tags())) {
            left.push(leftover("elasticfilesystem", it.file_system_id(), TAGGED));
        }
    }
    Ok(left)
}

/// IAM is one for all regions, which the path tells apart. A role of our name that lies elsewhere is somebody's.
async fn roles(aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let path = format!("/lamp/{}/{}/", aws.region, aws.stack);
    let mut left = Vec::new();
    let mut pages = aws.iam.list_roles().path_prefix(&path).into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        left.push(leftover("iam", format!("role {}", it.role_name()), UNDER));
    }
    let mut pages = aws.iam.list_instance_profiles().path_prefix(&path).into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        // Not every emulator minds the prefix.
        if it.path().starts_with(&path) {
            left.push(leftover("iam", format!("instance profile {}", it.instance_profile_name()), UNDER));
        }
    }
    Ok(left)
}

async fn parameters(aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let prefix = Param::prefix(&aws.stack);
    let path = aws.ssm.get_parameters_by_path().path(prefix.trim_end_matches('/')).recursive(true);
    let mut pages = path.into_paginator().send();
    let mut left = Vec::new();
    while let Some(page) = pages.try_next().await? {
        // The run that asks holds the lock, and gives it back when it ends.
        let names =
            page.parameters().iter().filter_map(|it| it.name()).filter(|it| *it != format!("{prefix}lock"));
        left.extend(names.map(|it| leftover("ssm", it, UNDER)));
    }
    Ok(left)
}

/// Names carry stack, account and region; one that the operator chose is ours by its tag.
async fn buckets(c: &Config, aws: &Aws, account: &str) -> aws::Result<Vec<Leftover>> {
    let ours = ["artefacts", "site"].map(|it| format!("{}-{it}-{account}-{}", aws.stack, aws.region));
    let mut left = Vec::new();
    let mut pages = aws.s3.list_buckets().into_paginator().page_size(1000).send();
    while let Some(page) = pages.try_next().await? {
        for name in page.buckets().iter().filter_map(|it| it.name()) {
            let is_whole = |rest: &str| rest.is_empty() || rest.starts_with('-');
            if ours.iter().any(|it| name.strip_prefix(it.as_str()).is_some_and(is_whole)) {
                left.push(leftover("s3", name, NAMED));
            } else if c.site.bucket.as_deref() == Some(name) && is_tagged(name, &c.site.region, aws).await? {
                left.push(leftover("s3", name, TAGGED));
            }
        }
    }
    Ok(left)
}

async fn is_tagged(bucket: &str, region: &str, aws: &Aws) -> aws::Result<bool> {
    let tags = aws.s3_in(region).get_bucket_tagging().bucket(bucket).send().await;
    found(tags.map(|it| aws.is_ours(&Aws::from_s3(it.tag_set()))))
}

async fn cloudfront(aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let mut left = Vec::new();
    let mut pages = aws.cloudfront.list_distributions().into_paginator().send();
    while let Some(page) = pages.try_next().await? {
        let all = page.distribution_list().map(|it| it.items()).unwrap_or_default();
        for it in all.iter().filter(|it| !says_elsewhere(it.comment(), aws)) {
            let tags = aws.cloudfront.list_tags_for_resource().resource(it.arn()).send().await?;
            let tags = tags.tags().map(|it| it.items()).unwrap_or_default();
            if tags.iter().any(|it| it.key() == STACK && it.value() == Some(&aws.stack)) {
                left.push(leftover("cloudfront", format!("distribution {}", it.id()), TAGGED));
            }
        }
    }
    let mut marker = None;
    loop {
        let page = aws.cloudfront.list_origin_access_controls().set_marker(marker).send().await?;
        let Some(list) = page.origin_access_control_list else { break };
        let ours = list.items().iter().filter(|it| says_ours(Some(it.description()), aws));
        left.extend(
            ours.map(|it| leftover("cloudfront", format!("origin access control {}", it.id()), DESCRIBED)),
        );
        marker = list.next_marker.filter(|it| list.is_truncated && !it.is_empty());
        if marker.is_none() {
            break;
        }
    }
    Ok(left)
}

/// Whether it was found: only an empty listing or its own "not found" says that it was not.
fn found<E>(answer: std::result::Result<bool, E>) -> aws::Result<bool>
where
    aws::Error: From<E>,
{
    match answer.map_err(aws::Error::from) {
        Ok(any) => Ok(any),
        Err(err) if err.is_missing() => Ok(false),
        Err(err) => Err(err),
    }
}
