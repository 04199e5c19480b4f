//! What one HTTP request asks of AWS: service, action, and whether it changes anything.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use http::Method;

/// One request that went through the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of the signature: access key, day, region, service.
    pub scope: String,
    /// As in the signature: `ec2`, `rds`, `elasticloadbalancing`, `elasticfilesystem` …
    pub service: String,
    /// As AWS writes it: `CreateVpc`.
    pub action: String,
    /// Whether it can change the account.
    pub mutating: bool,
    /// When it came, counted from the proxy's start.
    pub at: Duration,
    /// What was answered; 0 where the connection was dropped.
    pub status: u16,
    /// Path, query and (textual) body, for what a test wants to find in it.
    pub text: String,
}

impl Call {
    /// `ec2:CreateVpc`, as policies write it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }

    /// Understands a request by its signature, target header, query body or path.
    pub fn read(
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
        body: &[u8],
        at: Duration,
    ) -> Call {
        let header = |key: &str| headers.get(key).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let body = std::str::from_utf8(body).unwrap_or_default();
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let scope = header("authorization").split_once("Credential=").map_or("", |it| it.1);
        let scope = scope.split([',', ' ']).next().unwrap_or_default().to_owned();
        let service = match scope.split('/').nth(3) {
            Some(it) => it.to_owned(),
            None => "unsigned".to_owned(),
        };
        let form = header("content-type").starts_with("application/x-www-form-urlencoded");
        let action = if let Some((_, action)) = header("x-amz-target").rsplit_once('.') {
            action.to_owned()
        } else if let Some((_, action)) = path.split_once("/operation/") {
            action.to_owned()
        } else if let Some(action) = form.then(|| field(body, "Action")).flatten() {
            action.to_owned()
        } else {
            match service.as_str() {
                "s3" => s3(method, path, query, headers),
                "elasticfilesystem" => efs(method, path),
                "cloudfront" => cloudfront(method, path, query),
                _ => format!("{method} {path}"),
            }
        };
        let mutating = match ["Describe", "Get", "List", "Head", "GET", "HEAD", "Search", "Lookup"]
            .iter()
            .any(|it| action.starts_with(it))
        {
            true => false,
            false => !matches!(action.as_str(), "AssumeRole" | "DecodeAuthorizationMessage"),
        };
        let text = format!("{path_and_query}\n{body}");
        Call { scope, service, action, mutating, at, status: 0, text }
    }

    /// The value of a field of a query-protocol body, as it was sent (percent-encoded).
    pub fn field(&self, key: &str) -> Option<&str> {
        field(self.text.split_once('\n')?.1, key)
    }
}

/// How often each call was made.
pub fn tally(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for call in calls {
        *out.entry(call.name()).or_default() += 1;
    }
    out
}

fn field<'a>(form: &'a str, key: &str) -> Option<&'a str> {
    form.split('&').find_map(|it| it.strip_prefix(key)?.strip_prefix('='))
}

/// `POST` makes, `GET` reads, `PUT` sets, `DELETE` deletes: for the REST services that name things so.
fn verb(method: &Method, read: &str) -> String {
    match *method {
        Method::POST => "Create".to_owned(),
        Method::PUT => "Update".to_owned(),
        Method::DELETE => "Delete".to_owned(),
        _ => read.to_owned(),
    }
}

fn efs(method: &Method, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).skip(1).collect();
    let put = match *method {
        Method::PUT => "Put",
        Method::DELETE => "Delete",
        _ => "Describe",
    };
    match parts.as_slice() {
        ["file-systems", _, "policy"] => format!("{put}FileSystemPolicy"),
        ["file-systems", _, "backup-policy"] => format!("{put}BackupPolicy"),
        ["file-systems", _, "lifecycle-configuration"] => format!("{put}LifecycleConfiguration"),
        ["file-systems", _, "protection"] => "UpdateFileSystemProtection".to_owned(),
        ["mount-targets", _, "security-groups"] if method == Method::PUT => {
            "ModifyMountTargetSecurityGroups".to_owned()
        }
        ["mount-targets", _, "security-groups"] => "DescribeMountTargetSecurityGroups".to_owned(),
        ["resource-tags", _] => match *method {
            Method::POST => "TagResource".to_owned(),
            Method::DELETE => "UntagResource".to_owned(),
            _ => "ListTagsForResource".to_owned(),
        },
        [what, rest @ ..] => {
            let noun = match *what {
                "file-systems" => "FileSystem",
                "mount-targets" => "MountTarget",
                "access-points" => "AccessPoint",
                other => other,
            };
            let read = verb(method, "Describe");
            let plural = if read == "Describe" && rest.is_empty() { "s" } else { "" };
            format!("{read}{noun}{plural}")
        }
        [] => format!("{method} {path}"),
    }
}

fn cloudfront(method: &Method, path: &str, query: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).skip(1).collect();
    let noun = match parts.first().copied().unwrap_or_default() {
        "distribution" => "Distribution",
        "origin-access-control" => "OriginAccessControl",
        "cache-policy" => "CachePolicy",
        "origin-request-policy" => "OriginRequestPolicy",
        "response-headers-policy" => "ResponseHeadersPolicy",
        "function" => "Function",
        "tagging" if method == Method::GET => return "ListTagsForResource".to_owned(),
        "tagging" if query.contains("Operation=Untag") => return "UntagResource".to_owned(),
        "tagging" => return "TagResource".to_owned(),
        _ => return format!("{method} {path}"),
    };
    let plural = noun.strip_suffix('y').map_or(format!("{noun}s"), |stem| format!("{stem}ies"));
    match (parts.get(1..).unwrap_or_default(), method == Method::GET) {
        ([], true) => format!("List{plural}"),
        ([_, "invalidation"], true) => "ListInvalidations".to_owned(),
        ([_, "invalidation"], false) => "CreateInvalidation".to_owned(),
        ([_, "invalidation", _], _) => "GetInvalidation".to_owned(),
        ([_, "config"], true) => format!("Get{noun}Config"),
        _ => format!("{}{noun}", verb(method, "Get")),
    }
}

fn s3(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> String {
    let key = |it: &str| query.split('&').any(|part| part == it || part.starts_with(&format!("{it}=")));
    let put = match *method {
        Method::PUT | Method::POST => "Put",
        Method::DELETE => "Delete",
        _ => "Get",
    };
    let (bucket, object) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
    if bucket.is_empty() {
        return "ListBuckets".to_owned();
    }
    if !object.is_empty() {
        return match *method {
            Method::POST if key("uploads") => "CreateMultipartUpload".to_owned(),
            Method::POST => "CompleteMultipartUpload".to_owned(),
            Method::PUT if key("partNumber") => "UploadPart".to_owned(),
            Method::PUT if headers.contains_key("x-amz-copy-source") => "CopyObject".to_owned(),
            Method::HEAD => "HeadObject".to_owned(),
            _ if key("tagging") => format!("{put}ObjectTagging"),
            _ => format!("{put}Object"),
        };
    }
    let parts = [
        ("policy", "Policy"),
        ("acl", "Acl"),
        ("versioning", "Versioning"),
        ("encryption", "Encryption"),
        ("publicAccessBlock", "PublicAccessBlock"),
        ("website", "Website"),
        ("tagging", "Tagging"),
        ("lifecycle", "LifecycleConfiguration"),
        ("ownershipControls", "OwnershipControls"),
        ("location", "Location"),
        ("logging", "Logging"),
    ];
    match parts.into_iter().find(|it| key(it.0)) {
        Some((_, "PublicAccessBlock")) => format!("{put}PublicAccessBlock"),
        Some((_, part)) => format!("{put}Bucket{part}"),
        None if key("versions") => "ListObjectVersions".to_owned(),
        None if key("uploads") => "ListMultipartUploads".to_owned(),
        None => match *method {
            Method::POST => "DeleteObjects".to_owned(),
            Method::PUT => "CreateBucket".to_owned(),
            Method::DELETE => "DeleteBucket".to_owned(),
            Method::HEAD => "HeadBucket".to_owned(),
            _ => "ListObjectsV2".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: &str, service: &str, content: &str, body: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        let scope =
            format!("AWS4-HMAC-SHA256 Credential=AK/20261122/ap-northeast-2/{service}/aws4_request, x");
        headers.insert("authorization", scope.parse().unwrap());
        headers.insert("content-type", content.parse().unwrap());
        let it = Call::read(&method.parse().unwrap(), path, &headers, body.as_bytes(), Duration::ZERO);
        format!("{} {}", it.name(), if it.mutating { "changes" } else { "reads" })
    }

    #[test]
    fn every_protocol_is_understood() {
        let form = "application/x-www-form-urlencoded";
        for (request, service, content, body, want) in [
            ("POST /", "ec2", form, "Action=CreateVpc&Version=1", "ec2:CreateVpc changes"),
            ("POST /", "ec2", form, "Action=DescribeVpcs&Version=1", "ec2:DescribeVpcs reads"),
            (
                "POST /service/GraniteServiceVersion20100801/operation/PutMetricData",
                "monitoring",
                "application/cbor",
                "",
                "monitoring:PutMetricData changes",
            ),
            (
                "POST /2015-02-01/file-systems",
                "elasticfilesystem",
                "",
                "{}",
                "elasticfilesystem:CreateFileSystem changes",
            ),
            (
                "GET /2015-02-01/mount-targets?FileSystemId=fs-1",
                "elasticfilesystem",
                "",
                "",
                "elasticfilesystem:DescribeMountTargets reads",
            ),
            (
                "PUT /2015-02-01/file-systems/fs-1/policy",
                "elasticfilesystem",
                "",
                "",
                "elasticfilesystem:PutFileSystemPolicy changes",
            ),
            (
                "POST /2020-05-31/distribution?WithTags",
                "cloudfront",
                "",
                "",
                "cloudfront:CreateDistribution changes",
            ),
            ("GET /2020-05-31/distribution", "cloudfront", "", "", "cloudfront:ListDistributions reads"),
            (
                "PUT /2020-05-31/distribution/E1/config",
                "cloudfront",
                "",
                "",
                "cloudfront:UpdateDistribution changes",
            ),
            (
                "GET /2020-05-31/cache-policy?Type=managed",
                "cloudfront",
                "",
                "",
                "cloudfront:ListCachePolicies reads",
            ),
            ("PUT /bucket", "s3", "", "", "s3:CreateBucket changes"),
            ("PUT /bucket/?publicAccessBlock=", "s3", "", "", "s3:PutPublicAccessBlock changes"),
            ("GET /bucket?versions", "s3", "", "", "s3:ListObjectVersions reads"),
            ("POST /bucket?delete", "s3", "", "", "s3:DeleteObjects changes"),
            ("PUT /bucket/a/b.html?x-id=PutObject", "s3", "", "", "s3:PutObject changes"),
        ] {
            assert_eq!(read(request, service, content, body), want, "{request}");
        }
    }
}
