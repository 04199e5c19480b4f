//! What a viewer gets: from a distribution, from a bucket's website endpoint, or from the bucket itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_cloudfront::types::ViewerProtocolPolicy;
use bytes::Bytes;
use http::header::{AGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::cache::{Cache, Key, Lookup, Stored};
use super::policy::By;
use super::storage::{Storage, refusal};
use super::view::{Distribution, ErrorRule, Origin};
use super::viewer::Viewer;

/// One request as it arrived.
pub(super) struct Visit {
    pub(super) viewer: Viewer,
    pub(super) method: Method,
    pub(super) host: String,
    /// As it was written, without the query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) is_encrypted: bool,
}

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// As a distribution answers it.
pub(super) async fn distributed(
    it: &Distribution,
    visit: &Visit,
    cache: &Mutex<Cache>,
    storage: &Storage,
) -> Stored {
    let mut answer = match refused(it, visit) {
        Some(answer) => answer,
        None => {
            let path = if visit.path == "/" { format!("/{}", it.root) } else { visit.path.clone() };
            let first = cached(it, visit, &path, cache, storage).await;
            match it.errors.iter().find(|rule| rule.code == first.status.as_u16()) {
                Some(ErrorRule { page: Some(page), becomes, .. }) => {
                    let mut instead = cached(it, visit, page, cache, storage).await;
                    // An error page that cannot be had is no help: then it is the error itself.
                    if instead.status.is_success() {
                        let status = becomes.and_then(|it| StatusCode::from_u16(it).ok());
                        instead.status = status.unwrap_or(first.status);
                        instead.headers.insert(X_CACHE, HeaderValue::from_static("Error from cloudfront"));
                        instead
                    } else {
                        first
                    }
                }
                _ => first,
            }
        }
    };
    let via = format!("1.1 {} (CloudFront)", visit.host);
    answer
        .headers
        .insert(VIA, HeaderValue::from_str(&via).unwrap_or(HeaderValue::from_static("1.1 cloudfront")));
    answer.headers.insert("x-amz-cf-pop", HeaderValue::from_static(visit.viewer.location()));
    not_modified(answer, visit)
}

/// What never gets as far as the cache.
fn refused(it: &Distribution, visit: &Visit) -> Option<Stored> {
    let page = |status: StatusCode, x_cache: &'static str, words: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert("server", HeaderValue::from_static("CloudFront"));
        headers.insert(X_CACHE, HeaderValue::from_static(x_cache));
        Stored { status, headers, body: Bytes::from_static(words.as_bytes()) }
    };
    let error = "Error from cloudfront";
    if !it.enabled {
        return Some(page(StatusCode::FORBIDDEN, error, "<h1>403 The distribution is not enabled.</h1>"));
    }
    match (&it.viewers, visit.is_encrypted) {
        (ViewerProtocolPolicy::RedirectToHttps, false) => {
            let redirect = "<h1>301 Moved Permanently</h1>";
            let mut answer = page(StatusCode::MOVED_PERMANENTLY, "Redirect from cloudfront", redirect);
            let to = HeaderValue::from_str(&format!("https://{}{}", visit.host, visit.path)).ok()?;
            answer.headers.insert(LOCATION, to);
            return Some(answer);
        }
        (ViewerProtocolPolicy::HttpsOnly, false) => {
            return Some(page(StatusCode::FORBIDDEN, error, "<h1>403 Only HTTPS is allowed.</h1>"));
        }
        _ => {}
    }
    if !it.methods.iter().any(|it| *it == visit.method.as_str()) {
        return Some(page(StatusCode::FORBIDDEN, error, "<h1>403 This method is not allowed.</h1>"));
    }
    let Origin::Elsewhere(_) = it.origin else { return None };
    let words = "<h1>502 The rehearsal knows no origin but its own buckets.</h1>";
    Some(page(StatusCode::BAD_GATEWAY, error, words))
}

async fn cached(
    it: &Distribution,
    visit: &Visit,
    path: &str,
    cache: &Mutex<Cache>,
    storage: &Storage,
) -> Stored {
    let cache = || cache.lock().unwrap_or_else(PoisonError::into_inner);
    let key = Key { location: visit.viewer, distribution: it.id.clone(), path: path.to_owned() };
    let known = cache().get(&key, Instant::now());
    let stale = match known {
        Lookup::Fresh(mut answer, age) => {
            answer.headers.insert(AGE, HeaderValue::from(age.as_secs()));
            answer.headers.insert(X_CACHE, HeaderValue::from_static(kept(answer.status)));
            return answer;
        }
        Lookup::Stale(answer) => Some(answer),
        Lookup::Absent => None,
    };
    tokio::time::sleep(visit.viewer.to_bucket()).await;
    let tag = stale.as_ref().and_then(|it| it.headers.get(ETAG));
    let fetched = fetch(it, path, tag, storage).await;
    let (mut answer, said) = match (fetched, stale) {
        (new, Some(old)) if new.status == StatusCode::NOT_MODIFIED => (old, "RefreshHit from cloudfront"),
        (new, _) if new.status.is_client_error() || new.status.is_server_error() => {
            (new, "Error from cloudfront")
        }
        (new, _) => (new, "Miss from cloudfront"),
    };
    let rule = it.errors.iter().find(|rule| rule.code == answer.status.as_u16());
    let ttl = match answer.status.is_success() || answer.status.is_redirection() {
        true => it.limits.ttl(&answer.headers),
        false => Duration::from_secs(rule.map_or(10, |it| it.ttl)),
    };
    cache().put(key, answer.clone(), ttl, Instant::now());
    answer.headers.insert(X_CACHE, HeaderValue::from_static(said));
    answer
}

fn kept(status: StatusCode) -> &'static str {
    if status.is_client_error() || status.is_server_error() {
        "Error from cloudfront"
    } else {
        "Hit from cloudfront"
    }
}

async fn fetch(it: &Distribution, path: &str, tag: Option<&HeaderValue>, storage: &Storage) -> Stored {
    let read = match &it.origin {
        Origin::Bucket { name, is_controlled } => {
            let by = if *is_controlled { By::Distribution(&it.arn) } else { By::Anybody };
            storage.read(name, &key(path), by, true, tag).await
        }
        Origin::Website(bucket) => website(bucket, path, storage).await,
        Origin::Elsewhere(_) => Ok(refusal(502, "BadGateway", "no such origin")),
    };
    read.unwrap_or_else(|err| refusal(502, "BadGateway", &format!("{err:#}")))
}

/// As the bucket itself answers somebody without credentials.
pub(super) async fn bucket(name: &str, visit: &Visit, storage: &Storage) -> Stored {
    if !matches!(visit.method, Method::GET | Method::HEAD) {
        return refusal(403, "AccessDenied", "Anonymous users cannot change anything");
    }
    let read = storage.read(name, &key(&visit.path), By::Anybody, visit.is_encrypted, None).await;
    not_modified(read.unwrap_or_else(|err| refusal(503, "ServiceUnavailable", &format!("{err:#}"))), visit)
}

/// As the bucket's website endpoint answers.
pub(super) async fn website(bucket: &str, path: &str, storage: &Storage) -> anyhow::Result<Stored> {
    let Some(site) = storage.website(bucket).await? else {
        let words = "The specified bucket does not have a website configuration";
        return Ok(refusal(404, "NoSuchWebsiteConfiguration", words));
    };
    let wanted = key(path);
    let is_folder = wanted.is_empty() || wanted.ends_with('/');
    let name = if is_folder { format!("{wanted}{}", site.index) } else { wanted.clone() };
    let read = async |name: &str| storage.read(bucket, name, By::Anybody, false, None).await;
    let mut answer = read(&name).await?;
    if !is_folder && answer.status.is_client_error() {
        let index = format!("{wanted}/{}", site.index);
        if read(&index).await?.status.is_success() {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(&format!("{path}/"))?);
            return Ok(Stored { status: StatusCode::FOUND, headers, body: Bytes::new() });
        }
    }
    if let (true, Some(page)) = (answer.status.is_client_error(), &site.error) {
        let instead = read(page).await?;
        if instead.status.is_success() {
            answer = Stored { status: answer.status, ..instead };
        }
    }
    Ok(answer)
}

/// The object that a path names.
fn key(path: &str) -> String {
    percent_decode_str(path.strip_prefix('/').unwrap_or(path)).decode_utf8_lossy().into_owned()
}

/// A viewer that has it already is not sent it again.
fn not_modified(mut answer: Stored, visit: &Visit) -> Stored {
    let asked = visit.headers.get(IF_NONE_MATCH);
    if answer.status == StatusCode::OK && asked.is_some() && asked == answer.headers.get(ETAG) {
        answer.status = StatusCode::NOT_MODIFIED;
        answer.body = Bytes::new();
    }
    answer
}
