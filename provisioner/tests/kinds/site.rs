//! The static site and the agent's program.

use std::{collections::BTreeMap, fs, path::Path};

use aws_sdk_s3::primitives::ByteStream;
use provisioner::{
    engine::{Ref, Stack},
    kinds::{self, Artefact, Bucket, BucketPolicy, Distribution, OriginAccessControl, SiteContent, Website},
};

use super::{Moto, build, differences, look, planned, repairs, take_away, up};

const SITE: &str = "t-site-123456789012-ap-northeast-2-us-east-1";
const ARTEFACTS: &str = "t-artefacts-123456789012-ap-northeast-2";

fn site(folder: &Path, max_age: u32, name: &str) -> Stack {
    let mut s = Stack::new("t", BTreeMap::new());
    let bucket = Bucket { name: name.into(), region: "us-east-1".into(), private: true, website: None };
    let bucket = s.add_named(Bucket::SITE, name, bucket);
    s.add(SiteContent::NODE, SiteContent::of_folder(bucket, folder, max_age).unwrap());
    let access = s.add("site", OriginAccessControl::always("t-site"));
    let distribution = distribution(bucket, Some(access));
    let distribution = s.add("site", distribution);
    s.add(Bucket::SITE, BucketPolicy::served(bucket, name, distribution, false));
    s
}

fn distribution(bucket: Ref<Bucket>, access: Option<Ref<OriginAccessControl>>) -> Distribution {
    Distribution {
        bucket,
        region: "us-east-1".into(),
        access,
        viewers: "redirect-to-https".into(),
        compress: true,
        cache_policy: "658327ea-f89d-4fab-a63d-7e88639e58f6".into(),
        price_class: "PriceClass_All".into(),
        root_object: "index.html".into(),
        error_page: Some("error.html".into()),
        ipv6: true,
        aliases: Vec::new(),
        certificate: None,
        minimum_tls: None,
        log_bucket: None,
        enabled: true,
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("img")).unwrap();
    for it in ["index.html", "error.html", "img/one.png"] {
        fs::write(folder.path().join(it), it).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_built_repaired_and_removed() {
    let (moto, folder) = (Moto::start(), folder());
    let aws = moto.connect("t").await;
    let s = site(folder.path(), 60, SITE);
    build(&s, &aws).await;

    // The buckets, this one's public access, its policy and its objects; the distributions and this one;
    // the access controls.
    let before = moto.requests().len();
    let names =
        ["bucket", "bucket-policy", "site-content", "artefact", "distribution", "origin-access-control"];
    let kinds: Vec<_> = kinds::all().into_iter().filter(|it| names.contains(&it.name)).collect();
    aws.look_afresh();
    provisioner::engine::observe(&kinds, &s, &aws).await.unwrap();
    let calls = moto.requests().split_off(before);
    assert_eq!(calls.len(), 7, "{calls:#?}");

    let s3 = aws.s3_in("us-east-1");
    let put = s3.put_object().bucket(SITE).key("added by hand").body(ByteStream::from_static(b"x"));
    put.send().await.unwrap();
    s3.delete_public_access_block().bucket(SITE).send().await.unwrap();
    let open = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Open","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::t-site-123456789012-ap-northeast-2-us-east-1/*"}]}"#;
    s3.put_bucket_policy().bucket(SITE).policy(open).send().await.unwrap();
    repairs(&s, &aws, &["bucket/site", "site-content/site", "bucket-policy/site"]).await;

    let all = aws.cloudfront.list_distributions().send().await.unwrap();
    let id = all.distribution_list.unwrap().items()[0].id.clone();
    let now = aws.cloudfront.get_distribution_config().id(&id).send().await.unwrap();
    let mut config = now.distribution_config.unwrap();
    config.enabled = false;
    config.price_class = Some("PriceClass_100".into());
    let update = aws.cloudfront.update_distribution().id(&id).set_if_match(now.e_tag);
    update.distribution_config(config).send().await.unwrap();
    repairs(&s, &aws, &["distribution/site"]).await;
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_in_the_folder_is_uploaded() {
    let (moto, folder) = (Moto::start(), folder());
    let aws = moto.connect("t").await;
    build(&site(folder.path(), 60, SITE), &aws).await;
    fs::write(folder.path().join("index.html"), "new").unwrap();
    fs::remove_file(folder.path().join("img/one.png")).unwrap();
    let s = site(folder.path(), 60, SITE);
    let found = differences(&s, &aws).await;
    assert!(
        found.len() == 1 && found[0].contains("/index.html") && found[0].contains("number"),
        "{found:#?}"
    );
    let before = moto.requests().len();
    build(&s, &aws).await;
    let made = moto.requests().split_off(before);
    let puts: Vec<_> = made.iter().filter(|it| it.contains("PUT") && !it.contains("/.lamp/")).collect();
    assert!(puts.len() == 1 && puts[0].contains("index.html"), "{puts:#?}");
    // Before that, CloudFront is told: who is served from its cache sees the change, too.
    let distribution = look(&s, &aws).await.nodes["distribution/site"].id.clone();
    let told = aws.cloudfront.list_invalidations().distribution_id(distribution).send().await.unwrap();
    assert_eq!(told.invalidation_list().map(|it| it.quantity()), Some(1), "{made:#?}");

    // Headers are not listed, and yet another age reaches every object.
    build(&site(folder.path(), 3600, SITE), &aws).await;
    let s3 = aws.s3_in("us-east-1");
    let head = s3.head_object().bucket(SITE).key("error.html").send().await.unwrap();
    assert_eq!(head.cache_control(), Some("public, max-age=3600"));
    assert_eq!(head.content_type(), Some("text/html; charset=utf-8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_website_is_a_switch() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = Stack::new("t", BTreeMap::new());
    let website = Website { index: "index.html".into(), error: "error.html".into() };
    let bucket =
        Bucket { name: SITE.into(), region: "us-east-1".into(), private: false, website: Some(website) };
    let bucket = s.add(Bucket::SITE, bucket);
    s.add(SiteContent::NODE, SiteContent::own_page(bucket, &["index.html"], "error.html", 60));
    s.add(Bucket::SITE, BucketPolicy::public(bucket, SITE));
    let own_name = Distribution {
        aliases: vec!["www.example.org".into()],
        certificate: Some("arn:aws:acm:us-east-1:123456789012:certificate/1".into()),
        minimum_tls: Some(Distribution::TLS.into()),
        log_bucket: Some("logs".into()),
        error_page: None,
        viewers: "allow-all".into(),
        ..distribution(bucket, None)
    };
    s.add("site", own_name);
    build(&s, &aws).await;
    aws.s3_in("us-east-1").delete_bucket_website().bucket(SITE).send().await.unwrap();
    repairs(&s, &aws, &["bucket/site"]).await;
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_operators_name_is_ours_by_its_tag_only() {
    let (moto, folder) = (Moto::start(), folder());
    let mut aws = moto.connect("t").await;
    let s3 = aws.s3_in("us-east-1");
    s3.create_bucket().bucket("holiday-pictures").send().await.unwrap();
    aws.settings.buckets = vec![("holiday-pictures".into(), "us-east-1".into())];
    let report = up(&site(folder.path(), 60, "holiday-pictures"), &aws).await;
    assert!(format!("{report:?}").contains("choose another site.bucket"), "{report:?}");

    aws.settings.buckets = vec![("our-pictures".into(), "us-east-1".into())];
    let s = site(folder.path(), 60, "our-pictures");
    build(&s, &aws).await;
    // The name is gone from the configuration, but the distribution still tells.
    aws.settings.buckets.clear();
    assert_eq!(differences(&s, &aws).await, [""; 0]);
    take_away(&s, &aws).await;
    s3.head_bucket().bucket("holiday-pictures").send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_program_is_there_before_the_old_one_goes() {
    let (moto, folder) = (Moto::start(), tempfile::tempdir().unwrap());
    let aws = moto.connect("t").await;
    let program = folder.path().join("lampd");
    let stack = |content: &str| {
        fs::write(&program, content).unwrap();
        let mut s = Stack::new("t", BTreeMap::new());
        let region = "ap-northeast-2".into();
        let bucket = Bucket { name: ARTEFACTS.into(), region, private: true, website: None };
        let bucket = s.add(Bucket::ARTEFACTS, bucket);
        s.add(Bucket::ARTEFACTS, BucketPolicy::private(bucket, ARTEFACTS));
        let artefact = Artefact::read(bucket, program.clone()).unwrap();
        let node = artefact.node().to_owned();
        s.add(&node, artefact);
        s
    };
    build(&stack("one"), &aws).await;
    let s = stack("two");
    let words: Vec<_> = planned(&s, &aws).await.steps.iter().map(|it| format!("{:?}", it.action)).collect();
    assert_eq!(words, ["Keep", "Keep", "Create", "Delete"]);
    build(&s, &aws).await;
    let key =
        aws.s3.list_objects_v2().bucket(ARTEFACTS).send().await.unwrap().contents()[0].key.clone().unwrap();
    aws.s3
        .put_object()
        .bucket(ARTEFACTS)
        .key(key)
        .body(ByteStream::from_static(b"evil"))
        .send()
        .await
        .unwrap();
    assert_eq!(differences(&s, &aws).await.len(), 1);
    build(&s, &aws).await;
    take_away(&s, &aws).await;
}
