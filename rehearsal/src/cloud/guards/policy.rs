//! Policies: what is none, and what would open a bucket that is closed to the public.

use serde_json::Value;

use crate::cloud::call::Call;
use crate::cloud::refusal::Refusal;
use crate::cloud::sync::Sync;

/// Parameters of IAM's calls that are policies.
const DOCUMENTS: [&str; 2] = ["PolicyDocument", "AssumeRolePolicyDocument"];

pub(super) fn refuse(call: &Call) -> Option<Refusal> {
    let given = DOCUMENTS.iter().find_map(|it| call.parameter(it))?;
    let is_policy = statements(given).is_some();
    (!is_policy).then(|| Refusal::new("MalformedPolicyDocument", "Syntax errors in policy."))
}

pub(super) async fn refuse_bucket(sync: &Sync, call: &Call) -> Option<Refusal> {
    let bucket = call.action.strip_prefix("PUT /").filter(|_| call.asks_about("policy"))?;
    let Some(statements) = statements(&String::from_utf8_lossy(&call.body)) else {
        let words = "Policies must be valid JSON and the first byte must be '{'";
        return Some(Refusal::new("MalformedPolicy", words));
    };
    let is_blocked = sync.clients.blocks_public_policies(bucket.trim_end_matches('/')).await.ok()?;
    let words = format!(
        "User is not authorized to perform: s3:PutBucketPolicy on resource: \"arn:aws:s3:::{bucket}\" because public \
         policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
    );
    let is_public = statements.iter().any(is_public);
    (is_blocked && is_public).then(|| Refusal::new("AccessDenied", words).with_status(403))
}

/// A policy's statements; `None` if it is no policy.
fn statements(document: &str) -> Option<Vec<Value>> {
    let policy: Value = serde_json::from_str(document).ok()?;
    let all = match policy.get("Statement")? {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let is_whole = |it: &Value| {
        let has = |one: &str, other: &str| it.get(one).is_some() || it.get(other).is_some();
        matches!(it["Effect"].as_str(), Some("Allow" | "Deny")) && has("Action", "NotAction")
    };
    (!all.is_empty() && all.iter().all(is_whole)).then_some(all)
}

/// Whether it lets everybody in. A condition counts as one that does not.
fn is_public(it: &Value) -> bool {
    let everybody = |it: &Value| match it {
        Value::Array(all) => all.iter().any(|it| it == "*"),
        one => one == "*",
    };
    let principal = &it["Principal"];
    let to_all = everybody(principal) || everybody(&principal["AWS"]);
    it["Effect"] == "Allow" && to_all && it.get("Condition").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lets_everybody_in_is_public() {
        let allow = |rest: &str| {
            let text = format!(r#"{{"Statement":{{"Effect":"Allow","Action":"s3:GetObject",{rest}}}}}"#);
            statements(&text).unwrap().iter().any(is_public)
        };
        assert!(allow(r#""Principal":"*""#) && allow(r#""Principal":{"AWS":["*"]}"#));
        assert!(!allow(r#""Principal":{"Service":"cloudfront.amazonaws.com"}"#));
        assert!(!allow(r#""Principal":"*","Condition":{"StringEquals":{"aws:SourceArn":"x"}}"#));
    }

    #[test]
    fn what_has_no_whole_statement_is_no_policy() {
        for it in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Effect":"Permit","Action":"*"}]}"#,
        ] {
            assert_eq!(statements(it), None, "{it}");
        }
    }
}
