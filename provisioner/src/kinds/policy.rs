//! Policy documents as data that can be compared: IAM and S3 write the same thing in many ways.

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::engine::Value;

/// One statement.
#[derive(Clone, Debug, Serialize)]
pub struct Statement {
    /// Its name.
    pub sid: String,
    pub allow: bool,
    /// To whom it speaks, such as `Service: ec2.amazonaws.com` or `*`; empty in a role's own policy.
    pub to: Vec<String>,
    #[serde(serialize_with = "caseless")]
    pub actions: Vec<String>,
    pub resources: Vec<Value>,
    pub conditions: Vec<Condition>,
    /// Elements that none of ours has, such as `NotAction`.
    pub other: Vec<String>,
}

/// One condition, such as `StringEquals`, `aws:SourceArn`, the ARN.
#[derive(Clone, Debug, Serialize)]
pub struct Condition {
    pub test: String,
    pub key: String,
    pub values: Vec<Value>,
}

impl Statement {
    /// Allows these actions.
    pub fn allow(sid: &str, actions: &[&str]) -> Statement {
        Statement {
            sid: sid.into(),
            allow: true,
            to: Vec::new(),
            actions: actions.iter().map(ToString::to_string).collect(),
            resources: Vec::new(),
            conditions: Vec::new(),
            other: Vec::new(),
        }
    }

    /// Forbids these actions.
    pub fn deny(sid: &str, actions: &[&str]) -> Statement {
        Statement { allow: false, ..Statement::allow(sid, actions) }
    }

    /// To whom.
    pub fn to(mut self, whom: &str) -> Statement {
        self.to.push(whom.into());
        self
    }

    /// On what.
    pub fn on(mut self, resource: impl Into<Value>) -> Statement {
        self.resources.push(resource.into());
        self
    }

    /// Under which condition.
    pub fn when(mut self, test: &str, key: &str, value: impl Into<Value>) -> Statement {
        self.conditions.push(Condition { test: test.into(), key: key.into(), values: vec![value.into()] });
        self
    }

    fn json(&self, text: &impl Fn(&Value) -> String) -> Json {
        let texts = |them: &[Value]| json!(them.iter().map(text).collect::<Vec<_>>());
        let mut json = Map::new();
        json.insert("Sid".into(), json!(self.sid));
        json.insert("Effect".into(), json!(if self.allow { "Allow" } else { "Deny" }));
        for it in &self.to {
            let whom = match it.split_once(": ") {
                Some((kind, who)) => json!({ kind: who }),
                None => json!(it),
            };
            json.insert("Principal".into(), whom);
        }
        json.insert("Action".into(), json!(self.actions));
        if !self.resources.is_empty() {
            json.insert("Resource".into(), texts(&self.resources));
        }
        let mut conditions: Map<String, Json> = Map::new();
        for it in &self.conditions {
            conditions.entry(&it.test).or_insert_with(|| json!({}))[&it.key] = texts(&it.values);
        }
        if !conditions.is_empty() {
            json.insert("Condition".into(), conditions.into());
        }
        json.into()
    }

    fn read(json: &Json) -> Statement {
        let mut it = Statement::allow("", &[]);
        for (key, value) in json.as_object().into_iter().flatten() {
            match key.as_str() {
                "Sid" => it.sid = value.as_str().unwrap_or_default().to_owned(),
                "Effect" => it.allow = value == "Allow",
                "Principal" => it.to = principals(value),
                "Action" => it.actions = strings(value),
                "Resource" => it.resources = strings(value).into_iter().map(Value::Text).collect(),
                "Condition" => it.conditions = conditions(value),
                _ => it.other.push(format!("{key}: {value}")),
            }
        }
        it
    }
}

/// IAM makes no difference between capitals and small letters in actions.
fn caseless<S: Serializer>(actions: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(actions.iter().map(|it| it.to_lowercase()))
}

/// The document of these statements; `text` knows the values.
pub fn render(statements: &[Statement], text: impl Fn(&Value) -> String) -> String {
    let statements: Vec<_> = statements.iter().map(|it| it.json(&text)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// The statements of a document, which IAM hands out URL-encoded. One that is no policy has none.
pub fn parse(document: &str) -> Vec<Statement> {
    let decoded = percent_decode_str(document).decode_utf8_lossy();
    let json: Json =
        serde_json::from_str(document).or_else(|_| serde_json::from_str(&decoded)).unwrap_or_default();
    match &json["Statement"] {
        Json::Array(them) => them.iter().map(Statement::read).collect(),
        Json::Object(_) => vec![Statement::read(&json["Statement"])],
        _ => Vec::new(),
    }
}

/// A list may be written as its only item, and a truth value as a text.
fn strings(json: &Json) -> Vec<String> {
    match json {
        Json::Array(them) => them.iter().flat_map(strings).collect(),
        Json::String(text) => vec![text.clone()],
        Json::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

fn principals(json: &Json) -> Vec<String> {
    match json {
        Json::Object(map) => map
            .iter()
            .flat_map(|(kind, who)| strings(who).into_iter().map(move |it| format!("{kind}: {it}")))
            .collect(),
        other => strings(other),
    }
}

fn conditions(json: &Json) -> Vec<Condition> {
    let tests = json.as_object().into_iter().flatten();
    let all = tests.flat_map(|(test, keys)| {
        keys.as_object().into_iter().flatten().map(move |(key, values)| Condition {
            test: test.clone(),
            key: key.clone(),
            values: strings(values).into_iter().map(Value::Text).collect(),
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &[Statement], other: &[Statement]) -> bool {
        serde_json::to_value(one).unwrap() == serde_json::to_value(other).unwrap()
    }

    #[test]
    fn a_document_reads_back_as_the_statements_it_was_made_of() {
        let made = [
            Statement::allow("Read", &["s3:GetObject"])
                .to("Service: cloudfront.amazonaws.com")
                .on("arn:aws:s3:::b/*")
                .when("StringEquals", "aws:SourceArn", "arn:aws:cloudfront::1:distribution/E1"),
            Statement::deny("Tls", &["s3:*"]).to("*").on("a").on("b").when(
                "Bool",
                "aws:SecureTransport",
                "false",
            ),
        ];
        let text = |it: &Value| if let Value::Text(text) = it { text.clone() } else { String::new() };
        let document = render(&made, text);
        assert!(same(&parse(&document), &made), "{document}");
    }

    #[test]
    fn spelling_makes_no_difference() {
        let short = r#"{"Statement":{"Effect":"Allow","Action":"a","Resource":"r","Condition":{"Bool":{"k":false}}}}"#;
        let encoded = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%5B%22a%22%5D%2C%22Resource%22%3A%5B%22r%22%5D%2C%22Condition%22%3A%7B%22Bool%22%3A%7B%22k%22%3A%22false%22%7D%7D%7D%5D%7D";
        assert!(same(&parse(short), &parse(encoded)));
        assert_eq!(parse(short).len(), 1);
    }
}
