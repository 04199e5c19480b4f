//! The buckets, asked for as their owner, and read as somebody who may not be allowed to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, IF_NONE_MATCH, SERVER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::cache::Stored;
use super::policy::{Access, By};

/// What the emulator takes for the owner's signature.
const OWNER: &str = "AWS4-HMAC-SHA256 Credential=rehearsal/20260101/us-east-1/s3/aws4_request, \
                     SignedHeaders=host, Signature=0";
/// What of an object's headers a viewer sees; the rest is the emulator's own.
const SHOWN: [&str; 9] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "x-amz-version-id",
];
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?');

pub(super) struct Storage {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// The control plane's own.
    endpoint: String,
    regions: Mutex<BTreeMap<String, String>>,
}

/// A website's index and error document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Website {
    pub(super) index: String,
    pub(super) error: Option<String>,
}

impl Storage {
    pub(super) fn new(endpoint: String) -> Storage {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Storage { client, endpoint, regions: Mutex::default() }
    }

    pub(super) async fn buckets(&self) -> anyhow::Result<Vec<String>> {
        let text = self.asked("").await?.context("the list of buckets")?;
        Ok(text.split("<Bucket>").skip(1).filter_map(|it| between(it, "Name")).map(str::to_owned).collect())
    }

    pub(super) async fn region_of(&self, bucket: &str) -> anyhow::Result<String> {
        let regions = || self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = regions().get(bucket) {
            return Ok(known.clone());
        }
        let text = self.asked(&format!("{bucket}?location")).await?.unwrap_or_default();
        let said = text.rsplit_once("</LocationConstraint>").and_then(|it| it.0.rsplit('>').next());
        // The first region has no name here.
        let region = said.filter(|it| !it.is_empty()).unwrap_or("us-east-1").to_owned();
        regions().insert(bucket.to_owned(), region.clone());
        Ok(region)
    }

    pub(super) async fn website(&self, bucket: &str) -> anyhow::Result<Option<Website>> {
        let Some(text) = self.asked(&format!("{bucket}?website")).await? else { return Ok(None) };
        let index = between(&text, "Suffix").unwrap_or("index.html").to_owned();
        Ok(Some(Website { index, error: between(&text, "Key").map(str::to_owned) }))
    }

    /// Reads an object as S3 would let this reader. With a tag, only what is no longer the same.
    pub(super) async fn read(
        &self,
        bucket: &str,
        key: &str,
        by: By<'_>,
        is_encrypted: bool,
        tag: Option<&HeaderValue>,
    ) -> anyhow::Result<Stored> {
        let policy = self.asked(&format!("{bucket}?policy")).await?;
        let block = self.asked(&format!("{bucket}?publicAccessBlock")).await?.unwrap_or_default();
        let is_closed = by == By::Anybody && between(&block, "RestrictPublicBuckets") == Some("true");
        let may = |action: &str, resource: &str| {
            !is_closed && Access { by, action, resource, is_encrypted }.is_allowed(policy.as_deref())
        };
        if !may("s3:GetObject", &format!("arn:aws:s3:::{bucket}/{key}")) {
            return Ok(refusal(403, "AccessDenied", "Access Denied"));
        }
        let path = format!("{bucket}/{}", utf8_percent_encode(key, UNSAFE));
        let (status, mut headers, body) = self.ask(&path, tag).await?;
        match status.as_u16() {
            200 | 304 => {
                headers.retain_shown();
                Ok(Stored { status, headers: headers.0, body })
            }
            // Who may not list the bucket does not learn what is missing in it.
            404 if may("s3:ListBucket", &format!("arn:aws:s3:::{bucket}")) => {
                Ok(refusal(404, "NoSuchKey", "The specified key does not exist."))
            }
            404 => Ok(refusal(403, "AccessDenied", "Access Denied")),
            other => bail!("the control plane answered {other} for an object of {bucket}"),
        }
    }

    /// A document about a bucket; `None` if there is none.
    async fn asked(&self, path: &str) -> anyhow::Result<Option<String>> {
        let (status, _, body) = self.ask(path, None).await?;
        match status.as_u16() {
            200 => Ok(Some(String::from_utf8_lossy(&body).into_owned())),
            404 => Ok(None),
            other => bail!("the control plane answered {other} to a question about /{path}"),
        }
    }

    async fn ask(&self, path: &str, tag: Option<&HeaderValue>) -> anyhow::Result<(StatusCode, Shown, Bytes)> {
        let mut request = Request::get(format!("{}/{path}", self.endpoint)).header(AUTHORIZATION, OWNER);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.body(Empty::new()).with_context(|| format!("asking for /{path}"))?;
        let answer = self.client.request(request).await.context("asking the control plane")?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.context("reading the control plane's answer")?.to_bytes();
        Ok((parts.status, Shown(parts.headers), body))
    }
}

struct Shown(HeaderMap);

impl Shown {
    fn retain_shown(&mut self) {
        let is_shown = |name: &str| SHOWN.contains(&name) || name.starts_with("x-amz-meta-");
        let all = std::mem::take(&mut self.0);
        self.0 =
            all.iter().filter(|it| is_shown(it.0.as_str())).map(|it| (it.0.clone(), it.1.clone())).collect();
        self.0.insert(SERVER, HeaderValue::from_static("AmazonS3"));
    }
}

/// As S3 words it.
pub(super) fn refusal(status: u16, code: &str, words: &str) -> Stored {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{words}</Message></Error>"
    );
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/xml"));
    headers.insert(SERVER, HeaderValue::from_static("AmazonS3"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Stored { status, headers, body: Bytes::from(body) }
}

/// The text of the first element of that name.
fn between<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    Some(rest.split_once(&format!("</{element}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_its_name() {
        let text = "<A><Suffix>index.html</Suffix><Key>error.html</Key></A>";
        assert_eq!((between(text, "Suffix"), between(text, "Key")), (Some("index.html"), Some("error.html")));
        assert_eq!(between(text, "Nothing"), None);
    }
}
