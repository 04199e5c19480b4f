//! The control plane as any AWS client sees it.

use std::time::Duration;

use anyhow::Context;
use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use super::control::{Control, Way};

pub(super) struct Clients {
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) efs: aws_sdk_efs::Client,
    pub(super) rds: aws_sdk_rds::Client,
    pub(super) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(super) cloudfront: aws_sdk_cloudfront::Client,
    pub(super) logs: aws_sdk_cloudwatchlogs::Client,
    pub(super) region: String,
    pub(super) way: Way,
    pub(super) iam: aws_sdk_iam::Client,
}

impl Clients {
    pub(super) fn new(control: &Control, region: &str) -> Clients {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(60)).build();
        let sdk = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(aws_config::Region::new(region.to_owned()))
            .endpoint_url(control.url())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
                "rehearsal",
                "rehearsal",
                None,
            )))
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts)
            .build();
        Clients {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            efs: aws_sdk_efs::Client::new(&sdk),
            rds: aws_sdk_rds::Client::new(&sdk),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&sdk),
            cloudfront: aws_sdk_cloudfront::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            region: region.to_owned(),
            way: control.way.clone(),
            iam: aws_sdk_iam::Client::new(&sdk),
        }
    }

    /// What an instance was launched with.
    pub(super) async fn user_data(&self, instance: &str) -> anyhow::Result<Option<String>> {
        use base64::Engine;
        let attribute = aws_sdk_ec2::types::InstanceAttributeName::UserData;
        let said =
            self.ec2.describe_instance_attribute().instance_id(instance).attribute(attribute).send().await;
        let said = said.with_context(|| format!("reading the user data of {instance}"))?;
        let Some(text) = said.user_data().and_then(|it| it.value()) else { return Ok(None) };
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).context("decoding user data")?;
        Ok(Some(String::from_utf8(bytes).context("user data that is no text")?))
    }

    /// The public half of a key pair.
    pub(super) async fn public_key(&self, name: &str) -> anyhow::Result<Option<String>> {
        let said = self.ec2.describe_key_pairs().key_names(name).include_public_key(true).send().await;
        let said = said.with_context(|| format!("reading key pair {name}"))?;
        Ok(said.key_pairs().first().and_then(|it| it.public_key()).map(str::to_owned))
    }

    /// Whether a bucket takes no policy that lets everybody in.
    pub(super) async fn blocks_public_policies(&self, bucket: &str) -> anyhow::Result<bool> {
        let path = format!("/{bucket}?publicAccessBlock");
        let answer = self.bucket(http::Method::GET, &path, "").await?;
        let said = String::from_utf8_lossy(answer.body()).replace(char::is_whitespace, "");
        Ok(answer.status().is_success() && said.contains("<BlockPublicPolicy>true<"))
    }

    /// Closes a new bucket to the public, as AWS does.
    pub(super) async fn block_public_access(&self, bucket: &str) -> anyhow::Result<()> {
        let names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
        let all: String = names.iter().map(|it| format!("<{it}>true</{it}>")).collect();
        let space = "http://s3.amazonaws.com/doc/2006-03-01/";
        let block = format!(
            "<PublicAccessBlockConfiguration xmlns=\"{space}\">{all}</PublicAccessBlockConfiguration>"
        );
        let answer = self.bucket(http::Method::PUT, &format!("/{bucket}?publicAccessBlock"), &block).await?;
        if !answer.status().is_success() {
            anyhow::bail!("closing bucket {bucket} to the public was answered with {}", answer.status());
        }
        Ok(())
    }

    /// A call about a bucket.
    async fn bucket(
        &self,
        method: http::Method,
        path: &str,
        body: &str,
    ) -> anyhow::Result<http::Response<Bytes>> {
        let scope = format!("20260101/{}/s3/aws4_request", self.region);
        let request = Request::builder().method(method).uri(path).header("host", "localhost").header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=rehearsal/{scope}, SignedHeaders=host, Signature=0"),
        );
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).context("asking S3")?;
        self.way.ask(request).await
    }

    /// A call to CloudWatch, in the JSON that moto understands: the SDK speaks CBOR.
    pub(super) async fn cloudwatch(&self, action: &str, question: &Value) -> anyhow::Result<()> {
        let scope = format!("20260101/{}/monitoring/aws4_request", self.region);
        let request = Request::post("/")
            .header("host", "localhost")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("GraniteServiceVersion20100801.{action}"))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential=rehearsal/{scope}, SignedHeaders=host, Signature=0"),
            )
            .body(Full::new(Bytes::from(question.to_string())))
            .context("asking CloudWatch")?;
        let answer = self.way.ask(request).await?;
        if !answer.status().is_success() {
            let said = String::from_utf8_lossy(answer.body());
            anyhow::bail!("CloudWatch answered {} to {action}: {said}", answer.status());
        }
        Ok(())
    }
}
