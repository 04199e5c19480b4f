//! The static site: a private bucket and CloudFront before it, or the lab's public website.

use anyhow::Context;

use super::surroundings::Surroundings;
use crate::{
    config::Config,
    engine::Stack,
    kinds::{Bucket, BucketPolicy, Distribution, OriginAccessControl, SiteContent, Website},
};

pub(super) fn site(s: &mut Stack, c: &Config, around: &Surroundings) -> anyhow::Result<()> {
    let public = c.unsafe_choices.public_website;
    let name = c.site_bucket(&around.account);
    let website = Website { index: c.site.index_document.clone(), error: c.site.error_document.clone() };
    let spec = Bucket {
        name: name.clone(),
        region: c.site.region.clone(),
        private: !public,
        website: public.then_some(website),
    };
    let bucket = s.add_named(Bucket::SITE, &name, spec);

    let (error, max_age) = (&c.site.error_document, c.site.max_age);
    let content = match &c.site.folder {
        Some(folder) => SiteContent::of_folder(bucket, folder, max_age)
            .with_context(|| format!("reading the site's files in {}", folder.display()))?,
        // The distribution and the public website each have a word for what `/` is.
        None => {
            let index = [c.site.default_root_object.as_str(), &c.site.index_document];
            SiteContent::own_page(bucket, &index, error, max_age)
        }
    };
    let error_page = content.objects.contains_key(error).then(|| error.clone());
    s.add_named(SiteContent::NODE, &name, content);

    let access = (!public).then(|| {
        let spec = OriginAccessControl::always(&c.names.origin_access);
        s.add_named("site", &c.names.origin_access, spec)
    });
    let spec = Distribution {
        bucket,
        region: c.site.region.clone(),
        access,
        viewers: if c.unsafe_choices.site_over_http { "allow-all" } else { "redirect-to-https" }.into(),
        compress: c.site.compress,
        cache_policy: c.site.cache_policy.id().into(),
        price_class: c.site.price_class.as_str().into(),
        root_object: c.site.default_root_object.clone(),
        error_page,
        ipv6: c.site.ipv6,
        aliases: c.site.aliases.clone(),
        minimum_tls: c.site.certificate.as_ref().map(|_| Distribution::TLS.to_owned()),
        certificate: c.site.certificate.clone(),
        log_bucket: c.site.log_bucket.clone(),
        enabled: true,
    };
    let distribution = s.add_named("site", &name, spec);
    let policy = match public {
        true => BucketPolicy::public(bucket, &name),
        false => BucketPolicy::served(bucket, &name, distribution, c.unsafe_choices.site_over_http),
    };
    s.add_named(Bucket::SITE, &name, policy);
    Ok(())
}
