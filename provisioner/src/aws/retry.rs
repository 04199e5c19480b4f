//! Which failed calls the SDK may repeat by itself: those that cannot do a thing twice.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef},
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{
    config_bag::{ConfigBag, Storable, StoreReplace},
    retry::RetryConfig,
};

use super::sdk_error::is_distrust;

/// Forbids the SDK's own retries of changing calls whose answer was lost or says nothing (dropped
/// connection, 5xx): most creating calls are not idempotent, so the engine looks first whether the
/// thing is there. A throttled call did nothing and is repeated whatever it is; who shows a certificate that nobody
/// vouches for will show it again.
///
/// Not a retry classifier, since those no longer see the request.
#[derive(Debug)]
pub(super) struct ReadsOnly;

/// Whether the call at hand only reads; noted while its request can still be seen.
#[derive(Debug)]
struct IsRead(bool);

impl Storable for IsRead {
    type Storer = StoreReplace<IsRead>;
}

impl Intercept for ReadsOnly {
    fn name(&self) -> &'static str {
        "reads only"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(IsRead(is_read(context.request())));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let throttled = context.response().is_some_and(|it| {
            let body = it.body().bytes().unwrap_or_default();
            let says = |code: &[u8]| body.windows(code.len()).any(|it| it == code);
            it.status().as_u16() == 429
                || says(b"Throttl")
                || says(b"RequestLimitExceeded")
                || says(b"TooManyRequests")
                || says(b"SlowDown")
        });
        let failure = context.output_or_error().and_then(Result::err).and_then(|it| it.as_connector_error());
        let distrusts = failure.is_some_and(|it| is_distrust(it));
        if distrusts || !throttled && !config.load::<IsRead>().is_some_and(|it| it.0) {
            config.interceptor_state().store_put(RetryConfig::disabled());
        }
        Ok(())
    }
}

/// Told by the wire format: EC2 and query services name the action in the body, JSON services in a
/// header, CBOR services in the path, REST services in the method.
fn is_read(request: &HttpRequest) -> bool {
    let reads = |name: &str| ["Describe", "Get", "List", "Head"].iter().any(|it| name.starts_with(it));
    if let Some(target) = request.headers().get("x-amz-target") {
        return reads(target.rsplit('.').next().unwrap_or_default());
    }
    if let Some((_, operation)) = request.uri().rsplit_once("/operation/") {
        return reads(operation);
    }
    let body = request.body().bytes().unwrap_or_default();
    match body.strip_prefix(b"Action=") {
        Some(action) => std::str::from_utf8(action).is_ok_and(reads),
        None => matches!(request.method(), "GET" | "HEAD"),
    }
}
