//! CloudFront: distributions go in order, and only whoever knows the newest version may change one.

use crate::cloud::call::Call;
use crate::cloud::life::Kind;
use crate::cloud::refusal::Refusal;
use crate::cloud::sync::Sync;

pub(super) async fn refuse(sync: &Sync, call: &Call) -> Option<Refusal> {
    let aws = &sync.clients.cloudfront;
    let (method, path) = call.action.split_once(' ')?;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').skip(1).collect();
    match (method, parts.as_slice()) {
        ("DELETE", ["distribution", id]) | ("PUT", ["distribution", id, "config"]) => {
            let seen = aws.get_distribution().id(*id).send().await.ok()?;
            let newest = seen.e_tag().unwrap_or_default();
            if call.if_match.as_deref().is_some_and(|it| it.trim_matches('"') != newest.trim_matches('"')) {
                let words = "The request failed because it didn't meet the preconditions in one or more request-header fields.";
                return Some(Refusal::new("PreconditionFailed", words).with_status(412));
            }
            let enabled = seen.distribution()?.distribution_config()?.enabled();
            let deploying = sync.shared.lock().lives.word(Kind::Distribution, id).is_some();
            let words = "The distribution you are trying to delete has not been disabled.";
            (method == "DELETE" && (enabled || deploying))
                .then(|| Refusal::new("DistributionNotDisabled", words).with_status(409))
        }
        ("DELETE", ["origin-access-control", id]) => {
            let seen = aws.list_distributions().send().await.ok()?;
            let all = seen.distribution_list().map(|it| it.items()).unwrap_or_default();
            // The control plane forgets which control an origin has.
            let known = sync.shared.lock();
            let names =
                |it: &str| known.access_controls.get(it).is_some_and(|it| it.iter().any(|it| it == id));
            let used = all.iter().any(|it| names(it.id()));
            let words =
                "Cannot delete the origin access control because it's in use by one or more distributions.";
            used.then(|| Refusal::new("OriginAccessControlInUse", words).with_status(409))
        }
        _ => None,
    }
}
