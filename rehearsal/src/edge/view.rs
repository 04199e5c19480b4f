//! Which distributions and buckets there are, as the control plane has it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_cloudfront::types::{DistributionConfig, DistributionSummary, ViewerProtocolPolicy};

use super::cache::Limits;
use super::storage::Storage;

/// Where the names of AWS end.
const DOMAIN: &str = ".amazonaws.com";

/// What answers at which name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    pub(super) sites: BTreeMap<String, Site>,
    /// Paths by invalidation, which is named by its distribution and itself.
    pub(super) invalidations: BTreeMap<(String, String), Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Site {
    Distribution(Box<Distribution>),
    /// A bucket's interface.
    Bucket(String),
    /// A bucket's website endpoint.
    Website(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) enabled: bool,
    pub(super) viewers: ViewerProtocolPolicy,
    pub(super) methods: Vec<String>,
    pub(super) root: String,
    pub(super) origin: Origin,
    pub(super) errors: Vec<ErrorRule>,
    pub(super) limits: Limits,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// Read as this distribution if its access is controlled, otherwise as anybody.
    Bucket {
        name: String,
        is_controlled: bool,
    },
    Website(String),
    /// Neither of our buckets' names.
    Elsewhere(String),
}

/// What is answered instead of an error.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ErrorRule {
    pub(super) code: u16,
    pub(super) page: Option<String>,
    pub(super) becomes: Option<u16>,
    pub(super) ttl: u64,
}

impl View {
    pub(super) fn distributions(&self) -> impl Iterator<Item = &Distribution> {
        self.sites.values().filter_map(|it| match it {
            Site::Distribution(it) => Some(&**it),
            Site::Bucket(_) | Site::Website(_) => None,
        })
    }

    pub(super) async fn read(
        cloudfront: &aws_sdk_cloudfront::Client,
        storage: &Storage,
    ) -> anyhow::Result<View> {
        let mut view = View::default();
        let mut buckets = BTreeSet::new();
        for bucket in storage.buckets().await? {
            let region = storage.region_of(&bucket).await?;
            for name in [format!("{bucket}.s3.{region}{DOMAIN}"), format!("{bucket}.s3{DOMAIN}")] {
                view.sites.insert(name, Site::Bucket(bucket.clone()));
            }
            // The oldest regions write a hyphen where all others write a dot.
            for between in ['.', '-'] {
                let name = format!("{bucket}.s3-website{between}{region}{DOMAIN}");
                view.sites.insert(name, Site::Website(bucket.clone()));
            }
            buckets.insert(bucket);
        }
        let controls =
            cloudfront.list_origin_access_controls().send().await.context("listing access controls")?;
        let controls = controls.origin_access_control_list().map(|it| it.items()).unwrap_or_default();
        let controls: Vec<&str> = controls.iter().map(|it| it.id()).collect();
        let all = cloudfront.list_distributions().send().await.context("listing distributions")?;
        for it in all.distribution_list().map(|it| it.items()).unwrap_or_default() {
            // The list lacks the root object.
            let config = cloudfront.get_distribution_config().id(it.id()).send().await;
            let config = config.context("reading a distribution")?;
            let Some(config) = config.distribution_config() else { continue };
            let read = distribution(it, config, &controls, &view);
            let aliases = it.aliases().map(|it| it.items()).unwrap_or_default();
            for name in aliases.iter().map(String::as_str).chain([it.domain_name()]) {
                view.sites.insert(name.to_ascii_lowercase(), Site::Distribution(Box::new(read.clone())));
            }
            let done = cloudfront.list_invalidations().distribution_id(it.id()).send().await;
            let done = done.context("listing invalidations")?;
            for one in done.invalidation_list().map(|it| it.items()).unwrap_or_default() {
                let read = cloudfront.get_invalidation().distribution_id(it.id()).id(one.id()).send().await;
                let read = read.context("reading an invalidation")?;
                let batch = read.invalidation().and_then(|it| it.invalidation_batch());
                let paths = batch.and_then(|it| it.paths()).map(|it| it.items().to_vec());
                let key = (it.id().to_owned(), one.id().to_owned());
                view.invalidations.insert(key, paths.unwrap_or_default());
            }
        }
        Ok(view)
    }
}

fn distribution(
    it: &DistributionSummary,
    config: &DistributionConfig,
    controls: &[&str],
    view: &View,
) -> Distribution {
    let behavior = config.default_cache_behavior();
    let errors = config.custom_error_responses().map(|it| it.items()).unwrap_or_default();
    let errors = errors.iter().map(|it| ErrorRule {
        code: u16::try_from(it.error_code()).unwrap_or_default(),
        page: it.response_page_path().filter(|it| !it.is_empty()).map(str::to_owned),
        becomes: it.response_code().and_then(|it| it.parse().ok()),
        ttl: it.error_caching_min_ttl().and_then(|it| u64::try_from(it).ok()).unwrap_or(10),
    });
    let methods = behavior.and_then(|it| it.allowed_methods()).map(|it| it.items()).unwrap_or_default();
    let methods = methods.iter().map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
    let target = behavior.map(|it| it.target_origin_id()).unwrap_or_default();
    let origins = config.origins().map(|it| it.items()).unwrap_or_default();
    let origin = origins.iter().find(|it| it.id() == target).or(origins.first());
    let origin = origin.map_or(Origin::Elsewhere(String::new()), |origin| {
        // The emulator forgets which control an origin has; `lamp` says it once more in the origin's id.
        let said = origin.origin_access_control_id().filter(|it| !it.is_empty());
        let is_controlled = said.is_some() || controls.iter().any(|it| origin.id().ends_with(it));
        match view.sites.get(origin.domain_name()) {
            Some(Site::Bucket(name)) => Origin::Bucket { name: name.clone(), is_controlled },
            Some(Site::Website(name)) => Origin::Website(name.clone()),
            _ => Origin::Elsewhere(origin.domain_name().to_owned()),
        }
    });
    Distribution {
        id: it.id().to_owned(),
        arn: it.arn().to_owned(),
        enabled: config.enabled(),
        viewers: behavior.map_or(ViewerProtocolPolicy::AllowAll, |it| it.viewer_protocol_policy().clone()),
        methods: if methods.is_empty() { vec!["GET".into(), "HEAD".into()] } else { methods },
        root: config.default_root_object().unwrap_or_default().to_owned(),
        origin,
        errors: errors.collect(),
        limits: behavior.map_or(Limits { least: 0, usual: 86400, most: 31_536_000 }, limits),
    }
}

#[expect(deprecated, reason = "the older way to say it counts where there is no policy")]
fn limits(it: &aws_sdk_cloudfront::types::DefaultCacheBehavior) -> Limits {
    let number = |it: Option<i64>, other| it.and_then(|it| u64::try_from(it).ok()).unwrap_or(other);
    match it.cache_policy_id() {
        // CachingDisabled
        Some("4135ea2d-6df8-44a3-9df3-4b5a84be39ad") => Limits { least: 0, usual: 0, most: 0 },
        // CachingOptimized, and whatever somebody made themselves
        Some(_) => Limits { least: 1, usual: 86400, most: 31_536_000 },
        None => Limits {
            least: number(it.min_ttl(), 0),
            usual: number(it.default_ttl(), 86400),
            most: number(it.max_ttl(), 31_536_000),
        },
    }
}
