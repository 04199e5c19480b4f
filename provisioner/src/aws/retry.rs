//! Which failed calls the SDK may repeat by itself: those that cannot do a thing twice.

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority},
};

/// Forbids the SDK's own retries of changing calls whose answer was lost or says nothing (dropped
/// connection, 5xx): most creating calls are not idempotent, so the engine looks first whether the
/// thing is there. A throttled call did nothing and is repeated whatever it is.
#[derive(Debug)]
pub(super) struct ReadsOnly;

impl ClassifyRetry for ReadsOnly {
    fn classify_retry(&self, ctx: &InterceptorContext) -> RetryAction {
        let throttled = ctx.response().is_some_and(|it| {
            let body = it.body().bytes().unwrap_or_default();
            let says = |code: &[u8]| body.windows(code.len()).any(|it| it == code);
            it.status().as_u16() == 429
                || says(b"Throttl")
                || says(b"RequestLimitExceeded")
                || says(b"TooManyRequests")
                || says(b"SlowDown")
        });
        if throttled || is_read(ctx) { RetryAction::NoActionIndicated } else { RetryAction::RetryForbidden }
    }

    fn name(&self) -> &'static str {
        "reads only"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Told by the wire format: EC2 and query services name the action in the body, JSON services in a
/// header, CBOR services in the path, REST services in the method.
fn is_read(ctx: &InterceptorContext) -> bool {
    let Some(request) = ctx.request() else { return false };
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
