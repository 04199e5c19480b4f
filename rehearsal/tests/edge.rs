//! CloudFront and the buckets' own names, as viewers near and far see them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudfront::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_cloudfront::types::{
    CustomErrorResponse, CustomErrorResponses, CustomOriginConfig, DefaultCacheBehavior, DistributionConfig,
    InvalidationBatch, Origin, OriginAccessControlConfig, OriginAccessControlOriginTypes,
    OriginAccessControlSigningBehaviors, OriginAccessControlSigningProtocols, OriginProtocolPolicy, Origins,
    Paths, S3OriginConfig, ViewerProtocolPolicy,
};
use rehearsal::{Cloud, Options, Place};

const BUCKET: &str = "site.s3.us-east-1.amazonaws.com";
const WEBSITE: &str = "open.s3-website-us-east-1.amazonaws.com";

struct World {
    cloud: Cloud,
    cloudfront: aws_sdk_cloudfront::Client,
    runtime: tokio::runtime::Runtime,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn cache(&self) -> &str {
        self.header("x-cache").split(' ').next().unwrap_or_default()
    }

    fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let pairs = head.lines().skip(1).filter_map(|it| it.split_once(": "));
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: body.to_owned() }
    }
}

impl World {
    fn new() -> World {
        let cloud = Cloud::start(Options::default()).unwrap();
        let credentials = Credentials::from_keys("test", "test", None);
        let sdk = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .endpoint_url(cloud.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        World { cloud, cloudfront: aws_sdk_cloudfront::Client::new(&sdk), runtime }
    }

    /// A signed call to S3.
    fn put(&self, path: &str, headers: &str, body: &str) {
        let answer = self.ask_to_put(path, headers, body);
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    }

    fn ask_to_put(&self, path: &str, headers: &str, body: &str) -> Answer {
        let mut line = TcpStream::connect(self.cloud.endpoint().trim_start_matches("http://")).unwrap();
        write!(
            line,
            "PUT /{path} HTTP/1.1\r\nHost: s3\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        line.read_to_string(&mut text).unwrap();
        Answer::parse(&text)
    }

    /// As somebody on the internet, from this address.
    fn curl(&self, from: &str, url: &str) -> Answer {
        let root = self.cloud.region().dir().join("root.pem").display().to_string();
        let argv = ["curl", "-s", "-i", "--http1.1", "--cacert", &root, "--interface", from, url];
        let said = self.cloud.region().exec(Place::Internet, &argv).unwrap();
        assert!(said.success(), "{url}: {said:?}");
        Answer::parse(&said.stdout)
    }

    fn near(&self, url: &str) -> Answer {
        self.curl("198.51.100.10", url)
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(180), "waited 3 minutes until {what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A distribution before a bucket that is read with access control; its id and its name.
    fn distribution(&self) -> (String, String, String) {
        let control = OriginAccessControlConfig::builder()
            .name("site")
            .signing_protocol(OriginAccessControlSigningProtocols::Sigv4)
            .signing_behavior(OriginAccessControlSigningBehaviors::Always)
            .origin_access_control_origin_type(OriginAccessControlOriginTypes::S3)
            .build()
            .unwrap();
        let made =
            self.cloudfront.create_origin_access_control().origin_access_control_config(control).send();
        let made = self.runtime.block_on(made).unwrap();
        let control = made.origin_access_control().unwrap().id().to_owned();
        let s3 = S3OriginConfig::builder().origin_access_identity("").build();
        let origin = Origin::builder().id(format!("bucket-{control}")).domain_name(BUCKET);
        let origin = origin.s3_origin_config(s3).origin_access_control_id(&control).build().unwrap();
        self.before(origin, ViewerProtocolPolicy::RedirectToHttps)
    }

    fn before(&self, origin: Origin, viewers: ViewerProtocolPolicy) -> (String, String, String) {
        let behavior = DefaultCacheBehavior::builder()
            .target_origin_id(origin.id())
            .viewer_protocol_policy(viewers)
            .cache_policy_id("658327ea-f89d-4fab-a63d-7e88639e58f6")
            .build()
            .unwrap();
        let rule = CustomErrorResponse::builder().error_code(403).response_page_path("/error.html");
        let rule = rule.response_code("404").error_caching_min_ttl(10).build().unwrap();
        let config = DistributionConfig::builder()
            .caller_reference(origin.id())
            .comment("")
            .enabled(true)
            .default_root_object("index.html")
            .origins(Origins::builder().quantity(1).items(origin).build().unwrap())
            .default_cache_behavior(behavior)
            .custom_error_responses(CustomErrorResponses::builder().quantity(1).items(rule).build().unwrap())
            .build()
            .unwrap();
        let made = self.cloudfront.create_distribution().distribution_config(config).send();
        let made = self.runtime.block_on(made).unwrap().distribution.unwrap();
        (made.id, made.arn, made.domain_name)
    }
}

fn allowing(arn: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\
         \"cloudfront.amazonaws.com\"}},\"Action\":\"S3:GetObject\",\"Resource\":\"arn:aws:s3:::site/*\",\
         \"Condition\":{{\"StringEquals\":{{\"aws:SourceArn\":\"{arn}\"}}}}}}]}}"
    )
}

#[test]
fn a_private_bucket_is_seen_through_its_distribution_only_and_kept_at_the_edge() {
    let it = World::new();
    it.put("site", "", "");
    it.put("site/index.html", "Content-Type: text/html\r\nCache-Control: max-age=3600\r\n", "<p>one</p>");
    it.put("site/short.txt", "Content-Type: text/plain\r\nCache-Control: max-age=1\r\n", "short");
    it.put("site/error.html", "Content-Type: text/html\r\n", "<p>nothing here</p>");
    let (id, arn, name) = it.distribution();
    let (site, direct) = (format!("https://{name}"), format!("https://{BUCKET}/index.html"));
    it.until("the names are known", || {
        let known = |name: &str| it.cloud.region().exec(Place::Internet, &["getent", "hosts", name]);
        [name.as_str(), BUCKET].iter().all(|it| known(it).is_ok_and(|it| it.success()))
    });

    // Nobody may read it, and the distribution only once the bucket's policy says so.
    assert_eq!(it.near(&direct).status, 403);
    assert_eq!(it.near(&format!("{site}/")).status, 403);
    it.put("site?policy", "", &allowing(&arn.replace(&id, "ANOTHER")));
    it.until("the error is forgotten", || it.near(&format!("{site}/index.html")).header("age").is_empty());
    assert_eq!(it.near(&format!("{site}/index.html")).status, 403);
    it.put("site?policy", "", &allowing(&arn));
    it.until("the policy counts", || it.near(&format!("{site}/")).status == 200);
    assert_eq!(it.near(&direct).status, 403);

    // What is asked for again comes from the edge, aged, with the object's own headers.
    let hit = it.near(&format!("{site}/"));
    assert_eq!((hit.cache(), hit.body.as_str()), ("Hit", "<p>one</p>"), "{hit:?}");
    assert_eq!((hit.header("content-type"), hit.header("cache-control")), ("text/html", "max-age=3600"));
    assert!(hit.header("age").parse::<u64>().is_ok() && hit.header("via").contains("CloudFront"), "{hit:?}");

    // A plain connection is sent to the encrypted one.
    let moved = it.near(&format!("http://{name}/index.html"));
    assert_eq!((moved.status, moved.header("location")), (301, format!("{site}/index.html").as_str()));

    // A new object is not seen before its time is over, or an invalidation names it.
    it.put("site/index.html", "Content-Type: text/html\r\nCache-Control: max-age=3600\r\n", "<p>two</p>");
    assert_eq!(it.near(&format!("{site}/")).body, "<p>one</p>");
    let paths = Paths::builder().quantity(1).items("/index*").build().unwrap();
    let batch = InvalidationBatch::builder().paths(paths).caller_reference("1").build().unwrap();
    let order = it.cloudfront.create_invalidation().distribution_id(&id).invalidation_batch(batch);
    it.runtime.block_on(order.send()).unwrap();
    it.until("the invalidation is done", || it.near(&format!("{site}/")).body == "<p>two</p>");
    let first = it.near(&format!("{site}/short.txt"));
    assert_eq!((first.cache(), first.body.as_str()), ("Miss", "short"), "{first:?}");
    it.until("what may be kept a second is asked for again", || {
        it.near(&format!("{site}/short.txt")).cache() == "RefreshHit"
    });

    // What is not there shows the error page, with the status that goes with it.
    let missing = it.near(&format!("{site}/nothing"));
    assert_eq!((missing.status, missing.body.as_str()), (404, "<p>nothing here</p>"), "{missing:?}");
    assert_eq!(missing.cache(), "Error");

    // On the other side of the world the first one waits for the bucket, the second one does not.
    let far = |path: &str| {
        let began = Instant::now();
        let answer = it.curl("198.51.100.20", &format!("{site}{path}"));
        (answer.cache().to_owned(), answer.header("x-amz-cf-pop").to_owned(), began.elapsed())
    };
    let (first, second) = (far("/index.html"), far("/index.html"));
    assert_eq!((first.0.as_str(), second.0.as_str()), ("Miss", "Hit"));
    assert_eq!(first.1, "FAR1-P1");
    assert!(first.2 > Duration::from_millis(180), "{first:?}");

    // And with a browser of this machine.
    let url = it.cloud.site(&name).unwrap().unwrap();
    let mut line = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(line, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("<p>two</p>"), "{text}");
}

#[test]
fn a_public_website_serves_its_index_and_its_errors_without_encryption() {
    let it = World::new();
    it.put("open", "", "");
    it.put("open/index.html", "Content-Type: text/html\r\n", "<p>home</p>");
    it.put("open/docs/index.html", "Content-Type: text/html\r\n", "<p>docs</p>");
    it.put("open/error.html", "Content-Type: text/html\r\n", "<p>lost</p>");
    let home = format!("http://{WEBSITE}/");
    it.until("the name is known", || {
        it.cloud.region().exec(Place::Internet, &["getent", "hosts", WEBSITE]).is_ok_and(|it| it.success())
    });
    let answer = it.near(&home);
    assert!(answer.status == 404 && answer.body.contains("NoSuchWebsiteConfiguration"), "{answer:?}");
    let website = "<WebsiteConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IndexDocument>\
                   <Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>error.html</Key>\
                   </ErrorDocument></WebsiteConfiguration>";
    it.put("open?website", "", website);
    assert_eq!(it.near(&home).status, 403);
    let public = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::open/*"}]}"#;
    // A bucket is closed to the public until somebody opens it.
    let open = "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                <BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>\
                </PublicAccessBlockConfiguration>";
    assert_eq!(it.ask_to_put("open?policy", "", "{").status, 400);
    let refused = it.ask_to_put("open?policy", "", public);
    assert!(refused.status == 403 && refused.body.contains("BlockPublicPolicy"), "{refused:?}");
    assert_eq!(it.near(&home).status, 403);
    it.put("open?publicAccessBlock", "", open);
    it.put("open?policy", "", public);
    let answer = it.near(&home);
    assert_eq!((answer.status, answer.body.as_str()), (200, "<p>home</p>"));
    assert_eq!(it.near(&format!("{home}docs/")).body, "<p>docs</p>");
    let answer = it.near(&format!("{home}docs"));
    assert_eq!((answer.status, answer.header("location")), (302, "/docs/"));
    let answer = it.near(&format!("{home}nothing"));
    assert_eq!((answer.status, answer.body.as_str()), (403, "<p>lost</p>"));

    // As the origin of a distribution that lets everybody in as they like.
    let custom = CustomOriginConfig::builder().http_port(80).https_port(443);
    let custom = custom.origin_protocol_policy(OriginProtocolPolicy::HttpOnly).build().unwrap();
    let origin = Origin::builder().id("website").domain_name(WEBSITE).custom_origin_config(custom);
    let (_, _, name) = it.before(origin.build().unwrap(), ViewerProtocolPolicy::AllowAll);
    it.until("the distribution serves it", || {
        let said = it.cloud.region().exec(Place::Internet, &["getent", "hosts", &name]);
        said.is_ok_and(|it| it.success()) && it.near(&format!("http://{name}/docs/")).body == "<p>docs</p>"
    });
}
