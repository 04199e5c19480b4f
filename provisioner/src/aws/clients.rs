//! One client per service, all pointed at the same endpoint.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore},
};

use tokio::time::Instant;

use super::{Result, known::Known, once::Once, retry::ReadsOnly};

/// The account, as far as one stack is concerned.
pub struct Aws {
    pub ec2: aws_sdk_ec2::Client,
    pub efs: aws_sdk_efs::Client,
    pub rds: aws_sdk_rds::Client,
    pub ssm: aws_sdk_ssm::Client,
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    pub scaling: aws_sdk_autoscaling::Client,
    pub iam: aws_sdk_iam::Client,
    pub s3: aws_sdk_s3::Client,
    pub cloudfront: aws_sdk_cloudfront::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    sts: aws_sdk_sts::Client,
    /// The stack's name: the value of the tag that makes a resource ours.
    pub stack: String,
    pub region: String,
    /// An emulator's address; nothing else tells it from AWS.
    pub endpoint: Option<String>,
    /// What the command at hand wants of the kinds beside the stack itself.
    pub settings: Settings,
    once: Once,
    forgot: Mutex<Instant>,
    for_good: Once,
    pub(super) known: Known,
    pub(super) trusting: AtomicBool,
}

/// Wishes that no resource carries as a field.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How the names of the databases' last snapshots end, such as `2026-11-22-2130`; `None`: a database
    /// is deleted without one.
    pub final_snapshot: Option<String>,
    /// Buckets whose names the operator chose, with their regions. All others of ours are known by name.
    pub buckets: Vec<(String, String)>,
    /// Whether stored passwords are read in order to compare them: only where the operator gave one.
    pub compare_passwords: bool,
}

/// Where to connect and as whom. What is `None` follows the AWS conventions: environment, then profile.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    pub profile: Option<String>,
    pub region: String,
    pub endpoint: Option<String>,
    /// Made-up credentials, and nothing of the environment: for an emulator, which must never see the operator's own.
    pub made_up: bool,
}

impl Aws {
    /// Prepares the clients. No call is made yet, but for what the credentials' source needs.
    ///
    /// # Errors
    /// An unreadable `AWS_CA_BUNDLE`, no credentials, an unknown profile.
    pub async fn connect(stack: &str, connect: Connect) -> anyhow::Result<Aws> {
        if connect.made_up {
            return Ok(Self::from_sdk(stack, &made_up(&connect), &connect.region, connect.endpoint));
        }
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(trust()?)
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(connect.region.clone()))
            .retry_config(retries())
            .timeout_config(timeouts());
        if let Some(profile) = &connect.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &connect.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let sdk = loader.load().await;
        require_credentials(&sdk, connect.profile.as_deref()).await?;
        let endpoint = connect.endpoint.or_else(|| sdk.endpoint_url().map(str::to_owned));
        Ok(Self::from_sdk(stack, &sdk, &connect.region, endpoint))
    }

    /// Clients that reach nothing, for tests that never call.
    #[cfg(test)]
    pub(crate) fn unreachable(stack: &str) -> Aws {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        Self::from_sdk(stack, &sdk, "ap-northeast-2", None)
    }

    fn from_sdk(stack: &str, sdk: &SdkConfig, region: &str, endpoint: Option<String>) -> Aws {
        macro_rules! client {
            ($module:ident) => {
                $module::Client::from_conf($module::config::Builder::from(sdk).interceptor(ReadsOnly).build())
            };
        }
        // An emulator on an address has no names for buckets.
        let s3 = aws_sdk_s3::config::Builder::from(sdk).force_path_style(endpoint.is_some());
        Aws {
            ec2: client!(aws_sdk_ec2),
            efs: client!(aws_sdk_efs),
            rds: client!(aws_sdk_rds),
            ssm: client!(aws_sdk_ssm),
            elb: client!(aws_sdk_elasticloadbalancingv2),
            scaling: client!(aws_sdk_autoscaling),
            iam: client!(aws_sdk_iam),
            s3: aws_sdk_s3::Client::from_conf(s3.interceptor(ReadsOnly).build()),
            cloudfront: client!(aws_sdk_cloudfront),
            cloudwatch: client!(aws_sdk_cloudwatch),
            logs: client!(aws_sdk_cloudwatchlogs),
            sts: client!(aws_sdk_sts),
            stack: stack.to_owned(),
            region: region.to_owned(),
            endpoint,
            settings: Settings::default(),
            once: Once::default(),
            forgot: Mutex::new(Instant::now()),
            for_good: Once::default(),
            known: Known::default(),
            trusting: AtomicBool::default(),
        }
    }

    /// A client for buckets in another region.
    pub fn s3_in(&self, region: &str) -> aws_sdk_s3::Client {
        if region == self.region {
            return self.s3.clone();
        }
        let config = self.s3.config().to_builder().region(aws_sdk_s3::config::Region::new(region.to_owned()));
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// The account's number: the owner of the stack's VPC, where it has one, saves a call.
    pub async fn account(&self) -> Result<String> {
        let vpcs = self.vpcs().await?;
        if let Some(owner) = vpcs.vpcs().iter().find_map(|it| it.owner_id()) {
            return Ok(owner.to_owned());
        }
        let me = self.sts.get_caller_identity().send().await?;
        Ok(me.account.unwrap_or_default())
    }

    /// The stack's VPC, as AWS describes it.
    pub async fn vpcs(&self) -> Result<Arc<aws_sdk_ec2::operation::describe_vpcs::DescribeVpcsOutput>> {
        self.once("vpcs", || async { Ok(self.ec2.describe_vpcs().filters(self.ours()).send().await?) }).await
    }

    /// An answer that several kinds read: fetched once until [`Aws::look_again`].
    pub async fn once<T, F>(&self, key: &str, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        self.once.get(key, fetch).await
    }

    /// An answer that cannot change while the command runs.
    pub async fn for_good<T, F>(&self, key: &str, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        self.for_good.get(key, fetch).await
    }

    /// Forgets what was read before `since`, and returns since when what is kept is true.
    pub fn look_again_since(&self, since: Instant, now: Instant) -> Instant {
        let mut forgot = self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        if *forgot < since {
            *forgot = now;
            self.once.forget();
        }
        *forgot
    }

    /// Forgets what was read, since something may have changed.
    pub fn look_again(&self) {
        self.once.forget();
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(8).with_max_backoff(Duration::from_secs(10))
}

fn timeouts() -> TimeoutConfig {
    let it = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5));
    it.operation_attempt_timeout(Duration::from_secs(60)).build()
}

/// A configuration that reads neither files nor the environment.
fn made_up(connect: &Connect) -> SdkConfig {
    use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
    let keys = Credentials::from_keys("rehearsal", "rehearsal", None);
    let mut sdk = SdkConfig::builder();
    sdk.set_endpoint_url(connect.endpoint.clone());
    sdk.behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .region(Region::new(connect.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .retry_config(retries())
        .timeout_config(timeouts())
        .build()
}

/// The system's roots, or those of `AWS_CA_BUNDLE`, which the SDK itself does not honour.
fn trust() -> anyhow::Result<TlsContext> {
    let store = match std::env::var_os("AWS_CA_BUNDLE").filter(|it| !it.is_empty()).map(PathBuf::from) {
        None => TrustStore::default(),
        Some(path) => {
            let pem = std::fs::read(&path)
                .with_context(|| format!("reading the certificates of AWS_CA_BUNDLE={}", path.display()))?;
            if !pem.windows(27).any(|it| it == b"-----BEGIN CERTIFICATE-----") {
                bail!("AWS_CA_BUNDLE={} holds no certificate; give a file in PEM format", path.display());
            }
            TrustStore::empty().with_pem_certificate(pem)
        }
    };
    TlsContext::builder().with_trust_store(store).build().context("preparing TLS")
}

async fn require_credentials(sdk: &SdkConfig, profile: Option<&str>) -> anyhow::Result<()> {
    use aws_sdk_sts::config::ProvideCredentials;
    let remedy = "set AWS_PROFILE or --profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let Some(provider) = sdk.credentials_provider() else { bail!("no AWS credentials: {remedy}") };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(err) => {
            let whose = profile.map(|it| format!(" for profile {it}")).unwrap_or_default();
            Err(anyhow::Error::new(err).context(format!("no AWS credentials{whose}: {remedy}")))
        }
    }
}
