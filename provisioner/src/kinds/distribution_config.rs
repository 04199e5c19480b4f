//! How CloudFront writes down what a [`Distribution`] says.

use aws_sdk_cloudfront::{
    error::BuildError,
    types::{
        Aliases, AllowedMethods, CachedMethods, CustomErrorResponse, CustomErrorResponses,
        CustomOriginConfig, DefaultCacheBehavior, DistributionConfig, LoggingConfig, Method,
        MinimumProtocolVersion, Origin, OriginProtocolPolicy, Origins, PriceClass, S3OriginConfig,
        SslSupportMethod, ViewerCertificate, ViewerProtocolPolicy,
    },
};

use super::Distribution;
use crate::{
    aws,
    engine::{Cx, Ref},
};

/// Seconds that CloudFront keeps an error, so that a page which was forgotten shows soon.
const ERROR_TTL: i64 = 10;
/// Where a bucket's names end, for the API and for its website.
const DOMAIN: &str = ".amazonaws.com";

/// A new configuration.
pub(super) fn new(
    it: &Distribution,
    reference: &str,
    comment: &str,
    cx: &Cx<'_>,
) -> aws::Result<DistributionConfig> {
    let origins = Origins::builder().quantity(1).items(origin(it, None, cx)?).build()?;
    let config = DistributionConfig::builder().caller_reference(reference).comment(comment);
    let config = config.enabled(true).origins(origins).default_cache_behavior(behavior(it, cx)?);
    let mut config = config.build()?;
    write(it, &mut config, cx)?;
    Ok(config)
}

/// Sets what a `Distribution` has a word for, and leaves the rest.
pub(super) fn write(it: &Distribution, config: &mut DistributionConfig, cx: &Cx<'_>) -> aws::Result<()> {
    config.enabled = it.enabled;
    let now = config.origins.take();
    let now = now.as_ref().and_then(|it| it.items().first());
    config.origins = Some(Origins::builder().quantity(1).items(origin(it, now, cx)?).build()?);
    config.default_cache_behavior = Some(match config.default_cache_behavior.take() {
        // A policy of any kind that somebody added stays.
        Some(mut now) => {
            let ours = behavior(it, cx)?;
            now.target_origin_id = ours.target_origin_id;
            now.viewer_protocol_policy = ours.viewer_protocol_policy;
            now.compress = ours.compress;
            now.cache_policy_id = ours.cache_policy_id;
            // The older way, which excludes a cache policy.
            #[expect(deprecated, reason = "cleared, not used")]
            {
                (now.forwarded_values, now.min_ttl, now.default_ttl, now.max_ttl) = (None, None, None, None);
            }
            now
        }
        None => behavior(it, cx)?,
    });
    config.price_class = Some(PriceClass::from(it.price_class.as_str()));
    config.default_root_object = Some(it.root_object.clone());
    config.is_ipv6_enabled = Some(it.ipv6);
    config.custom_error_responses = Some(errors(it.error_page.as_deref())?);
    let number = |it: usize| i32::try_from(it).unwrap_or(i32::MAX);
    let aliases = Aliases::builder().quantity(number(it.aliases.len()));
    config.aliases = Some(aliases.set_items(Some(it.aliases.clone())).build()?);
    config.viewer_certificate = Some(certificate(it));
    let log_bucket = it.log_bucket.as_ref().map(|it| format!("{it}.s3{DOMAIN}")).unwrap_or_default();
    let logging = LoggingConfig::builder().enabled(it.log_bucket.is_some()).include_cookies(false);
    config.logging = Some(logging.bucket(log_bucket).prefix("").build());
    Ok(())
}

/// The origin's id says by which access control it is read, for whoever leaves that field out.
fn origin_id(it: &Distribution, cx: &Cx<'_>) -> String {
    it.access.map_or_else(|| "website".to_owned(), |it| format!("bucket-{}", cx.id(it)))
}

/// The origin; an update has to repeat what a creation may leave out, so `now` keeps all that we have no
/// word for.
fn origin(it: &Distribution, now: Option<&Origin>, cx: &Cx<'_>) -> Result<Origin, BuildError> {
    let mut ours = our_origin(it, cx)?;
    let Some(now) = now else { return Ok(ours) };
    let mut all = now.clone();
    if let (Some(ours), Some(now)) = (&mut ours.custom_origin_config, &now.custom_origin_config) {
        let policy = ours.origin_protocol_policy.clone();
        *ours = now.clone();
        ours.origin_protocol_policy = policy;
    }
    (all.id, all.domain_name, all.origin_path) = (ours.id, ours.domain_name, ours.origin_path);
    all.s3_origin_config = ours.s3_origin_config;
    all.custom_origin_config = ours.custom_origin_config;
    all.origin_access_control_id = ours.origin_access_control_id;
    Ok(all)
}

fn our_origin(it: &Distribution, cx: &Cx<'_>) -> Result<Origin, BuildError> {
    let (bucket, region) = (cx.id(it.bucket), &it.region);
    let origin = Origin::builder().id(origin_id(it, cx)).origin_path("");
    match it.access {
        Some(access) => {
            let origin = origin.domain_name(format!("{bucket}.s3.{region}{DOMAIN}"));
            let origin =
                origin.s3_origin_config(S3OriginConfig::builder().origin_access_identity("").build());
            origin.origin_access_control_id(cx.id(access)).build()
        }
        None => {
            let website = CustomOriginConfig::builder().http_port(80).https_port(443);
            let website = website.origin_protocol_policy(OriginProtocolPolicy::HttpOnly).build()?;
            let origin = origin.domain_name(website_of(&bucket, region));
            origin.custom_origin_config(website).build()
        }
    }
}

/// The website endpoint of a bucket: the oldest regions write a hyphen where all others write a dot.
pub fn website_of(bucket: &str, region: &str) -> String {
    const HYPHENED: [&str; 9] = [
        "us-east-1",
        "us-west-1",
        "us-west-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-northeast-1",
        "eu-west-1",
        "sa-east-1",
        "us-gov-west-1",
    ];
    let sign = if HYPHENED.contains(&region) { '-' } else { '.' };
    format!("{bucket}.s3-website{sign}{region}{DOMAIN}")
}

fn behavior(it: &Distribution, cx: &Cx<'_>) -> Result<DefaultCacheBehavior, BuildError> {
    let reads = || vec![Method::Get, Method::Head];
    let cached = CachedMethods::builder().quantity(2).set_items(Some(reads())).build()?;
    let methods =
        AllowedMethods::builder().quantity(2).set_items(Some(reads())).cached_methods(cached).build()?;
    DefaultCacheBehavior::builder()
        .target_origin_id(origin_id(it, cx))
        .viewer_protocol_policy(ViewerProtocolPolicy::from(it.viewers.as_str()))
        .allowed_methods(methods)
        .compress(it.compress)
        .cache_policy_id(&it.cache_policy)
        .build()
}

/// A private bucket answers 403 for what is not there, since who asks may not list it.
fn errors(page: Option<&str>) -> Result<CustomErrorResponses, BuildError> {
    let Some(page) = page else { return CustomErrorResponses::builder().quantity(0).build() };
    let response = |code| {
        let response = CustomErrorResponse::builder().error_code(code).response_code("404");
        response.response_page_path(format!("/{page}")).error_caching_min_ttl(ERROR_TTL).build()
    };
    CustomErrorResponses::builder().quantity(2).items(response(403)?).items(response(404)?).build()
}

fn certificate(it: &Distribution) -> ViewerCertificate {
    let certificate = ViewerCertificate::builder();
    match &it.certificate {
        None => certificate.cloud_front_default_certificate(true).build(),
        Some(arn) => certificate
            .cloud_front_default_certificate(false)
            .acm_certificate_arn(arn)
            .ssl_support_method(SslSupportMethod::SniOnly)
            .set_minimum_protocol_version(it.minimum_tls.as_deref().map(MinimumProtocolVersion::from))
            .build(),
    }
}

/// The way back.
pub(super) fn read(config: &DistributionConfig) -> Distribution {
    let origin = config.origins().and_then(|it| it.items().first());
    let (bucket, region) = bucket(config).unwrap_or_default();
    let behavior = config.default_cache_behavior();
    let certificate =
        config.viewer_certificate().and_then(|it| it.acm_certificate_arn()).filter(|it| !it.is_empty());
    let minimum = config.viewer_certificate().and_then(|it| it.minimum_protocol_version());
    let logging = config.logging().filter(|it| it.enabled());
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    Distribution {
        bucket: Ref::id(Some(&bucket)),
        region,
        access: access(origin).map(|it| Ref::id(Some(it))),
        viewers: text(behavior.map(|it| it.viewer_protocol_policy().as_str())),
        compress: behavior.and_then(|it| it.compress()) == Some(true),
        cache_policy: text(behavior.and_then(|it| it.cache_policy_id())),
        price_class: text(config.price_class().map(|it| it.as_str())),
        root_object: text(config.default_root_object()),
        error_page: error_page(config.custom_error_responses()),
        ipv6: config.is_ipv6_enabled() == Some(true),
        aliases: config.aliases().map(|it| it.items().to_vec()).unwrap_or_default(),
        minimum_tls: minimum.filter(|_| certificate.is_some()).map(|it| it.as_str().to_owned()),
        certificate: certificate.map(str::to_owned),
        log_bucket: logging
            .map(|it| it.bucket())
            .map(|it| it.trim_end_matches(&format!(".s3{DOMAIN}")).to_owned()),
        enabled: config.enabled(),
    }
}

/// What the field says; where an answer lacks the field, what the origin's id says.
fn access(origin: Option<&Origin>) -> Option<&str> {
    let origin = origin?;
    let id = match origin.origin_access_control_id() {
        Some(id) => id,
        None => origin.id().strip_prefix("bucket-")?,
    };
    Some(id).filter(|it| !it.is_empty())
}

/// The page, if it is what both errors answer.
fn error_page(errors: Option<&CustomErrorResponses>) -> Option<String> {
    let errors = errors?.items();
    let page = |code: i32| {
        let it = errors.iter().find(|it| it.error_code() == code && it.response_code() == Some("404"))?;
        it.response_page_path().map(|it| it.trim_start_matches('/').to_owned())
    };
    page(403).filter(|it| Some(it) == page(404).as_ref())
}

/// The bucket behind the first origin, with its region.
pub(super) fn bucket(config: &DistributionConfig) -> Option<(String, String)> {
    bucket_of(config.origins()?.items().first()?.domain_name())
}

fn bucket_of(domain: &str) -> Option<(String, String)> {
    let domain = domain.strip_suffix(DOMAIN)?;
    let parts = [".s3.", ".s3-website-", ".s3-website."].into_iter().find_map(|it| domain.rsplit_once(it));
    parts.map(|(bucket, region)| (bucket.to_owned(), region.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_website_endpoint_is_written_as_its_region_writes_it_and_read_back() {
        assert_eq!(website_of("b", "us-east-1"), "b.s3-website-us-east-1.amazonaws.com");
        assert_eq!(website_of("b", "ap-northeast-2"), "b.s3-website.ap-northeast-2.amazonaws.com");
        for region in ["us-east-1", "ap-northeast-2"] {
            let both = Some(("my.site".to_owned(), region.to_owned()));
            assert_eq!(bucket_of(&website_of("my.site", region)), both);
            assert_eq!(bucket_of(&format!("my.site.s3.{region}.amazonaws.com")), both);
        }
    }
}
