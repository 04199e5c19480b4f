//! One value that the agents read from the Parameter Store. A node's name is the value's path below
//! the stack's prefix, as [`shared::params::Param`] writes it: `parameter/db/endpoint`.

use std::sync::Arc;

use aws_sdk_ssm::{
    primitives::{DateTime, DateTimeFormat},
    types::{Parameter as Sdk, ParameterType},
};
use rand::Rng;
use serde::{Serialize, Serializer, ser::SerializeMap};
use shared::params::Param;

use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Output, Resource, Secret, Value},
};

/// Its id is its whole name.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    #[serde(flatten)]
    pub value: ParamValue,
}

/// What a parameter holds.
#[derive(Clone, Debug)]
pub enum ParamValue {
    Text(Value),
    /// A password that is made when the parameter is; whatever it is, it is as wanted.
    Generated {
        length: usize,
    },
    /// A password that the operator chose.
    Given(Secret),
}

impl Serialize for ParamValue {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self {
            ParamValue::Text(text) => {
                map.serialize_entry("type", "String")?;
                map.serialize_entry("text", text)?;
            }
            ParamValue::Generated { .. } => map.serialize_entry("type", "SecureString")?,
            ParamValue::Given(secret) => {
                map.serialize_entry("type", "SecureString")?;
                map.serialize_entry("password", secret)?;
            }
        }
        map.end()
    }
}

impl Parameter {
    /// The Parameter Store's count of changes: grows with each.
    pub const VERSION: Output<Parameter> = Output::new("version");
    /// Which writing of it this is. The version alone starts again when one is deleted and made anew.
    pub const WRITTEN: Output<Parameter> = Output::new("as written");

    /// A text, which may be known only later.
    pub fn text(value: impl Into<Value>) -> Parameter {
        Parameter { value: ParamValue::Text(value.into()) }
    }
}

impl Resource for Parameter {
    const KIND: &'static str = "parameter";
    const FIXED: &'static [&'static str] = &["type"];
    const MOVES: &'static [&'static str] = &[Self::VERSION.name(), Self::WRITTEN.name()];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let prefix = Param::prefix(&aws.stack);
        let mut found = Vec::new();
        for it in parameters(aws).await?.iter() {
            let Some(name) = it.name().and_then(|it| it.strip_prefix(&prefix)) else { continue };
            // Written by the agents, and by whoever holds the stack's lock.
            if name.starts_with("hosts/") || name == "lock" {
                continue;
            }
            let text = it.value().unwrap_or_default();
            let value = match it.r#type() {
                Some(ParameterType::SecureString) if aws.settings.compare_passwords => {
                    ParamValue::Given(Secret(text.to_owned()))
                }
                Some(ParameterType::SecureString) => ParamValue::Generated { length: 0 },
                _ => ParamValue::Text(text.into()),
            };
            let id = it.name().unwrap_or_default();
            let parameter = Found::untagged(name, id, Parameter { value });
            let parameter = parameter.out(Self::VERSION, it.version().to_string());
            found.push(parameter.out(Self::WRITTEN, written(it)));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let name = format!("{}{}", Param::prefix(&cx.aws.stack), cx.name());
        let (kind, value) = match &self.value {
            ParamValue::Text(text) => (ParameterType::String, cx.text(text)),
            ParamValue::Generated { length } => (ParameterType::SecureString, password(*length)),
            ParamValue::Given(secret) => (ParameterType::SecureString, secret.0.clone()),
        };
        if value.is_empty() {
            return Err(aws::Error::refused(format!(
                "{name} would be empty, which the Parameter Store refuses"
            )));
        }
        let put = cx.aws.ssm.put_parameter().name(&name).value(value).r#type(kind);
        put.set_tags(Some(Aws::to_ssm(cx.tags)?)).send().await?;
        Ok(name)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let (kind, value) = match &self.value {
            ParamValue::Text(text) => (ParameterType::String, cx.text(text)),
            ParamValue::Given(secret) => (ParameterType::SecureString, secret.0.clone()),
            // Whatever it is, it is as wanted.
            ParamValue::Generated { .. } => return Ok(()),
        };
        cx.aws.ssm.put_parameter().name(&have.id).value(value).r#type(kind).overwrite(true).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ssm.delete_parameter().name(&have.id).send().await?;
        Ok(())
    }
}

/// Everything below the stack's prefix.
async fn parameters(aws: &Aws) -> aws::Result<Arc<Vec<Sdk>>> {
    aws.once("parameters", || async {
        let get = aws.ssm.get_parameters_by_path().path(Param::prefix(&aws.stack)).recursive(true);
        let get = get.with_decryption(aws.settings.compare_passwords);
        let mut pages = get.into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.try_next().await? {
            all.extend(page.parameters.unwrap_or_default());
        }
        Ok(all)
    })
    .await
}

/// The password in a parameter, read at the moment it is needed, and which writing of it that is.
///
/// # Errors
/// The parameter is missing, empty or not readable.
pub async fn secret(aws: &Aws, name: &str) -> aws::Result<(String, String)> {
    let got = aws.ssm.get_parameter().name(name).with_decryption(true).send().await?.parameter;
    let written = got.as_ref().map(written).unwrap_or_default();
    let value = got.and_then(|it| it.value).filter(|it| !it.is_empty());
    let value = value.ok_or_else(|| aws::Error::refused(format!("parameter {name} is empty")))?;
    Ok((value, written))
}

/// Says nothing about the value, so that it can stand in a tag.
fn written(it: &Sdk) -> String {
    let at = it.last_modified_date().and_then(|it| it.to_millis().ok()).map(DateTime::from_millis);
    let at = at.and_then(|it| it.fmt(DateTimeFormat::DateTime).ok()).unwrap_or_default();
    format!("version {} of {at}", it.version())
}

/// What the hosts report: instance id and text.
///
/// # Errors
/// The parameters cannot be read.
pub async fn host_reports(aws: &Aws) -> aws::Result<Vec<(String, String)>> {
    let prefix = format!("{}hosts/", Param::prefix(&aws.stack));
    let all = parameters(aws).await?;
    let reports = all.iter().filter_map(|it| {
        let host = it.name()?.strip_prefix(&prefix)?;
        Some((host.to_owned(), it.value().unwrap_or_default().to_owned()))
    });
    Ok(reports.collect())
}

/// Removes what the hosts have reported, once there are no hosts; says how many reports there were.
///
/// # Errors
/// The parameters cannot be read or deleted.
pub async fn forget_host_reports(aws: &Aws) -> aws::Result<usize> {
    aws.look_again();
    let names: Vec<_> =
        host_reports(aws).await?.iter().map(|(host, _)| Param::host(&aws.stack, host)).collect();
    for ten in names.chunks(10) {
        aws.ssm.delete_parameters().set_names(Some(ten.to_vec())).send().await?;
    }
    Ok(names.len())
}

/// Letters, digits and signs that need no quoting in a shell, in PHP, in SQL or in a URL's user part,
/// and that RDS takes.
const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+=,";

/// From the operating system's randomness by way of ChaCha.
fn password(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(SIGNS[random.random_range(0..SIGNS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_long_and_never_the_same() {
        let (one, other) = (password(32), password(32));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn a_password_shows_in_no_output() {
        let given = Parameter { value: ParamValue::Given(Secret("hunter2".into())) };
        let shown = format!("{given:?} {}", serde_json::to_string(&given).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
