//! One call to the cloud's interface: which service, which action, with which parameters.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// What is known of a call before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// As in the signature: `ec2`, `elasticfilesystem`.
    pub(super) service: String,
    /// Such as `RunInstances`, or method and path where the service has no names for its actions.
    pub(super) action: String,
    /// The parameters of services that take forms, and of a path's query.
    pub(super) parameters: BTreeMap<String, String>,
    /// The parameters of services that take JSON.
    pub(super) json: Value,
    pub(super) protocol: Protocol,
    /// As it came.
    pub(super) body: Bytes,
    /// What the path's query says.
    pub(super) query: String,
    /// Which version the caller knows.
    pub(super) if_match: Option<String>,
}

/// How a service spells its answers, errors above all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    #[default]
    Query,
    Ec2,
    S3,
    Json,
}

impl Call {
    pub(super) fn of(parts: &Parts, body: &Bytes) -> Call {
        let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        // Credential=KEY/20261122/ap-northeast-2/ec2/aws4_request
        let scope = header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let service = scope.split('/').nth(3).unwrap_or_default().to_owned();
        let target = header("x-amz-target").rsplit_once('.').map(|it| it.1.to_owned());
        let is_json = target.is_some() || header("content-type").contains("json");
        let protocol = match service.as_str() {
            _ if is_json => Protocol::Json,
            // Its calls without a body are as much JSON as the others.
            "elasticfilesystem" => Protocol::Json,
            "ec2" => Protocol::Ec2,
            "s3" => Protocol::S3,
            _ => Protocol::Query,
        };
        let if_match = Some(header("if-match")).filter(|it| !it.is_empty()).map(str::to_owned);
        let json = if is_json { serde_json::from_slice(body).unwrap_or_default() } else { Value::Null };
        let is_form = header("content-type").starts_with("application/x-www-form-urlencoded");
        let form = if is_form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
        let query = parts.uri.query().unwrap_or_default();
        let parameters: BTreeMap<String, String> = [form, query]
            .iter()
            .flat_map(|it| it.split('&'))
            .filter_map(|it| it.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let action = target.or_else(|| parameters.get("Action").cloned());
        let action = action.unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path()));
        let (body, query) = (body.clone(), query.to_owned());
        Call { service, action, parameters, json, protocol, body, query, if_match }
    }

    /// Whether it may change anything.
    pub(super) fn changes(&self) -> bool {
        let reads = ["Describe", "Get", "List", "GET ", "HEAD "];
        !reads.iter().any(|it| self.action.starts_with(it))
    }

    /// Whether it is about a bucket's policy, its website and so on; without anything, about the bucket itself.
    pub(super) fn asks_about(&self, what: &str) -> bool {
        let mut parts = self.query.split('&').map(|it| it.split('=').next().unwrap_or_default());
        if what.is_empty() {
            parts.all(|it| it.is_empty() || it == "x-id")
        } else {
            parts.any(|it| it == what)
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whom the call is about, for the log: never a value that could be secret.
    pub(super) fn subject(&self) -> &str {
        let tag = self.parameters.iter().find(|(_, value)| *value == NODE).map(|it| it.0);
        let plain = |it: &&str| it.chars().all(|it| it.is_ascii_graphic());
        let node = tag.and_then(|it| self.parameter(&(it.strip_suffix("Key")?.to_owned() + "Value")));
        let is_name = |name: &str| {
            let name = name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.');
            let ends = ["Id", "Identifier", "Name", "Arn", "InstanceIds", "Names"];
            !name.contains("Tag") && !name.contains("Filter") && ends.iter().any(|it| name.ends_with(it))
        };
        let parameter = || self.parameters.iter().find(|it| is_name(it.0)).map(|it| it.1.as_str());
        let field = || {
            let named = self.json.as_object()?.iter().filter(|it| is_name(it.0));
            named.map(|it| it.1.get(0).unwrap_or(it.1)).find_map(Value::as_str)
        };
        node.or_else(parameter).or_else(field).filter(plain).unwrap_or("-")
    }
}

/// The tag that names a resource's node in a stack.
const NODE: &str = "lamp:node";

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
        Call::of(&request.body(()).unwrap().into_parts().0, &Bytes::copy_from_slice(body.as_bytes()))
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
        let it = call("POST", "/", &[("x-amz-target", "AmazonSSM.GetParameter")], r#"{"Name":"/lamp/x"}"#);
        assert_eq!((it.action.as_str(), it.changes()), ("GetParameter", false));
        assert_eq!((it.protocol, it.json["Name"].as_str()), (Protocol::Json, Some("/lamp/x")));
        let it = call("PUT", "/bucket/key?x-id=PutObject", &[], "Action=no");
        assert_eq!((it.action.as_str(), it.changes()), ("PUT /bucket/key", true));
    }

    #[test]
    fn the_log_names_the_node_or_the_thing_and_never_a_secret() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let subject = |body: &str| call("POST", "/", &[SIGNED, form], body).subject().to_owned();
        let tagged = "Action=CreateVpc&TagSpecification.1.Tag.1.Key=lamp%3Anode&TagSpecification.1.Tag.1.Value=vpc/main";
        assert_eq!(subject(tagged), "vpc/main");
        assert_eq!(subject("Action=DeleteSubnet&SubnetId=subnet-1"), "subnet-1");
        assert_eq!(subject("Action=DescribeInstances&InstanceId.1=i-1"), "i-1");
        assert_eq!(subject("Action=ModifyDBInstance&MasterUserPassword=x&DBInstanceIdentifier=db"), "db");
        assert_eq!(subject("Action=DescribeVpcs&Filter.1.Name=tag:x"), "-");
        let put =
            call("POST", "/", &[("x-amz-target", "AmazonSSM.PutParameter")], r#"{"Value":"s","Name":"/a"}"#);
        assert_eq!(put.subject(), "/a");
    }
}
