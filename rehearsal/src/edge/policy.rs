//! Who may read an object: a bucket's policy, as far as viewers and distributions are concerned. Pure.

use serde_json::Value;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// Somebody without credentials.
    Anybody,
    /// CloudFront, on behalf of the distribution with this ARN.
    Distribution(&'a str),
}

/// One wish to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'a> {
    pub(super) by: By<'a>,
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) is_encrypted: bool,
}

impl Access<'_> {
    /// Whether the policy lets it through. What we do not understand counts against it.
    pub(super) fn is_allowed(&self, policy: Option<&str>) -> bool {
        let policy: Value = policy.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let statements = list(&policy["Statement"]);
        let any = |effect: &str, in_doubt: bool| {
            let mut same = statements.iter().filter(|it| it["Effect"] == effect);
            same.any(|it| self.meets(it).unwrap_or(in_doubt))
        };
        !any("Deny", true) && any("Allow", false)
    }

    /// Whether a statement is about this; `None` if that cannot be told.
    fn meets(&self, it: &Value) -> Option<bool> {
        let matches = |patterns: &Value, text: &str| {
            list(patterns)
                .iter()
                .filter_map(Value::as_str)
                .any(|it| is_like(&it.to_ascii_lowercase(), &text.to_ascii_lowercase()))
        };
        let action = it.get("Action").map(|it| matches(it, self.action))?;
        let resource = it
            .get("Resource")
            .map(|it| list(it).iter().filter_map(Value::as_str).any(|it| is_like(it, self.resource)))?;
        let principal = self.is_principal(it.get("Principal")?);
        let mut conditions = Some(true);
        for (operator, keys) in it["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                match self.holds(operator, key, values) {
                    Some(false) => return Some(false),
                    Some(true) => {}
                    None => conditions = None,
                }
            }
        }
        if !(action && resource && principal) { Some(false) } else { conditions }
    }

    fn is_principal(&self, it: &Value) -> bool {
        let named = |kind: &str, name: &str| list(&it[kind]).iter().any(|it| it == name);
        let everybody = it == "*" || named("AWS", "*");
        everybody || (self.by != By::Anybody && named("Service", "cloudfront.amazonaws.com"))
    }

    fn holds(&self, operator: &str, key: &str, values: &Value) -> Option<bool> {
        let source = match self.by {
            By::Distribution(arn) => arn,
            By::Anybody => "",
        };
        let fact = match key.to_ascii_lowercase().as_str() {
            "aws:sourcearn" => source.to_owned(),
            "aws:sourceaccount" => source.split(':').nth(4).unwrap_or_default().to_owned(),
            "aws:securetransport" => self.is_encrypted.to_string(),
            _ => return None,
        };
        let values = list(values);
        let texts = values.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
        let mut texts = texts.collect::<Vec<_>>().into_iter();
        match operator {
            "StringEquals" | "ArnEquals" | "Bool" => Some(texts.any(|it| it == fact)),
            "StringLike" | "ArnLike" => Some(texts.any(|it| is_like(&it, &fact))),
            "StringNotEquals" | "ArnNotEquals" => Some(texts.all(|it| it != fact)),
            _ => None,
        }
    }
}

/// One value stands for a list of one.
fn list(it: &Value) -> Vec<Value> {
    match it {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// `*` stands for anything, `?` for one character.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let mut ends = text.char_indices().map(|it| it.0).chain([text.len()]);
            ends.any(|at| is_like(rest, &text[at..]))
        }
        Some(it) => {
            let mut left = text.chars();
            left.next().is_some_and(|c| it == '?' || c == it)
                && is_like(&pattern[it.len_utf8()..], left.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "arn:aws:cloudfront::123456789012:distribution/OURS";
    /// As `lamp` writes it.
    const SERVED: &str = r#"{"Statement":[
        {"Effect":"Deny","Principal":"*","Action":["S3:*"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],
         "Condition":{"Bool":{"aws:SecureTransport":["false"]}}},
        {"Effect":"Allow","Principal":{"Service":"cloudfront.amazonaws.com"},"Action":["S3:GetObject"],
         "Resource":["arn:aws:s3:::b/*"],
         "Condition":{"StringEquals":{"aws:SourceArn":["arn:aws:cloudfront::123456789012:distribution/OURS"]}}}]}"#;
    const PUBLIC: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;

    fn reads(policy: &str, by: By<'_>, is_encrypted: bool) -> bool {
        let access =
            Access { by, action: "s3:GetObject", resource: "arn:aws:s3:::b/index.html", is_encrypted };
        access.is_allowed(Some(policy))
    }

    #[test]
    fn only_the_distribution_that_is_named_reads_and_only_encrypted() {
        assert!(reads(SERVED, By::Distribution(OURS), true));
        assert!(!reads(SERVED, By::Distribution(OURS), false));
        assert!(!reads(SERVED, By::Distribution(&OURS.replace("OURS", "OTHER")), true));
        assert!(!reads(SERVED, By::Anybody, true));
    }

    #[test]
    fn a_public_bucket_is_read_by_everybody_and_a_bucket_without_a_policy_by_nobody() {
        assert!(reads(PUBLIC, By::Anybody, false) && reads(PUBLIC, By::Distribution(OURS), true));
        assert!(!reads("", By::Distribution(OURS), true) && !reads("{}", By::Anybody, true));
        let list = Access {
            by: By::Anybody,
            action: "s3:ListBucket",
            resource: "arn:aws:s3:::b",
            is_encrypted: true,
        };
        assert!(!list.is_allowed(Some(PUBLIC)));
    }

    #[test]
    fn what_is_not_understood_counts_against_it() {
        let odd = |effect: &str| {
            PUBLIC.replace("\"Allow\"", &format!("\"{effect}\"")).replace(
                "\"Resource\"",
                "\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"203.0.113.0/24\"}},\"Resource\"",
            )
        };
        assert!(!reads(&odd("Allow"), By::Anybody, true));
        let both = format!("{{\"Statement\":[{},{}]}}", inner(PUBLIC), inner(&odd("Deny")));
        assert!(!reads(&both, By::Anybody, true));
    }

    fn inner(policy: &str) -> String {
        let it: Value = serde_json::from_str(policy).unwrap();
        it["Statement"].to_string()
    }

    #[test]
    fn patterns_are_matched_as_a_whole() {
        for (pattern, text, want) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("/images/*", "/images/", true),
            ("?", "", false),
            ("*", "", true),
            ("a?c", "abc", true),
        ] {
            assert_eq!(is_like(pattern, text), want, "{pattern} {text}");
        }
    }
}
