//! The way to AWS: one client, credentials from the environment or the instance's role and from nowhere else.

use std::{error::Error, time::Duration};

use anyhow::Context;
use aws_config::{
    environment::EnvironmentVariableCredentialsProvider,
    imds::{self, credentials::ImdsCredentialsProvider},
    meta::credentials::CredentialsProviderChain,
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ssm::config::{
    BehaviorVersion, Region, SharedAsyncSleep, SharedHttpClient, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls;

use crate::{host::Host, settings::Settings};

/// What the agent talks to.
pub struct Aws {
    pub ssm: aws_sdk_ssm::Client,
    pub imds: imds::Client,
}

impl Aws {
    /// Clients for the settings' region and endpoint.
    ///
    /// # Errors
    /// When the CA bundle cannot be read.
    pub fn new(settings: &Settings, host: &Host) -> anyhow::Result<Aws> {
        let http = http_client(settings, host)?;
        let sleep = SharedAsyncSleep::new(aws_smithy_async_sleep());
        let provider = ProviderConfig::without_region()
            .with_region(Some(Region::new(settings.region.clone())))
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(http.clone())
            .with_sleep_impl(sleep.clone());
        let imds = imds::Client::builder()
            .configure(&provider)
            .max_attempts(3)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(1))
            .build();
        let role = ImdsCredentialsProvider::builder().configure(&provider).imds_client(imds.clone()).build();
        let chain =
            CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("instance role", role);
        let mut config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(chain))
            .http_client(http)
            .sleep_impl(sleep)
            // Our own loop retries with jitter; three attempts bridge a hiccup within one look.
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(3))
                    .operation_attempt_timeout(Duration::from_secs(5))
                    .operation_timeout(Duration::from_secs(15))
                    .build(),
            );
        config.set_endpoint_url(settings.endpoint.clone());
        Ok(Aws { ssm: aws_sdk_ssm::Client::from_conf(config.build()), imds })
    }
}

fn aws_smithy_async_sleep() -> impl aws_sdk_ssm::config::AsyncSleep + 'static {
    Tokio
}

/// Tokio's clock for the SDK.
#[derive(Debug)]
struct Tokio;

impl aws_sdk_ssm::config::AsyncSleep for Tokio {
    fn sleep(&self, duration: Duration) -> aws_sdk_ssm::config::Sleep {
        aws_sdk_ssm::config::Sleep::new(tokio::time::sleep(duration))
    }
}

/// ring for TLS; the system's roots and, where one is set, the bundle of an emulator.
fn http_client(settings: &Settings, host: &Host) -> anyhow::Result<SharedHttpClient> {
    let bundle = settings.ca_bundle.clone().or_else(|| std::env::var_os("AWS_CA_BUNDLE").map(Into::into));
    let mut trust = tls::TrustStore::empty().with_native_roots(true);
    if let Some(path) = bundle {
        let path = path.to_string_lossy();
        let bytes = host.read_bytes(&path)?.with_context(|| format!("ca_bundle: {path} is missing"))?;
        trust = trust.with_pem_certificate(bytes);
    }
    let context =
        tls::TlsContext::builder().with_trust_store(trust).build().context("preparing TLS for AWS")?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// The whole chain of an SDK error in one line: its own display stops at "service error".
pub fn words(err: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&dyn Error> = Some(err);
    while let Some(it) = next {
        let text = it.to_string();
        if !parts.iter().any(|have| have.contains(&text)) {
            parts.push(text);
        }
        next = it.source();
    }
    parts.join(": ").chars().take(400).collect()
}
