//! One call to the cloud's interface: which service, which action, with which parameters.

use std::collections::BTreeMap;

use http::request::Parts;
use percent_encoding::percent_decode_str;

/// What is known of a call before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// As in the signature: `ec2`, `elasticfilesystem`.
    pub(super) service: String,
    /// Such as `RunInstances`, or method and path where the service has no names for its actions.
    pub(super) action: String,
    /// The parameters of services that take forms.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Call {
    pub(super) fn of(parts: &Parts, body: &[u8]) -> Call {
        let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        // Credential=KEY/20261122/ap-northeast-2/ec2/aws4_request
        let scope = header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let service = scope.split('/').nth(3).unwrap_or_default().to_owned();
        if let Some((_, action)) = header("x-amz-target").rsplit_once('.') {
            return Call { service, action: action.to_owned(), parameters: BTreeMap::new() };
        }
        let is_form = header("content-type").starts_with("application/x-www-form-urlencoded");
        let form = if is_form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
        let query = parts.uri.query().unwrap_or_default();
        let parameters: BTreeMap<String, String> = [form, query]
            .iter()
            .flat_map(|it| it.split('&'))
            .filter_map(|it| it.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let action = parameters.get("Action").cloned();
        let action = action.unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path()));
        Call { service, action, parameters }
    }

    /// Whether it may change anything.
    pub(super) fn changes(&self) -> bool {
        let reads = ["Describe", "Get", "List", "GET ", "HEAD "];
        !reads.iter().any(|it| self.action.starts_with(it))
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Call {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Call::of(&request.body(()).unwrap().into_parts().0, body.as_bytes())
    }

    const SIGNED: (&str, &str) = (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AK/20261122/ap-northeast-2/rds/aws4_request, SignedHeaders=host, Signature=0",
    );

    #[test]
    fn forms_targets_and_paths_are_told_apart() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let it = call("POST", "/", &[SIGNED, form], "Action=CreateDBInstance&MasterUserPassword=a%2Bb+c");
        assert_eq!((it.service.as_str(), it.action.as_str()), ("rds", "CreateDBInstance"));
        assert_eq!(it.parameter("MasterUserPassword"), Some("a+b c"));
        assert!(it.changes());
        let it = call("POST", "/", &[("x-amz-target", "AmazonSSM.GetParameter")], "{}");
        assert_eq!((it.action.as_str(), it.changes()), ("GetParameter", false));
        let it = call("PUT", "/bucket/key?x-id=PutObject", &[], "Action=no");
        assert_eq!((it.action.as_str(), it.changes()), ("PUT /bucket/key", true));
    }
}
